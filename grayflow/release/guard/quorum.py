"""
When breakers of single processes make a breaker of the fleet, and what processes tell each other for that.

Pure. A contract: other releases read these records, and pass over fields and records that they do not know.
"""

import hashlib
import math
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import structs

from grayflow.admin.admin import Admin
from grayflow.errors import ConfigurationError
from grayflow.store.given import Duration, refused, seconds, share, whole

__all__ = ["BREAKERS", "Count", "FleetTrip", "Order", "Report", "count", "order_name", "read_told"]

BREAKERS = "breakers"
"""The collection of reports and orders."""


class FleetTrip(msgspec.Struct, frozen=True, kw_only=True):
    """
    When the breakers of a fleet switch their flag off; see `FallbackGuard(fleet=)`.

    A fleet that has tripped stays so until somebody switches the flag on again. An outage of both implementations does
    not trip it, since that opens no breaker.

    Raises:
        ConfigurationError: a value cannot be used; the text says which and what is allowed.
    """

    quorum: float = 0.3
    """It trips when breakers are open in that share of the processes that have the guard, above 0 and up to 1."""
    at_least: int = 3
    """And in at least so many."""
    within: Duration = 30.0
    """A report counts for so long; also the longest until a trip, if no report is lost."""
    action: Literal["off", "report"] = "off"
    """`"report"`: it is only logged and told to `on_event`, for a dry run."""
    admin: Admin | None = None
    """
    Switches the flag off, under the actor `breaker`; open for as long as the guard is running. Its user needs the
    writer's rights.
    """

    def __post_init__(self) -> None:
        structs.force_setattr(self, "within", seconds("within", self.within, least=0.1))
        share("quorum", self.quorum)
        whole("at_least", self.at_least)
        if self.action not in {"off", "report"}:
            raise refused("action", self.action, "give 'off' or 'report'")
        if self.action == "off" and not isinstance(self.admin, Admin):
            raise ConfigurationError(
                "a fleet that switches its flag off needs an Admin to do it with: FleetTrip(admin=...); without one "
                "it can only tell: FleetTrip(action='report')"
            )

    @property
    def within_s(self) -> float:
        """`within` in seconds."""
        return seconds("within", self.within)

    def reached(self, counted: "Count") -> bool:
        """Tell whether enough breakers are open."""
        return counted.open >= max(self.at_least, math.ceil(self.quorum * counted.live - 1e-9))


class Report(msgspec.Struct, frozen=True, kw_only=True, tag="report", omit_defaults=True):
    """What one process says of its breaker; the name of the record is its own."""

    flag: str
    variant: str
    open: bool
    """Whether it lets nothing through because of what it has seen, or only probes."""
    why: str = ""
    host: str = ""
    pid: int = 0
    service: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True, tag="order"):
    """What somebody told all breakers of an implementation; the name of the record is `order_name`."""

    flag: str
    variant: str
    isolate: bool
    """Isolate them, or reset them."""


class Count(msgspec.Struct, frozen=True):
    """How many processes have a guard for an implementation, and in how many of them it is open."""

    open: int
    live: int


def count(told: Iterable[Report | Order], flag: str, variant: str) -> Count:
    """Count the reports on one implementation."""
    reports = [one for one in told if isinstance(one, Report) and (one.flag, one.variant) == (flag, variant)]
    return Count(sum(one.open for one in reports), len(reports))


def order_name(flag: str, variant: str) -> str:
    """Return the name of the record that orders to all breakers of an implementation are kept in."""
    return f"order {hashlib.sha256(f'{flag} {variant}'.encode()).hexdigest()[:32]}"


def read_told(value: bytes) -> Report | Order | None:
    """Read a record, `None` if it is of another kind."""
    try:
        return msgspec.json.decode(value, type=Report | Order)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
