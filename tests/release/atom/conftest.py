import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import pytest_collection_modifyitems

__all__ = ["pytest_collection_modifyitems", "quick_path"]  # the long ones are left out of this folder alone, too


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory where there is such a thing: a killed process needs no disk to be synced."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="grayflow-", dir=memory) as folder:
        yield Path(folder)
