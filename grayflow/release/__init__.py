"""Releasing behind a flag: two implementations of one interface, data that moves, steps that can be undone."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grayflow.release.replacing import gray
    from grayflow.release.switch.choice import Selection, SelectionReason
    from grayflow.release.switch.switch import ImplementationSwitch, SwitchStatus, VariantStatus

__all__ = [
    "ImplementationSwitch",
    "Selection",
    "SelectionReason",
    "SwitchStatus",
    "VariantStatus",
    "gray",
]

_HOMES = {
    "replacing": "gray",
    "switch.choice": "Selection SelectionReason",
    "switch.switch": "ImplementationSwitch SwitchStatus VariantStatus",
}


def __getattr__(name: str) -> Any:
    # Lazy: a service that only switches does not load what moves data.
    from importlib import import_module

    home = next((module for module, names in _HOMES.items() if name in names.split()), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
