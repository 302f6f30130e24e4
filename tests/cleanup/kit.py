"""What the tests of cleanup share: sites and jobs in one line, and a client whose clock is moved by hand."""

from typing import Any

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
