"""What the tests of cleanup share: sites and jobs in one line, and a client whose clock is moved by hand."""

import threading
from typing import Any

import anyio

from grayflow.cleanup.event import SwitchOff
from grayflow.cleanup.plan import Case
from grayflow.cleanup.sites import Site, SiteState
from grayflow.store.jobs import Job, Switch

SECOND = 1_000_000_000
NOW = 1_767_225_600 * SECOND
ORPHAN_AFTER_NS = 600 * SECOND


def site(state: SiteState = "off", generation: int = 4, *, epoch: str = "e", variant: str = "on") -> Site:
    return Site(flag="f", variant=variant, state=state, generation=generation, epoch=epoch)


def job(handler: str = "h", *, switch: Switch = "off", **fields: Any) -> Job:
    return Job(handler=handler, flag="f", variant="on", switch=switch, **{"epoch": "e", **fields})


def case(job_of: Job | None = None, site_of: Site | None = None, **fields: Any) -> Case:
    return Case(
        job=job() if job_of is None else job_of, site=site() if site_of is None else site_of, **{"limit": 3, **fields}
    )


class Told:
    """A handler that remembers what it was told, and does what a test says."""

    def __init__(self, *, failures: int = 0, hangs: bool = False) -> None:
        self.events: list[Any] = []
        self.ended: list[int] = []
        self.cancelled: list[int] = []
        self.failures = failures
        self.go = anyio.Event()
        if not hangs:
            self.go.set()

    async def __call__(self, event: Any) -> None:
        self.events.append(event)
        try:
            await self.go.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(event.generation)
            raise
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the cache does not answer")
        self.ended.append(event.generation)

    @property
    def generations(self) -> list[int]:
        """Of the attempts that were begun."""
        return [event.generation for event in self.events]


class Threaded:
    """A synchronous handler that works until it is released, or told to stop."""

    def __init__(self, *, heeds: bool = True) -> None:
        self.begun, self.go, self.over = threading.Event(), threading.Event(), threading.Event()
        self.heeds = heeds
        self.asked: list[bool] = []

    def __call__(self, off: SwitchOff) -> None:
        self.begun.set()
        while not self.go.wait(0.005):
            self.asked.append(off.still_off())
            if self.heeds and not self.asked[-1]:
                break
        self.over.set()
