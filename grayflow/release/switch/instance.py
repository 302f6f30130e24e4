"""
One opened implementation, and who uses it: it is closed when nobody does any more.

Calls come from any thread, closing happens in the loop. No lock: a call first enters its name and then looks whether
the instance is being closed, while closing first says so and then looks at the names; one of the two sees the other.
"""

import asyncio
from typing import Generic, TypeVar

import anyio

__all__ = ["Instance", "Use"]

S = TypeVar("S")


class Instance(Generic[S]):
    """
    An implementation that is open.

    Args:
        variant: Whose it is.
        value: The implementation.
    """

    __slots__ = ("_holders", "_loop", "_users", "closing", "moved", "retired", "touched", "value", "variant")

    def __init__(self, variant: str, value: S) -> None:
        self.variant, self.value = variant, value
        self.retired = False
        """Whether it is to be closed as soon as nobody uses it."""
        self.closing = False
        """Whether nobody may begin to use it any more."""
        self.touched = True
        """Whether somebody began to use it since this was last set to False."""
        self.moved = anyio.Event()
        """Set when it is worth looking again whether it can be closed."""
        self._users: set[Use[S]] = set()
        self._holders: set[object] = set()
        self._loop = asyncio.get_running_loop()

    def enter(self) -> "Use[S] | None":
        """Begin a call; `None` if it is too late."""
        use = Use(self)
        self._users.add(use)
        if self.closing:
            self.leave(use)
            return None
        self.touched = True
        return use

    def leave(self, use: "Use[S]") -> None:
        """End a call."""
        self._users.discard(use)
        if self.retired:
            self.wake()

    def hold(self, holder: object) -> None:
        """Keep it open for a unit of work, which may go on to call it."""
        self._holders.add(holder)

    def drop(self, holder: object) -> None:
        """End a unit of work."""
        self._holders.discard(holder)
        if self.retired:
            self.wake()

    @property
    def users(self) -> int:
        """How many calls are going on."""
        return len(self._users)

    @property
    def idle(self) -> bool:
        """Whether there is neither a call nor a unit of work that may make one."""
        return not self._users and not self._holders

    def wake(self) -> None:
        """Let it be looked at again, from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.moved.set)

    def close(self, *, holders_too: bool) -> bool:
        """
        Let nobody begin to use it any more, if nobody does.

        Args:
            holders_too: Whether units of work keep it open, and not only calls.
        """
        self.closing = True
        if self._users or (holders_too and self._holders):
            self.closing = False
        return self.closing


class Use(Generic[S]):
    """One call that is going on."""

    __slots__ = ("instance", "value")

    def __init__(self, instance: Instance[S]) -> None:
        self.instance, self.value = instance, instance.value

    def leave(self) -> None:
        """End it; more often is harmless."""
        self.instance.leave(self)
