"""Memory and SQLite against the model of `machine.py`."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

from grayflow.store.memory import MemoryStore
from grayflow.store.port import Store
from grayflow.store.sqlite import SQLiteStore
from tests.store.machine import StoreMachine


class MemoryMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryStore()

    def open(self) -> Store:
        return self.memory


class SQLiteMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())

    def open(self) -> Store:
        return SQLiteStore(self.folder / "flags.db")

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSQLite = SQLiteMachine.TestCase
TestSQLite.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
