"""Random writes of many tasks, by changing and by mixed stages, into stores that fail: afterwards nothing is lost."""

from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grayflow import Admin, Client, MemoryStore
from grayflow.release.migration.errors import RowExistsError
from grayflow.release.migration.migration import Migration
from grayflow.release.migration.rules import Stage
from tests.release.migration.bench import NAME, Bench, of, order
from tests.release.migration.ledger import Ack, check, settle
from tests.release.migration.stores import Order

STAGES = tuple(Stage)[:5]  # nothing is mirrored at `complete`
VERBS = ("insert", "update", "update", "delete")
FAULTS = (None, None, None, "old fails", "new fails", "old is lost", "new is lost", "cancelled")

writes = st.tuples(
    st.sampled_from(VERBS),
    st.integers(0, 3),  # few keys, so that writes meet
    st.sampled_from(FAULTS),
    st.integers(0, 6),  # which of its store calls that happens to
    st.booleans(),  # whether it goes by the stage before
)
rounds = st.lists(
    st.tuples(st.sampled_from((-1, 1)), st.lists(writes, min_size=1, max_size=20)), min_size=1, max_size=4
)


class Flaky:
    """A store, as one write meets it: one of its calls fails, or its answer is lost, or the writer is cancelled."""

    def __init__(self, side: str, inner: Any) -> None:
        self.side, self.inner = side, inner

    def __getattr__(self, verb: str) -> Any:
        work = getattr(self.inner, verb)

        async def call(*args: Any) -> Any:
            await anyio.lowlevel.checkpoint()
            fate = FATE.get(None)
            due = fate is not None and fate.due(self.side)
            if due and fate.fault.endswith("fails"):
                raise ConnectionError(fate.fault)
            result = await work(*args)
            await anyio.lowlevel.checkpoint()
            if due:
                fate.strike()
            return result

        return call


class Fate:
    """What happens to one write."""

    def __init__(self, fault: str | None, at: int) -> None:
        self.fault, self.scope = fault or "", anyio.CancelScope()
        self._left = at

    def due(self, side: str) -> bool:
        """Tell whether it happens with this call."""
        if not self.fault or (self.fault != "cancelled" and not self.fault.startswith(side)):
            return False
        self._left -= 1
        return self._left == -1

    def strike(self) -> None:
        if self.fault == "cancelled":
            self.scope.cancel()
        else:
            raise TimeoutError(self.fault)


FATE: ContextVar["Fate"] = ContextVar("fate")


async def write(migration: Migration[Order], verb: str, key: str, version: int, acks: list[Ack]) -> None:
    """Write once; what is acknowledged is noted."""
    try:
        if verb == "delete":
            await migration.delete(of(key), version=version)
        else:
            await getattr(migration, verb)(order(key, version, text=str(version)))
    except (ConnectionError, TimeoutError, RowExistsError):
        return
    acks.append((key, version))


async def play(flags: Client, admin: Admin, profile: str, given_: Any) -> None:
    bench = Bench(flags, admin)
    stores = Flaky("old", bench.store("old")), Flaky("new", bench.store("new"))
    bench.old, bench.new = stores
    acks: list[Ack] = []
    stage, version = 1, 0
    async with bench.running("dualwrite", profile=profile, call_timeout=60) as migration:
        for step, batch in given_:
            before, stage = stage, min(max(stage + step, 0), len(STAGES) - 1)
            async with anyio.create_task_group() as tasks:
                for verb, key, fault, at, behind in batch:
                    version += 1
                    named = STAGES[before if behind else stage]
                    tasks.start_soon(one, flags, migration, named, Fate(fault, at), (verb, f"k{key}", version), acks)
        await settle(migration)
        await check(*(store.inner for store in stores), profile, acks)


async def one(flags: Client, migration: Migration[Order], stage: Stage, fate: Fate, what: Any, acks: list[Ack]) -> None:
    FATE.set(fate)
    verb, key, version = what
    with flags.override({NAME: stage.value, f"{NAME}.gray": True}), fate.scope:
        await write(migration, verb, key, version, acks)


@pytest.mark.timeout(300)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["split", "mirrored"]), rounds)
def test_no_acknowledged_write_is_lost_and_the_stores_come_to_agree(profile: str, given_: Any) -> None:
    async def run() -> None:
        async with MemoryStore() as store, Admin(store, actor="ada") as admin, Client(store) as flags:
            await play(flags, admin, profile, given_)

    anyio.run(run)
