"""Data that is gone, foreign, damaged or of another life: it is said, nothing is written, and `init` mends it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from grayflow.core.generations import Generation, Marks
from grayflow.core.position import Document
from grayflow.errors import NotInitializedError, StoreError, StoreFormatError
from grayflow.store.port import Store
from grayflow.store.redis import RedisStore
from grayflow.testing.contract.kit import edit, put
from tests.servers import RedisServer
from tests.store.redis.conftest import OpenRedis

pytestmark = pytest.mark.anyio

Ask = Callable[..., Any]

READS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "position": lambda store: store.position(),
    "replaced": lambda store: store.replaced(),
    "load": lambda store: store.load(),
    "get": lambda store: store.get("flag", "a"),
    "history": lambda store: store.history(),
    "history of one": lambda store: store.history("a"),
    "oldest": lambda store: store.oldest(),
    "at": lambda store: store.at(0),
}
VERBS = READS | {"commit": lambda store: store.commit(edit("new"), expected=0)}


@pytest.fixture
def ask(redis_server: RedisServer, namespace: str) -> Ask:
    """Run a command on one key of the namespace, past the store: `ask("HGET", "meta", "rev")`."""
    return lambda verb, key, *words: redis_server.ask(verb, f"{{gf:{namespace}}}:{key}", *words)


async def filled(store: RedisStore) -> None:
    await store.init()
    await put(store, edit("a", b"1", marks=Marks(off=("on",))), edit("b", b"2"), edit("a", b"3"))


@pytest.mark.parametrize("verb", sorted(VERBS))
async def test_an_emptied_namespace_is_said_to_be_empty(open_redis: OpenRedis, ask: Ask, verb: str) -> None:
    async with open_redis() as store:
        await filled(store)
        for key in ("meta", "flags", "log", "offs"):
            ask("DEL", key)

        with pytest.raises(NotInitializedError, match="grayflow init --namespace"):
            await VERBS[verb](store)


async def test_a_server_that_came_back_empty_is_not_written_to(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await filled(store)
        server.restart(keep_data=False)

        with pytest.raises(NotInitializedError):
            await store.commit(edit("a", b"4"), expected=3)

        assert server.ask("DBSIZE") == 0


async def test_a_server_that_came_back_with_its_data_goes_on(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await filled(store)
        before = await store.load()
        server.restart(keep_data=True)

        assert await store.load() == before
        await put(store, edit("c"))


@pytest.mark.parametrize("verb", sorted(VERBS))
async def test_a_namespace_that_is_not_ready_is_refused(open_redis: OpenRedis, ask: Ask, verb: str) -> None:
    async with open_redis() as store:
        await filled(store)
        ask("HDEL", "meta", "ready")

        with pytest.raises(NotInitializedError):
            await VERBS[verb](store)


@pytest.mark.parametrize("verb", sorted(VERBS))
async def test_a_newer_schema_is_refused(open_redis: OpenRedis, ask: Ask, verb: str) -> None:
    async with open_redis() as store:
        await filled(store)
        ask("HSET", "meta", "schema", 2)

        with pytest.raises(StoreFormatError, match=r"schema 2, .* up to 1.*newer grayflow"):
            await VERBS[verb](store)


@pytest.mark.parametrize("replaces", [None, ["*"]])
async def test_init_never_touches_a_newer_schema(open_redis: OpenRedis, ask: Ask, replaces: list[str] | None) -> None:
    async with open_redis() as store:
        await filled(store)
        ask("HSET", "meta", "schema", 2)
        before = ask("HGETALL", "meta")

        with pytest.raises(StoreFormatError, match="schema 2"):
            await store.init(replaces=replaces)

        assert ask("HGETALL", "meta") == before


@pytest.mark.parametrize(
    ("field", "value"), [("schema", "one"), ("rev", "x"), ("rev", "9" * 16), ("rev", ""), ("nonce", "")]
)
@pytest.mark.parametrize("verb", ["position", "load", "commit"])
async def test_a_position_that_cannot_be_read_is_damage(
    open_redis: OpenRedis, ask: Ask, field: str, value: str, verb: str
) -> None:
    async with open_redis() as store:
        await filled(store)
        ask("HSET", "meta", field, value)

        with pytest.raises(StoreFormatError, match="damaged"):
            await VERBS[verb](store)


@pytest.mark.parametrize("words", [("HDEL", "flags", "a"), ("HSET", "flags", "c", "{}"), ("HSET", "segments", "s", "")])
async def test_documents_that_are_not_counted_are_an_incident(
    open_redis: OpenRedis, ask: Ask, words: tuple[str, ...]
) -> None:
    async with open_redis() as store:
        await filled(store)
        ask(*words)

        with pytest.raises(StoreFormatError, match=r"counts 2 flags and segments and holds [13].*init --replace"):
            await store.load()
        await store.init(replaces=[])
        assert len((await store.load()).flags) in {1, 2, 3}


@pytest.mark.parametrize("key", ["meta", "flags", "offs", "log"])
async def test_foreign_data_under_our_keys_is_said_to_be_foreign(open_redis: OpenRedis, ask: Ask, key: str) -> None:
    async with open_redis() as store:
        await filled(store)
        ask("SET", key, "mine")

        for verb in ("load", "commit") if key != "log" else ("oldest", "commit"):
            with pytest.raises(StoreFormatError, match="somebody else"):
                await VERBS[verb](store)
        assert ask("GET", key) == b"mine"


async def test_foreign_data_in_the_way_of_a_commit_leaves_no_half_of_it(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        await filled(store)
        before = await store.load()
        ask("SET", "history:flag:new", "mine")

        with pytest.raises(StoreFormatError):
            await store.commit(edit("new"), expected=0)

        assert await store.load() == before
        assert len(await store.history()) == 3


async def test_init_does_not_adopt_what_has_no_meta(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        await filled(store)
        ask("DEL", "meta")

        with pytest.raises(StoreFormatError, match="init --replace"):
            await store.init()
        assert not ask("EXISTS", "meta")
        position = await store.init(replaces=["*"])

        state = await store.load()
        assert state.position == position
        assert state.position.revision == 3
        assert state.flags == {"a": Document(3, b"3"), "b": Document(2, b"2")}
        assert [change.revision for change in await store.history()] == [3, 2, 1]


async def test_init_makes_a_namespace_ready_again(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        await filled(store)
        before = await store.load()
        ask("HDEL", "meta", "ready")

        with pytest.raises(StoreFormatError):
            await store.init()
        await store.init(replaces=[])

        assert (await store.load()).flags == before.flags
        assert before.position.epoch in await store.replaced()


async def test_a_log_ahead_of_the_position_is_refused_and_mended(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        await filled(store)
        before = await store.load()
        ask("XADD", "log", "99-0", "what", "ever")

        with pytest.raises(StoreFormatError, match="log is inconsistent: it is ahead of revision 3"):
            await store.commit(edit("c"), expected=0)
        assert await store.load() == before
        position = await store.init(replaces=[])

        (change,) = await put(store, edit("c"))
        assert (position.revision, change.revision) == (99, 100)
        assert await store.oldest() == 100
        assert [change.revision for change in await store.history("c")] == [100]


@pytest.mark.parametrize("words", [("DEL", "log"), ("XDEL", "log", "3-0"), ("XTRIM", "log", "MAXLEN", "0")])
async def test_a_log_behind_the_position_is_refused_and_mended(
    open_redis: OpenRedis, ask: Ask, words: tuple[str, ...]
) -> None:
    async with open_redis() as store:
        await filled(store)
        before = await store.load()
        ask(*words)

        with pytest.raises(StoreFormatError, match="log is inconsistent: it does not hold revision 3"):
            await store.commit(edit("c"), expected=0)
        assert await store.load() == before
        position = await store.init(replaces=[])

        (change,) = await put(store, edit("c"))
        found = await store.changes(position)
        assert found is not None
        assert [later.position for later in found] == [change.position]
        assert await store.oldest() == 4


async def test_a_log_of_another_life_is_refused(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        await filled(store)
        ask("HSET", "meta", "nonce", "another")

        with pytest.raises(StoreFormatError, match="as it was made"):
            await store.commit(edit("c"), expected=0)


async def test_the_revision_goes_on_from_the_highest_that_is_named(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        await filled(store)
        ask("HSET", "meta", "rev", 1)
        ask("HSET", "segments", "s", "40:{}")
        assert (await store.init(replaces=[])).revision == 40
        assert await store.oldest() == 41
        ask("HSET", "offs", "z", "2:on3:1011:7")
        assert (await store.init(replaces=[])).revision == 50
        ask("HSET", "offs", "z", "2:on1:02:60")
        assert (await store.init(replaces=[])).revision == 60


async def test_a_hole_in_the_middle_of_the_log_is_no_chain(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        start = await store.init()
        made = await put(store, *(edit(key) for key in "abcd"))
        ask("XDEL", "log", "2-0")

        assert await store.changes(start) is None
        assert await store.changes(made[0].position) is None
        assert len(await store.changes(made[1].position) or ()) == 2


async def test_an_unreadable_entry_breaks_the_chain_and_the_history(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        start = await store.init()
        ask("XADD", "log", "1-0", "hello", "world")
        ask("HSET", "meta", "rev", 1)

        assert await store.changes(start) is None
        with pytest.raises(StoreFormatError, match="entry 1-0 of its log is unreadable"):
            await store.history()


async def test_damaged_generations_are_not_overwritten(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        await filled(store)
        ask("HSET", "offs", "a", "what?")

        for verb in (store.load, lambda: store.commit(edit("a"), expected=3)):
            with pytest.raises(StoreFormatError, match="damaged"):
                await verb()
        assert ask("HGET", "offs", "a") == b"what?"


class TestRewound:
    """A fail-over to a replica that missed the last writes: revisions are used a second time."""

    async def rewound(self, store: RedisStore, ask: Ask, *keys: str) -> Any:
        """Write two changes and lose them again, as far as these keys go; return what was committed."""
        await filled(store)
        dumps = {key: ask("DUMP", key) for key in keys}
        lost = await put(store, edit("a", b"lost", marks=Marks(off=("x",)), request_id="r4"), edit("c", b"lost"))
        for key, dump in dumps.items():
            ask("DEL", key)
            if dump is not None:
                ask("RESTORE", key, 0, dump)
        return lost

    async def test_the_lost_revisions_are_used_again_with_other_nonces(self, open_redis: OpenRedis, ask: Ask) -> None:
        async with open_redis() as store:
            lost = await self.rewound(store, ask, "meta", "flags", "offs", "log", "history:flag:a", "history:flag:c")

            made = await put(store, edit("d"), edit("e"))

            assert [change.revision for change in made] == [change.revision for change in lost] == [4, 5]
            assert await store.changes(lost[0].position) is None
            assert await store.changes(lost[1].position) is None
            assert (await store.load()).generations == {"a": {"on": Generation(off=2)}}

    async def test_a_position_ahead_of_the_store_has_no_changes(self, open_redis: OpenRedis, ask: Ask) -> None:
        async with open_redis() as store:
            lost = await self.rewound(store, ask, "meta", "flags", "offs", "log")

            assert await store.changes(lost[-1].position) is None

    async def test_lost_versions_leave_a_flags_own_history(self, open_redis: OpenRedis, ask: Ask) -> None:
        async with open_redis() as store:
            await self.rewound(store, ask, "meta", "flags", "offs", "log")

            await put(store, edit("a", b"again"))

            told = [(change.revision, change.document) for change in await store.history("a")]
            assert told == [(4, b"again"), (3, b"3"), (1, b"1")]

    @pytest.mark.parametrize("others", [0, 1, 3])
    async def test_a_request_that_was_lost_is_done(self, open_redis: OpenRedis, ask: Ask, others: int) -> None:
        async with open_redis() as store:
            await self.rewound(store, ask, "meta", "flags", "offs", "log")
            await put(store, *(edit(f"o{number}") for number in range(others)))

            change = await store.commit(edit("a", b"lost", request_id="r4"), expected=3)

            assert change.revision == 4 + others
            assert (await store.load()).flags["a"] == Document(4 + others, b"lost")


@pytest.mark.parametrize("error", [NotInitializedError, StoreFormatError])
def test_incidents_are_store_errors(error: type[Exception]) -> None:
    assert issubclass(error, StoreError)
