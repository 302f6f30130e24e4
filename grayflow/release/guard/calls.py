"""The members of a guarded proxy: where the flag chose the new implementation, the guard makes the call."""

from collections.abc import Callable, Mapping
from typing import Any

from grayflow.release.guard.attempt import Attempts, Call
from grayflow.release.guard.items import guarded_items
from grayflow.release.switch.instance import Use
from grayflow.release.switch.interface import Member
from grayflow.release.switch.proxy import Calls, Route, started
from grayflow.release.switch.streams import Stream

__all__ = ["GuardedCalls"]


class GuardedCalls(Calls):
    """
    Makes members that are guarded: methods and async iterators. Blocks and attributes go where the flag says.

    Args:
        route: Where the flag says.
        attempts: Makes guarded calls.
        repeatable: For each member, whether the old implementation may do what the new one failed at.
    """

    def __init__(self, route: Route, attempts: Attempts, repeatable: Mapping[str, bool]) -> None:
        super().__init__(route)
        self._attempts, self._repeatable = attempts, repeatable

    def asynchronous(self, member: Member) -> Callable[..., Any]:
        """See `Calls`."""
        if member.gives is not None:
            return super().asynchronous(member)
        name, repeatable, attempts = member.name, self._repeatable[member.name], self._attempts
        new, meter, enter, enter_slowly = attempts.rules.new, attempts.meter, self.route.enter, self.route.enter_slowly

        async def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            use = enter() or await enter_slowly()
            if use.instance.variant == new:
                return await attempts.run(use, Call(name, args, kwargs, repeatable=repeatable))
            if meter is not None:
                return await meter.run(use, name, args, kwargs)
            try:
                return await getattr(use.value, name)(*args, **kwargs)
            finally:
                use.leave()

        return call

    def synchronous(self, member: Member) -> Callable[..., Any]:
        """See `Calls`."""
        name, repeatable, attempts = member.name, self._repeatable[member.name], self._attempts
        new, meter, enter_now = attempts.rules.new, attempts.meter, self.route.enter_now

        def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            use = enter_now()
            if use.instance.variant == new:
                return attempts.run_now(use, Call(name, args, kwargs, repeatable=repeatable))
            if meter is not None:
                return meter.run_now(use, name, args, kwargs)
            try:
                return getattr(use.value, name)(*args, **kwargs)
            finally:
                use.leave()

        return call

    def stream(self, member: Member) -> Callable[..., Any]:
        """See `Calls`."""
        name, repeatable, attempts, route = member.name, self._repeatable[member.name], self._attempts, self.route

        def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            asked = Call(name, args, kwargs, repeatable=repeatable)

            async def begin() -> tuple[Use[Any], Any]:
                use = route.enter() or await route.enter_slowly()
                if use.instance.variant == attempts.rules.new:
                    return use, guarded_items(attempts, use, asked)
                return started(use, lambda: aiter(asked.of(use)))

            return Stream(begin, route.leave)

        return call
