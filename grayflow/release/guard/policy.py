"""When a breaker opens, for how long, and what it takes to close it again: options, checked at once."""

import msgspec
from msgspec import structs

from grayflow.errors import ConfigurationError
from grayflow.store.given import Duration, seconds, share, whole

__all__ = ["BreakerPolicy"]


class BreakerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """
    The parameters of a breaker; durations are seconds or a `timedelta`.

    Raises:
        ConfigurationError: a value cannot be used; the text says which and what is allowed.
    """

    window: Duration = 30.0
    """Calls are judged together over so long."""
    buckets: int = 10
    """The window moves on in so many steps."""
    minimum_calls: int = 20
    """With fewer calls in the window nothing is concluded."""
    failure_ratio: float = 0.5
    """It opens when that share of the calls failed, above 0 and up to 1."""
    slow_ratio: float = 0.8
    """It opens when that share of the calls was slow, above 0 and up to 1; see `FallbackGuard(slow_call=)`."""
    open_for: Duration = 5.0
    """How long it is open the first time, ± 10 %; twice as long with every probe that fails."""
    open_for_at_most: Duration = 300.0
    """The longest of these times."""
    probes: int = 3
    """How many calls may try the new implementation at once after that time; all others go to the old one."""
    close_after: int = 3
    """How many of them have to succeed until it closes."""

    def __post_init__(self) -> None:
        for name in ("window", "open_for", "open_for_at_most"):
            structs.force_setattr(self, name, seconds(name, getattr(self, name)))
        for name in ("buckets", "minimum_calls", "probes", "close_after"):
            whole(name, getattr(self, name), most=1_000_000)
        for name in ("failure_ratio", "slow_ratio"):
            share(name, getattr(self, name))
        if self.open_for_s > self.open_for_at_most_s:
            raise ConfigurationError(
                f"open_for_at_most is {self.open_for_at_most_s:g} s; give at least open_for, {self.open_for_s:g} s"
            )

    @property
    def window_s(self) -> float:
        """`window` in seconds."""
        return seconds("window", self.window)

    @property
    def open_for_s(self) -> float:
        """`open_for` in seconds."""
        return seconds("open_for", self.open_for)

    @property
    def open_for_at_most_s(self) -> float:
        """`open_for_at_most` in seconds."""
        return seconds("open_for_at_most", self.open_for_at_most)
