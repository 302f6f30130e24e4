"""
Telling two cancellations apart: somebody wants this task to end, or what it awaited was cancelled.

`CancelledError` says both. The second comes from the application's own code, which awaits a task that it has just
cancelled, or one that it shares with somebody who was; taken for the first it ends a loop that nobody meant to end.
"""

import asyncio
import math

import anyio

__all__ = ["cancelled_from_within"]


def cancelled_from_within() -> bool:
    """Tell, where a `CancelledError` was caught, that nobody has cancelled this task: neither natively nor by scope."""
    task = asyncio.current_task()
    natively = task is not None and task.cancelling() > 0
    return not natively and anyio.current_effective_deadline() != -math.inf
