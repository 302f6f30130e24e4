"""The SQLite board, and a wrapped one, against the reference; see `board_machine.py`."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

from grayflow.clock import SystemClock
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Store
from grayflow.store.sqlite import SQLiteStore
from grayflow.store.wrappers import Wrapper
from grayflow.testing import FakeClock
from tests.store.board_machine import BoardMachine


class SQLiteMachine(BoardMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.own_clock = FakeClock()

    def open(self) -> Store:
        return SQLiteStore(self.folder / "flags.db", clock=self.own_clock)

    async def pass_time(self, seconds: float) -> None:
        await self.own_clock.advance(seconds)

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


class WrappedMachine(BoardMachine):
    """By the machine's time, as a server's is; it also shows that the comparison bears that."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryStore()

    def open(self) -> Store:
        return Wrapper(self.memory)

    async def pass_time(self, seconds: float) -> None:
        await SystemClock().sleep(seconds)


TestSQLite = SQLiteMachine.TestCase
TestSQLite.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestWrapped = WrappedMachine.TestCase
TestWrapped.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
