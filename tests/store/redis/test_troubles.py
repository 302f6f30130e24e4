"""Every refusal of a server becomes an error of ours: where, what, and the remedy; never a secret."""

import re
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import anyio
import pytest
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from grayflow.core.position import Document
from grayflow.errors import StoreAccessError, StoreError, StoreFormatError, StoreUnavailableError
from grayflow.store.port import Store
from grayflow.store.redis import RedisStore
from grayflow.store.redis.translate import translate
from grayflow.testing.contract.kit import edit, put
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

SECRET = "s3cret-w0rd"


async def follow(store: Store) -> None:
    async with store.follow():
        pass


VERBS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "position": lambda store: store.position(),
    "load": lambda store: store.load(),
    "commit": lambda store: store.commit(edit(), expected=0),
    "init": lambda store: store.init(),
    "follow": follow,
}


async def told_by(store: Store, verb: str) -> StoreError:
    """Return the error of one verb."""
    with anyio.fail_after(10), pytest.raises(StoreError) as caught:
        await VERBS[verb](store)
    assert store.place in str(caught.value)
    assert SECRET not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("verb", ["position", "load", "commit", "init", "follow"])
async def test_an_absent_server_is_unreachable(server: RedisServer, verb: str) -> None:
    server.kill()
    async with RedisStore(server.url) as store:
        error = await told_by(store, verb)

    assert isinstance(error, StoreUnavailableError)
    assert "Connection refused" in str(error)


@pytest.mark.parametrize("verb", ["position", "load", "commit", "follow"])
async def test_a_frozen_server_does_not_answer(server: RedisServer, verb: str) -> None:
    server.freeze()
    async with RedisStore(server.url + "?timeout=0.2&connect_timeout=0.2") as store:
        error = await told_by(store, verb)

    assert isinstance(error, StoreUnavailableError)
    assert "did not answer in time" in str(error)


async def test_an_unknown_host_is_unreachable() -> None:
    async with RedisStore("redis://no-such-host.invalid:6379/0") as store:
        error = await told_by(store, "position")

    assert isinstance(error, StoreUnavailableError)
    assert "cannot be reached" in str(error)


@pytest.mark.parametrize("verb", ["position", "load", "commit", "follow"])
@pytest.mark.parametrize("user", ["", "somebody"])
async def test_a_wrong_password_is_refused_for_good(user: str, verb: str) -> None:
    with RedisServer("--requirepass", "right") as server:
        async with RedisStore(f"redis://{user}:{SECRET}@127.0.0.1:{server.port}/0") as store:
            error = await told_by(store, verb)

    assert isinstance(error, StoreAccessError)
    assert "refused user and password" in str(error)


@pytest.mark.parametrize("verb", ["position", "load", "commit", "follow"])
async def test_a_missing_password_is_asked_for(verb: str) -> None:
    with RedisServer("--requirepass", "right") as server:
        async with RedisStore(server.url) as store:
            error = await told_by(store, verb)

    assert isinstance(error, StoreAccessError)
    assert "asks for a password" in str(error)


async def test_a_password_may_hold_any_character() -> None:
    with RedisServer() as server:
        server.ask("ACL", "SETUSER", "me", "on", ">p@ss:w/rd ?#%é", "~*", "&*", "+@all")
        async with RedisStore(f"redis://me:p%40ss%3Aw%2Frd%20%3F%23%25%C3%A9@127.0.0.1:{server.port}/0") as store:
            assert (await store.init()).revision == 0
            assert b"user=me" in server.ask("CLIENT", "LIST")


async def test_a_replica_takes_no_writes(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.init()
        server.ask("REPLICAOF", "127.0.0.1", "1")

        error = await told_by(store, "commit")

    assert isinstance(error, StoreUnavailableError)
    assert "is a replica" in str(error)
    assert "Nothing was changed" in str(error)


async def test_a_server_out_of_memory_takes_no_writes(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.init()
        before = await store.position()
        server.ask("CONFIG", "SET", "maxmemory", 1)

        error = await told_by(store, "commit")

        assert isinstance(error, StoreUnavailableError)
        assert "out of memory" in str(error)
        assert await store.position() == before


async def test_a_server_out_of_memory_is_read_as_before(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        start = await store.init()
        (change,) = await put(store, edit("a", b"1"))
        state = await store.load()
        server.ask("CONFIG", "SET", "maxmemory", 1)

        async with RedisStore(server.url) as late, late.follow():
            assert await late.load() == state
            assert await late.get("flag", "a") == (Document(1, b"1"), {})
            assert [found.revision for found in await late.changes(start) or ()] == [change.revision]
            assert len(await late.history("a")) == 1


async def test_a_server_that_cannot_save_takes_no_writes(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.init()
        server.ask("CONFIG", "SET", "min-replicas-to-write", 1)

        error = await told_by(store, "commit")

    assert isinstance(error, StoreUnavailableError)
    assert "too few replicas" in str(error)


async def test_a_full_server_takes_no_clients(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "maxclients", 1)
    with socket.create_connection(("127.0.0.1", server.port)) as only:
        only.sendall(b"PING\r\n")
        only.recv(100)
        async with RedisStore(server.url) as store:
            error = await told_by(store, "position")

    assert isinstance(error, StoreUnavailableError)
    assert "takes no more clients" in str(error)


async def test_a_server_busy_with_a_script_is_said_to_be_busy(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "lua-time-limit", 50)
    async with RedisStore(server.url) as store:
        await store.init()
        with socket.create_connection(("127.0.0.1", server.port)) as script:
            script.sendall(b'EVAL "while true do end" 0\r\n')
            error = await told_by(store, "position")
            server.ask("SCRIPT", "KILL")

    assert isinstance(error, StoreUnavailableError)
    assert "busy with a script" in str(error)


async def test_a_database_that_is_not_there_is_said_to_be_missing(server: RedisServer) -> None:
    async with RedisStore(f"redis://127.0.0.1:{server.port}/99") as store:
        error = await told_by(store, "position")

    assert isinstance(error, StoreAccessError)
    assert "no database of that number" in str(error)


@pytest.mark.parametrize(
    ("key", "verb"),
    [*(("meta", verb) for verb in ("position", "load", "commit", "init")), ("flags", "load"), ("flags", "commit")],
)
async def test_data_of_somebody_elses_is_told_with_its_key(server: RedisServer, key: str, verb: str) -> None:
    async with RedisStore(server.url, "shop") as store:
        await store.init()
        server.ask("DEL", f"{{gf:shop}}:{key}")
        server.ask("RPUSH", f"{{gf:shop}}:{key}", "somebody's")
        error = await told_by(store, verb)

    assert isinstance(error, StoreFormatError)
    assert f"holds a list under '{{gf:shop}}:{key}', where grayflow keeps a hash" in error.message
    assert f"redis-cli DEL '{{gf:shop}}:{key}'" in error.remedy
    assert "grayflow init" not in str(error)


async def test_not_even_the_word_of_the_operator_takes_over_what_is_somebody_elses(server: RedisServer) -> None:
    server.ask("RPUSH", "{gf:shop}:flags", "somebody's")
    async with RedisStore(server.url, "shop") as store:
        with pytest.raises(StoreFormatError, match=r"holds a list under '\{gf:shop\}:flags'"):
            await store.init(replaces=["*"])

    assert server.ask("LRANGE", "{gf:shop}:flags", 0, -1) == [b"somebody's"]


async def test_what_redis_py_adds_to_the_text_of_a_server_is_left_out() -> None:
    with RedisServer() as server:
        server.ask("ACL", "SETUSER", "me", "on", "nopass", "~*", "&*", "+@all", "-hmget", "-evalsha", "-eval")
        async with RedisStore(f"redis://me:x@127.0.0.1:{server.port}/0") as store:
            for verb in ("position", "load", "commit"):
                error = await told_by(store, verb)

                assert "no permissions to run" in str(error)
                for words in ("Command #", "pipeline", "HMGET", "('"):
                    assert words not in str(error)


async def test_the_text_of_a_server_ends_as_it_ends_and_ours_goes_on(server: RedisServer) -> None:
    async with RedisStore(f"redis://:{SECRET}@127.0.0.1:{server.port}/0") as store:
        error = await told_by(store, "position")

    assert 'your configuration is correct?". Nothing was read or changed' in str(error)


async def test_something_that_is_no_redis_is_said_to_be_none() -> None:
    with talking(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        async with RedisStore(f"redis://127.0.0.1:{port}/0") as store:
            for verb in ("position", "follow"):
                error = await told_by(store, verb)

                assert isinstance(error, StoreUnavailableError)
                assert "does not speak Redis's protocol" in str(error)


async def test_a_missing_socket_is_unreachable(tmp_path: Path) -> None:
    async with RedisStore(f"unix://{tmp_path}/no.sock") as store:
        error = await told_by(store, "position")

    assert isinstance(error, StoreUnavailableError)
    assert "No such file or directory" in str(error)


@pytest.mark.parametrize(
    ("error", "ours", "says"),
    [
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), StoreUnavailableError, "cannot save"),
        (ResponseError("WRONGTYPE Operation against a key"), StoreFormatError, "somebody else"),
        (ClusterDownError("Hash slot not served", status_code="CLUSTERDOWN"), StoreUnavailableError, "cluster"),
        (MovedError("1 127.0.0.1:7001"), StoreUnavailableError, r"redis\+cluster://"),
        (AskError("1 127.0.0.1:7001"), StoreUnavailableError, "moving our slot"),
        (TryAgainError("Multiple keys request during rehashing"), StoreUnavailableError, "moving our slot"),
        (MasterNotFoundError("No master found for 'x'"), StoreUnavailableError, "name no master"),
        (MasterNotFoundError("No master found : AuthenticationError('x')"), StoreAccessError, "sentinel_password"),
        (AuthenticationError("invalid username-password pair or user is disabled."), StoreAccessError, "ACL GETUSER"),
        (NoPermissionError("this user has no permissions to run 'x'"), StoreAccessError, "'x'.*grayflow acl"),
        (ResponseError("ACL failure in script: No permissions to access a key"), StoreAccessError, "grayflow acl"),
        (ResponseError("ERR something new"), StoreUnavailableError, "something new"),
        (RedisError(), StoreUnavailableError, "RedisError"),
        (AttributeError("'NoneType' object has no attribute '_add_writer'"), StoreUnavailableError, "_add_writer"),
    ],
    ids=repr,
)
def test_each_error_has_its_class_and_its_remedy(error: Exception, ours: type[StoreError], says: str) -> None:
    told = translate(error, "redis://h:1/0")

    assert type(told) is ours
    assert str(told).startswith(("redis://h:1/0 ", "the Sentinels of redis://h:1/0 "))
    assert re.search(says, str(told))


def test_an_error_of_ours_stays_as_it_is() -> None:
    error = StoreFormatError("x")

    assert translate(error, "redis://h:1/0") is error


@contextmanager
def talking(answer: bytes) -> Iterator[int]:
    """Listen on a port and say `answer` to everybody; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    if client.recv(1000):
                        client.sendall(answer)

        Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
