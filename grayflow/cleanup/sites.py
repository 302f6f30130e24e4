"""
Whether a variant is switched on or off at an instant, and by which switch: what cleanup is planned from.

Pure, and erring towards *on*: only a document that was read and whose variant nobody can be served is off. How old
the snapshot is does not matter, and neither does what the flag needs: becoming stale or degraded switches nothing.
"""

from typing import Literal

import msgspec

from grayflow.core.flag import Flag
from grayflow.core.generations import Generation, Generations
from grayflow.core.liveness import boundary, generation_now, live, shape
from grayflow.replica.view import View

__all__ = ["Site", "SiteState", "held_generation", "next_edge", "site", "variants"]

SiteState = Literal["on", "off", "spared", "unknown"]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One variant of one flag at one instant."""

    flag: str
    variant: str
    state: SiteState
    """
    `on`: somebody could be served it. `off`: nobody can. `spared`: it is the flag's `off` variant, which is never
    switched off. `unknown`: the newest document cannot be read.
    """
    generation: int
    """Of the newest switch-off, by a commit or by the clock; while the variant is on, of the one before."""
    epoch: str

    @property
    def turn(self) -> int:
        """A number that grows whenever the variant is switched, off or on: what has a lower one is older news."""
        return 2 * self.generation + (self.state != "off")


def site(view: View, flag: str, variant: str, now: int) -> Site:
    """
    Look at a variant.

    Args:
        view: With a snapshot that came from a store.
        flag: Its key.
        variant: Its name.
        now: Nanoseconds since the epoch.
    """
    document, known = _document(view, flag)
    held = view.generations.get(flag, {})
    position = view.position
    return Site(
        flag=flag,
        variant=variant,
        state=_state(document, variant, now) if known else "unknown",
        generation=generation_now(document, variant, held, now) if known else held_generation(held, variant).off,
        epoch="" if position is None else position.epoch,
    )


def variants(view: View, flag: str) -> tuple[str, ...]:
    """Return the variants that were switched off, or can be, of a flag that may be gone."""
    document, _ = _document(view, flag)
    return tuple(dict.fromkeys((*view.generations.get(flag, {}), *shape(document))))


def next_edge(view: View, flag: str, now: int) -> int | None:
    """Return when the clock may switch the flag next, `None` if it never will."""
    document, known = _document(view, flag)
    return boundary(document, now) if known and document is not None else None


def held_generation(held: Generations, variant: str) -> Generation:
    """Return what is stored of a variant, zeros if nothing is."""
    return held.get(variant, Generation())


def _document(view: View, flag: str) -> tuple[Flag | None, bool]:
    """Return the newest document, `None` if there is none, and whether that is known."""
    entry = None if view.snapshot is None else view.snapshot.flags.get(flag)
    if entry is None:
        return None, view.snapshot is not None
    return entry.flag, not entry.problems


def _state(document: Flag | None, variant: str, now: int) -> SiteState:
    if document is None:
        return "off"
    if document.off_variant == variant:
        return "spared"
    return "on" if variant in live(document, now) else "off"
