"""
What is left to do in the fleet after a switch: one record per handler, flag and variant on the board.

Processes that run handlers write these records (`grayflow.cleanup`), people look at them, retry and waive
(`grayflow.admin`), and this is what both agree on. A contract: other releases read these records, and pass over
fields that they do not know.

Pure: what a record becomes by each step. Instants are nanoseconds since the epoch, by the board's clock.
"""

import hashlib
from typing import Literal

import msgspec
from msgspec import structs

__all__ = [
    "HANDLERS",
    "JOBS",
    "UNFINISHED",
    "Job",
    "JobState",
    "Registration",
    "Switch",
    "first_mark",
    "job_name",
    "read_job",
    "read_registration",
]

JOBS = "jobs"
"""The collection of jobs; the name of a record is `job_name`."""

HANDLERS = "handlers"
"""The collection of the handlers that processes registered; the name of a record is the handler's."""

Switch = Literal["off", "on"]
"""What a handler follows: a variant being switched off, or on again."""

JobState = Literal["pending", "running", "done", "failed", "superseded", "waived", "orphaned"]

UNFINISHED: frozenset[JobState] = frozenset({"pending", "running", "failed", "orphaned"})
"""The states in which something is left to do, or to decide."""

_ERROR_LIMIT = 500


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one handler for one variant of one flag."""

    handler: str
    flag: str
    variant: str
    switch: Switch = "off"
    epoch: str = ""
    """Of the flags that the generations below belong to."""
    done: int = 0
    """The newest generation that is settled: cleaned up after, or waived. -1: none, and generation 0 is due."""
    wanted: int = 0
    """The generation that is worked on, or was worked on last."""
    state: JobState = "done"
    """
    `pending`: to be run. `running`: a process is at it, or died at it. `failed`: every attempt raised, and nobody
    tries again before somebody says so. `superseded`: the flag was switched the other way before it was done.
    `waived`: somebody said that it need not be done. `orphaned`: no process that is alive knows the handler.
    """
    attempts: int = 0
    """How often the handler was begun for this generation."""
    limit: int = 0
    """How often it is begun at most."""
    since: int = 0
    """When this generation was first seen to be due."""
    next_at: int = 0
    """No attempt before this instant."""
    started: int = 0
    """When the last attempt began."""
    finished: int = 0
    """When the last attempt ended, or the job left the unfinished states otherwise."""
    error: str = ""
    """Of the last attempt that failed."""
    drained: str = ""
    """How the wait for old users of the flag ended before the last attempt; see `grayflow.cleanup.drain`."""
    owner: str = ""
    """Who runs it or ran it last, for people."""
    after: tuple[str, ...] = ()
    """The handlers that come first."""
    lonely: int = 0
    """Since when no process that is alive knows the handler; 0 while one does."""
    completed: int = 0
    """How often it was done since it was first registered."""
    superseded: int = 0
    """How often a newer switch overtook it."""
    actor: str = ""
    """Who retried or waived it last."""
    reason: str = ""
    """Why."""

    @property
    def name(self) -> str:
        """Of its record."""
        return job_name(self.handler, self.flag, self.variant)

    @property
    def unfinished(self) -> bool:
        """Whether something is left to do, or to decide."""
        return self.state in UNFINISHED

    def want(self, generation: int, *, epoch: str, after: tuple[str, ...], limit: int, now: int) -> "Job":
        """Aim at a generation, from the beginning; one that was unfinished is overtaken."""
        return Job(
            handler=self.handler,
            flag=self.flag,
            variant=self.variant,
            switch=self.switch,
            epoch=epoch,
            done=self.done,
            wanted=generation,
            state="pending",
            limit=limit,
            since=now,
            finished=self.finished,
            after=after,
            completed=self.completed,
            superseded=self.superseded + self.unfinished,
        )

    def begin(self, owner: str, *, drained: str, now: int) -> "Job":
        """Begin an attempt: counted now, so that one which takes its process down is counted too."""
        return structs.replace(
            self,
            state="running",
            attempts=self.attempts + 1,
            next_at=0,
            started=now,
            owner=owner,
            drained=drained,
            lonely=0,
        )

    def finish(self, now: int) -> "Job":
        """End an attempt well."""
        return structs.replace(
            self, state="done", done=self.wanted, finished=now, error="", completed=self.completed + 1
        )

    def fail(self, error: str, *, now: int, next_at: int | None) -> "Job":
        """End an attempt badly; `None`: there is no other attempt."""
        state: JobState = "failed" if next_at is None else "pending"
        return structs.replace(self, state=state, finished=now, error=_told(error), next_at=next_at or 0)

    def interrupt(self) -> "Job":
        """End an attempt that nothing can be said of: its process was closed."""
        return structs.replace(self, state="pending", attempts=max(0, self.attempts - 1))

    def supersede(self, now: int) -> "Job":
        """The flag was switched the other way."""
        return structs.replace(
            self, state="superseded", finished=now, next_at=0, lonely=0, superseded=self.superseded + 1
        )

    def leave_alone(self, now: int) -> "Job":
        """From now on no process knows the handler."""
        return structs.replace(self, lonely=now)

    def orphan(self) -> "Job":
        """No process knew the handler for too long."""
        return structs.replace(self, state="orphaned")

    def retry(self, *, actor: str, reason: str) -> "Job":
        """Somebody says: try again now, with all attempts."""
        return structs.replace(self, state="pending", attempts=0, next_at=0, lonely=0, actor=actor, reason=reason)

    def waive(self, *, actor: str, reason: str, now: int) -> "Job":
        """Somebody says: this need not be done for this generation."""
        return structs.replace(
            self, state="waived", done=self.wanted, finished=now, lonely=0, actor=actor, reason=reason
        )


class Registration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A fleet handler that some process registered.

    Kept so that it is noticed when a handler is wanted and no process knows it any more.
    """

    handler: str
    flags: tuple[str, ...]
    switch: Switch = "off"
    variant: str | None = None
    """`None`: every variant."""
    after: tuple[str, ...] = ()
    limit: int = 0
    """How often it is begun at most."""

    def covers(self, flag: str, variant: str) -> bool:
        """Whether a job of this flag and variant is its own."""
        return flag in self.flags and self.variant in (None, variant)


def first_mark(switch: Switch) -> int:
    """
    Return what is `done` where nothing was ever done.

    Generation 0 is no switch-off. Of switch-ons it names the time before the first switch-off.
    """
    return 0 if switch == "off" else -1


def job_name(handler: str, flag: str, variant: str) -> str:
    """Return the name of a job's record. Contract: never changed."""
    name = f"{handler} {flag} {variant}"
    if len(name.encode()) <= 1000:  # what a board allows
        return name
    return f"{handler} {flag} sha256:{hashlib.sha256(variant.encode()).hexdigest()}"


def read_job(value: bytes) -> Job | None:
    """Return what a record holds, `None` if it is no job that this release can read."""
    try:
        return msgspec.json.decode(value, type=Job)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def read_registration(value: bytes) -> Registration | None:
    """Return what a record holds, `None` if it is no registration that this release can read."""
    try:
        return msgspec.json.decode(value, type=Registration)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _told(error: str) -> str:
    """Shorten an error's text, and leave out what JSON cannot hold."""
    clean = error.encode(errors="replace").decode()
    return clean if len(clean) <= _ERROR_LIMIT else clean[: _ERROR_LIMIT - 3] + "..."
