"""
One guarded call: the new implementation under its timeout, then perhaps the old one within what is left.

What either raises comes out as the very object, with its own traceback. Nothing here waits for a store.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Self

import anyio
import msgspec

from grayflow.client.asking import AnyContext
from grayflow.client.cancelling import cancelled_from_within
from grayflow.release.counters.meter import Meter
from grayflow.release.guard.breaker import Breaker, Permit
from grayflow.release.guard.outcome import Errors, Outcome, classify
from grayflow.release.switch.instance import Use
from grayflow.release.switch.proxy import Route

if TYPE_CHECKING:
    from grayflow.core.decision import Decision

__all__ = ["Attempt", "Attempts", "Call", "Rules"]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard goes by; durations in seconds, `None` for no limit."""

    flag: str
    new: str
    old: str
    timeout_s: float | None
    deadline_s: float | None
    failures: Errors
    ignore: Errors
    slow_call_s: float | None


class Call:
    """
    What is called.

    Args:
        name: The member.
        args: By position.
        kwargs: By name.
        repeatable: Whether the old implementation may do what the new one failed at.
        context: For whom; `None`: that of the scope.
    """

    __slots__ = ("args", "context", "kwargs", "name", "repeatable")

    def __init__(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        repeatable: bool,
        context: AnyContext = None,
    ) -> None:
        self.name, self.args, self.kwargs, self.repeatable = name, args, kwargs, repeatable
        self.context = context

    def of(self, use: Use[Any]) -> Any:
        """Call it."""
        return getattr(use.value, self.name)(*self.args, **self.kwargs)


class Attempts:
    """
    Makes guarded calls.

    Args:
        rules: What to go by.
        breaker: Asked before each call, and told after it.
        old: The way to the old implementation.
        monotonic: Measures how long calls take.
        meter: Counts calls, if anybody wants to know.
    """

    def __init__(
        self,
        rules: Rules,
        breaker: Breaker,
        old: Route,
        monotonic: Callable[[], float],
        meter: Meter | None = None,
    ) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.fallbacks = 0
        """How often the old implementation answered for the new one that had failed."""
        self.turned_away = 0
        """How often the breaker let a call go to the old implementation at once."""
        self.rules, self.breaker, self.old, self.monotonic, self.meter = rules, breaker, old, monotonic, meter

    # Async methods

    async def run(self, use: Use[Any], call: Call) -> Any:
        """Call the new implementation in a use of it, which ends here; and the old one if that is left to do."""
        deadline_s = self.rules.deadline_s
        until = None if deadline_s is None else anyio.current_time() + deadline_s
        attempt = self.begin(call)
        if attempt is None:
            use.leave()
            return await self._old_within(until, call)
        with attempt:
            try:
                return await self._new(attempt, use, call)
            except (Exception, asyncio.CancelledError) as error:
                if attempt.outcome is not Outcome.FAILURE or not call.repeatable or _is_over(until):
                    raise
                failure = error
            attempt.turn_to_old(failure)
            try:
                result = await self._old_within(until, call)
            except Exception as error:
                attempt.old_raised(error)
                raise
            attempt.old_answered()
            return result

    async def _new(self, attempt: "Attempt", use: Use[Any], call: Call) -> Any:
        timeout_s = self.rules.timeout_s
        # Without a limit none is made: a scope costs more than everything else that a guard adds to a call.
        limit = nullcontext() if timeout_s is None else anyio.CancelScope(deadline=anyio.current_time() + timeout_s)
        try:
            with limit:
                result = await call.of(use)
                attempt.answered()
                return result
        except asyncio.CancelledError as error:
            if cancelled_from_within():  # it awaited something that was cancelled; nobody wants the caller to end
                attempt.raised(error)
            raise
        except Exception as error:
            attempt.raised(error)
            raise
        finally:
            use.leave()
        # Only the scope's own deadline comes here: the caller's cancellation goes on as an exception.
        late = TimeoutError(f"{self.rules.new!r} of {self.rules.flag!r} did not answer {call.name} in {timeout_s:g} s")
        attempt.raised(late, failed=True)
        raise late

    async def _old_within(self, until: float | None, call: Call) -> Any:
        if until is None:
            return await self._old(call)
        with anyio.CancelScope(deadline=until):
            return await self._old(call)
        raise TimeoutError(
            f"{self.rules.old!r} of {self.rules.flag!r} did not answer {call.name} within what was left of "
            f"{self.rules.deadline_s:g} s for the whole call"
        )

    async def _old(self, call: Call) -> Any:
        use = self.old.enter() or await self.old.enter_slowly()
        try:
            return await call.of(use)
        finally:
            use.leave()

    # Synchronous methods, which nothing can interrupt

    def run_now(self, use: Use[Any], call: Call) -> Any:
        """Do the same with a synchronous method."""
        attempt = self.begin(call)
        if attempt is None:
            use.leave()
            return self._old_now(call)
        with attempt:
            try:
                return self._new_now(attempt, use, call)
            except Exception as error:
                if attempt.outcome is not Outcome.FAILURE or not call.repeatable:
                    raise
                failure = error
            attempt.turn_to_old(failure)
            try:
                result = self._old_now(call)
            except Exception as error:
                attempt.old_raised(error)
                raise
            attempt.old_answered()
            return result

    def _new_now(self, attempt: "Attempt", use: Use[Any], call: Call) -> Any:
        try:
            result = call.of(use)
        except Exception as error:
            attempt.raised(error)
            raise
        finally:
            use.leave()
        attempt.answered()
        return result

    def _old_now(self, call: Call) -> Any:
        use = self.old.enter_now()
        try:
            return call.of(use)
        finally:
            use.leave()

    # What came of it

    def begin(self, counted: Call | None = None) -> "Attempt | None":
        """
        Return an attempt to be settled, `None` if the breaker lets nothing through.

        Args:
            counted: The call, if the meter is to know of it.
        """
        began = self.monotonic()
        permit = self.breaker.admit(began)
        if permit is None:
            self.turned_away += 1
            if self.meter is not None and counted is not None:
                self.meter.turned_away(self.rules.new, counted.context)
            return None
        attempt = Attempt(self, permit, began)
        if self.meter is not None and counted is not None:
            attempt.decision, attempt.context = self.meter.decided(counted.context), counted.context
        return attempt

    def settle(self, attempt: "Attempt") -> None:
        """Count what came of an attempt, and let the breaker judge it."""
        outcome, now = attempt.outcome, self.monotonic()
        self.outcomes[outcome] += 1
        self.breaker.settle(attempt.permit, outcome, now, slow=attempt.slow)
        if self.meter is not None and attempt.decision is not None:
            self.meter.settled(attempt.decision, self.rules.new, outcome, attempt.took_s, attempt.context)

    def raised_later(self, attempt: "Attempt", error: Exception) -> None:
        """Count an error of something that had answered already; a probe is judged by its first answer."""
        if classify(error, self.rules.failures, self.rules.ignore) is Outcome.FAILURE:
            self.outcomes[Outcome.FAILURE] += 1
            self.breaker.settle(attempt.permit, Outcome.FAILURE, self.monotonic())


class Attempt:
    """
    One call of the new implementation, settled at the end of the block; cancelled, unless something else turns out.

    Args:
        attempts: Where it is settled.
        permit: From the breaker.
        began: By its clock.
    """

    __slots__ = ("_attempts", "_failure", "began", "context", "decision", "outcome", "permit", "slow", "took_s")

    def __init__(self, attempts: Attempts, permit: Permit, began: float) -> None:
        self._attempts, self.permit, self.began = attempts, permit, began
        self.outcome = Outcome.CANCELLED
        self.slow = False
        self.took_s: float | None = None
        """How long the new one took, if it came to an end."""
        self.decision: Decision | None = None
        """What the flag said, if the call is counted."""
        self.context: AnyContext = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._attempts.settle(self)

    def answered(self) -> None:
        """It answered."""
        slow_s = self._attempts.rules.slow_call_s
        self.took_s = self._attempts.monotonic() - self.began
        self.slow = slow_s is not None and self.took_s > slow_s
        self.outcome = Outcome.SLOW if self.slow else Outcome.SUCCESS

    def raised(self, error: BaseException, *, failed: bool = False) -> None:
        """It raised; `failed`: whatever the rules say of that error."""
        self.answered()
        rules = self._attempts.rules
        if failed or not isinstance(error, Exception):
            self.outcome = Outcome.FAILURE
        else:
            self.outcome = classify(error, rules.failures, rules.ignore)

    def turn_to_old(self, failure: BaseException) -> None:
        """The old one is asked, since it failed."""
        self._failure, self.outcome = failure, Outcome.CANCELLED

    def old_answered(self) -> None:
        """The old one answered."""
        self.outcome = Outcome.FAILURE
        self._attempts.fallbacks += 1

    def old_raised(self, error: Exception) -> None:
        """The old one raised as well, and that is what the caller gets, with the other error as its cause."""
        rules, failure = self._attempts.rules, self._failure
        if error is failure or classify(error, rules.failures, rules.ignore) is Outcome.IGNORED:
            self.old_answered()
            return
        self.outcome = Outcome.BOTH_FAILED
        if error.__cause__ is None:
            error.__cause__ = failure
        elif failure is not None:
            error.add_note(f"{rules.new!r} of {rules.flag!r} had failed before: {type(failure).__name__}: {failure}")


def _is_over(until: float | None) -> bool:
    return until is not None and anyio.current_time() >= until
