"""
What a handler is told.

Whatever can be told without the history is always there: flag, variant, generation, keys. Who switched, why and what
the documents were comes from the history; where that is gone these are `None`, and the cause is `unknown`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from grayflow.core.flag import Flag
from grayflow.store.given import Duration

if TYPE_CHECKING:
    from grayflow.cleanup.purge import Purge

__all__ = ["Cause", "Drained", "SwitchEvent", "SwitchOff", "SwitchOn"]

Cause = Literal[
    "disabled",
    "archived",
    "deleted",
    "expired",
    "rescheduled",
    "zero share",
    "rolled back",
    "tripped",
    "created",
    "enabled",
    "started",
    "given a share",
    "unknown",
]
"""
Why a variant can be served no more, or again.

Off: the flag was `disabled`, `archived`, `deleted`; its window was over (`expired`, which no write announces) or begins
later now (`rescheduled`); rules, lists and splits leave the variant no `zero share`; an earlier revision without it was
brought back (`rolled back`); a breaker or a guard did it (`tripped`).
On: the flag was `created` or `enabled`; its window began (`started`), or was moved to hold this moment
(`rescheduled`); the variant was `given a share`; or `rolled back`.
"""

Drained = Literal["", "acknowledged", "this_process", "timeout"]
"""
How the wait for old users of the flag ended: every process that reports `acknowledged` the switch, with no scope from
before it open; only `this_process` was asked (process scope, or a store without a board); or `timeout`: the handler's
`drain` was over. Empty for a switch-on, which waits for nobody.
"""


class SwitchEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One switch of one variant, as one attempt of one handler is told of it."""

    namespace: str
    flag: str
    variant: str
    generation: int
    """Names the switch-off, see `grayflow.core.generations`; of a switch-on the one that it ends, 0 for none."""
    handler: str
    """The handler's name."""
    attempt: int
    """From 1."""
    cause: Cause = "unknown"
    actor: str | None = None
    """Who made the change; `None` for the clock, and where the history is gone."""
    reason: str | None = None
    """In their words."""
    at: int | None = None
    """When: nanoseconds since the epoch, by the clock of whoever made the change; of a window, its end or start."""
    before: Flag | None = None
    """The document before the change."""
    after: Flag | None = None
    """The document after it; for a switch by the clock both are the same."""
    checklist: Mapping[str, bool | None] = {}
    """The answers to the flag's `off_checklist`; `None` for an item that nobody was asked."""
    fencing_token: int | None = None
    """
    Grows with every new holder of the job: a resource that remembers the highest it has seen can refuse whoever was
    overtaken without knowing it. `None` in process scope.
    """
    drained: Drained = ""
    holds: Callable[[], bool] = bool
    """What `still_off` and `still_on` ask; for any thread."""

    @property
    def idempotency_key(self) -> str:
        """
        `namespace:flag:variant:generation:handler`: the same for every attempt, in whichever process.

        Contract: stable over releases, so that it can be stored and compared.
        """
        return f"{self.namespace}:{self.flag}:{self.variant}:{self.generation}:{self.handler}"

    def facts(self) -> dict[str, Any]:
        """Return what can be written as JSON: everything but the documents."""
        return {
            "namespace": self.namespace,
            "flag": self.flag,
            "variant": self.variant,
            "generation": self.generation,
            "handler": self.handler,
            "attempt": self.attempt,
            "cause": self.cause,
            "actor": self.actor,
            "reason": self.reason,
            "at": self.at,
            "checklist": dict(self.checklist),
            "fencing_token": self.fencing_token,
            "drained": self.drained,
            "idempotency_key": self.idempotency_key,
        }

    async def publish(
        self, to: Any, *, stream: str | None = None, channel: str | None = None, maxlen: int | None = 10_000
    ) -> dict[str, Any]:
        """Tell other systems of it, on a Redis stream or channel or by a function; see `grayflow.publish`."""
        from grayflow.cleanup.announce import publish

        return await publish(to, self, stream=stream, channel=channel, maxlen=maxlen)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.idempotency_key}, attempt {self.attempt}: {self.cause}>"


class SwitchOff(SwitchEvent, frozen=True, kw_only=True):
    """A variant can be served to nobody any more; see `Client.on_switch_off`."""

    def still_off(self) -> bool:
        """
        Tell whether there is any point in going on: the variant is still off by the same switch, this process still
        holds the job, and nobody asked it to stop.

        Looks at memory only and may be called from any thread. An async handler is cancelled a moment after it turns
        false (0.05 s where the loop is free); a synchronous one has to ask, and so has whoever must not touch what the
        variant writes in that moment, between steps that cannot be undone. `purge_keys` asks before each command.
        """  # noqa: D205 - one sentence
        return self.holds()

    async def purge_keys(
        self,
        redis: Any,
        pattern: str | bytes,
        *,
        rate: float | None = None,
        dry_run: bool = False,
        batch: int = 500,
        progress: "Callable[[Purge], object] | None" = None,
        settle: Duration = 1.0,
    ) -> "Purge":
        """Remove keys of what was switched off, for as long as it is `still_off`; see `grayflow.purge_keys`."""
        from grayflow.cleanup.purge import purge_keys

        return await purge_keys(
            redis,
            pattern,
            rate=rate,
            dry_run=dry_run,
            batch=batch,
            progress=progress,
            still_off=self.still_off,
            settle=settle,
        )


class SwitchOn(SwitchEvent, frozen=True, kw_only=True):
    """A variant can be served again; see `Client.on_switch_on`."""

    def still_on(self) -> bool:
        """Tell whether there is any point in going on; see `SwitchOff.still_off`."""
        return self.holds()
