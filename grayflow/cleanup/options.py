"""How the handlers of a client are run: every option with its unit and bounds."""

import msgspec
from msgspec import structs

from grayflow.store.given import Duration, seconds

__all__ = ["CleanupOptions"]


class CleanupOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    What counts for all handlers of a client: `Client(cleanup=CleanupOptions(...))`. Durations are seconds or a
    `timedelta`.

    Raises:
        ConfigurationError: a value cannot be used; the text says which and what is allowed.
    """  # noqa: D205 - one sentence

    lease: Duration = 15.0
    """
    How long a job of the fleet is held without a sign of life. It is renewed after a third of it; if its process dies,
    another takes over when it ends. 0.1 s at least. An event loop that stands still for longer loses its jobs.
    """
    orphan_after: Duration = 600.0
    """How long a job of the fleet waits for a process that has its handler, before it is called orphaned."""

    def __post_init__(self) -> None:
        structs.force_setattr(self, "lease", seconds("lease", self.lease, least=0.1))
        structs.force_setattr(self, "orphan_after", seconds("orphan_after", self.orphan_after))

    @property
    def lease_s(self) -> float:
        """See `lease`."""
        return seconds("lease", self.lease)

    @property
    def orphan_after_s(self) -> float:
        """See `orphan_after`."""
        return seconds("orphan_after", self.orphan_after)
