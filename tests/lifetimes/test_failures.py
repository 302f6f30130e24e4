"""
Something fails at the n-th moment of a start, of a stop or of what lies between, for each n: a verb of the store, a
wait for the network, a piece of work on a file. One fault is survived, and nothing is left behind in any case.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest

from grayflow import Client, StoreUnavailableError, SystemClock
from grayflow.store.port import Store
from grayflow.store.sqlite.file import File
from grayflow.store.wrappers import Call, Wrapper
from tests.lifetimes.census import Census, as_before
from tests.lifetimes.owners import USES, Place
from tests.replica.kit import until

pytestmark = pytest.mark.anyio

T = TypeVar("T")

MOST = 500


class Nth:
    """Counts moments from when it is armed, and raises at one of them."""

    def __init__(self, error: Callable[[], Exception]) -> None:
        self._error = error
        self._left = 0
        self.reached = False

    def arm(self, at: int) -> None:
        """Raise at the moment of that number, counted from here."""
        self._left, self.reached = at, False

    def disarm(self) -> None:
        """Raise no more."""
        self._left = 0

    def moment(self) -> None:
        """Note one."""
        self._left -= 1
        if self._left == 0:
            self.reached = True
            raise self._error()


class Failing(Wrapper):
    """A store of which each verb, entering and leaving is a moment."""

    def __init__(self, inner: Store, nth: Nth) -> None:
        super().__init__(inner)
        self._nth = nth

    async def __aenter__(self):
        self._nth.moment()
        return await super().__aenter__()

    async def __aexit__(self, *exc: object) -> None:
        await super().__aexit__(*exc)
        self._nth.moment()

    async def around(self, call: Call, proceed: Callable[[], Awaitable[T]]) -> T:
        self._nth.moment()
        return await proceed()


@asynccontextmanager
async def leaving_nothing() -> AsyncIterator[None]:
    before = Census()
    yield
    await as_before(before)


async def each(nth: Nth, attempt: Callable[[int], Awaitable[None]], *, most: int = MOST) -> int:
    """Try with every moment; return how many there were."""
    for at in range(1, most):
        async with leaving_nothing():
            await attempt(at)
        if not nth.reached:
            return at - 1
    raise AssertionError("there is no end of moments")


def momentous(nth: Nth) -> Callable[..., Any]:
    """Return a wrapper for coroutine functions: each call of them is a moment."""

    def wrap(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def called(*args: Any, **options: Any) -> Any:
            nth.moment()
            return await function(*args, **options)

        return called

    return wrap


# Verbs


async def test_a_verb_that_fails_once_while_a_client_starts_is_survived(place: Place) -> None:
    await place.begin()
    nth = Nth(lambda: StoreUnavailableError("no answer, once"))

    async def attempt(at: int) -> None:
        flags = Client(Failing(place.store(), nth))
        nth.arm(at)
        if at == 1:  # entering is not allowed to fail: that is a defect
            with pytest.raises(StoreUnavailableError):
                await flags.start()
            return
        await flags.start()
        await until(lambda: flags.health.state == "fresh" and flags.health.link == "up")
        nth.disarm()
        await flags.aclose()

    assert await each(nth, attempt, most=20) >= 4


async def test_a_defect_while_a_client_starts_is_raised_once(place: Place) -> None:
    await place.begin()
    nth = Nth(lambda: ZeroDivisionError("a defect"))

    async def attempt(at: int) -> None:
        flags, raised = Client(Failing(place.store(), nth)), 0
        nth.arm(at)
        for verb in (flags.start, flags.aclose, flags.aclose):
            try:
                await verb()
            except ZeroDivisionError:
                raised += 1
        assert raised == nth.reached
        assert flags.health.state == ("failed" if raised else "closed")

    assert await each(nth, attempt, most=20) >= 4


async def test_a_verb_that_fails_while_a_client_stops_does_not_keep_it(place: Place) -> None:
    await place.begin()
    nth = Nth(lambda: StoreUnavailableError("no answer"))

    async def attempt(at: int) -> None:
        flags = await Client(Failing(place.store(), nth)).start()
        nth.arm(at)
        with suppress(StoreUnavailableError):
            await flags.aclose()
        assert flags.health.state in {"closed", "failed"}
        await flags.aclose()

    assert await each(nth, attempt) >= 1


@pytest.mark.parametrize("use", ["admin", "store", "follow"])
async def test_a_verb_that_fails_in_a_use_leaves_nothing(place: Place, use: str) -> None:
    await place.begin()
    nth = Nth(lambda: StoreUnavailableError("no answer"))
    real = place.store
    place.store = lambda: Failing(real(), nth)

    async def attempt(at: int) -> None:
        nth.arm(at)
        with suppress(StoreUnavailableError):
            await USES[use](place)

    assert await each(nth, attempt) >= 3


# The network


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Nth:
    """Make each wait for the network a moment: to connect, to read, to write, to close."""
    nth = Nth(lambda: ConnectionResetError(104, "Connection reset by peer"))
    wrap = momentous(nth)
    monkeypatch.setattr(asyncio, "open_connection", wrap(asyncio.open_connection))
    for kind, name in (
        (asyncio.StreamReader, "_wait_for_data"),
        (asyncio.StreamWriter, "drain"),
        (asyncio.StreamWriter, "wait_closed"),
    ):
        monkeypatch.setattr(kind, name, wrap(getattr(kind, name)))
    return nth


async def test_a_network_that_fails_once_while_a_client_starts_is_survived(redis_place: Place, network: Nth) -> None:
    await redis_place.begin()

    async def attempt(at: int) -> None:
        flags = redis_place.client()
        network.arm(at)
        await flags.start()
        await until(lambda: flags.health.state == "fresh" and flags.health.link == "up")
        network.disarm()
        await flags.aclose()

    assert await each(network, attempt, most=40) >= 10


async def test_a_network_that_fails_while_a_client_stops_does_not_keep_it(redis_place: Place, network: Nth) -> None:
    await redis_place.begin()

    async def attempt(at: int) -> None:
        flags = await redis_place.client().start()
        await until(lambda: flags.health.unreported is None)  # a report that has to be taken back
        network.arm(at)
        await flags.aclose()
        assert flags.health.state == "closed"

    assert await each(network, attempt) >= 1


@pytest.mark.parametrize("use", ["admin", "store", "follow"])
async def test_a_network_that_fails_in_a_use_leaves_nothing(redis_place: Place, network: Nth, use: str) -> None:
    await redis_place.begin()

    async def attempt(at: int) -> None:
        network.arm(at)
        with suppress(StoreUnavailableError):
            await USES[use](redis_place)

    assert await each(network, attempt) >= 5


# The file


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> Nth:
    """Make each use of the file a moment."""
    nth = Nth(lambda: sqlite3.OperationalError("disk I/O error"))
    real = File.connection

    def connection(self: File, namespace: str) -> sqlite3.Connection:
        nth.moment()
        return real(self, namespace)

    monkeypatch.setattr(File, "connection", connection)
    return nth


async def test_a_file_that_fails_once_while_a_client_starts_is_survived(sqlite_place: Place, file: Nth) -> None:
    await sqlite_place.begin()

    async def attempt(at: int) -> None:
        flags = sqlite_place.client(ttl=0.1, max_staleness=60)
        file.arm(at)
        await flags.start()
        await until(lambda: file.reached and flags.health.state == "fresh" and flags.health.link == "up")
        file.disarm()
        await flags.aclose()

    for at in range(1, 8):
        async with leaving_nothing():
            await attempt(at)


async def test_a_file_that_fails_while_a_client_stops_does_not_keep_it(sqlite_place: Place, file: Nth) -> None:
    """It is one that has reported itself, and wants to take that back."""
    await sqlite_place.begin()

    async def attempt(at: int) -> None:
        async with sqlite_place.admin() as admin:
            flags = await sqlite_place.client().start()
            with anyio.fail_after(20):
                while not (await admin.fleet()).processes:
                    await SystemClock().sleep(0.01)
        file.arm(at)
        await flags.aclose()
        assert flags.health.state == "closed"

    assert await each(file, attempt, most=10) > 0


async def test_a_directory_that_vanishes_under_a_client_does_not_keep_it(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    place = Place(f"sqlite:///{folder}/flags.db", "default")
    await place.begin()
    async with leaving_nothing(), place.client(ttl=0.1, max_staleness=60) as flags:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        await until(lambda: flags.health.incident)
        assert flags.peek("f") is True
