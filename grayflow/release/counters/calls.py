"""The members of a counted proxy: async methods and methods are counted, everything else goes where the flag says."""

from collections.abc import Callable
from typing import Any

from grayflow.release.counters.meter import Meter
from grayflow.release.switch.interface import Member
from grayflow.release.switch.proxy import Calls, Route

__all__ = ["CountedCalls"]


class CountedCalls(Calls):
    """
    Makes members whose calls are counted.

    Args:
        route: Where the flag says.
        meter: Counts.
    """

    def __init__(self, route: Route, meter: Meter) -> None:
        super().__init__(route)
        self._meter = meter

    def asynchronous(self, member: Member) -> Callable[..., Any]:
        """See `Calls`."""
        if member.gives is not None:
            return super().asynchronous(member)
        name, enter, enter_slowly, run = member.name, self.route.enter, self.route.enter_slowly, self._meter.run

        async def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            return await run(enter() or await enter_slowly(), name, args, kwargs)

        return call

    def synchronous(self, member: Member) -> Callable[..., Any]:
        """See `Calls`."""
        name, enter_now, run_now = member.name, self.route.enter_now, self._meter.run_now

        def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            return run_now(enter_now(), name, args, kwargs)

        return call
