"""
Comparing behind an interface: the variants of a switch beside whatever answers, for operations that only read.

Business code goes on with an object of the interface and does not know. What is not marked as reading is passed on and
never done twice; called by a candidate, it is refused.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial, update_wrapper
from typing import Any, TypeVar

from grayflow.release.parallel.candidate import Uncompared
from grayflow.release.parallel.shadow import refuse_in_shadow
from grayflow.release.switch.interface import Kind, Member
from grayflow.release.switch.proxy import Calls, make_proxy
from grayflow.release.switch.switch import ImplementationSwitch

__all__ = ["Ask", "compared_proxy"]

S = TypeVar("S")

Ask = Callable[[Callable[..., Any], Callable[[], Mapping[str, Callable[..., Any]]], Any, Any], Awaitable[Any]]
"""Asks a control and its candidates, which are looked up if the call is sampled."""


def compared_proxy(
    switch: ImplementationSwitch[S],
    control: S,
    candidates: tuple[str, ...],
    reading: frozenset[str],
    ask: Ask,
    told: str,
) -> S:
    """
    Return an object of the interface.

    Args:
        switch: Has the candidates.
        control: Answers.
        candidates: Variants.
        reading: The members that are compared.
        ask: Asks.
        told: What `repr` says.
    """
    made: S = make_proxy(switch.interface, _Compared(switch, control, candidates, reading, ask), told)
    return made


class _Compared(Calls):
    """Makes members: async methods that only read are compared, all else is the control's own."""

    def __init__(
        self,
        switch: ImplementationSwitch[Any],
        control: Any,
        candidates: tuple[str, ...],
        reading: frozenset[str],
        ask: Ask,
    ) -> None:
        super().__init__(switch.route())
        self._switch, self._control, self._candidates = switch, control, candidates
        self._reading, self._ask = reading, ask

    def make(self, member: Member) -> Any:
        """See `Calls`."""
        if member.name in self._reading and member.kind is Kind.ASYNC and member.gives is None:
            return update_wrapper(self.asynchronous(member), member.function, updated=())
        return property(self._passed_on(member), doc=f"Of whoever answers: see {member.name!r} there.")

    def asynchronous(self, member: Member) -> Callable[..., Any]:
        """Make an async method that is compared."""
        name, control, ask = member.name, self._control, self._ask
        candidates = partial(self._others, name)

        async def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            return await ask(getattr(control, name), candidates, args, kwargs)

        return call

    def _passed_on(self, member: Member) -> Callable[[Any], Any]:
        control, name = self._control, member.name
        # A stream that only reads cannot be compared, and may be read by a candidate all the same.
        refuses = member.kind is not Kind.ATTRIBUTE and name not in self._reading
        what = f"{self._switch.interface.name}.{name}"

        def passed_on(_: Any) -> Any:
            if refuses:
                refuse_in_shadow(what)
            return getattr(control, name)

        return passed_on

    def _others(self, name: str) -> dict[str, Callable[..., Any]]:
        """Return the candidates for one call; whoever answers it anyway is told so when it is asked."""
        serves = self._serving()
        return {
            variant: _serves if variant == serves else partial(self._call, variant, name)
            for variant in self._candidates
        }

    def _serving(self) -> str:
        """Return the variant that the flag chose for this place of the program, without choosing for it."""
        rack = self._switch.rack()
        held = rack.held()
        if held is not None and held.variant is not None:
            return held.variant
        return ((held and held.choice) or rack.choose()).variant

    async def _call(self, variant: str, name: str, /, *args: Any, **kwargs: Any) -> Any:
        route = self._switch.fixed(variant)
        use = route.enter() or await route.enter_slowly()
        try:
            if use.instance.variant != variant:  # the default, in its place
                raise Uncompared("not_open")
            return await getattr(use.value, name)(*args, **kwargs)
        finally:
            use.leave()


def _serves(*_: Any, **__: Any) -> None:
    raise Uncompared("serves")
