"""
Writes to both stores or to none, as an atom: what the first store got is taken back where the other does not take it.

To take a write back is a write again, newer than the one that it takes back: only so do copies that are still on their
way lose against it. Hence the application has to say how a row gets another version.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from grayflow.errors import ConfigurationError
from grayflow.release.atom.atoms import Atoms
from grayflow.release.atom.errors import AtomError, AtomRolledBack
from grayflow.release.atom.model import Atom, Step, StepCall
from grayflow.release.migration.adapter import MigrationStore
from grayflow.release.migration.errors import MirrorWriteError, NotAppliedError, RowExistsError
from grayflow.release.migration.journal import Journal
from grayflow.release.migration.pair import Pair
from grayflow.release.migration.rules import Mirror, Operation, Side, Writing
from grayflow.release.migration.setup import Setup, Written

__all__ = ["AtomCompensation", "Codec", "checked_compensation"]

R = TypeVar("R")


class Codec(Generic[R]):
    """
    Rows as JSON holds them, for the record of a run.

    Args:
        kind: The class of rows, anything that `msgspec.convert` reads.
        restamp: Returns a row with another version.
    """

    def __init__(self, kind: Any, restamp: Callable[[R, int], R]) -> None:
        self._kind, self.restamp = kind, restamp

    def plain(self, row: R | None) -> Any:
        """
        Return a row as JSON holds it.

        Raises:
            ConfigurationError: it cannot be.
        """
        try:
            return msgspec.to_builtins(row)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"a row cannot be recorded, so its write could not be undone: {error}") from error

    def row(self, plain: Any) -> R:
        """Return the row again."""
        found: R = msgspec.convert(plain, self._kind)
        return found


class AtomCompensation(Generic[R]):
    """
    See `grayflow.release.migration.writing.Compensation`.

    Args:
        setup: Of the migration.
        codec: For its rows.
    """

    def __init__(self, setup: Setup[R], codec: Codec[R]) -> None:
        self._setup, self._codec = setup, codec
        self._pair = Pair(setup)
        self._atoms: Atoms | None = None
        self._journal: Journal | None = None
        self.atom = Atom(
            f"migration:{setup.name.replace('/', '.')}"[:100],
            version=1,
            steps=[
                Step("first", do=self._write_first, undo=self._take_back, timeout=setup.limits.call_s),
                Step("mirror", do=self._mirror, undo=None, timeout=4 * setup.limits.call_s),
            ],
        )

    def open(self, atoms: Atoms, journal: Journal) -> None:
        """Run with these from now on."""
        self._atoms, self._journal = atoms, journal

    async def write(self, key: str, row: R, operation: Operation, plan: Writing) -> bool:
        """See `grayflow.release.migration.writing.Compensation`."""
        assert self._atoms is not None  # the migration's block opened them  # noqa: S101
        before = (await self._pair.look(plan.side, key))[1]
        told = {
            "key": key,
            "operation": operation,
            "side": plan.side,
            "mirror": plan.mirror,
            "row": self._codec.plain(row),
            "before": self._codec.plain(before),
        }
        reason = f"migration {self._setup.name}: {operation} of {key!r:.100}"
        try:
            result = await self._atoms.run(self.atom, told, reason=reason)
        except AtomError as error:
            raise self._failed(key, plan.side, error) from (error.__cause__ or error)
        if operation == "insert" and not result.steps[0].after:
            raise RowExistsError(key, side=plan.side, migration=self._setup.name)
        return bool(result.steps[0].after)

    async def _write_first(self, call: StepCall) -> bool:
        row, store = self._codec.row(call.input["row"]), self._store(call)
        write = store.insert if call.input["operation"] == "insert" else store.upsert_if_newer
        return await write(row, self._setup.version(row))

    async def _take_back(self, call: StepCall) -> None:
        if call.done and not call.after:
            return  # nothing was written: what is there is as new
        assert self._journal is not None  # opened with the atoms  # noqa: S101
        # Anew: the other store may have the write, and a repair that came before the undo has settled for that.
        await self._journal.announce(call.input["key"])
        key, version = call.input["key"], self._setup.version(self._codec.row(call.input["row"]))
        if call.input["before"] is None:
            await self._store(call).delete_if_not_newer(key, version)
            return
        before = self._codec.restamp(self._codec.row(call.input["before"]), version + 1)
        await self._store(call).upsert_if_newer(before, version + 1)

    async def _mirror(self, call: StepCall) -> None:
        if call.earlier["first"] or call.input["operation"] == "update":
            await self._pair.copy(call.input["key"], Side(call.input["side"]), Mirror(call.input["mirror"]))

    def _store(self, call: StepCall) -> MigrationStore[R]:
        return self._pair.store(Side(call.input["side"]))

    def _failed(self, key: str, side: Side, error: AtomError) -> Exception:
        cause = error.__cause__
        if isinstance(cause, NotAppliedError):
            return cause
        compensated = isinstance(error, AtomRolledBack)
        now = f"The {side} one was put back as it was" if compensated else f"What became of the {side} one: {error}"
        return MirrorWriteError(
            f"row {key!r} was not written to both stores of migration {self._setup.name!r}: {cause or error!r}. {now}",
            migration=self._setup.name,
            result=Written(side, applied=not compensated, mirrored=False),
            compensated=compensated,
        )


def checked_compensation(setup: Setup[R], row_type: Any, restamp: Callable[[R, int], R] | None) -> AtomCompensation[R]:
    """
    Return what takes writes back.

    Raises:
        ConfigurationError: it cannot be done without both.
    """
    if row_type is None or restamp is None:
        raise ConfigurationError(
            "on_mirror_failure='compensate' puts back what was there before, as a newer version: give row_type, the "
            "class of rows, and restamp, which returns a row with another version"
        )
    return AtomCompensation(setup, Codec(row_type, restamp))
