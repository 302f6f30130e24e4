"""The face of counting: what an application builds, enters, and hands to whatever makes the calls."""

import random as randomness
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from grayflow.client.asking import AnyContext
from grayflow.client.client import Client
from grayflow.client.forks import watch_forks
from grayflow.clock import Clock
from grayflow.core.context import as_context, field_names, read_id
from grayflow.core.decision import Decision, Reason
from grayflow.core.flag import By
from grayflow.errors import LifetimeError
from grayflow.release.counters.calls import CountedCalls
from grayflow.release.counters.flusher import Flusher
from grayflow.release.counters.ledger import Ledger
from grayflow.release.counters.meter import Meter
from grayflow.release.guard.outcome import Errors, Outcome, checked_errors, outcome_of
from grayflow.release.running import Running
from grayflow.release.switch.proxy import make_proxy
from grayflow.release.switch.switch import ImplementationSwitch
from grayflow.store.counts import Arm, is_mark
from grayflow.store.given import Duration, checked_clock, refused, seconds

__all__ = ["Counters", "CountersStatus", "Measured"]

S = TypeVar("S")

_LEAVE_S = 1.0


class CountersStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the counting is doing, in this process."""

    running: bool
    """Whether calls are counted."""
    told: int
    """How many calls the store knows of, since the block was entered."""
    waiting: int
    """How many it may not know of yet."""
    lost: int
    """How many were not counted or given up: too many flags at once, or the store could not take them."""
    trouble: str | None
    """Why the last ones could not be told; `None` if they were."""


class Counters:
    """
    Counts how often each variant of a flag was called, for how many units, and how that went.

        counters = Counters()
        async with counters.running(flags):
            cache = counters.proxy(switch)                          # a switch's calls, or
            guard = FallbackGuard(switch, ..., counters=counters)   # a guard's, or
            with counters.measure(await flags.evaluate("payment_v2", ctx), ctx) as decision:
                ...                                                 # any block that a flag decided about

    Each process counts in memory and tells the store's board every few seconds: no call ever waits for that. The sums
    are kept by the minute for a day; `Admin.stats` and `grayflow stats` show them. While the store is away they wait;
    a batch whose answer got lost is not added twice; of a process that is killed the last seconds are missing.

    A block that raises is a failure, and where a guard let the old implementation answer it is one of the new. Callers
    that went away are not counted, nor is what `Client.override` decided.

    Args:
        by: The attribute that says who a call is for.
        failures: Exceptions that are failures; others are answers. A guard's own rule counts for what it guards.
        ignore: Exceptions that are none even so.
        flush_every: How long is counted until the board is told.
        clock: Measures how long calls take; for tests.
        random: Draws from `[0, 1)`, for jitter; for tests.

    Raises:
        ConfigurationError: an argument cannot be used; the text names it and what is allowed.
    """

    def __init__(
        self,
        *,
        by: By | Mapping[str, Any] = "user_id",
        failures: Errors | type[Exception] = (Exception,),
        ignore: Errors | type[Exception] = (),
        flush_every: Duration = 2.0,
        clock: Clock | None = None,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        try:
            self._by: By = msgspec.convert(by, By)
        except msgspec.ValidationError:
            raise refused("by", by, "give an attribute, or {'first': [...]}") from None
        self._failures, self._ignore = checked_errors("failures", failures), checked_errors("ignore", ignore)
        self._every_s = seconds("flush_every", flush_every, least=0.05)
        self._clock, self._random = checked_clock(clock), random
        self._flags: Client | None = None
        self._fields: frozenset[str] = frozenset()
        self._ledger = Ledger()
        self._flusher: Flusher | None = None

    def __repr__(self) -> str:
        now = self.status
        state = "running" if now.running else "not running"
        return f"<Counters: {state}, {now.told} calls told, {now.waiting} waiting, {now.lost} lost>"

    def running(self, flags: Client) -> Running:
        """
        Return the block in which calls are counted; inside of the client's.

        Leaving it tells the board what is left, for up to a second.

        Raises:
            LifetimeError: on entering: the counters are running already.
        """
        if not isinstance(flags, Client):
            raise refused("flags", flags, "give the grayflow.Client that decides")
        ledger = Ledger()
        flusher = Flusher(ledger, flags, self._every_s, self._random, lambda: self._stop(flusher))
        return Running("counters", _Part(flusher, lambda: self._start(flags, ledger, flusher)), limit_s=_LEAVE_S)

    def measure(self, decision: Decision, context: AnyContext = None) -> "Measured":
        """
        Return a block that is counted as a call of what a flag decided, with how long it took and whether it failed.

        Args:
            decision: From `Client.evaluate` or `Client.peek_decision`.
            context: For whom it was decided; the scope's if left out.

        Raises:
            ConfigurationError: it is no decision.
        """
        return Measured(self, _checked(decision), context)

    def record(
        self,
        decision: Decision,
        context: AnyContext = None,
        *,
        failed: bool = False,
        took: Duration | None = None,
    ) -> None:
        """
        Count a call that is over, for those who measure themselves.

        Args:
            decision: See `measure`.
            context: Likewise.
            failed: Whether it failed.
            took: How long it took; `None`: nobody knows.

        Raises:
            ConfigurationError: an argument cannot be used.
        """
        took_s = None if took is None else seconds("took", took, least=0.0)
        self.enter(_checked(decision), decision.variant or "", context, failed=failed, took_s=took_s)

    def mark(self, decision: Decision, name: str, amount: int = 1) -> None:
        """
        Count something else that happened with what a flag decided, such as a mismatch.

        Args:
            decision: See `measure`.
            name: Lower-case letters and `_`, up to 40.
            amount: How often.

        Raises:
            ConfigurationError: it is no decision, or cannot be counted under that name.
        """
        if not is_mark(name):
            raise refused("name", name, "give up to 40 lower-case letters and _, none of calls, failures and units")
        self.enter_mark(_checked(decision), decision.variant or "", name, amount)

    def proxy(self, switch: ImplementationSwitch[S]) -> S:
        """
        Return `switch.proxy()` with its calls counted: those of methods, awaited or not.

        What is used beyond the call (streams, blocks, iterators) and attributes are not counted.
        """
        if not isinstance(switch, ImplementationSwitch):
            raise refused("switch", switch, "give an ImplementationSwitch")
        meter = self.meter(switch.flag, self._failures, self._ignore)
        told = f"<{switch.interface.name} by switch {switch.flag!r}, counted>"
        made: S = make_proxy(switch.interface, CountedCalls(switch.route(), meter), told)
        return made

    async def flush(self) -> None:
        """
        Tell the board now what was counted; what it cannot be told waits, and `status` says why.

        Raises:
            LifetimeError: the counters are not running.
        """
        if self._flusher is None:
            raise LifetimeError("the counters are not running; use them inside: async with counters.running(flags):")
        await self._flusher.flush()

    @property
    def status(self) -> CountersStatus:
        """How the counting is doing, in this process."""
        flusher = self._flusher
        return CountersStatus(
            running=flusher is not None,
            told=0 if flusher is None else flusher.told,
            waiting=0 if flusher is None else flusher.waiting,
            lost=self._ledger.dropped + (0 if flusher is None else flusher.lost),
            trouble=None if flusher is None else flusher.trouble,
        )

    # For what is built upon counters

    def meter(self, flag: str, failures: Errors, ignore: Errors) -> Meter:
        """Return what counts the calls of one switch."""
        return Meter(self, flag, failures, ignore, self._clock.monotonic)

    def decided(self, flag: str, context: AnyContext) -> Decision | None:
        """See `Books`."""
        return None if self._flags is None else self._flags.peek_decision(flag, context)

    def enter(
        self, decision: Decision, variant: str, context: AnyContext, *, failed: bool, took_s: float | None
    ) -> None:
        """See `Books`."""
        flags = self._flags
        if flags is not None and decision.reason is not Reason.OVERRIDE:
            unit = self._unit(flags, context)
            self._ledger.add(decision.key, _arm(decision, variant), unit=unit, failed=failed, took_s=took_s)

    def enter_mark(self, decision: Decision, variant: str, name: str, amount: int) -> None:
        """See `Books`."""
        if self._flags is not None and decision.reason is not Reason.OVERRIDE:
            self._ledger.mark(decision.key, _arm(decision, variant), name, amount)

    def outcome_of(self, error: BaseException | None) -> Outcome:
        """Say what came of a block that ended so."""
        return outcome_of(error, self._failures, self._ignore)

    def now(self) -> float:
        """Return the time that calls are measured by, seconds."""
        return self._clock.monotonic()

    def _unit(self, flags: Client, context: AnyContext) -> str | None:
        kind = flags.context_type
        try:
            subject = flags.frames.get().context if context is None else as_context(context, kind)
            return read_id(subject, self._by, self._fields)
        except Exception:  # noqa: BLE001 - a context of the caller's; without an id the call still counts
            return None

    def _start(self, flags: Client, ledger: Ledger, flusher: Flusher) -> None:
        if self._flusher is not None:
            raise LifetimeError("these counters are running already; make others")
        watch_forks(self)
        self._flusher, self._ledger = flusher, ledger
        self._fields = field_names(flags.context_type)
        self._flags = flags if flags.store.board is not None else None

    def fork(self) -> object:
        """Begin anew in a forked child, whose parent tells what was counted before."""
        left = self._flags, self._flusher
        self._flags = self._flusher = None
        return left

    def _stop(self, flusher: Flusher) -> None:
        if self._flusher is flusher:
            self._flags = self._flusher = None


class Measured:
    """A block that is counted; see `Counters.measure`."""

    __slots__ = ("_began", "_context", "_counters", "_decision")

    def __init__(self, counters: Counters, decision: Decision, context: AnyContext) -> None:
        self._counters, self._decision, self._context = counters, decision, context
        self._began = 0.0

    def __enter__(self) -> Decision:
        self._began = self._counters.now()
        return self._decision

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = self._counters.outcome_of(error)
        if outcome is not Outcome.CANCELLED:
            took_s, failed = self._counters.now() - self._began, outcome is Outcome.FAILURE
            variant = self._decision.variant or ""
            self._counters.enter(self._decision, variant, self._context, failed=failed, took_s=took_s)


class _Part:
    """The flusher, and who is told when it begins."""

    def __init__(self, flusher: Flusher, begin: Callable[[], None]) -> None:
        self._flusher, self._begin = flusher, begin

    async def open(self, running: Running) -> None:
        self._begin()
        await self._flusher.open(running)

    async def close(self) -> None:
        await self._flusher.close()

    def over(self, failure: Exception | None) -> None:
        self._flusher.over(failure)


def _checked(decision: Decision) -> Decision:
    """Refuse what `is_enabled` returns, before the block that is to be counted is entered."""
    if not isinstance(decision, Decision):
        raise refused("decision", decision, "give what Client.evaluate or Client.peek_decision returns")
    return decision


def _arm(decision: Decision, variant: str) -> Arm:
    # What serves for want of what was decided was not given to anybody by chance.
    chance = decision.reason is Reason.SPLIT and decision.variant == variant
    return Arm(variant, decision.revision, chance)
