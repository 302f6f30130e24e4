from collections.abc import Iterator

import pytest

from tests.faults.conftest import pytest_collection_modifyitems
from tests.release.atom.kills import Order
from tests.release.kills import Zygote

__all__ = ["pytest_collection_modifyitems"]  # the long ones are left out of this folder alone, too


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(Order) as started:
        yield started
