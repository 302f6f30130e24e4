"""Leaves the long faults out of the ordinary suite: `nox -s faults` asks for them by their marker."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is marked `faults`, unless the command line speaks of it."""
    if "faults" in (config.getoption("markexpr") or ""):
        return
    long = [item for item in items if item.get_closest_marker("faults")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("faults")]
