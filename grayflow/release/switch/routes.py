"""
Where the calls of a proxy go while its switch runs: to what the flag chooses, or always to one variant.

A proxy outlives the blocks of its switch, so what runs is looked up with each call.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from grayflow.errors import LifetimeError
from grayflow.release.running import Running
from grayflow.release.switch.choice import SelectionReason
from grayflow.release.switch.instance import Use
from grayflow.release.switch.proxy import Route
from grayflow.release.switch.rack import Rack
from grayflow.release.switch.streams import Leave

__all__ = ["Chosen", "Fixed", "RackPart", "Seat"]

S = TypeVar("S")


class Seat(Generic[S]):
    """
    Where a switch keeps what runs.

    Args:
        flag: For messages.
    """

    __slots__ = ("flag", "rack", "running")

    def __init__(self, flag: str) -> None:
        self.flag = flag
        self.rack: Rack[S] | None = None
        self.running: Running | None = None

    def taken(self) -> Rack[S]:
        """
        Return what runs.

        Raises:
            LifetimeError: nothing does.
        """
        if self.rack is None:
            raise LifetimeError(
                f"the switch of flag {self.flag!r} is not running; use it inside: async with switch.running(flags):"
            )
        return self.rack

    def leave(self, use: Use[Any], inner: Any) -> None:
        """End a stream that was dropped halfway; from any thread."""
        loop = None if self.running is None else self.running.loop
        if loop is None or loop.is_closed():
            use.leave()
        else:
            loop.call_soon_threadsafe(self._end, use, inner)

    def _end(self, use: Use[Any], inner: Any) -> None:
        if self.running is None or not self.running.spawn(_ended, use, inner, name=f"switch {self.flag} stream"):
            use.leave()


async def _ended(use: Use[Any], inner: Any) -> None:
    try:
        if hasattr(inner, "aclose"):
            await inner.aclose()
    except RuntimeError:  # somebody else still runs it, and will end it
        return
    finally:
        use.leave()


class RackPart(Generic[S]):
    """
    A switch as what runs inside of a block.

    Args:
        seat: Where it is kept.
        make: Returns what is to run.
    """

    def __init__(self, seat: Seat[S], make: Callable[[], Rack[S]]) -> None:
        self._seat, self._make = seat, make
        self._rack: Rack[S] | None = None

    async def open(self, running: Running) -> None:
        """See `grayflow.release.running.Part`."""
        if self._seat.rack is not None:
            raise LifetimeError(f"the switch of flag {self._seat.flag!r} is running already; make another one")
        self._rack = self._make()
        self._seat.rack, self._seat.running = self._rack, running
        await self._rack.open(running)

    async def close(self) -> None:
        """See `grayflow.release.running.Part`."""
        if self._rack is not None:
            await self._rack.close()

    def over(self, failure: Exception | None) -> None:
        """See `grayflow.release.running.Part`."""
        if self._rack is not None:
            self._rack.over(failure)
            self._seat.rack = self._seat.running = None


class Chosen(Route, Generic[S]):
    """The way that the flag chooses."""

    def __init__(self, seat: Seat[S]) -> None:
        self._seat = seat

    def enter(self) -> Use[S] | None:
        """See `Route`."""
        rack = self._seat.rack
        return None if rack is None else rack.enter()

    async def enter_slowly(self) -> Use[S]:
        """See `Route`."""
        return await self._seat.taken().enter_slowly()

    def enter_now(self) -> Use[S]:
        """See `Route`."""
        return self._seat.taken().enter_now()

    @property
    def leave(self) -> Leave:
        """See `Route`."""
        return self._seat.leave


class Fixed(Route, Generic[S]):
    """The way to one variant, or to the default while that cannot be opened."""

    def __init__(self, seat: Seat[S], variant: str) -> None:
        self._seat, self._variant = seat, variant

    def enter(self) -> Use[S] | None:
        """See `Route`."""
        rack = self._seat.rack
        return None if rack is None else rack.slots[self._variant].enter()

    async def enter_slowly(self) -> Use[S]:
        """See `Route`."""
        use: Use[S] | None = None
        while use is None:
            instance, _ = await self._seat.taken().instance(self._variant, SelectionReason.DECIDED)
            use = instance.enter()
        return use

    def enter_now(self) -> Use[S]:
        """See `Route`."""
        use: Use[S] | None = None
        while use is None:
            instance, _ = self._seat.taken().instance_now(self._variant, SelectionReason.DECIDED)
            use = instance.enter()
        return use

    @property
    def leave(self) -> Leave:
        """See `Route`."""
        return self._seat.leave
