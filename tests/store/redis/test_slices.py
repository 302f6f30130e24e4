"""Ten thousand flags are read in slices, and the result is of one instant all the same."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow.core.generations import Generation, Marks
from grayflow.core.position import Document, Position
from grayflow.store.port import State
from grayflow.store.redis import RedisStore
from grayflow.store.redis.acl import acl_rules
from grayflow.store.redis.slices import SLICE, highest, in_slices
from grayflow.testing.contract.kit import edit, put
from tests.servers import RedisServer
from tests.store.redis.conftest import OpenRedis

pytestmark = pytest.mark.anyio

MANY = 3 * SLICE + 100
Meddle = Callable[[], Awaitable[object]]


async def filled(store: RedisStore, server: RedisServer) -> Position:
    """Initialise a namespace and put many flags there, past the store."""
    start = await store.init()
    prefix = f"{{gf:{store.namespace}}}:"
    with server.connect() as client:
        documents = {f"flag-{number}": b"0:{}" for number in range(MANY)}
        client.hset(f"{prefix}flags", mapping=documents)
        client.hset(f"{prefix}meta", "count", MANY)
    return start


async def load_while(store: RedisStore, start: Position, meddle: Meddle, known_offs: int = 0) -> State | None:
    """Load in slices; something happens as soon as the first slice has been read."""
    async with store._session().at_leisure() as read:
        done = False

        async def interrupted(*commands: Any) -> list[Any]:
            nonlocal done
            answers = await read(*commands)
            if not done and commands[0][0] == "HSCAN":
                done = True
                await meddle()
            return answers

        return await store._load_in_slices(interrupted, start, known_offs)


async def test_many_flags_are_never_asked_for_at_once(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await filled(store, server)
        server.ask("CONFIG", "RESETSTAT")

        state = await store.load()

    assert len(state.flags) == MANY
    asked = server.ask("INFO", "commandstats")
    assert "cmdstat_hscan" in asked
    assert "cmdstat_hgetall" not in asked


async def test_changes_between_two_slices_are_laid_over_them(redis_server: RedisServer, open_redis: OpenRedis) -> None:
    async with open_redis() as store:
        start = await filled(store, redis_server)

        async def meddle() -> None:
            await put(
                store,
                edit("flag-7", b"1", marks=Marks(off=("on",))),
                edit("flag-8", None),
                edit("new", b"3"),
                edit("staff", b"4", kind="segment"),
                edit("gone", b"5", kind="segment"),
                edit("gone", None, kind="segment"),
                edit("flag-7", b"7"),
            )

        state = await load_while(store, start, meddle)

        assert state is not None
        assert state.position == await store.position()
        assert (state.flags["flag-7"], state.flags["new"]) == (Document(7, b"7"), Document(3, b"3"))
        assert "flag-8" not in state.flags
        assert state.segments == {"staff": Document(4, b"4")}
        assert state.generations == {"flag-7": {"on": Generation(off=2, armed=0)}}
        assert state == await store.load()


async def test_a_load_in_which_another_epoch_begins_is_not_made_of_both(
    redis_server: RedisServer, open_redis: OpenRedis
) -> None:
    async with open_redis() as store:
        start = await filled(store, redis_server)

        assert await load_while(store, start, lambda: store.init(replaces=["*"])) is None
        assert (await store.load()).position == await store.position()


async def test_a_flag_that_a_scan_lost_is_noticed(
    redis_server: RedisServer, open_redis: OpenRedis, namespace: str
) -> None:
    async with open_redis() as store:
        start = await filled(store, redis_server)

        async def lose() -> None:
            names = [f"flag-{number}" for number in range(MANY)]
            redis_server.ask("HDEL", f"{{gf:{namespace}}}:flags", *names)

        assert await load_while(store, start, lose) is None


async def test_generations_that_a_scan_lost_are_noticed(redis_server: RedisServer, open_redis: OpenRedis) -> None:
    async with open_redis() as store:
        await filled(store, redis_server)
        await put(store, edit("flag-7", b"1", marks=Marks(off=("on",))))
        start = await store.position()

        async def lose() -> None:
            redis_server.ask("DEL", f"{{gf:{store.namespace}}}:offs")

        assert await load_while(store, start, lose, known_offs=1) is None


async def test_a_hash_is_told_whole(redis_server: RedisServer, open_redis: OpenRedis, namespace: str) -> None:
    async with open_redis() as store:
        await filled(store, redis_server)
        async with store._session().at_leisure() as read:
            found = await in_slices(read, f"{{gf:{namespace}}}:flags")
            nothing = await in_slices(read, f"{{gf:{namespace}}}:nothing")

    assert found == {b"flag-%d" % number: b"0:{}" for number in range(MANY)}
    assert nothing == {}


async def test_others_have_their_turn_while_a_new_epoch_looks_for_the_highest_revision(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    in_a_row = [0]

    def counted(documents: Iterable[bytes], generations: Iterable[bytes]) -> int:
        values = list(documents), list(generations)
        in_a_row[-1] += sum(map(len, values))
        return highest(*values)

    async def others() -> None:
        while True:
            looked.append(in_a_row[-1])
            in_a_row.append(0)
            await checkpoint()

    monkeypatch.setattr("grayflow.store.redis.store.highest", counted)
    async with RedisStore(server.url) as store, anyio.create_task_group() as tasks:
        await filled(store, server)
        tasks.start_soon(others)
        await store.init(replaces=["*"])
        tasks.cancel_scope.cancel()

    assert sum(in_a_row) == MANY
    assert max(looked) < 2 * SLICE  # a server gives somewhat more than it was asked for


async def test_a_slice_that_is_there_at_once_lets_others_run_all_the_same() -> None:
    turns, seen = 0, 0

    async def read(*_: Any) -> list[Any]:
        nonlocal seen
        seen += 1
        return [(0 if seen == 20 else seen, {b"flag-%d" % seen: b"1:{}"})]

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others)
        assert len(await in_slices(read, "flags")) == 20
        tasks.cancel_scope.cancel()

    assert turns >= 19


async def test_a_reader_has_the_rights_for_it(server: RedisServer) -> None:
    async with RedisStore(server.url, "prod") as store:
        await filled(store, server)
    server.ask("ACL", "SETUSER", "gf-reader", *acl_rules("reader", "prod", "pw"))

    async with RedisStore(f"redis://gf-reader:pw@127.0.0.1:{server.port}/0", "prod") as reader:
        assert len((await reader.load()).flags) == MANY


async def test_a_new_epoch_goes_on_from_what_any_of_many_values_names(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await filled(store, server)
        server.ask("HSET", "{gf:default}:flags", "flag-1499", "70:{}")

        assert (await store.init(replaces=["*"])).revision == 70


@pytest.mark.parametrize(
    ("documents", "generations", "wanted"),
    [
        ([], [], 0),
        ([b"3:{}", b"12:{}", b"by hand", b"-1:{}"], [], 12),
        ([b"3:{}"], [b"2:on2:411:0", b"2:on1:02:33", b"junk", b""], 33),
        ([b"3:{}"], [b"2:on2:811:0"], 40),
    ],
)
def test_the_highest_revision_is_found_among_anything(
    documents: list[bytes], generations: list[bytes], wanted: int
) -> None:
    assert highest(documents, generations) == wanted
