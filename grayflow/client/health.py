"""How a client is doing, as one value that can be printed, logged or sent as JSON."""

import math
from collections.abc import Mapping
from typing import Literal

import msgspec

from grayflow.cleanup.means import CleanupStatus
from grayflow.cleanup.runner import Cleanup
from grayflow.client.changes import Changes
from grayflow.client.evaluator import Evaluator
from grayflow.client.live import Live
from grayflow.client.presence import Presence
from grayflow.client.states import HealthState
from grayflow.core.position import Position
from grayflow.replica.holder import Holder
from grayflow.replica.replica import Replica
from grayflow.store.port import Store

__all__ = ["Health", "HealthState", "Readiness", "examine", "ready"]

_READY: frozenset[HealthState] = frozenset({"fresh", "stale", "expired"})


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """
    What `Client.health` returns. `msgspec.json.encode` makes JSON of it; later releases may add fields.

    It is a copy: reading it costs nothing that grows with the number of flags, only with what is wrong.
    """

    state: HealthState
    """
    `starting`: there are no flags yet. `fresh`, `stale`, `expired`: the age of the flags. `failed`: a defect ended the
    client, and decisions come from memory. `closed`: so they do, on purpose.
    """
    age_s: float | None
    """Seconds since the flags were last proved to be the store's; `None` if they never were."""
    revision: int | None
    position: Position | None
    """Where in the store's life the flags are."""
    link: Literal["up", "down"]
    """Whether changes are being pushed; while it is down they are polled for."""
    last_error: str | None
    """What is wrong now and what to do about it; `None` while nothing is."""
    incident: bool
    """The store answers, but what it holds was refused: it is empty, damaged, of a newer release or another's."""
    flags: int
    """How many flags there are."""
    degraded: Mapping[str, tuple[str, ...]]
    """Flags that do not mean what their newest document says -> why."""
    degraded_segments: Mapping[str, tuple[str, ...]]
    """Segments, likewise."""
    unknown: tuple[str, ...]
    """Names that were asked for and are no flags; at most 1,000."""
    unknown_overflow: int
    """How often yet other names were asked for."""
    loads: int
    """How often the whole flag set was loaded."""
    failovers: int
    """How often the store had gone back to an earlier state, which was then loaded."""
    hook_errors: int
    resolver_errors: int
    handler_errors: int
    """Failures of hooks, of resolvers (timeouts included) and of `on_change` and `on_state` handlers."""
    changes_dropped: int
    """Changes that `on_change` handlers did not hear, because a newer one of the same flag came first."""
    unreported: str | None
    """Why this process is not shown by `grayflow fleet`, and not waited for; `None` if it is."""
    unsaved: str | None
    """Why the `last_good` file could not be written; `None` once it could, and where there is none."""
    cleanup: CleanupStatus
    """How the handlers of switch-offs are doing."""
    place: str
    """Where the store is, without secrets."""
    namespace: str
    name: str
    """The client's."""

    @property
    def readiness(self) -> "Readiness":
        """The part of it that a load balancer asks for."""
        return Readiness(
            ready=self.state in _READY,
            state=self.state,
            stale=self.state != "fresh",
            age_s=self.age_s,
            revision=self.revision,
        )


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """
    Whether requests should come to this process.

    Old flags are no reason to take a process out, since all of them lose their store at once: `state` and `age_s` are
    there to be watched.
    """

    ready: bool
    """There are flags, however old, and the client runs."""
    state: HealthState
    stale: bool
    age_s: float | None
    revision: int | None


def ready(state: HealthState, holder: Holder) -> Readiness:
    """Return what a load balancer asks for, without the rest of `Health`."""
    age_s, position = holder.age_s, holder.position
    return Readiness(
        ready=state in _READY,
        state=state,
        stale=state != "fresh",
        age_s=None if age_s == math.inf else age_s,
        revision=None if position is None else position.revision,
    )


def examine(  # noqa: PLR0913, PLR0917 - every part of a client is asked, by one caller
    state: HealthState,
    name: str,
    store: Store,
    replica: Replica,
    live: Live,
    evaluator: Evaluator,
    changes: Changes,
    presence: Presence,
    cleanup: Cleanup,
) -> Health:
    """Ask the parts of a client how they are doing."""
    holder = replica.holder
    position, snapshot = holder.position, holder.view.snapshot
    return Health(
        state=state,
        age_s=None if holder.age_s == math.inf else holder.age_s,
        revision=None if position is None else position.revision,
        position=position,
        link=replica.link if live.why is None else "down",
        last_error=live.why or replica.troubles.text,
        incident=replica.troubles.incident,
        flags=0 if snapshot is None else len(snapshot.flags),
        degraded=replica.inspection.degraded["flag"].copy(),
        degraded_segments=replica.inspection.degraded["segment"].copy(),
        unknown=evaluator.unknown.keys,
        unknown_overflow=evaluator.unknown.overflow,
        loads=replica.sync.loads,
        failovers=replica.sync.failovers,
        hook_errors=0 if evaluator.hooks is None else evaluator.hooks.errors,
        resolver_errors=evaluator.resolvers.errors,
        handler_errors=changes.errors + live.states.errors,
        changes_dropped=changes.dropped,
        unreported=live.why or presence.missing,
        unsaved=None if replica.saver is None else replica.saver.trouble,
        cleanup=cleanup.status,
        place=store.place,
        namespace=store.namespace,
        name=name,
    )
