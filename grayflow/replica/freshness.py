"""
How far a snapshot may be believed: from its age to a word, and from the word to what a flag then does.

Age is the time since the snapshot was last proved equal to the store. All of it is arithmetic on what the caller
measured: nothing in here reads a clock.
"""

import math
from typing import Literal

from grayflow.core.flag import Flag, ServeOnFailure

__all__ = ["FRESH_TTLS", "Freshness", "Policy", "flips_in", "policy", "state"]

Freshness = Literal["fresh", "stale", "expired"]

Policy = Literal["caller_default", "last_known"] | ServeOnFailure
"""What to answer from a snapshot that has expired."""

FRESH_TTLS = 3
"""So many polling intervals may pass without a proof before decisions are marked stale: two lost polls are no news."""


def state(age_s: float, ttl_s: float, max_staleness_s: float) -> Freshness:
    """
    Name the freshness of a snapshot of that age.

    Args:
        age_s: Seconds since the last proof; infinite if there never was one.
        ttl_s: Seconds between two checks of the position.
        max_staleness_s: The age beyond which flags follow their failure policy.
    """
    if age_s > max_staleness_s:
        return "expired"
    return "fresh" if age_s <= FRESH_TTLS * ttl_s else "stale"


def flips_in(age_s: float, ttl_s: float, max_staleness_s: float) -> float:
    """Return the seconds until `state` says something else, if no proof arrives; infinite if it never will."""
    if age_s > max_staleness_s or age_s == math.inf:
        return math.inf
    return min([bound - age_s for bound in (FRESH_TTLS * ttl_s, max_staleness_s) if age_s <= bound], default=math.inf)


def policy(flag: Flag | None, default: Policy) -> Policy:
    """Return what an expired flag does: what its document says, else what the client says."""
    if flag is None or flag.on_failure is None:
        return default
    return flag.on_failure
