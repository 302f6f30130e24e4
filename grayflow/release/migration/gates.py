"""What has to be proved before a migration goes on, as a function of what is known; nothing here does I/O."""

from collections.abc import Iterator, Sequence

import msgspec

from grayflow.release.migration.ledger import Backfilled, Reconciled
from grayflow.release.migration.rules import Stage
from grayflow.release.migration.setup import Terms

__all__ = ["Facts", "unmet"]

_NS = 1_000_000_000
_NAMED = 3


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a migration; instants are nanoseconds since the epoch."""

    stage: Stage
    terms: Terms = Terms()
    now: int = 0
    since: int = 0
    """When the stage began, or was obeyed again after the flag was off."""
    began: int = 0
    """The revision with which it left `off`."""
    processes: int = 0
    behind: int = 0
    """Of the processes that report, how many may still go by the stage before."""
    cursor: Backfilled | None = None
    reconciled: Sequence[Reconciled] = ()
    compared: int = 0
    mismatched: int = 0
    unfinished: int = 0
    dead: int = 0
    gray_since: int | None = None
    """Since when everybody is on the gray list."""
    old_readers: int = 0

    @property
    def valid(self) -> Sequence[Reconciled]:
        """The reconciliations since the migration left `off`, the newest last."""
        return [one for one in self.reconciled if one.began == self.began]


def unmet(facts: Facts) -> tuple[str, ...]:
    """Return what is missing for the next stage, each as a sentence with the remedy; nothing: it may go on."""
    return tuple(_unmet(facts))


def _unmet(facts: Facts) -> Iterator[str]:
    if facts.stage is Stage.OFF:
        return  # there is nothing to prove yet
    if facts.behind:
        yield (
            f"{facts.behind} of {facts.processes} processes may still go by the stage before {facts.stage.value!r}; "
            "wait for them"
        )
    if not facts.processes:
        yield "no process reports itself, so nobody knows by which stages they go; look at: grayflow fleet"
    match facts.stage:
        case Stage.DUALWRITE:
            yield from _copied(facts)
        case Stage.SHADOW:
            yield from _compared(facts)
            yield from _reconciled(facts, times=2)
            yield from _finished(facts)
        case Stage.LIVE:
            yield from _soaked_gray(facts)
            yield from _reconciled(facts, since=facts.since)
            yield from _finished(facts)
        case Stage.RAMPDOWN:
            yield from _soaked_old(facts)
            yield from _reconciled(facts, since=facts.since)
            yield from _finished(facts)
        case _:
            return


def _copied(facts: Facts) -> Iterator[str]:
    cursor = facts.cursor
    if cursor is None or cursor.began != facts.began:
        yield "no backfill has run since the migration left 'off'; run it"
    elif not cursor.done:
        yield f"the backfill has copied {cursor.copied} rows and is not at its end; run it again, it goes on"


def _compared(facts: Facts) -> Iterator[str]:
    terms, compared, differ = facts.terms, facts.compared, facts.mismatched
    if compared < terms.min_compared:
        yield f"{compared} reads were compared at this stage, {terms.min_compared} are needed"
    elif differ > compared * terms.max_mismatch:
        yield f"{differ} of {compared} compared reads differed, at most {terms.max_mismatch:.4%} may"


def _reconciled(facts: Facts, *, times: int = 1, since: int = 0) -> Iterator[str]:
    last = [one for one in facts.valid if one.at >= since][-times:]
    if any(not one.clean for one in last):
        worst = next(one for one in reversed(last) if not one.clean)
        yield f"a reconciliation found {worst.differing} rows that differed; run it until nothing does"
        if last[-1].conflicts:
            named = ", ".join(map(repr, last[-1].conflicts[:_NAMED]))
            yield f"rows such as {named} hold different things under one version; write them again with a newer one"
    elif len(last) < times:
        how = "twice in a row" if times == 2 else "at this stage" if since else "once"
        yield f"the stores were not found equal {how} yet; run a reconciliation"


def _finished(facts: Facts) -> Iterator[str]:
    if facts.unfinished:
        yield f"{facts.unfinished} writes are in one store and perhaps not in the other; they are being repaired"
    if facts.dead:
        yield f"{facts.dead} writes could not be repaired and were given up; when the cause is removed, reconcile"


def _soaked_gray(facts: Facts) -> Iterator[str]:
    if facts.gray_since is None:
        yield "not everybody is on the gray list; put everybody on it"
        return
    left = facts.terms.soak_s - (facts.now - max(facts.gray_since, facts.since)) / _NS
    if left > 0:
        yield f"everybody has to be on the gray list for {facts.terms.soak_s:g} s; {left:.0f} s are left"


def _soaked_old(facts: Facts) -> Iterator[str]:
    left = facts.terms.soak_s - (facts.now - facts.since) / _NS
    if left > 0:
        yield f"this stage has to last for {facts.terms.soak_s:g} s; {left:.0f} s are left"
    if facts.old_readers:
        yield f"{facts.old_readers} processes have read the old store within the last {facts.terms.soak_s:g} s"
