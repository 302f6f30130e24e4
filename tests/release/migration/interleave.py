"""
Every order in which the store calls of a few tasks can happen, one after the other.

Each call waits at a turnstile until it is let through, and only when all tasks wait is one of them chosen. The choices
of one run are a list of numbers; counting through all such lists goes through every order and misses none.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

__all__ = ["Turnstile", "orders"]

_TASK: ContextVar[str | None] = ContextVar("task", default=None)

Work = Callable[[], Awaitable[object]]


class Turnstile:
    """
    Runs tasks in one order.

    Args:
        choices: Which of the waiting tasks goes first, each time that there is a choice; afterwards the first.
    """

    def __init__(self, choices: Sequence[int] = ()) -> None:
        self.made: list[tuple[int, int]] = []
        """Of each choice, which task went, and of how many."""
        self.calls: list[str] = []
        self.errors: dict[str, Exception] = {}
        self._choices = choices
        self._waiting: dict[str, anyio.Event] = {}
        self._alive: set[str] = set()

    async def step(self, what: str) -> None:
        """Wait to be let through; what belongs to no task goes at once."""
        name = _TASK.get()
        if name is None:
            return
        self._waiting[name] = anyio.Event()
        await self._waiting[name].wait()
        self.calls.append(f"{name}: {what}")

    def around(self, side: str, store: Any) -> Any:
        """Return a store whose calls wait."""
        return _Stepped(self, side, store)

    async def run(self, **works: Work) -> None:
        """Run all of them to their ends."""
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for name, work in works.items():
                    self._alive.add(name)
                    tasks.start_soon(partial(self._task, name, work))
                while self._alive:
                    await checkpoint()
                    if self._waiting.keys() >= self._alive and self._alive:
                        self._let_one_through()

    async def _task(self, name: str, work: Work) -> None:
        _TASK.set(name)
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.errors[name] = error
        finally:
            self._alive.discard(name)

    def _let_one_through(self) -> None:
        names = sorted(self._waiting)
        number = len(self.made)
        choice = self._choices[number] if number < len(self._choices) else 0
        self.made.append((choice, len(names)))
        self._waiting.pop(names[choice]).set()


class _Stepped:
    def __init__(self, turnstile: Turnstile, side: str, store: Any) -> None:
        self.inner, self._turnstile, self._side = store, turnstile, side

    def __getattr__(self, verb: str) -> Any:
        work = getattr(self.inner, verb)

        async def call(*args: Any) -> Any:
            await self._turnstile.step(f"{self._side}.{verb}")
            return await work(*args)

        return call


def orders() -> Iterator[Turnstile]:
    """Go through all orders; each turnstile has to be run before the next is asked for."""
    choices: list[int] | None = []
    while choices is not None:
        turnstile = Turnstile(choices)
        yield turnstile
        choices = _next(turnstile.made)


def _next(made: Sequence[tuple[int, int]]) -> list[int] | None:
    """Return the choices of the run after this one: the last that can be another one is."""
    taken = [choice for choice, _ in made]
    for number in range(len(made) - 1, -1, -1):
        if taken[number] + 1 < made[number][1]:
            return [*taken[:number], taken[number] + 1]
    return None
