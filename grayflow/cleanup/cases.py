"""
From what is recorded, registered and served to the cases that are planned.

Pure. A process looks after the jobs of its own handlers, and now and then at those of handlers that it does not have:
if nobody alive has them, somebody has to notice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import chain

import msgspec

from grayflow.cleanup.handlers import Handler
from grayflow.cleanup.plan import Case
from grayflow.cleanup.sites import Site, site, variants
from grayflow.replica.view import View
from grayflow.store.board import Record, Records
from grayflow.store.fleet import Fleet
from grayflow.store.jobs import Job, Registration, first_mark, job_name, read_job

__all__ = ["Entries", "Entry", "Sight", "first_job", "foreign_cases", "own_cases"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a job."""

    job: Job | None
    """`None` if it was only claimed, or nothing of ours wrote it: the job begins anew."""
    version: int
    owner: str | None
    """Of the lease, `None` if there is none or it is over."""
    until: int
    """When the lease ends."""


class Entries:
    """
    All records at one instant.

    Args:
        found: As the board gave them.
    """

    def __init__(self, found: Records) -> None:
        self._by_name = {name: _entry(record, found.now) for name, record in found.records.items()}
        self.jobs: dict[tuple[str, str], list[Job]] = {}
        """By handler and flag."""
        for entry in self._by_name.values():
            if entry.job is not None:
                self.jobs.setdefault((entry.job.handler, entry.job.flag), []).append(entry.job)

    def get(self, handler: str, flag: str, variant: str) -> Entry | None:
        """Return one record, `None` if there is none."""
        return self._by_name.get(job_name(handler, flag, variant))


def _entry(record: Record, now: int) -> Entry:
    lease = record.lease if record.lease is not None and record.lease.until > now else None
    return Entry(
        job=read_job(record.value),
        version=record.version,
        owner=None if lease is None else lease.owner,
        until=0 if lease is None else lease.until,
    )


class Sight(msgspec.Struct, frozen=True):
    """What this process served at some instant."""

    view: View
    instant: int

    def site(self, flag: str, variant: str) -> Site:
        """Look at a variant."""
        return site(self.view, flag, variant, self.instant)


Working = Callable[[str], "int | None"]
"""The generation of a job, by the name of its record, that this process is at work on."""


def first_job(handler: Handler, born: Sight, now: Site) -> Job:
    """
    Return the job of a handler that was never recorded.

    In the fleet nothing was ever done, so what is off now is due once. A process that begins has nothing of its own
    to clean up after what was off before it began, unless the handler says so.

    Args:
        handler: Which.
        born: What this process served when it had both the handler and flags.
        now: The variant as it is.
    """
    done, epoch = first_mark(handler.switch), now.epoch
    if handler.scope == "process":
        first = born.site(now.flag, now.variant)
        epoch = first.epoch
        if handler.on_start == "skip":
            settled = handler.switch == "off" or first.state == "on"
            done = max(done, first.generation if settled else first.generation - 1)
    return Job(
        handler=handler.name,
        flag=now.flag,
        variant=now.variant,
        switch=handler.switch,
        epoch=epoch,
        done=done,
        after=handler.after,
    )


def own_cases(
    handlers: Iterable[Handler],
    entries: Entries,
    sight: Sight,
    *,
    births: Mapping[str, Sight],
    befores: Iterable[Sight],
    working: Working,
    owner: str,
) -> Iterator[Case]:
    """
    Yield the cases of this process's handlers of one scope.

    Args:
        handlers: These.
        entries: What is recorded.
        sight: What is served now.
        births: What was served when each handler was there first.
        befores: What was served before each break of the chain of changes since the last plan.
        working: What this process is at work on.
        owner: Of its leases.
    """
    broken = tuple(befores)
    for handler in handlers:
        for flag in handler.flags:
            names = variants(sight.view, flag) if handler.variant is None else (handler.variant,)
            held = (job.variant for job in entries.jobs.get((handler.name, flag), ()))
            for variant in dict.fromkeys((*names, *held)):
                now, entry = sight.site(flag, variant), entries.get(handler.name, flag, variant)
                job = first_job(handler, births.get(handler.name, sight), now)
                at_work = working(job.name)
                yield Case(
                    job=job if entry is None or entry.job is None else entry.job,
                    site=now,
                    version=0 if entry is None else entry.version,
                    limit=handler.retry.attempts,
                    after=handler.after,
                    busy=None if entry is None or entry.owner in (None, owner) else entry.until,
                    working=at_work,
                    broken=bool(broken),
                    flipped=any(_flipped(one.site(flag, variant), now) for one in broken),
                    shared=handler.scope == "fleet",
                )


def foreign_cases(
    registrations: Iterable[Registration],
    entries: Entries,
    sight: Sight,
    *,
    fleet: Fleet,
    own: AbstractSet[str],
) -> Iterator[Case]:
    """
    Yield the cases of the fleet's handlers that this process does not have, and that nobody is at work on.

    Args:
        registrations: All that are known.
        entries: What is recorded.
        sight: What is served now.
        fleet: Who is alive.
        own: The handlers that this process has.
    """
    alive = frozenset(name for process in fleet.processes for name in process.handlers)
    known = {one.handler: one for one in registrations if one.handler not in own}
    wanted: dict[tuple[str, str, str], None] = {}
    for one in known.values():
        for flag in one.flags:
            names = variants(sight.view, flag) if one.variant is None else (one.variant,)
            wanted.update(dict.fromkeys((one.handler, flag, variant) for variant in names))
    for job in chain.from_iterable(entries.jobs.values()):
        # Of a handler that was forgotten, what is finished stays so, whatever is switched.
        if job.handler not in own and (job.unfinished or job.handler in known):
            wanted[job.handler, job.flag, job.variant] = None
    for handler, flag, variant in wanted:
        registration = known.get(handler)
        covered = registration is not None and registration.covers(flag, variant)
        case = _foreign(registration, entries.get(handler, flag, variant), sight.site(flag, variant))
        if case is not None and (covered or case.job.unfinished):
            yield msgspec.structs.replace(case, reported=covered and handler in alive)


def _foreign(known: Registration | None, entry: Entry | None, now: Site) -> Case | None:
    if entry is not None and entry.job is not None:
        job, limit = entry.job, entry.job.limit
    elif known is not None:
        job, limit = (
            Job(
                handler=known.handler,
                flag=now.flag,
                variant=now.variant,
                switch=known.switch,
                epoch=now.epoch,
                done=first_mark(known.switch),
                after=known.after,
            ),
            known.limit,
        )
    else:
        return None
    return Case(
        job=job,
        site=now,
        version=0 if entry is None else entry.version,
        limit=limit,
        after=job.after,
        busy=None if entry is None or entry.owner is None else entry.until,
        runnable=False,
    )


def _flipped(before: Site, now: Site) -> bool:
    return {before.state, now.state} == {"on", "off"}
