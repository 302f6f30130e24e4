"""
What must hold at every moment of a schedule.

It is checked from outside: against the states that the server had, the answers that came back and the messages that
were read. Of the replica's own bookkeeping only the view and whether a round of asking is running are looked at.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from grayflow.client.client import Client
from grayflow.core.position import Position
from grayflow.errors import NotInitializedError, StoreAccessError, StoreFormatError
from grayflow.replica.freshness import FRESH_TTLS
from grayflow.replica.view import View
from grayflow.store.port import Change, Changed, Event
from grayflow.testing.virtual import VirtualClock, VirtualLoop
from tests.simulation.script import Settings
from tests.simulation.server import Node, Server
from tests.simulation.store import Observer

MARGIN_S = 0.002
"""The replica looks at the age a millisecond after a bound."""
TICK_S = 1.0
"""After the machine slept, decisions are marked stale within so long."""
APART_S = 0.2
"""Doubts without end are looked into so often; one alone is at once."""
RETRY_S = 1.0
"""The longest pause after a failure that may pass."""
LONGEST_POLL = 1.2
"""In units of ttl."""


class Watch(Observer):
    """
    Looks on, keeps the trace, and remembers the first thing that was wrong.

    Args:
        loop: Its time orders what happens.
        clock: The replica's, which goes on while the machine sleeps.
        settings: Of the schedule.
        server: Knows every state that there was.
    """

    def __init__(self, loop: VirtualLoop, clock: VirtualClock, settings: Settings, server: Server) -> None:
        self._loop, self._clock, self._settings, self._server = loop, clock, settings, server
        self.trace: list[tuple[Any, ...]] = []
        self.violation: str | None = None
        self.alarm: Callable[[], None] = lambda: None
        """Called when something is wrong."""
        self.client: Client | None = None
        self._woke_at = -math.inf

    def attach(self, client: Client) -> None:
        """Watch a process that begins now and knows nothing."""
        self.client, self._replica = client, client._replica
        self._decided: View | None = None
        self.held: Node | None = None
        self._left: dict[Position, float] = {}
        """When each position was held last."""
        self.proved_at = self.believed_from = -math.inf
        self._believed_for_s = self._settings.max_staleness_s
        self._start: Node | None = None
        """What was taken in as a whole, last; the replica knows nothing of what led there."""
        self._loaded: tuple[float, Node] | None = None
        self._caught_up: tuple[float, Position] | None = None
        """What was answered last, and when it was asked for: a proof as soon as it is held."""
        self._pushed: list[Node] = []
        """What was heard since everything was asked for."""
        self._asking: str | None = None
        self._due: Node | None = None
        """What is to be held now, as a change to it was heard."""
        self._over_at = self._loop.time()
        self._ask_by, self._why = -math.inf, "the process began"
        self._replica.holder.listeners.append(self._viewed)

    def note(self, *what: Any) -> None:
        """Add to the trace."""
        self.trace.append((self._loop.time(), *what))

    def fail(self, why: str) -> None:
        """Say that something is wrong; only the first counts."""
        if self.violation is None:
            self.violation = why
            self.note("VIOLATION", why)
            self.alarm()

    def check(self, holds: object, why: str) -> None:
        if not holds:
            self.fail(why)

    # Asking: one question at a time, soon after every doubt, and often enough without one

    def asked(self, verb: str) -> float:
        self.note("asks", verb)
        self.check(self._asking is None, f"{verb} was asked while {self._asking} was not answered")
        self._asking = verb
        if verb == "load":
            self._pushed.clear()
        if verb == "position":
            self._ask_by, self._why = self._loop.time() + LONGEST_POLL * self._settings.ttl_s, "it is time for a poll"
        return self._clock.monotonic()

    def failed(self, verb: str, error: BaseException) -> None:
        self.note("fails", verb, type(error).__name__)
        self._asking, self._over_at = None, self._loop.time()
        if not isinstance(error, NotInitializedError | StoreFormatError | StoreAccessError):
            self._expect_question(RETRY_S, "the last question was not answered")

    def linked(self) -> None:
        self.note("linked")
        self._expect_question(0.0, "the link was entered")

    def heard(self, event: Event) -> None:
        if not isinstance(event, Changed):
            self.note("hears", "gap")
            return self._expect_question(0.0, "a gap was heard")
        position = event.change.position
        self.note("hears", position)
        node = self._server.known[position]
        self._pushed.append(node)
        if self.held is None:
            return self._expect_question(0.0, "a change was heard, and nothing is held")
        if node.before is self.held:
            self._due = node
        elif node not in _line(self.held):
            self._expect_question(
                0.0, f"a change to {position.token()} was heard, which does not continue what is held"
            )
        return None

    def _expect_question(self, within_s: float, why: str) -> None:
        if (ask_by := self._loop.time() + within_s) < self._ask_by:
            self._ask_by, self._why = ask_by, why

    # Proofs, and what they say of the age

    def answered(self, verb: str, asked_at: float, node: Node) -> None:
        self.note("answered", verb, node.position)
        self._asking, self._over_at = None, self._loop.time()
        if verb == "load":
            self._loaded = (asked_at, node)
        elif verb == "changes":
            self._caught_up = (asked_at, node.position)
        if verb in {"position", "changes"} and self._held_since(node.position, asked_at):
            self._prove(asked_at)

    def _held_since(self, position: Position, moment: float) -> bool:
        now = self.held is not None and self.held.position == position
        return now or self._left.get(position, -math.inf) >= moment

    def _prove(self, asked_at: float) -> None:
        self.proved_at = self.believed_from = max(self.proved_at, asked_at)
        self._believed_for_s = self._settings.max_staleness_s

    def recalled(self, proved_at: float, max_age_s: float) -> None:
        """Hear that the process begins with flags from its disk."""
        self.believed_from, self._believed_for_s = proved_at, max_age_s

    def suspended(self) -> None:
        """Hear that the machine slept just now."""
        self._woke_at = self._loop.time()

    def lasts(self, seconds: float) -> None:
        """Check what is as it is now for so long, because every task waits."""
        if self.client is None:
            return
        self.check(self._due is None, "a change that continues what is held was not taken in")
        until = self._loop.time() + seconds
        if until > self._woke_at + TICK_S + MARGIN_S:
            self._check_age(self._replica.view, self._clock.monotonic() + seconds - MARGIN_S)
        self._check_decision(self.client, self._replica.view)
        late_s = until - max(self._ask_by, self._over_at + APART_S)
        self.check(late_s <= MARGIN_S or self._round_runs(), f"nobody asks, although {self._why}")

    def _check_age(self, view: View, until: float) -> None:
        if view.freshness == "fresh":
            age_s = until - self.proved_at
            bound_s = FRESH_TTLS * self._settings.ttl_s
            self.check(age_s <= bound_s, f"called fresh {age_s:.3f} s after the last proof; the bound is {bound_s:g}")
        if view.freshness != "expired":
            age_s = until - self.believed_from
            bound_s = self._believed_for_s
            self.check(age_s <= bound_s, f"not expired {age_s:.3f} s after the last proof; the bound is {bound_s:g}")

    def _round_runs(self) -> bool:
        running = self._replica.sync._running
        return running is not None and not running.done.is_set()

    # What readers see

    def _viewed(self, before: View, after: View, change: Change | None) -> None:
        if after.snapshot is before.snapshot:
            self.note("is", after.freshness)
            return
        position = after.position
        self.note("holds", position, after.freshness, "loaded" if change is None else "changed")
        node = None if position is None else self._server.known.get(position)
        if node is None:
            self.fail(f"{position} was never a position of the server")
            return
        self._check_content(after, node)
        if self.held is not None:
            self._left[self.held.position] = self._clock.monotonic()
            self._check_step(before, after, self.held, node, change)
        if change is None:
            self._check_loaded(node)
            self._start = node
        self.held, self._due = node, None
        if self._caught_up is not None and self._caught_up[1] == position:
            self._prove(self._caught_up[0])

    def _check_content(self, view: View, node: Node) -> None:
        snapshot = view.snapshot
        assert snapshot is not None
        flags = {key: (entry.revision, entry.flag.description) for key, entry in snapshot.flags.items()}
        segments = {key: (entry.revision, entry.segment.description) for key, entry in snapshot.segments.items()}
        self.check(
            (flags, segments) == (node.marks("flag"), node.marks("segment")),
            f"the snapshot is not the state at {node.position.token()}",
        )
        generations = dict(view.generations)
        self.check(generations == node.generations, f"the generations are not those at {node.position.token()}")

    def _check_step(self, before: View, after: View, held: Node, node: Node, change: Change | None) -> None:
        if change is not None:
            self.check(node.before is held and node.change is not None, "a change was applied to another state")
            self.check(after.breaks == before.breaks, "a change is no break")
            return
        self.check(after.breaks == before.breaks + 1, "a full load that continues nothing was not called a break")
        old, new = held.position.epoch, node.position.epoch
        self.check(node.takes_over(held), f"epoch {new} was taken over, which does not replace {old}")

    def _check_loaded(self, node: Node) -> None:
        if self._loaded is None:
            return  # from the disk
        asked_at, loaded = self._loaded
        newest = loaded
        for pushed in self._pushed:
            newest = pushed if pushed.before is newest else newest
        self.check(
            newest is node, f"from the load and what was pushed meanwhile {newest.position.token()} should follow"
        )
        self._prove(asked_at)

    def check_reached(self, node: Node) -> None:
        """Check that a change that was waited for is held, or lies so far back that nobody can tell."""
        assert self.held is not None
        assert self._start is not None
        known = node.position.revision > self._start.position.revision
        self.check(not known or node in _line(self.held), f"{node.position.token()} is said to be reached")

    def _check_decision(self, client: Client, view: View) -> None:
        """Check that a flag answers as its document says, or as it says for a snapshot that has expired."""
        if view is self._decided or self.held is None:
            return
        self._decided = view
        decision = client.peek_decision("a", default="default")
        document = self.held.documents["flag"].get("a")
        expected = "default" if document is None else _served(document.data, expired=view.freshness == "expired")
        self.check(decision.value == expected, f"answers {decision.value!r}, and it should be {expected!r}")
        self.check(
            decision.stale == (view.freshness != "fresh"), f"is {view.freshness}, and says stale={decision.stale}"
        )


def _line(node: Node) -> Iterator[Node]:
    """Yield a state and those before it, of one life."""
    at: Node | None = node
    while at is not None and at.position.epoch == node.position.epoch:
        yield at
        at = at.before


def _served(data: bytes, *, expired: bool) -> str:
    flag = msgspec.json.decode(data)
    todo = flag.get("on_failure", "caller_default") if expired else "last_known"
    if todo == "last_known":
        return flag["description"]
    return "default" if todo == "caller_default" else "off"
