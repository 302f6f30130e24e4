"""
How long one big answer may take.

A time-out of two seconds finds a dead server, and would cut ten megabytes on a slow link, for ever. redis-py counts
from the first byte to the last and cannot see that bytes keep flowing. So a big answer is read without a time-out
while somebody else keeps asking the server a small question on another connection: as long as that is answered and
bytes come, the big one may go on, up to `LIMIT_S`. Three unanswered questions in a row are a dead server; three,
because a question may queue behind the very bytes it is asked about. Three answered ones between which not a byte came
are a dead connection: a firewall may forget one connection and leave the others alone.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from grayflow.clock import Clock

__all__ = ["LIMIT_S", "patiently"]

T = TypeVar("T")

LIMIT_S = 120.0
"""After this long an answer is given up although the server lives. Ten megabytes at 1 Mbit/s take 80 s."""

_UNANSWERED = 3
_STUCK = 3


async def patiently(
    answer: Callable[[], Awaitable[T]],
    probe: Callable[[], Awaitable[object]],
    received: Callable[[], int],
    *,
    every_s: float,
    clock: Clock,
) -> T:
    """
    Await `answer()` as long as `probe()` succeeds and `received()` changes.

    Args:
        answer: The big question.
        probe: A small question, bounded in time, that raises if it is not answered.
        received: Tells how much of the answer has come.
        every_s: Seconds between probes.
        clock: By whose time.

    Raises:
        Exception: what `answer` raised, or the third `probe` in a row.
        TimeoutError: `LIMIT_S` have passed, or no more of the answer comes.
    """
    result: list[T] = []
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            nonlocal failure
            failed, stuck, had = 0, 0, received()
            while failed < _UNANSWERED and stuck < _STUCK:
                await clock.sleep(every_s)
                try:
                    await probe()
                except Exception as error:  # noqa: BLE001 - raised below, outside of the group
                    failed, failure = failed + 1, error
                    continue
                failed, failure = 0, None
                has = received()
                stuck, had = (stuck + 1 if has == had else 0), has
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch, name="grayflow load watch")
        try:
            with anyio.fail_after(LIMIT_S):
                result.append(await answer())
        except Exception as error:  # noqa: BLE001 - raised below, or the group would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if result:
        return result[0]
    if failure is None:
        raise TimeoutError
    raise failure
