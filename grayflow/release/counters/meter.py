"""Counts the calls of one switch: for whom each was made, who answered, how long it took and whether it failed."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from grayflow.client.asking import AnyContext
from grayflow.core.decision import Decision
from grayflow.release.guard.outcome import Errors, Outcome, outcome_of
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
    Counts for one switch. A method of it never raises by itself, and costs a call some microseconds.

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
        self._books, self._flag = books, flag
        self.monotonic, self.failures, self.ignore = monotonic, failures, ignore

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
        with _Metered(self, use, context):
            return await getattr(use.value, name)(*args, **kwargs)

    def run_now(self, use: Use[Any], name: str, args: Any, kwargs: Any) -> Any:
        """Do the same with a method."""
        with _Metered(self, use, None):
            return getattr(use.value, name)(*args, **kwargs)


class _Metered:
    """One call, from where it begins to where its use ends."""

    __slots__ = ("_began", "_context", "_decision", "_meter", "_use")

    def __init__(self, meter: Meter, use: Use[Any], context: AnyContext) -> None:
        self._meter, self._use, self._context = meter, use, context
        self._decision = meter.decided(context)
        self._began = meter.monotonic()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        meter, use = self._meter, self._use
        use.leave()
        if self._decision is not None:
            took_s, outcome = meter.monotonic() - self._began, outcome_of(error, meter.failures, meter.ignore)
            meter.settled(self._decision, use.instance.variant, outcome, took_s, self._context)
