"""What tests of services and of other stores need: time moved by hand, faults on command, the stores' contracts."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grayflow.testing.clock import FakeClock
    from grayflow.testing.contract import BoardContract, StoreContract
    from grayflow.testing.contract.rows import MigrationStoreContract
    from grayflow.testing.faults import Faulty
    from grayflow.testing.plugin import all_flag_combinations
    from grayflow.testing.rerun import run_handlers_twice
    from grayflow.testing.settable import SettableClient
    from grayflow.testing.virtual import VirtualClock, VirtualLoop

__all__ = [
    "BoardContract",
    "FakeClock",
    "Faulty",
    "MigrationStoreContract",
    "SettableClient",
    "StoreContract",
    "VirtualClock",
    "VirtualLoop",
    "all_flag_combinations",
    "run_handlers_twice",
]

_HOMES = {
    "BoardContract": "contract",
    "FakeClock": "clock",
    "Faulty": "faults",
    "MigrationStoreContract": "contract.rows",
    "SettableClient": "settable",
    "StoreContract": "contract",
    "VirtualClock": "virtual",
    "VirtualLoop": "virtual",
    "all_flag_combinations": "plugin",
    "run_handlers_twice": "rerun",
}

if "pytest" in sys.modules:  # without it a failing contract says `assert` and no values
    sys.modules["pytest"].register_assert_rewrite("grayflow.testing.contract")


def __getattr__(name: str) -> Any:
    # Lazy, because the contract imports pytest, which a demo or a notebook with a FakeClock need not have.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
