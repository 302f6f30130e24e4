"""
The pytest plugin: the fixture `flags`, whose flags a test sets, and which notices a flag that nobody knows.

Loaded by every pytest of an environment that has grayflow, so it imports nothing of it before a test asks.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from grayflow.testing.settable import SettableClient

__all__ = ["all_flag_combinations", "flags", "flags_context_type", "flags_extensions"]

_FLAGS = pytest.StashKey["SettableClient"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know our settings."""
    parser.addini("grayflow_flags", "files of flags that tests decide by, as `grayflow export` writes them", "paths")
    parser.addini(
        "grayflow_unknown",
        "what a test does that asks for a flag which is neither set nor defined: fail, or default",
        default="fail",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Know our marker, and refuse settings that mean nothing."""
    config.addinivalue_line("markers", "flags(values=None, /, **flags): the values of flags during this test")
    if config.getini("grayflow_unknown") not in {"fail", "default"}:
        found = config.getini("grayflow_unknown")
        raise pytest.UsageError(f"grayflow_unknown is {found!r}; it may be 'fail' or 'default'")


@pytest.fixture
def flags_context_type() -> Any:
    """Return the class of contexts that `flags` takes; override it in conftest.py."""
    from grayflow.core.context import Context

    return Context


@pytest.fixture
def flags_extensions() -> Any:
    """Return the `Extensions` of `flags`, if there are any; override it in conftest.py."""
    return None


@pytest.fixture
def flags(request: pytest.FixtureRequest, flags_context_type: Any, flags_extensions: Any) -> "SettableClient":
    """
    Return a client whose flags the test sets: with `flags.set(payment_v2=True)`, or by `@pytest.mark.flags(...)`.

    It needs no server and no event loop, so it is the same under pytest-asyncio, under anyio and in plain tests. A
    test that asks for a flag which is neither set nor defined fails, and says which one it may have meant.
    """
    from grayflow.testing.settable import SettableClient

    client = SettableClient(context_type=flags_context_type, extensions=flags_extensions)
    for path in request.config.getini("grayflow_flags"):
        client.load(path)
    for mark in reversed(list(request.node.iter_markers("flags"))):  # the nearest last: it wins
        client.set(*mark.args, **mark.kwargs)
    client.set(getattr(request, "param", {}))
    request.node.stash[_FLAGS] = client
    return client


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that passed although it asked for a flag that nobody knows."""
    yield
    client = item.stash.get(_FLAGS, None)
    if client is not None and client.unknown and item.config.getini("grayflow_unknown") == "fail":
        found = "\n".join(client.unknown.values())
        pytest.fail(
            f"{found}\nSet it, flags.set(...), or define it, flags.define({{...}}); "
            "or let such flags answer with their default: grayflow_unknown = default",
            pytrace=False,
        )


def all_flag_combinations(*names: str, **choices: Sequence[Any]) -> pytest.MarkDecorator:
    """
    Run a test once for every combination of some flags: `@all_flag_combinations("a", "b", ranking=["bm25", "new"])`.

    The test takes the fixture `flags`.

    Args:
        names: Boolean flags: each is off, and on.
        choices: Other flags -> the values to try.

    Raises:
        ValueError: no flag is named, or one has no values.
    """
    values: dict[str, Sequence[Any]] = {**dict.fromkeys(names, (False, True)), **choices}
    if not values or not all(values.values()):
        raise ValueError("name the flags to combine, each with at least one value")
    combinations = [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]
    names_of = [",".join(f"{key}={value}" for key, value in one.items()) for one in combinations]
    return pytest.mark.parametrize("flags", combinations, indirect=True, ids=names_of)
