import pytest

from grayflow import Admin, Client
from tests.faults.conftest import pytest_collection_modifyitems
from tests.release.migration.bench import Bench

__all__ = ["pytest_collection_modifyitems"]  # the long ones are left out of this folder alone, too


@pytest.fixture
async def bench(flags: Client, admin: Admin) -> Bench:
    return Bench(flags, admin)
