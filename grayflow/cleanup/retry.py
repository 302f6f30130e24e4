"""How often, and how soon, a handler that raised is tried again."""

from collections.abc import Callable

import msgspec
from msgspec import structs

from grayflow.store.given import Duration, seconds, whole

__all__ = ["Retry"]

_DOUBLINGS = 1000
"""A float doubled more often is infinite; the cap counts long before."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """
    Exponential back-off with full jitter.

    After attempt n there is a wait, drawn evenly from 0 to `base · 2^(n-1)` and at most `cap`, so that what failed
    together does not come back together.

    Raises:
        ConfigurationError: a value cannot be used; the text says which and what is allowed.
    """

    attempts: int = 8
    """How often a handler is begun at most, the first time included. Then it is a dead letter: `grayflow jobs`."""
    base: Duration = 1.0
    """The largest first wait, seconds or a `timedelta`."""
    cap: Duration = 300.0
    """The largest wait of all."""

    def __post_init__(self) -> None:
        whole("attempts", self.attempts, most=10_000)
        structs.force_setattr(self, "base", seconds("base", self.base))
        structs.force_setattr(self, "cap", seconds("cap", self.cap))

    def wait_s(self, attempt: int, random: Callable[[], float]) -> float:
        """
        Draw the wait after an attempt.

        Args:
            attempt: Its number, from 1.
            random: Draws from `[0, 1)`.
        """
        bound = seconds("base", self.base) * 2.0 ** min(attempt - 1, _DOUBLINGS)
        return random() * min(bound, seconds("cap", self.cap))
