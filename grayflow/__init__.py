"""
Gray switches for asyncio services: local snapshots pushed by Redis, awaitable evaluation, and a way back.

Importing this package loads nothing else; each name is loaded when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grayflow.admin.admin import Admin
    from grayflow.admin.fleet import Seen
    from grayflow.admin.results import ImportReport, Removal, Saved
    from grayflow.admin.stats import Stats, StatsWindow
    from grayflow.cleanup.announce import publish
    from grayflow.cleanup.event import SwitchOff, SwitchOn
    from grayflow.cleanup.means import CleanupStatus
    from grayflow.cleanup.options import CleanupOptions
    from grayflow.cleanup.purge import Purge, purge_keys
    from grayflow.cleanup.retry import Retry
    from grayflow.client.client import Client
    from grayflow.client.gate import Gate, Refusal
    from grayflow.client.health import Health, Readiness
    from grayflow.client.hooks import Hook, HookDetails
    from grayflow.client.scope import Override, Scope
    from grayflow.client.states import HealthState
    from grayflow.client.thread import ClientThread
    from grayflow.client.typed import BooleanFlag, TypedFlag
    from grayflow.clock import Clock, SystemClock
    from grayflow.core.context import Context
    from grayflow.core.decision import Decision, ErrorCode, Reason
    from grayflow.core.extensions import Extensions, Hash
    from grayflow.core.flag import (
        All,
        AnyOf,
        Attribute,
        Bucket,
        During,
        First,
        Flag,
        FlagIs,
        Not,
        Rule,
        Segment,
        SegmentIs,
        ServeOnFailure,
        Split,
    )
    from grayflow.core.foreign import foreign_context, foreign_extensions
    from grayflow.core.position import Position
    from grayflow.core.snapshot import Snapshot
    from grayflow.errors import (
        ConfigurationError,
        ConflictError,
        FlagError,
        GateClosedError,
        GrayflowError,
        HistoryGoneError,
        InvalidFlagError,
        LifetimeError,
        MismatchError,
        MissingExtraError,
        NotInitializedError,
        Problem,
        ReadOnlyError,
        ReleaseError,
        ShadowWriteError,
        StoreAccessError,
        StoreError,
        StoreFormatError,
        StoreUnavailableError,
        UnacknowledgedError,
        UnknownFlagError,
        UnopenedError,
    )
    from grayflow.store.board import Board, Lease, Member, Record, Records
    from grayflow.store.counts import Arm, Latency, Tally
    from grayflow.store.durability import Durability
    from grayflow.store.fleet import Fleet, Process
    from grayflow.store.jobs import Job
    from grayflow.store.memory import MemoryStore
    from grayflow.store.port import Change, Store
    from grayflow.store.urls import open_store

__all__ = [
    "Admin",
    "All",
    "AnyOf",
    "Arm",
    "Attribute",
    "Board",
    "BooleanFlag",
    "Bucket",
    "Change",
    "CleanupOptions",
    "CleanupStatus",
    "Client",
    "ClientThread",
    "Clock",
    "ConfigurationError",
    "ConflictError",
    "Context",
    "Decision",
    "Durability",
    "During",
    "ErrorCode",
    "Extensions",
    "First",
    "Flag",
    "FlagError",
    "FlagIs",
    "Fleet",
    "Gate",
    "GateClosedError",
    "GrayflowError",
    "Hash",
    "Health",
    "HealthState",
    "HistoryGoneError",
    "Hook",
    "HookDetails",
    "ImportReport",
    "InvalidFlagError",
    "Job",
    "Latency",
    "Lease",
    "LifetimeError",
    "Member",
    "MemoryStore",
    "MismatchError",
    "MissingExtraError",
    "Not",
    "NotInitializedError",
    "Override",
    "Position",
    "Problem",
    "Process",
    "Purge",
    "ReadOnlyError",
    "Readiness",
    "Reason",
    "Record",
    "Records",
    "Refusal",
    "ReleaseError",
    "Removal",
    "Retry",
    "Rule",
    "Saved",
    "Scope",
    "Seen",
    "Segment",
    "SegmentIs",
    "ServeOnFailure",
    "ShadowWriteError",
    "Snapshot",
    "Split",
    "Stats",
    "StatsWindow",
    "Store",
    "StoreAccessError",
    "StoreError",
    "StoreFormatError",
    "StoreUnavailableError",
    "SwitchOff",
    "SwitchOn",
    "SystemClock",
    "Tally",
    "TypedFlag",
    "UnacknowledgedError",
    "UnknownFlagError",
    "UnopenedError",
    "__version__",
    "foreign_context",
    "foreign_extensions",
    "open_store",
    "publish",
    "purge_keys",
]

_HOMES = {
    "admin.admin": "Admin",
    "admin.fleet": "Seen",
    "admin.results": "ImportReport Removal Saved",
    "admin.stats": "Stats StatsWindow",
    "cleanup.announce": "publish",
    "cleanup.event": "SwitchOff SwitchOn",
    "cleanup.means": "CleanupStatus",
    "cleanup.options": "CleanupOptions",
    "cleanup.purge": "Purge purge_keys",
    "cleanup.retry": "Retry",
    "client.client": "Client",
    "client.health": "Health Readiness",
    "client.gate": "Gate Refusal",
    "client.hooks": "Hook HookDetails",
    "client.scope": "Override Scope",
    "client.states": "HealthState",
    "client.thread": "ClientThread",
    "client.typed": "BooleanFlag TypedFlag",
    "clock": "Clock SystemClock",
    "core.context": "Context",
    "core.decision": "Decision ErrorCode Reason",
    "core.extensions": "Extensions Hash",
    "core.flag": (
        "All AnyOf Attribute Bucket During First Flag FlagIs Not Rule Segment SegmentIs ServeOnFailure Split"
    ),
    "core.foreign": "foreign_context foreign_extensions",
    "core.position": "Position",
    "core.snapshot": "Snapshot",
    "errors": (
        "ConfigurationError ConflictError FlagError GateClosedError GrayflowError HistoryGoneError InvalidFlagError "
        "LifetimeError MismatchError MissingExtraError NotInitializedError Problem ReadOnlyError ReleaseError "
        "ShadowWriteError StoreAccessError StoreError StoreFormatError StoreUnavailableError "
        "UnacknowledgedError UnknownFlagError UnopenedError"
    ),
    "store.board": "Board Lease Member Record Records",
    "store.counts": "Arm Latency Tally",
    "store.durability": "Durability",
    "store.fleet": "Fleet Process",
    "store.jobs": "Job",
    "store.memory": "MemoryStore",
    "store.port": "Change Store",
    "store.urls": "open_store",
}

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    from importlib import import_module

    home = next((module for module, names in _HOMES.items() if name in names.split()), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return found


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
