"""
The holder of the current snapshot: what may replace it, and when it was last known to be right.

Everything in here happens at once, between two awaits, and ends in one assignment of `view`; readers in other threads
see the view before or the view after. Only the replica's own loop calls what changes something.
"""

import math
from collections.abc import Callable, Mapping

import anyio

from grayflow.clock import Clock
from grayflow.core.generations import Generations
from grayflow.core.position import Document, Position
from grayflow.core.snapshot import Snapshot
from grayflow.core.table import Table
from grayflow.replica.alarm import Alarm
from grayflow.replica.freshness import Freshness, flips_in, state
from grayflow.replica.trail import Step, Trail
from grayflow.replica.view import NOTHING, View
from grayflow.store.port import Change

__all__ = ["Held", "Holder", "Listener"]

Listener = Callable[[View, View, Change | None], None]
"""Called after each new view with the one before, and with the change if it was one."""

_NEVER_FRESH = -1.0


class Held:
    """A snapshot with its generations and the way it came; changes are added at its end."""

    def __init__(self, snapshot: Snapshot, generations: Mapping[str, Generations], trail: Trail) -> None:
        self.snapshot, self.trail = snapshot, trail
        self.generations = generations if isinstance(generations, Table) else Table(dict(generations))

    def apply(self, change: Change) -> Step:
        """Take in a change if it is the next one."""
        step = self.trail.judge(change)
        if step == "next":
            data = change.document
            document = None if data is None else Document(change.revision, data)
            self.snapshot = self.snapshot.apply(change.kind, change.key, document, change.position)
            if change.generations:
                self.generations = self.generations.put(change.key, change.generations)
            self.trail.extend(change.position)
        return step


class Holder:
    """
    Holds the view that readers see.

    Args:
        clock: Tells ages.
        ttl_s: Seconds between two proofs, as planned.
        max_staleness_s: Age beyond which the snapshot has expired.
    """

    def __init__(self, clock: Clock, *, ttl_s: float, max_staleness_s: float) -> None:
        self.view: View = NOTHING
        self.listeners: list[Listener] = []
        self.contacted = anyio.Event()
        """Set with the first proof: the snapshot has been the store's."""
        self.moved = anyio.Event()
        """Set, and replaced by a new one, with every new view."""
        self.hastened = Alarm(clock)
        """Rings when `flips_in` became shorter: a proof may be old when it arrives."""
        self._clock = clock
        self._bounds = self._ordinary = (ttl_s, max_staleness_s)
        self._proved_at = -math.inf
        self._held: Held | None = None

    @property
    def position(self) -> Position | None:
        """Where the held snapshot is."""
        return None if self._held is None else self._held.trail.end

    @property
    def age_s(self) -> float:
        """Seconds since the last proof; infinite without one."""
        return self._clock.monotonic() - self._proved_at

    @property
    def freshness(self) -> Freshness:
        """How far the held snapshot may be believed at this moment."""
        return state(self.age_s, *self._bounds)

    @property
    def flips_in(self) -> float:
        """Seconds until the freshness changes if no proof arrives."""
        return flips_in(self.age_s, *self._bounds)

    def includes(self, position: Position) -> bool:
        """Tell whether the held snapshot is that position, or is known to have come from it."""
        return self._held is not None and self._held.trail.includes(position)

    def reached(self, position: Position) -> bool:
        """Tell whether the held snapshot has that change; see `Trail.reached`."""
        return self._held is not None and self._held.trail.reached(position)

    def apply(self, change: Change) -> Step:
        """Take in a change if it is the next one. It proves nothing: more may have happened since."""
        if self._held is None:
            return "doubt"
        step = self._held.apply(change)
        if step == "next":
            self._show(self._held, self.view.breaks, change)
        return step

    def replace(self, held: Held, *, continued: bool, asked_at: float | None = None) -> None:
        """
        Take in a whole state.

        Args:
            held: What was loaded.
            continued: It is the held position, or nothing was held: nothing can have been missed in between.
            asked_at: It is the store's answer, and so a proof; see `prove`.
        """
        if asked_at is not None:
            self._note(asked_at)
        self._held = held
        self._show(held, self.view.breaks + (not continued), None)

    def recall(self, held: Held, *, age_s: float, max_age_s: float) -> None:
        """Take in a state from the disk: stale until the first proof, for as long as it may be believed at all."""
        self._bounds = (_NEVER_FRESH, max_age_s)
        self._proved_at = self._clock.monotonic() - age_s
        self.replace(held, continued=True)

    def prove(self, asked_at: float) -> None:
        """
        Remember that the held snapshot was the store's state when the store answered a question.

        Args:
            asked_at: By the clock, before the question was sent: the answer may be as old as that.
        """
        self._note(asked_at)
        self.tick()

    def tick(self) -> None:
        """Look at the age again, and show a new view if it means something else now."""
        if self._held is not None and self.freshness != self.view.freshness:
            self._change_to(self.view.but(self.freshness), None)

    def _note(self, asked_at: float) -> None:
        planned_s = self.flips_in
        self._proved_at = max(self._proved_at, asked_at) if self.contacted.is_set() else asked_at
        self._bounds = self._ordinary
        self.contacted.set()
        if self.flips_in < planned_s:
            self.hastened.ring()

    def _show(self, held: Held, breaks: int, change: Change | None) -> None:
        self._change_to(View(held.snapshot, held.generations, self.freshness, breaks=breaks), change)

    def _change_to(self, view: View, change: Change | None) -> None:
        before, self.view = self.view, view
        moved, self.moved = self.moved, anyio.Event()
        moved.set()
        for listener in self.listeners:
            listener(before, view, change)
