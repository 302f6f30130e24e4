"""
What happens to running clients in a process that is forked from theirs.

The child has the memory and nothing else: no tasks, and sockets that are its parent's. Its clients answer from memory
and say so. What they hold is parked for good, because an inherited transport that is garbage-collected deregisters
the parent's socket from the poller that both share, and the parent goes deaf.
"""

import os
from functools import cache
from typing import Protocol
from weakref import WeakSet

__all__ = ["Forked", "watch_forks"]


class Forked(Protocol):
    """What is told of a fork."""

    def fork(self) -> object:
        """Go on in the child as well as one can, and return what must never be garbage-collected there."""


def watch_forks(running: Forked) -> None:
    """Call `running.fork()` in every child process that is forked while `running` lives."""
    _watch().running.add(running)


class _Watch:
    def __init__(self) -> None:
        self.running: WeakSet[Forked] = WeakSet()
        self._parked: list[object] = []
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        for each in list(self.running):
            self._parked += (each, each.fork())
        self.running.clear()


@cache
def _watch() -> _Watch:
    # A process forks as a whole, and what is registered for it cannot be taken back: so there is one for all clients.
    return _Watch()
