"""The face of a guard: the new implementation as long as it is good, the old one otherwise."""

import random as randomness
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar
from weakref import WeakSet

import msgspec

from grayflow.client.asking import AnyContext
from grayflow.client.client import Client
from grayflow.clock import Clock
from grayflow.core.flag import Flag
from grayflow.errors import ConfigurationError, LifetimeError
from grayflow.release.counters.counters import Counters
from grayflow.release.guard.attempt import Attempts, Call, Rules
from grayflow.release.guard.breaker import Breaker, BreakerState, Transition
from grayflow.release.guard.calls import GuardedCalls
from grayflow.release.guard.events import EventKind, GuardHandler, Herald
from grayflow.release.guard.marks import Fallback, repeatable
from grayflow.release.guard.outcome import Errors, Outcome, checked_errors
from grayflow.release.guard.patrol import Beat, Patrol
from grayflow.release.guard.policy import BreakerPolicy
from grayflow.release.guard.quorum import FleetTrip
from grayflow.release.guard.window import Totals
from grayflow.release.running import Running
from grayflow.release.switch.choice import Selection, SelectionReason
from grayflow.release.switch.interface import Kind
from grayflow.release.switch.proxy import Route, make_proxy
from grayflow.release.switch.switch import ImplementationSwitch
from grayflow.store.given import Duration, checked_clock, refuse_async, refused, seconds

__all__ = ["FallbackGuard", "GuardStatus"]

S = TypeVar("S")

_LEAVE_S = 2.0
_DEFAULT_POLICY = BreakerPolicy()


class GuardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a guard is doing, in this process."""

    state: BreakerState
    reopens_in_s: float
    """For how long an open breaker lets nothing through; then it is probed by the next call."""
    trips: int
    """How often it has opened since it was last closed."""
    window: Totals
    """What it goes by while it is closed."""
    outcomes: Mapping[Outcome, int]
    """Of all calls of the new implementation."""
    fallbacks: int
    """How often the old implementation answered for the new one that had failed."""
    turned_away: int
    """How often the breaker let a call go to the old implementation at once."""


class FallbackGuard(Generic[S]):
    """
    Calls the new implementation where the flag of a switch says so, and the old one where that fails.

        guard = FallbackGuard(switch, new="redis", old="file", timeout=0.2, safe=["get"])
        async with switch.running(flags):
            cache = guard.proxy()       # instead of switch.proxy()
            await cache.get("k")

    Where the flag chose the new implementation, it is called under `timeout`. If it fails, the old one answers, within
    what is left of `deadline`, for operations that may be repeated: those marked `@safe` or `@idempotent` in the
    interface, or named here. Of others the caller gets the error: a call that timed out may have been done. If the old
    one fails too, the caller gets its error, with the other as its cause. Where the flag chose the old implementation,
    nothing is added.

    A breaker counts what comes of the new implementation, in this process and without any store. Once too much of it
    is failure (`BreakerPolicy`), calls go to the old one at once, until some probes have succeeded. Cancelled callers,
    errors that are none, and outages of both sides do not count. With `fleet`, breakers that are open in enough
    processes switch the flag off.

    Methods and async iterators (up to their first item, without a timeout) are guarded; context managers, iterators
    and attributes go where the flag says. A synchronous method cannot be interrupted: it is guarded without a timeout.

    Args:
        switch: Has both implementations, and runs while the guard is used.
        new: The variant that is guarded.
        old: The variant that answers in its place.
        timeout: How long the new implementation may take; `None`: for ever.
        deadline: How long the whole call may take; `None`: the old implementation takes the time that it takes.
        failures: Exceptions that count as failures. Others say nothing, and are the caller's.
        ignore: Exceptions that do not count even so, such as the `KeyError` of something that is not there.
        slow_call: A call that took longer counts as slow; `None`: none does.
        breaker: When it opens and closes.
        fallback: `"if_safe"`; `"never"`; or `"always"`: every operation may be repeated.
        safe: Names of members that only read.
        idempotent: Names of members that may be done twice.
        fleet: When the flag is switched off; needs `running`.
        counters: Count the calls of methods of both sides, while they are running; what the old one answered for the
            new one that failed is a failure of the new one.
        on_event: Called with each `GuardEvent`; quick and synchronous.
        clock: The time; for tests.
        random: Draws from `[0, 1)`, for jitter; for tests.

    Raises:
        ConfigurationError: an argument cannot be used; the text names it and what is allowed.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and one place to look is worth more than few
        self,
        switch: ImplementationSwitch[S],
        *,
        new: str,
        old: str,
        timeout: Duration | None = 1.0,
        deadline: Duration | None = None,
        failures: Errors | type[Exception] = (Exception,),
        ignore: Errors | type[Exception] = (),
        slow_call: Duration | None = None,
        breaker: BreakerPolicy = _DEFAULT_POLICY,
        fallback: Fallback = "if_safe",
        safe: Iterable[str] = (),
        idempotent: Iterable[str] = (),
        fleet: FleetTrip | None = None,
        counters: Counters | None = None,
        on_event: GuardHandler | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        if not isinstance(switch, ImplementationSwitch):
            raise refused("switch", switch, "give an ImplementationSwitch")
        _check_variants(switch, new, old)
        _check_policy(breaker, fleet)
        if counters is not None and not isinstance(counters, Counters):
            raise refused("counters", counters, "give grayflow.release.Counters(...), or leave it out")
        if on_event is not None and not callable(on_event):
            raise refused("on_event", on_event, "give a function of a GuardEvent, or leave it out")
        refuse_async("on_event", on_event)
        self.switch, self.new, self.old = switch, new, old
        rules = Rules(
            flag=switch.flag,
            new=new,
            old=old,
            timeout_s=None if timeout is None else seconds("timeout", timeout),
            deadline_s=None if deadline is None else seconds("deadline", deadline),
            failures=checked_errors("failures", failures),
            ignore=checked_errors("ignore", ignore),
            slow_call_s=None if slow_call is None else seconds("slow_call", slow_call),
        )
        self._repeatable = repeatable(switch.interface, fallback, safe, idempotent)
        self._clock, self._random, self._fleet = checked_clock(clock), random, fleet
        self._herald = Herald(switch.flag, new, on_event)
        self._patrol: Patrol | None = None
        self._watched: WeakSet[Client] = WeakSet()
        self._breaker = Breaker(breaker, random=random, told=self._told)
        meter = None if counters is None else counters.meter(switch.flag, rules.failures, rules.ignore)
        self._attempts = Attempts(rules, self._breaker, switch.fixed(old), self._clock.monotonic, meter)
        self._proxy: S | None = None

    def __repr__(self) -> str:
        return f"<FallbackGuard of {self.switch.flag!r}: {self.new!r}, else {self.old!r}; {self._breaker.state}>"

    def proxy(self) -> S:
        """Return the object to use wherever the interface is expected; see `ImplementationSwitch.proxy`."""
        if self._proxy is None:
            self._proxy = self._guarded(self.switch.route())
        return self._proxy

    def choose(self, context: AnyContext = None) -> Selection[S]:
        """
        Choose for a context, and return what serves and why, as `ImplementationSwitch.choose`.

        While the breaker lets nothing through that is the old implementation, for the reason `breaker_open`. The new
        one is guarded here too, and nothing is promised: it may be turned away when it is called.
        """
        chosen = self.switch.choose(context)
        if chosen.variant != self.new:
            return chosen
        if self._breaker.blocks(self._clock.monotonic()):
            old = self.switch.proxy_of(self.old)
            reason = SelectionReason.BREAKER_OPEN
            return Selection(variant=self.old, implementation=old, reason=reason, decision=chosen.decision)
        guarded = self._guarded(self.switch.fixed(self.new))
        return Selection(variant=self.new, implementation=guarded, reason=chosen.reason, decision=chosen.decision)

    def _guarded(self, route: Route) -> S:
        told = f"<{self.switch.interface.name} by a guard of {self.new!r} in switch {self.switch.flag!r}>"
        made: S = make_proxy(self.switch.interface, GuardedCalls(route, self._attempts, self._repeatable), told)
        return made

    async def call(self, context: AnyContext, operation: str, *args: Any, **kwargs: Any) -> Any:
        """
        Call one async method for a context, guarded like one of the proxy.

        Args:
            context: Who the flag is decided for; `None`: that of the scope.
            operation: The method's name.
            args: Of the method.
            kwargs: Of the method.

        Raises:
            ConfigurationError: the interface has no such async method.
            LifetimeError: the switch is not running.
        """
        member = self.switch.interface.members.get(operation)
        if member is None or member.kind is not Kind.ASYNC:
            raise refused("operation", operation, f"name an async method of {self.switch.interface.name}")
        switch = self.switch
        route = switch.route() if context is None else switch.fixed(switch.rack().choose(context=context).variant)
        use = route.enter() or await route.enter_slowly()
        asked = Call(operation, args, kwargs, repeatable=self._repeatable[operation], context=context)
        if use.instance.variant == self.new:
            return await self._attempts.run(use, asked)
        if self._attempts.meter is not None:
            return await self._attempts.meter.run(use, operation, args, kwargs, context)
        try:
            return await asked.of(use)
        finally:
            use.leave()

    # The breaker

    @property
    def status(self) -> GuardStatus:
        """How the guard is doing, in this process."""
        now = self._clock.monotonic()
        return GuardStatus(
            state=self._breaker.state,
            reopens_in_s=self._breaker.reopens_in(now),
            trips=self._breaker.trips,
            window=self._breaker.totals(now),
            outcomes=dict(self._attempts.outcomes),
            fallbacks=self._attempts.fallbacks,
            turned_away=self._attempts.turned_away,
        )

    def isolate(self) -> None:
        """Let every call of this process go to the old implementation, until `reset`."""
        self._breaker.isolate()

    def reset(self) -> None:
        """Close this process's breaker, and forget what it has counted."""
        self._breaker.reset()

    # The fleet

    def running(self, flags: Client) -> Running:
        """
        Return the block in which the guard takes part in its fleet; inside of the client's.

        In it, this process reports its breaker on the store's board and looks at those of others; and it closes its
        breaker when the flag serves the new implementation again after a switch-off. Calls never wait for any of that.
        Without it, and while the store cannot be reached, breakers go on each by itself.

        Raises:
            LifetimeError: on entering: the Admin of the `FleetTrip` is not open, or the guard is running already.
        """
        if not isinstance(flags, Client):
            raise refused("flags", flags, "give the grayflow.Client that decides")
        beat = Beat(
            flag=self.switch.flag,
            new=self.new,
            default=self.switch.default,
            breaker=self._breaker,
            herald=self._herald,
            random=self._random,
        )
        return Running(f"guard of {self.switch.flag!r}", Patrol(beat, flags, self._fleet, self), limit_s=_LEAVE_S)

    async def isolate_fleet(self) -> None:
        """
        Let every call of the whole fleet go to the old implementation, until `reset_fleet`.

        Every process that runs the guard hears of it within a third of `FleetTrip.within`, those that start later too;
        this one at once.

        Raises:
            LifetimeError: the guard is not running, or takes no part in a fleet.
            StoreError: the board could not be written; only this process is isolated.
        """
        self.isolate()
        await self._patrolling().order(isolate=True)

    async def reset_fleet(self) -> None:
        """Close the breakers of the whole fleet; as `isolate_fleet`."""
        self.reset()
        await self._patrolling().order(isolate=False)

    def _patrolling(self) -> Patrol:
        if self._patrol is None or self._fleet is None:
            raise LifetimeError(
                f"the guard of {self.switch.flag!r} takes no part in a fleet: build it with fleet=FleetTrip(...) and "
                "use it inside: async with guard.running(flags):"
            )
        return self._patrol

    def take(self, patrol: Patrol, flags: Client) -> None:
        """
        Go by what has begun to run; called by it.

        Raises:
            LifetimeError: something runs already.
        """
        if self._patrol is not None:
            raise LifetimeError(f"the guard of {self.switch.flag!r} is running already; make another one")
        self._patrol = patrol
        if flags not in self._watched:  # there is no way to take a handler back, so each client gets one
            self._watched.add(flags)
            flags.on_change(self.switch.flag, self._changed)

    def leave(self, patrol: Patrol) -> None:
        """Go on alone; called by what has ended."""
        if self._patrol is patrol:
            self._patrol = None

    def _changed(self, _: Flag | None, __: Flag | None) -> None:
        if self._patrol is not None:
            self._patrol.look()

    def _told(self, transition: Transition) -> None:
        self._herald.tell(_KINDS[transition.after], transition.why)
        if self._patrol is not None:
            self._patrol.moved(transition.why)


_KINDS: Mapping[BreakerState, EventKind] = {
    BreakerState.CLOSED: "closed",
    BreakerState.OPEN: "opened",
    BreakerState.HALF_OPEN: "half_opened",
    BreakerState.ISOLATED: "isolated",
}


def _check_variants(switch: ImplementationSwitch[Any], new: str, old: str) -> None:
    known = ", ".join(map(repr, switch.variants))
    for name, given in (("new", new), ("old", old)):
        if given not in switch.variants:
            raise refused(name, given, f"name a variant of the switch: {known}")
    if new == old:
        raise ConfigurationError(f"new and old are both {new!r}; name two variants of the switch: {known}")


def _check_policy(breaker: Any, fleet: Any) -> None:
    if not isinstance(breaker, BreakerPolicy):
        raise refused("breaker", breaker, "give grayflow.release.BreakerPolicy(...)")
    if fleet is not None and not isinstance(fleet, FleetTrip):
        raise refused("fleet", fleet, "give grayflow.release.FleetTrip(...), or leave it out")
