"""Who may use a board: readers look at it, and are told whose rights they need to write; workers need no others."""

from collections.abc import Iterator

import pytest

from grayflow.errors import StoreAccessError, StoreUnavailableError, UnacknowledgedError
from grayflow.store.board import Record
from grayflow.store.durability import Durability
from grayflow.store.redis import RedisStore
from grayflow.store.redis.acl import Role, acl_rules
from grayflow.testing.contract.board.kit import LONG, held
from grayflow.testing.contract.board.limits import NAMED
from tests.servers import RedisServer, bundled_server, find_server

pytestmark = pytest.mark.anyio

READING = ("get", "list", "counts", "members", "size")


@pytest.fixture(scope="module")
def module_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def guarded(module_server: RedisServer) -> RedisServer:
    """Return an empty server with the users of the namespace `prod`."""
    module_server.ask("FLUSHALL")
    for role in ("reader", "worker"):
        module_server.ask("ACL", "SETUSER", f"gf-{role}", *acl_rules(role, "prod", "pw"))
    module_server.ask("ACL", "LOG", "RESET")
    return module_server


def as_user(server: RedisServer, role: Role) -> RedisStore:
    return RedisStore(f"redis://gf-{role}:pw@127.0.0.1:{server.port}/0", "prod")


@pytest.mark.parametrize("verb", [verb for verb in NAMED if verb not in READING])
async def test_a_reader_is_told_whose_rights_it_needs(guarded: RedisServer, verb: str) -> None:
    async with as_user(guarded, "reader") as store:
        with pytest.raises(StoreAccessError, match=r"Nothing was changed; .* of the role worker"):
            await NAMED[verb](store.board, "jobs")

    assert guarded.ask("DBSIZE") == 0


async def test_a_reader_sees_what_workers_wrote(guarded: RedisServer) -> None:
    async with as_user(guarded, "worker") as worker, as_user(guarded, "reader") as reader:
        board = worker.board
        record = await board.put("jobs", "a", b"1", ttl=LONG)
        await board.count("jobs", "w", 1, {"on": 1}, ttl=LONG)
        await board.add("jobs", ["m"])

        before = await board.now()
        assert before <= await reader.board.now()
        assert await reader.board.get("jobs", "a") == record
        for verb in ("counts", "members", "size"):
            assert await NAMED[verb](reader.board, "jobs") == await NAMED[verb](board, "jobs")
        assert (await reader.board.list("jobs")).records == {"a": record}


async def test_a_worker_needs_no_more_than_its_rights(guarded: RedisServer) -> None:
    async with as_user(guarded, "worker") as store:
        await store.board.now()
        for verb in NAMED.values():
            await verb(store.board, "jobs")
        await store.board.put("jobs", "a", b"1", ttl=LONG)
        await store.board.release("jobs", "a", fence=(await held(store.board)).fence)
        await store.board.add("dirty", ["a"], ttl=LONG)

    assert guarded.ask("ACL", "LOG") == []


async def test_a_worker_does_not_reach_other_namespaces(guarded: RedisServer) -> None:
    async with RedisStore(f"redis://gf-worker:pw@127.0.0.1:{guarded.port}/0", "dev") as store:
        with pytest.raises(StoreAccessError):
            await store.board.put("jobs", "a", b"1")


@pytest.mark.parametrize("missing", ["zadd", "hset"])
async def test_a_set_or_record_is_not_left_half_done_where_a_right_is_missing(
    guarded: RedisServer, missing: str
) -> None:
    *rules, run = acl_rules("worker", "prod", "pw")
    guarded.ask("ACL", "SETUSER", "gf-worker", *rules, run.replace(f" +{missing} ", " "))
    async with as_user(guarded, "worker") as store:
        denied = []
        for verb in (store.board.put("jobs", "a", b"1", ttl=LONG), store.board.add("dirty", ["a"])):
            try:
                await verb
            except StoreAccessError:
                denied.append(verb.__name__)

        assert denied == {"zadd": ["put", "add"], "hset": ["put"]}[missing]
        assert (await store.board.get("jobs", "a") is None) is ("put" in denied)
        assert (await store.board.size("dirty") == 0) is ("add" in denied)


async def test_a_worker_may_wait_for_a_replica(guarded: RedisServer) -> None:
    with RedisServer("--replicaof", f"127.0.0.1 {guarded.port}"):
        async with as_user(guarded, "worker") as store:
            board = store.board.durable(Durability(replicas=1, timeout=30))

            assert await board.put("jobs", "a", b"1") == Record(value=b"1", version=1)

    assert guarded.ask("ACL", "LOG") == []


@pytest.mark.parametrize("role", ["worker", "writer"])
async def test_whoever_writes_may_wait_for_a_disk_where_the_server_knows_that(role: Role) -> None:
    with RedisServer("--appendonly", "yes", binary=bundled_server() or find_server()) as server:
        server.ask("ACL", "SETUSER", f"gf-{role}", *acl_rules(role, "prod", "pw", waitaof=True))
        async with as_user(server, role) as store:
            board = store.board.durable(Durability(local=True, timeout=30))

            assert await board.put("jobs", "a", b"1") == Record(value=b"1", version=1)

        assert server.ask("ACL", "LOG") == []


async def test_a_worker_with_older_rules_is_told_what_was_written_and_what_to_do(guarded: RedisServer) -> None:
    *rules, run = acl_rules("worker", "prod", "pw")
    guarded.ask("ACL", "SETUSER", "gf-worker", *rules, run.replace(" +wait)", ")"))
    async with as_user(guarded, "worker") as store:
        board = store.board.durable(Durability(replicas=1, timeout=30))

        with pytest.raises(UnacknowledgedError, match=r"made the write, but it cannot .*which `grayflow acl` prints"):
            await board.put("jobs", "a", b"1")

        assert await store.board.get("jobs", "a") == Record(value=b"1", version=1)


async def test_a_wrong_password_is_told(guarded: RedisServer) -> None:
    async with RedisStore(f"redis://gf-worker:wrong@127.0.0.1:{guarded.port}/0", "prod") as store:
        with pytest.raises(StoreAccessError, match="refused user and password"):
            await store.board.put("jobs", "a", b"1")


async def test_a_replica_takes_nothing(guarded: RedisServer) -> None:
    with RedisServer("--replicaof", f"127.0.0.1 {guarded.port}") as replica:
        async with RedisStore(replica.url) as store:
            with pytest.raises(StoreUnavailableError, match=r"is a replica.*Nothing was changed"):
                await store.board.put("jobs", "a", b"1")
