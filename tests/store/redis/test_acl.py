"""What the three users may do, and everything that they may not, on a real server."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError, ResponseError

from grayflow.core.generations import Marks
from grayflow.errors import StoreAccessError
from grayflow.store.redis import RedisStore
from grayflow.store.redis.acl import Role, acl_command, acl_rules
from grayflow.testing import StoreContract
from grayflow.testing.contract import OpenStore
from grayflow.testing.contract.kit import edit, put, seen
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

TAG = "{gf:prod}"
ROLES: tuple[Role, ...] = ("reader", "worker", "writer")


@pytest.fixture(scope="module")
def module_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def guarded(module_server: RedisServer) -> RedisServer:
    """Return an empty server with the three users of the namespace `prod`."""
    module_server.ask("FLUSHALL")
    for role in ROLES:
        module_server.ask("ACL", "SETUSER", f"gf-{role}", *acl_rules(role, "prod", "pw"))
    module_server.ask("ACL", "LOG", "RESET")
    return module_server


def as_user(server: RedisServer, role: Role, database: int = 0) -> RedisStore:
    return RedisStore(f"redis://gf-{role}:pw@127.0.0.1:{server.port}/{database}", "prod")


def run(server: RedisServer, role: Role, *words: str | int) -> Any:
    return server.ask(*words, user=f"gf-{role}", password="pw")


class TestWriterPassesTheContract(StoreContract):
    @pytest.fixture
    def open_store(self, guarded: RedisServer) -> OpenStore:
        return lambda: as_user(guarded, "writer")


@pytest.mark.parametrize("role", ["reader", "worker"])
async def test_readers_read_all_that_there_is(guarded: RedisServer, role: Role) -> None:
    async with as_user(guarded, "writer") as writer, as_user(guarded, role) as store:
        start = await writer.init()
        async with store.follow() as events:
            _, change = await put(writer, edit("a"), edit("a", b"2", marks=Marks(off=("on",))))

            assert await seen(events, store, change.position) is not None
        assert await store.position() == change.position
        assert await store.load() == await writer.load()
        assert await store.get("flag", "a") == await writer.get("flag", "a")
        assert await store.history() == await writer.history()
        assert await store.history("a") == await writer.history("a")
        assert len(await store.changes(start) or ()) == 2
        assert (await store.oldest(), await store.replaced()) == (1, [])
        assert (await store.at(1)).flags.keys() == {"a"}
    assert guarded.ask("ACL", "LOG") == []


async def test_a_reader_may_use_any_database(guarded: RedisServer) -> None:
    async with as_user(guarded, "writer", 3) as writer, as_user(guarded, "reader", 3) as store:
        assert await writer.init() == await store.position()


@pytest.mark.parametrize("role", ["reader", "worker"])
@pytest.mark.parametrize("verb", ["init", "commit"])
async def test_readers_write_nothing(guarded: RedisServer, role: Role, verb: str) -> None:
    async with as_user(guarded, "writer") as writer, as_user(guarded, role) as store:
        before = await writer.init()

        with pytest.raises(StoreAccessError, match=r"NOPERM.*Nothing was changed.*grayflow acl"):
            await (store.init() if verb == "init" else store.commit(edit(), expected=0))

        assert await writer.position() == before


DENIED: dict[Role, list[tuple[str | int, ...]]] = {
    "reader": [
        ("HSET", f"{TAG}:flags", "a", "b"),
        ("HSET", f"{TAG}:run:x", "a", "b"),
        ("PUBLISH", f"{TAG}:ch", "forged"),
        ("EVAL", "return 1", 0),
        ("XADD", f"{TAG}:log", "*", "a", "b"),
        ("DEL", f"{TAG}:flags"),
        ("SET", f"{TAG}:idem:x", "1"),
        ("GETSET", f"{TAG}:idem:x", "1"),
        ("HGETALL", "{gf:dev}:flags"),
        ("GET", "session:1"),
        ("COPY", f"{TAG}:flags", f"{TAG}:x"),
        ("RENAME", f"{TAG}:flags", f"{TAG}:x"),
        ("KEYS", "*"),
        ("SCAN", 0),
        ("CONFIG", "GET", "*"),
        ("CLIENT", "LIST"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("ACL", "LIST"),
        ("INFO",),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("SHUTDOWN",),
    ],
    "worker": [
        ("HSET", f"{TAG}:flags", "a", "b"),
        ("HSET", f"{TAG}:meta", "rev", "99"),
        ("DEL", f"{TAG}:log"),
        ("SET", f"{TAG}:idem:x", "1"),
        ("EVAL", "return redis.call('HSET', KEYS[1], 'a', 'b')", 1, f"{TAG}:flags"),
        ("EVAL", f"return redis.call('HSET', '{TAG}:flags', 'a', 'b')", 1, f"{TAG}:run:x"),
        ("EVAL", f"return redis.call('PUBLISH', '{TAG}:ch', 'x')", 1, f"{TAG}:run:x"),
        ("PUBLISH", f"{TAG}:ch", "forged"),
        ("HSET", "{gf:dev}:run:x", "a", "b"),
        ("FLUSHALL",),
    ],
    "writer": [
        ("HSET", "{gf:dev}:flags", "a", "b"),
        ("EVAL", "return redis.call('SET', 'session:1', 'x')", 0),
        ("EVAL", "return redis.call('FLUSHALL')", 0),
        ("PUBLISH", "{gf:dev}:ch", "x"),
        ("GET", "session:1"),
        ("KEYS", "*"),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("FLUSHALL",),
        ("FLUSHDB",),
    ],
}


@pytest.mark.parametrize(
    ("role", "words"), [(role, words) for role, all_words in DENIED.items() for words in all_words]
)
def test_a_user_is_denied_what_it_does_not_need(guarded: RedisServer, role: Role, words: tuple[str | int, ...]) -> None:
    guarded.ask("HSET", f"{TAG}:flags", "a", "1:{}")

    with pytest.raises((NoPermissionError, ResponseError), match=r"(?i)permission|can't"):
        run(guarded, role, *words)

    assert guarded.ask("HGETALL", f"{TAG}:flags") == {b"a": b"1:{}"}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("channel", ["{gf:dev}:ch", "other", "*"])
def test_a_user_hears_no_other_channel(guarded: RedisServer, role: Role, channel: str) -> None:
    verb = "PSUBSCRIBE" if channel == "*" else "SUBSCRIBE"
    with pytest.raises(NoPermissionError):
        run(guarded, role, verb, channel)


@pytest.mark.parametrize("role", ["worker", "writer"])
def test_workers_write_what_running_services_share(guarded: RedisServer, role: Role) -> None:
    key = f"{TAG}:run:lease:a"
    claim = "redis.call('HSET', KEYS[1], 'owner', ARGV[1]) return redis.call('TIME')[1]"

    assert run(guarded, role, "EVAL", claim, 1, key, "me")
    assert run(guarded, role, "HGET", key, "owner") == b"me"
    assert run(guarded, role, "ZADD", f"{TAG}:run:seen", 1, "me") == 1
    assert run(guarded, role, "SET", f"{TAG}:run:fence", 1)


@pytest.mark.parametrize(
    ("taken", "missing"),
    [("-publish", "PUBLISH"), ("-set", "SET"), ("-hdel", "HDEL"), ("-xadd", "XADD"), ("-del", "DEL")],
)
async def test_a_right_that_is_missing_half_way_leaves_no_half_change(
    guarded: RedisServer, taken: str, missing: str
) -> None:
    async with as_user(guarded, "writer") as store:
        await store.init()
        await put(store, edit("a", b"1"))
        before = await store.load()
        rules = [rule for rule in acl_rules("writer", "prod", "pw") if not rule.startswith("(")]
        guarded.ask("ACL", "SETUSER", "gf-writer", *rules, taken)

        with pytest.raises(StoreAccessError, match=f"no right to {missing} .*Nothing was changed"):
            await store.commit(edit("a", b"2"), expected=1)

        assert await store.load() == before
        assert len(await store.history()) == 1


async def test_a_missing_right_is_told_even_of_an_edit_that_conflicts(guarded: RedisServer) -> None:
    """So `doctor` can try the rights without changing anything."""
    async with as_user(guarded, "writer") as store:
        await store.init()
        guarded.ask("ACL", "SETUSER", "gf-writer", "resetchannels")

        with pytest.raises(StoreAccessError, match="no right to PUBLISH"):
            await store.commit(edit("nowhere", None), expected=0)


@pytest.mark.parametrize("role", ["reader", "worker"])
def test_readers_could_not_write_even_if_a_command_slipped_through(guarded: RedisServer, role: Role) -> None:
    guarded.ask("ACL", "SETUSER", f"gf-{role}", "+set")

    with pytest.raises(NoPermissionError):
        run(guarded, role, "SET", f"{TAG}:meta", "mine")


def test_rules_can_be_pasted_into_a_terminal() -> None:
    line = acl_command("worker", "prod", "pass word")

    assert line.startswith("ACL SETUSER gf-worker reset on #")
    assert "pass word" not in line
    assert '"(%RW~{gf:prod}:run:* ' in line


@pytest.mark.parametrize("role", ROLES)
def test_rules_without_a_password_are_refused_as_they_stand(guarded: RedisServer, role: Role) -> None:
    with pytest.raises(ResponseError, match="hash"):
        guarded.ask("ACL", "SETUSER", "gf-new", *acl_rules(role, "prod", None))

    assert "gf-new" not in str(guarded.ask("ACL", "LIST"))


@pytest.mark.parametrize("role", ROLES)
def test_rules_leave_nothing_of_an_earlier_user(guarded: RedisServer, role: Role) -> None:
    guarded.ask("ACL", "SETUSER", f"gf-{role}", "on", "nopass", "~*", "&*", "+@all")

    guarded.ask("ACL", "SETUSER", f"gf-{role}", *acl_rules(role, "prod", "pw"))

    with pytest.raises(redis.AuthenticationError):
        guarded.ask("PING", user=f"gf-{role}", password="anything")
    with pytest.raises(NoPermissionError):
        run(guarded, role, "FLUSHALL")


async def test_a_writer_may_ask_for_reports_and_others_are_told_that_they_may_not(guarded: RedisServer) -> None:
    async with as_user(guarded, "writer") as writer, as_user(guarded, "worker") as worker:
        await writer.init()
        position = await writer.position()
        await writer.request_reports(position)

        with pytest.raises(StoreAccessError):
            await worker.request_reports(position)
