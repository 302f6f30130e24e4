"""Counts the calls of one switch: for whom each was made, who answered, how long it took and whether it failed."""

from collections.abc import Callable
from typing import Any, Protocol

from grayflow.client.asking import AnyContext
from grayflow.core.decision import Decision
from grayflow.release.guard.outcome import Errors, Outcome, classify
from grayflow.release.switch.instance import Use

__all__ = ["Books", "Meter"]

_FAILED = frozenset({Outcome.FAILURE, Outcome.BOTH_FAILED})


class Books(Protocol):
    """Where calls are counted."""

    def decided(self, flag: str, context: AnyContext) -> Decision | None:
        """Return how a flag is decided here, from memory; `None` while nothing is counted."""

    def enter(
        self, decision: Decision, variant: str, context: AnyContext, *, failed: bool, took_s: float | None
    ) -> None:
        """Count a call that is over."""

    def enter_mark(self, decision: Decision, variant: str, name: str, amount: int) -> None:
        """Count something else."""


class Meter:
    """
    Counts for one switch. A method of it never raises by itself, and costs a call a microsecond or two.

    Args:
        books: Where.
        flag: Of the switch.
        failures: What counts as a failure.
        ignore: What does not even so: it is an answer.
        monotonic: Measures how long calls take.
    """

    def __init__(
        self, books: Books, flag: str, failures: Errors, ignore: Errors, monotonic: Callable[[], float]
    ) -> None:
        self._books, self._flag, self._monotonic = books, flag, monotonic
        self._failures, self._ignore = failures, ignore

    def decided(self, context: AnyContext) -> Decision | None:
        """Return how the flag is decided for a call that begins; `None` if it is not counted."""
        return self._books.decided(self._flag, context)

    def settled(
        self, decision: Decision, variant: str, outcome: Outcome, took_s: float | None, context: AnyContext
    ) -> None:
        """Count a call of which that came; a caller that went away says nothing."""
        if outcome is not Outcome.CANCELLED:
            self._books.enter(decision, variant, context, failed=outcome in _FAILED, took_s=took_s)

    def turned_away(self, variant: str, context: AnyContext) -> None:
        """Count a call that did not reach a variant, since a breaker is open."""
        decision = self.decided(context)
        if decision is not None:
            self._books.enter_mark(decision, variant, "turned_away", 1)

    async def run(self, use: Use[Any], name: str, args: Any, kwargs: Any, context: AnyContext = None) -> Any:
        """Call an async method in a use, which ends here, and count that."""
        decision, began, outcome = self.decided(context), self._monotonic(), Outcome.CANCELLED
        try:
            result = await getattr(use.value, name)(*args, **kwargs)
        except Exception as error:
            outcome = classify(error, self._failures, self._ignore)
            raise
        else:
            outcome = Outcome.SUCCESS
            return result
        finally:
            use.leave()
            if decision is not None:
                self.settled(decision, use.instance.variant, outcome, self._monotonic() - began, context)

    def run_now(self, use: Use[Any], name: str, args: Any, kwargs: Any) -> Any:
        """Do the same with a method."""
        decision, began, outcome = self.decided(None), self._monotonic(), Outcome.CANCELLED
        try:
            result = getattr(use.value, name)(*args, **kwargs)
        except Exception as error:
            outcome = classify(error, self._failures, self._ignore)
            raise
        else:
            outcome = Outcome.SUCCESS
            return result
        finally:
            use.leave()
            if decision is not None:
                self.settled(decision, use.instance.variant, outcome, self._monotonic() - began, None)
