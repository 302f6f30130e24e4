"""
From what is recorded, registered and served to the cases that are planned.

Pure. A process looks after the jobs of its own handlers, and now and then at those of handlers that it does not have:
if nobody alive has them, somebody has to notice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

import msgspec

from grayflow.cleanup.handlers import Handler
from grayflow.cleanup.plan import Case
from grayflow.cleanup.sites import Site, site, variants
from grayflow.replica.view import View
from grayflow.store.board import Record
from grayflow.store.fleet import Fleet
from grayflow.store.jobs import Job, Registration, first_mark, read_job

__all__ = ["Entry", "Sight", "first_job", "foreign_cases", "own_cases", "read_entries"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a job."""

    job: Job
    version: int
    owner: str | None
    """Of the lease, `None` if there is none or it is over."""
    until: int
    """When the lease ends."""


class Sight(msgspec.Struct, frozen=True):
    """What this process served at some instant."""

    view: View
    instant: int

    def site(self, flag: str, variant: str) -> Site:
        """Look at a variant."""
        return site(self.view, flag, variant, self.instant)


Key = tuple[str, str]
"""Handler and flag."""

Working = Callable[[str], "int | None"]
"""The generation of a job, by the name of its record, that this process is at work on."""


def read_entries(records: Mapping[str, Record], now: int) -> dict[Key, dict[str, Entry]]:
    """
    Return the jobs by handler and flag, then by variant.

    A record that was only claimed, or that no release of ours wrote, is as good as none: the job begins anew.
    """
    found: dict[Key, dict[str, Entry]] = {}
    for record in records.values():
        job = read_job(record.value)
        if job is None:
            continue
        lease = record.lease if record.lease is not None and record.lease.until > now else None
        found.setdefault((job.handler, job.flag), {})[job.variant] = Entry(
            job=job,
            version=record.version,
            owner=None if lease is None else lease.owner,
            until=0 if lease is None else lease.until,
        )
    return found


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
    entries: Mapping[Key, Mapping[str, Entry]],
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
            held = entries.get((handler.name, flag), {})
            names = variants(sight.view, flag) if handler.variant is None else (handler.variant,)
            for variant in dict.fromkeys((*names, *held)):
                now, entry = sight.site(flag, variant), held.get(variant)
                job = first_job(handler, births.get(handler.name, sight), now) if entry is None else entry.job
                at_work = working(job.name)
                mine = entry is None or entry.owner is None or entry.owner == owner
                yield Case(
                    job=job,
                    site=now,
                    version=0 if entry is None else entry.version,
                    limit=handler.retry.attempts,
                    after=handler.after,
                    busy=None if mine or entry is None else entry.until,
                    working=at_work,
                    broken=bool(broken),
                    flipped=any(_flipped(one.site(flag, variant), now) for one in broken),
                    shared=handler.scope == "fleet",
                )


def foreign_cases(
    registrations: Iterable[Registration],
    entries: Mapping[Key, Mapping[str, Entry]],
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
    for (handler, flag), held in entries.items():
        if handler not in own:
            wanted.update(dict.fromkeys((handler, flag, variant) for variant in held))
    for handler, flag, variant in wanted:
        case = _foreign(known.get(handler), entries.get((handler, flag), {}).get(variant), sight.site(flag, variant))
        if case is not None:
            covered = handler in known and known[handler].covers(flag, variant)
            yield msgspec.structs.replace(case, reported=covered and handler in alive)


def _foreign(known: Registration | None, entry: Entry | None, now: Site) -> Case | None:
    if entry is not None:
        limit = entry.job.limit if known is None else known.limit
        busy = None if entry.owner is None else entry.until
        return Case(
            job=entry.job,
            site=now,
            version=entry.version,
            limit=limit,
            after=entry.job.after,
            busy=busy,
            runnable=False,
        )
    if known is None:
        return None
    job = Job(
        handler=known.handler,
        flag=now.flag,
        variant=now.variant,
        switch=known.switch,
        epoch=now.epoch,
        done=first_mark(known.switch),
        after=known.after,
    )
    return Case(job=job, site=now, limit=known.limit, after=known.after, runnable=False)


def _flipped(before: Site, now: Site) -> bool:
    return {before.state, now.state} == {"on", "off"}
