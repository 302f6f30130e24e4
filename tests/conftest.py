"""What all tests share."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """redis-py knows asyncio only, and so does grayflow."""
    return "asyncio"
