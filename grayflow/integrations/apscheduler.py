"""
APScheduler 3: jobs that pause while a flag is off.

    scheduler = AsyncIOScheduler()

    @flags.gate("payment_v2")
    async def charge_subscriptions() -> None: ...

    scheduler.add_job(charge_subscriptions, "interval", hours=1, id="subscriptions")
    pause_while_off(scheduler, flags, "payment_v2", charge_subscriptions)

The gate is what guarantees that no body runs while the flag is off: a job may be due in the moment of the switch. All
schedulers of APScheduler 3 will do; each process that runs one pauses its own jobs.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from inspect import ismethod
from typing import Any

from apscheduler.jobstores.base import JobLookupError
from apscheduler.util import obj_to_ref

from grayflow.cleanup.event import SwitchOff, SwitchOn
from grayflow.client.client import Client

__all__ = ["pause_jobs", "pause_while_off", "remove_jobs", "resume_jobs"]

JobOf = str | Callable[..., Any]
"""A job's id, or a function: all jobs that call it."""


def pause_while_off(scheduler: Any, flags: Client, key: str, *jobs: JobOf, variant: str | None = None) -> None:
    """
    Pause jobs when a flag is switched off, and let them go on when it is switched on again.

    A job goes on at its next time; what it missed is not made up for. It is also paused if the flag was switched off
    before this process started.

    Args:
        scheduler: Whose jobs, any scheduler of APScheduler 3; started or not.
        flags: The client.
        key: The flag.
        jobs: Which; those count that are there at the moment of the switch.
        variant: Only this variant's switches.

    Raises:
        ConfigurationError: the flag's key cannot be one.
    """

    def pause(_: SwitchOff) -> None:
        pause_jobs(scheduler, *jobs)

    def resume(_: SwitchOn) -> None:
        resume_jobs(scheduler, *jobs)

    flags.on_switch_off(key, variant, on_start="run", drain=0)(pause)
    flags.on_switch_on(key, variant)(resume)


def pause_jobs(scheduler: Any, *jobs: JobOf) -> tuple[str, ...]:
    """
    Pause jobs by id or function; those that are gone or paused already are left out.

    Blocks for as long as the job store does: call it in a handler that is not async, if the jobs are stored elsewhere.

    Returns:
        The ids of those that were paused.
    """
    return tuple(_each(scheduler, jobs, "pause_job", lambda job: not _is_paused(job)))


def resume_jobs(scheduler: Any, *jobs: JobOf) -> tuple[str, ...]:
    """
    Let paused jobs go on, by id or function; see `pause_jobs`. One that has no next time any more is removed.

    Returns:
        The ids of those that go on.
    """
    return tuple(_each(scheduler, jobs, "resume_job", _is_paused))


def remove_jobs(scheduler: Any, *jobs: JobOf) -> tuple[str, ...]:
    """
    Remove jobs by id or function; see `pause_jobs`.

    Returns:
        The ids of those that were removed.
    """
    return tuple(_each(scheduler, jobs, "remove_job", lambda _: True))


def _each(scheduler: Any, wanted: tuple[JobOf, ...], verb: str, when: Callable[[Any], bool]) -> Iterator[str]:
    ids = {one for one in wanted if isinstance(one, str)}
    functions = [one for one in wanted if not isinstance(one, str)]
    references = {reference for one in functions if (reference := _reference(one)) is not None}
    for job in scheduler.get_jobs():
        if (job.id in ids or job.func in functions or job.func_ref in references) and when(job):
            with suppress(JobLookupError):  # it has run for the last time meanwhile
                getattr(scheduler, verb)(job.id)
                yield job.id


def _reference(function: Callable[..., Any]) -> str | None:
    """Return what a job store keeps of a function; `None` for one that it cannot keep, or keeps only as the class's."""
    if ismethod(function) and not isinstance(function.__self__, type):
        return None
    try:
        return str(obj_to_ref(function))
    except (ValueError, AttributeError):
        return None


def _is_paused(job: Any) -> bool:
    # APScheduler 3.11: a job that is not scheduled yet, since the scheduler was not started, has no such attribute.
    return getattr(job, "next_run_time", job) is None
