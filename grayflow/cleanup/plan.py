"""
What is due: from what is recorded and what is so, to what this process should do now, and when to look again.

Pure. Planned from state and never from messages, so whoever was down, deaf or late plans the same in the end. A job
is due while its variant is switched the way that the handler follows, and the generation is above the one that is
done; of several switches that nobody acted upon only the last is left.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal

import msgspec
from msgspec import structs

from grayflow.cleanup.sites import Site
from grayflow.store.jobs import Job, first_mark

__all__ = ["Action", "Case", "Claim", "Plan", "Stop", "StopReason", "Write", "WriteReason", "plan", "rebased"]

StopReason = Literal["superseded", "waived", "moved", "unknown"]
"""
Why work is given up: the flag was switched again; somebody said that it need not be done; the flags were set up anew
or went back; the flag's document cannot be read.
"""

WriteReason = Literal["noted", "superseded", "buried", "lonely", "orphaned", "moved"]

_DIED = "the process that ran it was gone before it ended"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One job and everything that decides about it."""

    job: Job
    """As recorded; a new one where there is no record."""
    site: Site
    version: int = 0
    """Of the record."""
    limit: int = 1
    """How often the handler is begun at most."""
    after: tuple[str, ...] = ()
    busy: int | None = None
    """When the lease of another process ends."""
    working: int | None = None
    """The generation that this process is at work on."""
    runnable: bool = True
    """Whether this process has the handler."""
    reported: bool = True
    """Whether some process that is alive has it."""
    broken: bool = False
    """Whether the chain of changes broke since the last plan: what came before cannot be compared by numbers."""
    flipped: bool = False
    """Whether the variant was switched the other way before that."""
    shared: bool = True
    """Whether it is a job of the fleet, and not of this process."""

    @property
    def due(self) -> bool:
        """Whether there is something to be done."""
        return self.site.state == self.job.switch and self.site.generation > self.job.done

    @property
    def outdated(self) -> bool:
        """Whether whoever wrote the record knew of a newer switch than this process does."""
        return self.site.turn < 2 * self.job.wanted + (self.job.switch == "on")


class Claim(msgspec.Struct, frozen=True):
    """Try to become the one that does it."""

    case: Case
    job: Job
    """As it is to be recorded then."""


class Stop(msgspec.Struct, frozen=True):
    """Stop what this process does."""

    case: Case
    why: StopReason


class Write(msgspec.Struct, frozen=True):
    """Record something about a job that nobody works on."""

    case: Case
    job: Job
    why: WriteReason


Action = Claim | Stop | Write


class Plan(msgspec.Struct, frozen=True):
    """What to do now, and when to look again at the latest: nanoseconds by the board's clock, `None` for no time."""

    actions: tuple[Action, ...]
    next: int | None


class _Later(msgspec.Struct, frozen=True):
    """Nothing before that instant."""

    instant: int


def plan(cases: Iterable[Case], now: int, *, orphan_after_ns: int) -> Plan:
    """
    Plan all jobs of one board.

    Args:
        cases: Every job that this process looks after, those that need nothing included: others wait for them.
        now: Nanoseconds since the epoch, by the board's clock.
        orphan_after_ns: How long a job waits for a process that has its handler.
    """
    known = tuple(cases)
    peers = {(case.job.handler, case.job.flag, case.job.variant): case for case in known}
    held = {(case.job.flag, case.job.variant, case.job.switch) for case in known if _is_held(case, now)}
    found = [_Planner(peers, held, now, orphan_after_ns).decide(case) for case in known]
    return Plan(
        actions=tuple(one for one in found if isinstance(one, Claim | Stop | Write)),
        next=min((one.instant for one in found if isinstance(one, _Later)), default=None),
    )


def _is_held(case: Case, now: int) -> bool:
    return case.working is not None or (case.busy is not None and case.busy > now)


class _Planner(msgspec.Struct, frozen=True):
    """Decides about one case at a time, seeing the others."""

    peers: Mapping[tuple[str, str, str], Case]
    held: AbstractSet[tuple[str, str, str]]
    """Flag, variant and switch of the jobs that somebody is at work on."""
    now: int
    orphan_after_ns: int

    def decide(self, case: Case) -> Action | _Later | None:
        """Return what is to be done about a job."""
        if case.working is not None:
            why = _why_stop(case, case.working)
            return None if why is None else Stop(case, why)
        if case.busy is not None and case.busy > self.now:
            return _Later(case.busy) if case.due or case.job.unfinished else None
        if case.site.state == "unknown":
            return None
        if case.broken or case.job.epoch != case.site.epoch:
            moved = rebased(case, self.now)
            if moved != case.job:
                return Write(case, moved, "moved")
        if case.outdated:
            return None
        if not case.due:
            return Write(case, case.job.supersede(self.now), "superseded") if _overtaken(case) else None
        return self._pursue(case)

    def _pursue(self, case: Case) -> Action | _Later | None:
        """Decide about a job that is due and that nobody works on."""
        job, noted = case.job, True
        if job.wanted != case.site.generation or not job.unfinished:
            noted = False
            job = job.want(
                case.site.generation, epoch=case.site.epoch, after=case.after, limit=case.limit, now=self.now
            )
        if job.state == "failed":
            return None
        if not case.runnable:
            return self._leave(case, job)
        if job.state == "running" and job.attempts >= case.limit:
            return Write(case, job.fail(_DIED, now=self.now, next_at=None), "buried")
        if self._has_to_wait(case):
            return None if noted else Write(case, job, "noted")
        return _Later(job.next_at) if job.next_at > self.now else Claim(case, job)

    def _has_to_wait(self, case: Case) -> bool:
        """Whether a handler that comes first has not finished, or one for the opposite switch is still at work."""
        job = case.job
        first = (self.peers.get((name, job.flag, job.variant)) for name in case.after)
        opposite = "on" if job.switch == "off" else "off"
        return any(peer is not None and peer.due for peer in first) or (job.flag, job.variant, opposite) in self.held

    def _leave(self, case: Case, job: Job) -> Action | _Later | None:
        """Decide about a job whose handler this process does not have."""
        if case.reported:  # whoever has the handler sees to it
            return Write(case, job.leave_alone(0), "lonely") if job.lonely else None
        if not job.lonely:
            return Write(case, job.leave_alone(self.now), "lonely")
        if job.state == "orphaned":
            return None
        deadline = job.lonely + self.orphan_after_ns
        return Write(case, job.orphan(), "orphaned") if deadline <= self.now else _Later(deadline)


def _why_stop(case: Case, working: int) -> StopReason | None:
    site = case.site
    if site.state == "unknown":
        return "unknown"
    if case.broken or case.job.epoch != site.epoch:
        return "moved"
    if site.generation > working or site.state != case.job.switch:
        return "superseded"
    return "waived" if case.job.done >= working else None


def _overtaken(case: Case) -> bool:
    return case.job.unfinished and case.site.state != case.job.switch


def rebased(case: Case, now: int) -> Job:
    """
    Return a job after the chain of changes broke: a full load that did not continue, another epoch.

    Numbers from before mean nothing then, or not what they meant. What is done is taken from the loaded state, with
    two exceptions: a variant that was switched between what was seen before and what was loaded is due, and so is
    what was unfinished already. Within an epoch the marks of the fleet stay, unless they name switches that the store
    has lost: only there the number of a switch that is to come could be below them.
    """
    job, site = case.job, case.site
    here, same = site.state == job.switch, job.epoch == site.epoch
    if here and case.flipped and (job.done >= site.generation or not same):
        marked = structs.replace(job, done=site.generation - 1)
        return marked.want(site.generation, epoch=site.epoch, after=case.after, limit=case.limit, now=now)
    comparable = same and max(job.done, job.wanted) <= site.generation
    if comparable and (case.shared or (here and job.unfinished)):
        return job
    if here and job.unfinished:
        done = min(job.done, site.generation - 1)
        return structs.replace(job, epoch=site.epoch, done=done, wanted=site.generation)
    done = _settled(site, job)
    done = min(job.done, done) if case.shared and same else done
    if same and done == job.done and job.wanted <= site.generation and not job.unfinished:
        return job
    job = job.supersede(now) if job.unfinished else job
    return structs.replace(job, epoch=site.epoch, done=done, wanted=max(done, 0))


def _settled(site: Site, job: Job) -> int:
    """Return the mark with which nothing is due."""
    if job.switch == "off" or site.state == "on":
        return max(site.generation, first_mark(job.switch))
    return site.generation - 1
