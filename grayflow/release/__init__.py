"""Releasing behind a flag: two implementations of one interface, data that moves, steps that can be undone."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grayflow.release.atom.atoms import Atoms
    from grayflow.release.atom.desk import AtomRun
    from grayflow.release.atom.errors import (
        AtomError,
        AtomInDoubt,
        AtomRefusedError,
        AtomRollbackFailed,
        AtomRolledBack,
        StepFailedError,
    )
    from grayflow.release.atom.files import FileJournal
    from grayflow.release.atom.journal import BoardJournal, Journal
    from grayflow.release.atom.model import Atom, Step, StepCall
    from grayflow.release.atom.record import AtomResult, StepRecord, Trouble
    from grayflow.release.counters.counters import Counters, CountersStatus, Measured
    from grayflow.release.guard.breaker import BreakerState
    from grayflow.release.guard.events import GuardEvent
    from grayflow.release.guard.guard import FallbackGuard, GuardStatus
    from grayflow.release.guard.marks import idempotent, safe
    from grayflow.release.guard.outcome import Outcome
    from grayflow.release.guard.policy import BreakerPolicy
    from grayflow.release.guard.quorum import FleetTrip
    from grayflow.release.migration.adapter import MigrationStore
    from grayflow.release.migration.desk import MigrationDesk
    from grayflow.release.migration.errors import (
        MigrationBusyError,
        MigrationError,
        MirrorWriteError,
        NotAnnouncedError,
        NotAppliedError,
        RowExistsError,
        StageRefusedError,
        StaleStageError,
    )
    from grayflow.release.migration.ledger import Backfilled, Reconciled
    from grayflow.release.migration.migration import Migration
    from grayflow.release.migration.reading import Page
    from grayflow.release.migration.repairing import Repaired
    from grayflow.release.migration.rules import Side, Stage
    from grayflow.release.migration.setup import Written
    from grayflow.release.migration.spool import SpoolStatus
    from grayflow.release.migration.status import MigrationStatus
    from grayflow.release.parallel.outcome import Answer, Observation, ParallelOutcome
    from grayflow.release.parallel.run import ParallelRun
    from grayflow.release.parallel.shadow import in_shadow, refuse_in_shadow, writes
    from grayflow.release.parallel.stream import to_stream
    from grayflow.release.parallel.tally import ParallelCounts
    from grayflow.release.replacing import gray
    from grayflow.release.switch.choice import Selection, SelectionReason
    from grayflow.release.switch.switch import ImplementationSwitch, SwitchStatus, VariantStatus

__all__ = [
    "Answer",
    "Atom",
    "AtomError",
    "AtomInDoubt",
    "AtomRefusedError",
    "AtomResult",
    "AtomRollbackFailed",
    "AtomRolledBack",
    "AtomRun",
    "Atoms",
    "Backfilled",
    "BoardJournal",
    "BreakerPolicy",
    "BreakerState",
    "Counters",
    "CountersStatus",
    "FallbackGuard",
    "FileJournal",
    "FleetTrip",
    "GuardEvent",
    "GuardStatus",
    "ImplementationSwitch",
    "Journal",
    "Measured",
    "Migration",
    "MigrationBusyError",
    "MigrationDesk",
    "MigrationError",
    "MigrationStatus",
    "MigrationStore",
    "MirrorWriteError",
    "NotAnnouncedError",
    "NotAppliedError",
    "Observation",
    "Outcome",
    "Page",
    "ParallelCounts",
    "ParallelOutcome",
    "ParallelRun",
    "Reconciled",
    "Repaired",
    "RowExistsError",
    "Selection",
    "SelectionReason",
    "Side",
    "SpoolStatus",
    "Stage",
    "StageRefusedError",
    "StaleStageError",
    "Step",
    "StepCall",
    "StepFailedError",
    "StepRecord",
    "SwitchStatus",
    "Trouble",
    "VariantStatus",
    "Written",
    "gray",
    "idempotent",
    "in_shadow",
    "refuse_in_shadow",
    "safe",
    "to_stream",
    "writes",
]

_HOMES = {
    "atom.atoms": "Atoms",
    "atom.desk": "AtomRun",
    "atom.errors": "AtomError AtomInDoubt AtomRefusedError AtomRollbackFailed AtomRolledBack StepFailedError",
    "atom.files": "FileJournal",
    "atom.journal": "BoardJournal Journal",
    "atom.model": "Atom Step StepCall",
    "atom.record": "AtomResult StepRecord Trouble",
    "counters.counters": "Counters CountersStatus Measured",
    "guard.breaker": "BreakerState",
    "guard.events": "GuardEvent",
    "guard.guard": "FallbackGuard GuardStatus",
    "guard.marks": "idempotent safe",
    "guard.outcome": "Outcome",
    "guard.policy": "BreakerPolicy",
    "guard.quorum": "FleetTrip",
    "migration.adapter": "MigrationStore",
    "migration.desk": "MigrationDesk",
    "migration.errors": (
        "MigrationBusyError MigrationError MirrorWriteError NotAnnouncedError NotAppliedError RowExistsError "
        "StageRefusedError StaleStageError"
    ),
    "migration.ledger": "Backfilled Reconciled",
    "migration.migration": "Migration",
    "migration.reading": "Page",
    "migration.repairing": "Repaired",
    "migration.rules": "Side Stage",
    "migration.setup": "Written",
    "migration.spool": "SpoolStatus",
    "migration.status": "MigrationStatus",
    "parallel.outcome": "Answer Observation ParallelOutcome",
    "parallel.run": "ParallelRun",
    "parallel.shadow": "in_shadow refuse_in_shadow writes",
    "parallel.stream": "to_stream",
    "parallel.tally": "ParallelCounts",
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
