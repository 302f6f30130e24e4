"""Handlers of processes that share a file."""

from pathlib import Path

import pytest

from tests.cleanup.on_store import HandlersOnStore

pytestmark = pytest.mark.anyio


class TestOnSQLite(HandlersOnStore):
    kills = ("after claim", "in the handler", "after the effect")

    @pytest.fixture
    def place(self, tmp_path: Path) -> tuple[str, str]:
        return f"sqlite:///{tmp_path}/flags.db", "shop"
