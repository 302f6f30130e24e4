"""What a process knows at one moment, as one object, so that a reader who takes it once cannot see half a change."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from grayflow.core.generations import Generations
from grayflow.core.position import Position
from grayflow.core.snapshot import Snapshot
from grayflow.replica.freshness import Freshness

if TYPE_CHECKING:
    from grayflow.core.compiler import Compiled
    from grayflow.core.decision import Decision

__all__ = ["NOTHING", "View"]


class View:
    """
    A snapshot and how far it may be believed. Nobody changes a view; a change makes a new one.

    Args:
        snapshot: `None` until there has been one.
        generations: Of all flags, at the snapshot's position.
        freshness: Of the snapshot.
        breaks: How often the chain of changes was broken so far: a full load that did not continue the held
            position. Whoever follows switch-offs compares it with the number that it saw last.
        why: A word to go into every decision, such as what to do in a forked process.
    """

    __slots__ = ("answers", "breaks", "checks", "freshness", "generations", "snapshot", "why")

    def __init__(
        self,
        snapshot: Snapshot | None,
        generations: Mapping[str, Generations],
        freshness: Freshness,
        *,
        breaks: int = 0,
        why: str = "",
    ) -> None:
        self.snapshot = snapshot
        self.generations = generations
        self.freshness = freshness
        self.breaks = breaks
        self.why = why
        # Filled by readers as flags are asked for; right for as long as the snapshot, so views of it share them.
        self.checks: dict[str, Callable[[Any, Any, Any], Decision]] = {}
        self.answers: dict[str, Compiled] = {}

    @property
    def position(self) -> Position | None:
        """Where in the store's life the snapshot is."""
        return None if self.snapshot is None else self.snapshot.position

    def but(self, freshness: Freshness, why: str | None = None) -> "View":
        """Return the same snapshot believed differently."""
        why = self.why if why is None else why
        view = View(self.snapshot, self.generations, freshness, breaks=self.breaks, why=why)
        view.checks, view.answers = self.checks, self.answers
        return view


NOTHING = View(None, {}, "expired")
"""Before the first snapshot."""
