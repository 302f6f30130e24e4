"""A parallel run whose flag is on for everybody, and what it published."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from anyio.lowlevel import checkpoint

from grayflow import Client
from grayflow.release import Observation, ParallelOutcome, ParallelRun
from tests.release.kit import PATIENCE_S

FLAG = "exp.users"


def answers(value: Any, *, turns: int = 1) -> Callable[..., Any]:
    """Return a function that returns a value, after it has let others run."""

    async def answer(*_: Any, **__: Any) -> Any:
        for _ in range(turns):
            await checkpoint()
        return value

    return answer


def fails(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises."""

    async def answer(*_: Any, **__: Any) -> Any:
        await checkpoint()
        raise error

    return answer


class Bench:
    """Makes runs, and remembers what they published."""

    def __init__(self, flags: Client | None = None) -> None:
        self.flags = flags or Client("memory://")
        self.published: list[Observation] = []

    @asynccontextmanager
    async def running(self, *, on: bool = True, **options: Any) -> AsyncIterator[ParallelRun[Any]]:
        """A run in its block, with the flag overridden."""
        # A busy machine makes candidates slow, and that is not what most tests are about.
        given = {"publish": self.published.append, "timeout": PATIENCE_S, **options}
        run = ParallelRun[Any]("users", flag=FLAG, **given)
        async with run.running(self.flags):
            with self.flags.override({FLAG: on}):
                yield run


def outcomes(run: ParallelRun[Any], candidate: str = "new") -> dict[ParallelOutcome, int]:
    """Return what came of a candidate."""
    return dict(run.counts.outcomes.get(candidate, {}))
