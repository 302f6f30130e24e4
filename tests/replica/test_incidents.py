"""What must not be taken over from a store, and what must: emptied, foreign, newer, damaged, gone back, replaced."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from grayflow.core.generations import Generation, Marks
from grayflow.errors import StoreFormatError, StoreUnavailableError
from grayflow.replica.replica import Replica
from grayflow.store.wrappers import Call, Wrapper
from grayflow.testing import FakeClock, Faulty
from tests.replica.conftest import Run
from tests.replica.kit import OFF, ON, Rewinding, put

pytestmark = pytest.mark.anyio

T = TypeVar("T")


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "grayflow")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def serves(replica: Replica, key: str) -> object:
    assert replica.view.snapshot is not None
    return replica.view.snapshot.evaluate(key, default=None).value


async def test_an_emptied_store_keeps_the_last_good_flags(run: Run, memory: Rewinding, clock: FakeClock, caplog):
    async with run() as replica:
        await put(memory, "a", **ON)
        memory.empty()

        await clock.advance(120)

        assert serves(replica, "a") is True
        assert replica.view.freshness == "stale"
        assert replica.troubles.incident
        assert "grayflow init --replace --namespace default" in (replica.troubles.text or "")
        assert len(warnings(caplog)) == 1


async def test_a_store_that_comes_back_is_believed_without_anybodys_help(run: Run, memory, clock: FakeClock, caplog):
    async with run() as replica:
        await put(memory, "a", **ON)
        memory.save()
        memory.empty()
        await clock.advance(60)
        memory.rewind()

        await clock.advance(15)

        assert replica.view.freshness == "fresh"
        assert replica.troubles.text is None
        assert not replica.troubles.incident
        assert replica.sync.loads == 1


async def test_a_namespace_that_was_never_initialised_says_which_command(run: Run, clock: FakeClock, caplog):
    async with run(init=False) as replica:
        await clock.advance(60)

        assert replica.view.snapshot is None
        assert "grayflow init --namespace default" in (replica.troubles.text or "")
        assert len(warnings(caplog)) == 1


async def test_initialising_is_heard_at_once(run: Run, store, clock: FakeClock):
    async with run(init=False) as replica:
        await clock.advance(3)
        await store.init()
        await clock.advance(0)

        assert replica.view.freshness == "fresh"


async def test_another_life_of_the_namespace_is_refused(run: Run, memory: Rewinding, clock: FakeClock, caplog):
    async with run() as replica:
        await put(memory, "a", **ON)
        await clock.advance(0)
        memory.replace_by("foreign")
        await put(memory, "a", **OFF)

        await clock.advance(400)

        assert serves(replica, "a") is True
        assert replica.view.freshness == "expired"
        assert replica.troubles.incident
        assert "grayflow init --replace --namespace default" in (replica.troubles.text or "")
        assert "foreign" in (replica.troubles.text or "")
        refused, expired = warnings(caplog)
        assert "refused" in refused
        assert "have expired" in expired


async def test_a_process_that_knows_nothing_takes_any_life(run: Run, memory: Rewinding, clock: FakeClock):
    async with memory:
        await memory.init()
        await put(memory, "a", **ON)
        memory.replace_by("foreign")

        async with run(init=False) as replica:
            assert serves(replica, "a") is True


async def test_a_life_that_replaces_the_known_one_is_taken(run: Run, memory: Rewinding, clock: FakeClock):
    async with run() as replica:
        await put(memory, "a", **ON)
        memory.replace_by("restored")
        await put(memory, "a", **OFF)
        await clock.advance(60)
        assert serves(replica, "a") is True

        await memory.init(replaces=["*"])
        await clock.advance(0)

        assert serves(replica, "a") is False
        assert replica.view.freshness == "fresh"
        assert replica.troubles.text is None


async def test_a_store_that_went_back_is_loaded_and_said_so(run: Run, memory: Rewinding, clock: FakeClock, caplog):
    async with run() as replica:
        await put(memory, "a", **ON)
        memory.save()
        await put(memory, "a", **OFF)
        await clock.advance(0)
        assert serves(replica, "a") is False
        memory.rewind()

        await clock.advance(12)

        assert serves(replica, "a") is True
        assert replica.sync.failovers == 1
        assert replica.view.breaks == 1
        assert "went back from revision 2 to 1" in warnings(caplog)[0]


async def test_revisions_used_a_second_time_are_told_by_their_nonce(run: Run, memory: Rewinding, faulty, clock):
    async with run() as replica:
        await put(memory, "a", **ON)
        memory.save()
        await put(memory, "a", **OFF)
        await clock.advance(0)
        faulty.deaf = True
        memory.rewind()
        await put(memory, "b", **ON)

        await clock.advance(12)

        assert serves(replica, "a") is True
        assert serves(replica, "b") is True
        assert replica.sync.failovers == 1


async def test_revisions_used_again_and_overtaken_are_a_failover_too(
    run: Run, memory: Rewinding, faulty, clock, caplog
):
    async with run() as replica:
        await put(memory, "a", **ON)
        memory.save()
        await put(memory, "a", **OFF)
        await clock.advance(0)
        faulty.deaf = True
        memory.rewind()
        for _ in range(3):
            await put(memory, "b", **ON)

        await clock.advance(12)

        assert (replica.sync.failovers, replica.sync.loads, replica.view.breaks) == (1, 2, 1)
        assert "has another revision 2 than the one that was seen here" in warnings(caplog)[0]


async def test_a_log_that_was_trimmed_is_no_failover(run: Run, memory: Rewinding, faulty, clock):
    async with run() as replica:
        await put(memory, "a", **ON)
        await clock.advance(0)
        faulty.deaf = True
        await put(memory, "a", **OFF)
        await put(memory, "a", **ON)
        memory._log.popleft()
        memory._log.popleft()

        await clock.advance(12)

        assert (replica.sync.failovers, replica.sync.loads) == (0, 2)


async def test_a_failover_is_counted_once_however_often_loading_fails(run: Run, memory: Rewinding, faulty, clock):
    async with run() as replica:
        await put(memory, "a", **ON)
        memory.save()
        await put(memory, "a", **OFF)
        await clock.advance(0)
        memory.rewind()
        faulty.errors["load"] = StoreUnavailableError("not now")
        await clock.advance(30)
        faulty.heal()

        await clock.advance(30)

        assert (replica.sync.failovers, replica.sync.loads) == (1, 2)


async def test_a_push_from_a_store_that_went_back_is_noticed_at_once(run: Run, memory: Rewinding, clock: FakeClock):
    async with run() as replica:
        await put(memory, "a", **ON)
        memory.save()
        await put(memory, "a", **OFF)
        await put(memory, "c", **ON)
        await clock.advance(0)
        memory.rewind()

        change = await put(memory, "b", **ON)
        await clock.advance(0)

        assert replica.view.position == change.position
        assert serves(replica, "a") is True


async def test_a_newer_schema_is_refused_and_the_remedy_named(
    run: Run, memory, faulty: Faulty, clock: FakeClock, caplog
):
    async with run() as replica:
        await put(memory, "a", **ON)
        await clock.advance(0)
        faulty.errors["position"] = StoreFormatError("the data at memory:// has schema 2; this release reads 1")

        await clock.advance(60)

        assert serves(replica, "a") is True
        assert replica.troubles.incident
        assert "pip install -U grayflow" in (replica.troubles.text or "")
        assert len(warnings(caplog)) == 1


async def test_half_a_flag_set_is_refused(run: Run, memory: Rewinding, faulty: Faulty, clock: FakeClock):
    async with run() as replica:
        await put(memory, "a", **ON)
        await clock.advance(0)
        memory.save()
        memory._documents["flag"].clear()
        memory.replace_by("restored")
        memory._replaced = ("*",)
        faulty.errors["load"] = StoreFormatError("the store says that it holds 1 flag, and holds 0")

        await clock.advance(60)

        assert serves(replica, "a") is True
        assert "says that it holds 1 flag" in (replica.troubles.text or "")


async def test_a_life_that_changes_while_it_is_loaded_is_looked_at_again(run: Run, memory: Rewinding, faulty, clock):
    async with run() as replica:
        await put(memory, "a", **ON)
        await clock.advance(0)
        memory._log.clear()
        await put(memory, "b", **ON)
        memory._log.clear()
        faulty.deaf = True
        faulty.delays["load"] = 1.0
        replica.sync.request()
        await clock.advance(0.5)
        memory.replace_by("foreign")

        await clock.advance(30)

        assert replica.troubles.incident
        assert replica.view.snapshot is not None
        assert "foreign" not in str(replica.view.position)


class Restless(Wrapper):
    """A namespace that is set up anew each time that it is asked for what it replaces."""

    async def around(self, call: Call, proceed: Callable[[], Awaitable[T]]) -> T:
        answer = await proceed()
        if call.verb == "position":
            await self.inner.init(replaces=["*"])
        return answer


async def test_a_store_that_never_stays_the_same_is_unavailable(run: Run, memory: Rewinding, clock: FakeClock):
    store = Restless(memory)
    async with store:
        await memory.init()
        async with run(init=False, on=store) as replica:
            error = await replica.confirm()

            assert isinstance(error, StoreUnavailableError)
            assert "was set up anew while it was being read" in str(error)


async def test_generations_are_kept_up_to_date_beside_the_snapshot(run: Run, memory: Rewinding, clock: FakeClock):
    async with memory:
        await memory.init()
        await put(memory, "a", marks=Marks(armed=("on",)), **ON)
        async with run(init=False) as replica:
            assert replica.view.generations["a"] == {"on": Generation(off=0, armed=1)}

            await put(memory, "a", marks=Marks(off=("on",)), **OFF)
            await clock.advance(0)

            assert replica.view.generations["a"] == {"on": Generation(off=4, armed=1)}
