"""
A circuit breaker as a state machine: calls are admitted or not, and their outcomes move it.

Pure: it is told what time it is. Every admission is a permit that has to be given back exactly once, with whatever
came of the call; what comes back after the state has changed is not counted, since it says nothing about now.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from grayflow.release.guard.outcome import Outcome
from grayflow.release.guard.policy import BreakerPolicy
from grayflow.release.guard.window import Totals, Window

__all__ = ["Breaker", "BreakerState", "Permit", "Transition"]


class BreakerState(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    """Everything."""
    OPEN = "open"
    """Nothing, until its time is over."""
    HALF_OPEN = "half_open"
    """As many calls at once as there are probes."""
    ISOLATED = "isolated"
    """Nothing, until somebody resets it."""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A change of state."""

    before: BreakerState
    after: BreakerState
    why: str
    """In words."""


class Permit:
    """Leave to call the new implementation; all calls of one closed time share one."""

    __slots__ = ("over", "period", "probe")

    def __init__(self, period: int, *, probe: bool) -> None:
        self.period, self.probe = period, probe
        self.over = False


class Breaker:
    """
    One breaker.

    Args:
        policy: When it opens and closes.
        random: Draws from `[0, 1)`, so that a fleet does not probe at one moment.
        told: Called with each change of state.
    """

    def __init__(
        self, policy: BreakerPolicy, *, random: Callable[[], float], told: Callable[[Transition], None]
    ) -> None:
        self.state = BreakerState.CLOSED
        self.trips = 0
        """How often it has opened since it was last closed."""
        self._policy, self._random, self._told = policy, random, told
        self._window = Window(policy.window_s, policy.buckets)
        self._period = 0
        self._shared = Permit(0, probe=False)
        self._until = 0.0
        self._probing = self._succeeded = 0

    def admit(self, now: float) -> Permit | None:
        """
        Let a call through, or not.

        Args:
            now: Seconds on a clock that never goes back.
        """
        if self.state is BreakerState.CLOSED:
            return self._shared
        if self.state is BreakerState.OPEN and now >= self._until:
            self._become(BreakerState.HALF_OPEN, "its time is over")
        if self.state is not BreakerState.HALF_OPEN or self._probing >= self._policy.probes:
            return None
        self._probing += 1
        return Permit(self._period, probe=True)

    def settle(self, permit: Permit, outcome: Outcome, now: float, *, slow: bool = False) -> None:
        """
        Take a permit back.

        Args:
            permit: From `admit`.
            outcome: What came of the call.
            now: See `admit`.
            slow: Whether a call that failed was slow as well.
        """
        if permit.period != self._period or permit.over:
            return
        slow = slow or outcome is Outcome.SLOW
        if permit.probe:
            permit.over = True
            self._probing -= 1
            self._judge_probe(outcome, now)
        elif outcome in (Outcome.SUCCESS, Outcome.SLOW, Outcome.FAILURE):
            self._window.add(now, failed=outcome is Outcome.FAILURE, slow=slow)
            self._judge(now)

    def isolate(self) -> None:
        """Let nothing through until `reset`."""
        if self.state is not BreakerState.ISOLATED:
            self._become(BreakerState.ISOLATED, "isolated by hand")

    def reset(self, why: str = "reset by hand") -> None:
        """Begin anew, closed."""
        if self.state is not BreakerState.CLOSED:
            self._close(why)
        self._window.clear()

    def totals(self, now: float) -> Totals:
        """Return what it goes by while it is closed."""
        return self._window.totals(now)

    def blocks(self, now: float) -> bool:
        """Tell whether a call would not be let through."""
        if self.state is BreakerState.OPEN:
            return now < self._until
        if self.state is BreakerState.HALF_OPEN:
            return self._probing >= self._policy.probes
        return self.state is BreakerState.ISOLATED

    def reopens_in(self, now: float) -> float:
        """Return for how many seconds it will let nothing through."""
        return max(0.0, self._until - now) if self.state is BreakerState.OPEN else 0.0

    def _judge(self, now: float) -> None:
        window, policy = self._window, self._policy
        if window.calls < policy.minimum_calls:
            return
        for what, count, ratio in (
            ("failed", window.failures, policy.failure_ratio),
            ("were slow", window.slow, policy.slow_ratio),
        ):
            if count >= ratio * window.calls:
                self._open(f"{count} of {window.calls} calls {what} within {policy.window_s:g} s", now)
                return

    def _judge_probe(self, outcome: Outcome, now: float) -> None:
        if outcome in (Outcome.FAILURE, Outcome.SLOW):
            self._open("a probe failed" if outcome is Outcome.FAILURE else "a probe was slow", now)
        elif outcome is Outcome.SUCCESS:
            self._succeeded += 1
            if self._succeeded >= self._policy.close_after:
                self._close(f"{self._succeeded} probes succeeded")

    def _open(self, why: str, now: float) -> None:
        longest = self._policy.open_for_at_most_s
        wait_s = min(self._policy.open_for_s * 2.0 ** min(self.trips, 60), longest) * (0.9 + 0.2 * self._random())
        self.trips += 1
        self._until = now + wait_s
        self._become(BreakerState.OPEN, f"{why}; it is probed in {wait_s:.1f} s")

    def _close(self, why: str) -> None:
        self.trips = 0
        self._become(BreakerState.CLOSED, why)

    def _become(self, state: BreakerState, why: str) -> None:
        before, self.state = self.state, state
        self._period += 1
        self._shared = Permit(self._period, probe=False)
        self._probing = self._succeeded = 0
        self._window.clear()
        self._told(Transition(before=before, after=state, why=why))
