"""The part of `Admin` that knows what is left to do after switches, and says what is to become of it."""

from collections.abc import Callable, Mapping

import msgspec

from grayflow.admin.desk import Desk
from grayflow.errors import ConfigurationError, ConflictError
from grayflow.store.board import Board, Record
from grayflow.store.fleet import read_fleet
from grayflow.store.jobs import HANDLERS, JOBS, Job, read_job

__all__ = ["JobVerbs"]

_TRIES = 10


class JobVerbs(Desk):
    """Reads and decides about the jobs of cleanup handlers; see `Desk` for how it is opened."""

    async def jobs(self, key: str | None = None) -> tuple[Job, ...]:
        """
        Return the jobs of the fleet's handlers, unfinished ones first, then by flag, variant and handler.

        There is one for each handler, flag and variant that was ever due, and it says how the newest switch went.
        What handlers with `scope="process"` do is not there: `Client.health.cleanup` of each process tells.

        Args:
            key: Only of this flag.

        Raises:
            ConfigurationError: the store has no board.
        """
        found = await self._job_board().list(JOBS)
        jobs = (read_job(record.value) for record in found.records.values())
        wanted = [job for job in jobs if job is not None and key in (None, job.flag)]
        return tuple(sorted(wanted, key=lambda job: (not job.unfinished, job.flag, job.variant, job.handler)))

    async def retry(self, handler: str, key: str, variant: str | None = None, *, reason: str = "") -> tuple[Job, ...]:
        """
        Let a job be tried again now, with all its attempts, for example a dead letter after a correction.

        A process that has the handler takes it up within seconds. What is running already is left alone.

        Args:
            handler: Its name.
            key: The flag.
            variant: Only of this variant; of all if left out.
            reason: Kept with the job, beside who said so.

        Returns:
            The jobs as they are recorded now.

        Raises:
            ConfigurationError: there is no unfinished job of that handler, or it is running.
        """
        return await self._decide(handler, key, variant, lambda job, _: job.retry(actor=self.actor, reason=reason))

    async def waive(self, handler: str, key: str, variant: str | None = None, *, reason: str) -> tuple[Job, ...]:
        """
        Say that a job need not be done for the present switch; the next switch-off makes it due again.

        If no process that is alive has the handler, it is forgotten as well and will not be missed again, until a
        process registers it.

        Args:
            handler: Its name.
            key: The flag.
            variant: Only of this variant; of all if left out.
            reason: Why: kept with the job, beside who said so.

        Returns:
            The jobs as they are recorded now.

        Raises:
            ConfigurationError: there is no unfinished job of that handler, or no reason is given.
        """
        if not reason.strip():
            raise ConfigurationError(f"job {handler!r} was not waived: say why it need not be done (reason=)")
        waived = await self._decide(
            handler,
            key,
            variant,
            lambda job, now: job.waive(actor=self.actor, reason=reason, now=now),
            running=True,
        )
        board = self._job_board()
        if not any(handler in process.handlers for process in (await read_fleet(board)).processes):
            await board.delete(HANDLERS, handler)
        return waived

    async def _decide(
        self,
        handler: str,
        key: str,
        variant: str | None,
        change: Callable[[Job, int], Job],
        *,
        running: bool = False,
    ) -> tuple[Job, ...]:
        board = self._job_board()
        found = await board.list(JOBS)
        jobs = [
            job
            for job in map(read_job, (record.value for record in found.records.values()))
            if job is not None and (job.handler, job.flag) == (handler, key) and variant in (None, job.variant)
        ]
        if not any(job.unfinished for job in jobs):
            raise ConfigurationError(_nothing(handler, key, variant, jobs))
        if not running:
            _refuse_running(jobs, found.records, found.now)
        return tuple([await self._changed(board, job.name, change) for job in jobs if job.unfinished])

    async def _changed(self, board: Board, name: str, change: Callable[[Job, int], Job]) -> Job:
        """Change a job as it is recorded now, however often others write meanwhile."""
        version = 0
        for _ in range(_TRIES):
            record = await board.get(JOBS, name)
            job = None if record is None else read_job(record.value)
            if record is None or job is None:
                raise ConfigurationError(f"job {name!r} is not there any more: somebody emptied the board")
            if not job.unfinished:
                return job  # it was finished while we looked
            changed, version = change(job, await board.now()), record.version
            if await board.put(JOBS, name, msgspec.json.encode(changed), expected=version) is not None:
                return changed
        raise ConflictError(name, expected=version, actual=version + 1, kind="job")

    def _job_board(self) -> Board:
        board = self.store.board
        if board is None:
            raise ConfigurationError(f"{self.store.no_board}; so there are no jobs")
        return board


def _nothing(handler: str, key: str, variant: str | None, jobs: list[Job]) -> str:
    what = f"handler {handler!r} for flag {key!r}" + ("" if variant is None else f", variant {variant!r}")
    if not jobs:
        return f"there is no job of {what}; `grayflow jobs` lists those there are"
    states = ", ".join(f"{job.variant!r} is {job.state}" for job in jobs)
    return f"nothing is left to do of {what}: {states}"


def _refuse_running(jobs: list[Job], records: Mapping[str, Record], now: int) -> None:
    for job in jobs:
        lease = records[job.name].lease
        if job.state == "running" and lease is not None and lease.until > now:
            raise ConfigurationError(
                f"handler {job.handler!r} for flag {job.flag!r}, variant {job.variant!r} is running now, in {job.owner}"
            )
