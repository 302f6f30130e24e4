"""
Who may use a store, and when.

Every adapter has to refuse the same four misuses in the same words, so the counting stands here once: the blocks
that hold the store, the loop they run in and the process that opened it. A forked child is refused because it would
share the parent's sockets and file locks.
"""

import os
from asyncio import AbstractEventLoop, get_running_loop

from grayflow.errors import LifetimeError

__all__ = ["Lifetime"]


class Lifetime:
    """The blocks that hold one store. `name` is what messages call it, such as `RedisStore`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._blocks = 0
        self._loop: AbstractEventLoop | None = None
        self._process = 0

    def enter(self) -> bool:
        """
        Count one more block.

        Returns:
            Whether it is the first, and what the store works with has to be made.

        Raises:
            LifetimeError: held in another loop, or by the process that this one was forked from.
        """
        if self._blocks:
            self._check_process()
        loop = get_running_loop()
        if self._blocks and self._loop is not None and self._loop.is_closed():
            self._blocks = 0  # that loop ended without leaving the block; nothing can use its connections any more
        if self._blocks:
            self._check_loop(loop)
        self._loop, self._process = loop, os.getpid()
        self._blocks += 1
        return self._blocks == 1

    def leave(self) -> bool:
        """Count one block less; true if it was the last, and the store has to be closed. More often is harmless."""
        last = self._blocks == 1
        self._blocks = max(0, self._blocks - 1)
        return last

    def check(self) -> None:
        """
        Pass if the caller may use the store now; every verb begins with this.

        Raises:
            LifetimeError: before entering, after leaving, in another loop or in a forked child.
        """
        if not self._blocks:
            raise LifetimeError(f"this {self._name} is not open; use it inside: async with {self._name}(...) as store:")
        self._check_process()  # first: in a forked child asyncio says that no loop is running
        self._check_loop(get_running_loop())

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise LifetimeError(
                f"this {self._name} was opened by process {self._process}, from which this one ({os.getpid()}) "
                "was forked; make a new one after the fork"
            )

    def _check_loop(self, loop: AbstractEventLoop) -> None:
        if self._loop is not loop:
            raise LifetimeError(f"this {self._name} was opened in another event loop; make one for each loop")
