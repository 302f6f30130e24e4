"""How long to wait before trying again: exponential with full jitter, so that a fleet does not return as one."""

from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """
    The waits between attempts, each drawn evenly between zero and a bound that doubles up to a cap.

    Args:
        random: Draws from `[0, 1)`.
        first_s: The first bound.
        cap_s: The largest bound.
    """

    def __init__(self, random: Callable[[], float], *, first_s: float = 0.05, cap_s: float = 1.0) -> None:
        self._random = random
        self._first_s, self._cap_s = first_s, cap_s
        self._bound_s = first_s

    def wait_s(self) -> float:
        """Return the next wait."""
        drawn = self._random() * self._bound_s
        self._bound_s = min(self._bound_s * 2, self._cap_s)
        return drawn

    def reset(self) -> None:
        """Begin anew, after a success."""
        self._bound_s = self._first_s
