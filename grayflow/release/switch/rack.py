"""
All implementations of one switch while it runs, and who gets which.

A unit of work keeps what it was given until it ends, and what it was given stays open for as long. What the flag
cannot serve to anybody any more is closed when the last user is done; what is needed all the same (by a unit of work
that goes on, or as the default) is opened again, and closed once nobody has asked for it for a while.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import anyio

from grayflow.client.asking import AnyContext
from grayflow.client.client import Client
from grayflow.core.context import as_context, field_names, read_id
from grayflow.core.decision import Decision, ErrorCode
from grayflow.core.flag import By, Flag
from grayflow.core.liveness import boundary
from grayflow.errors import LifetimeError, UnopenedError
from grayflow.release.running import Running
from grayflow.release.switch.choice import Choice, SelectionReason, choose_variant, named, reachable
from grayflow.release.switch.instance import Instance, Use
from grayflow.release.switch.slot import Slot
from grayflow.replica.waiting import pause

__all__ = ["Held", "Rack"]

S = TypeVar("S")

log = logging.getLogger("grayflow.release")

_LINGER_S = 60.0
"""What the flag cannot serve, and was opened all the same, is closed after it has not been used for so long."""


class Held(Generic[S]):
    """What one unit of work goes by."""

    __slots__ = ("choice", "instance", "over", "variant")

    def __init__(self) -> None:
        self.choice: Choice | None = None
        self.variant: str | None = None
        """What serves, once it is known whether the choice can."""
        self.instance: Instance[S] | None = None
        self.over = False

    def chosen(self, choice: Choice) -> Choice:
        """Go by a choice, unless another task made one meanwhile; return the one that counts."""
        if self.choice is None:
            self.choice = choice
        return self.choice

    def settle(self, instance: Instance[S]) -> None:
        """Keep an instance for the unit of work, if it is not over meanwhile."""
        before, self.instance = self.instance, instance
        if before is not None and before is not instance:
            before.drop(self)
        instance.hold(self)
        if self.over:
            instance.drop(self)

    def let_go(self) -> None:
        """See `grayflow.client.scope.Kept`."""
        self.over = True
        if self.instance is not None:
            self.instance.drop(self)


class Rack(Generic[S]):
    """
    What runs inside of `ImplementationSwitch.running`.

    Args:
        flags: Decides.
        flag: The flag.
        slots: By variant.
        default: The variant that serves where no other can.
        by: What the context must have; `None`: the flag alone decides.
        pinned: Whether a unit of work keeps what it was given.
        at_once: Whether the interface has members that cannot wait for anything to be opened.
    """

    def __init__(
        self,
        flags: Client,
        flag: str,
        slots: Mapping[str, Slot[S]],
        default: str,
        *,
        by: By | None,
        pinned: bool,
        at_once: bool,
    ) -> None:
        self.slots, self.default = slots, default
        self.reasons: Counter[SelectionReason] = Counter()
        """How often which reason led to a selection."""
        self.closed = False
        """Whether nothing is opened any more."""
        self._flags, self._flag, self._frames = flags, flag, flags.frames
        self._by, self._pinned, self._at_once = by, pinned, at_once
        self._wake = anyio.Event()
        self._loop = asyncio.get_running_loop()
        self._reached: frozenset[str] = frozenset()
        self._unknown: set[str | None] = set()

    # The part that runs

    async def open(self, running: Running) -> None:
        """See `grayflow.release.running.Part`."""
        self._look()
        for slot in self.slots.values():
            running.spawn(slot.tend, name=f"switch {self._flag} {slot.variant}")
        if self._at_once:
            for variant in self._reached & set(self.slots):
                self.slots[variant].want()
            await self._default_instance()
        running.spawn(self._watch, name=f"switch {self._flag}")

    async def close(self) -> None:
        """See `grayflow.release.running.Part`."""
        self.closed = True
        for slot in self.slots.values():
            slot.end()
        for slot in self.slots.values():
            await slot.over.wait()

    def over(self, _: Exception | None) -> None:
        """See `grayflow.release.running.Part`."""
        self.closed = True

    def look(self) -> None:
        """Look at the flag again soon; from any thread."""
        if not self.closed and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _watch(self) -> None:
        clock = self._flags.clock
        while True:
            self._wake = anyio.Event()
            self._look()
            flag, now = self._document(), clock.now()
            edge = None if flag is None else boundary(flag, now)
            await pause(clock, _LINGER_S if edge is None else min(_LINGER_S, (edge - now) / 1e9), self._wake)
            if not self._wake.is_set():
                self._close_what_lingers()

    def _look(self) -> None:
        """Close what became unreachable, and keep what became reachable."""
        before, self._reached = self._reached, reachable(self._document(), self._flags.clock.now(), self.default)
        for variant, slot in self.slots.items():
            slot.reachable = variant in self._reached
            if slot.reachable:
                slot.revive()
                if self._at_once and variant not in before:
                    slot.want()
            elif variant in before and not (self._at_once and variant == self.default):
                slot.retire()

    def _close_what_lingers(self) -> None:
        for slot in self.slots.values():
            instance = slot.instance
            if instance is None or slot.reachable or (self._at_once and slot.variant == self.default):
                continue
            if instance.idle and not instance.touched:
                slot.retire()
            instance.touched = False

    def _document(self) -> Flag | None:
        snapshot = self._flags.snapshot
        found = None if snapshot is None else snapshot.flag(self._flag)
        return None if found is None else found[0]

    # Choices

    def choose(self, decision: Decision | None = None, context: AnyContext = None) -> Choice:
        """Choose for a context, that of this place if it is `None`, from memory; or by a decision that was made."""
        if decision is None:
            decision = self._flags.peek_decision(self._flag, context)
        has_unit = self._by is None or self._has_unit(context)
        choice = choose_variant(decision, self.slots, self.default, has_unit=has_unit)
        if choice.reason is SelectionReason.UNKNOWN_VARIANT:
            self._tell_unknown(named(decision))
        return choice

    def _tell_unknown(self, variant: str | None) -> None:
        """Warn of a variant without an implementation, once: somebody waits for a release that goes to nobody."""
        if variant not in self._unknown:
            self._unknown.add(variant)
            known = ", ".join(map(repr, self.slots))
            text = "flag %r serves %r, for which its switch has no implementation (it has %s); %r serves instead"
            log.warning(text, self._flag, variant, known, self.default)

    async def choose_slowly(self) -> Choice:
        """Do the same with attributes that have to be fetched."""
        return self.choose(await self._flags.evaluate(self._flag))

    def _has_unit(self, context: AnyContext) -> bool:
        kind = self._flags.context_type
        try:
            subject = self._frames.get().context if context is None else as_context(context, kind)
            return self._by is not None and read_id(subject, self._by, field_names(type(subject))) is not None
        except Exception:  # noqa: BLE001 - a mapping of the caller's; the decision says what it raised
            return False

    def held(self) -> Held[S] | None:
        """Return what the unit of work of this place goes by, `None` where each call is chosen for."""
        if not self._pinned:
            return None
        unit = self._frames.get().unit()
        if unit is None:
            return None
        found: Any = unit.kept.setdefault(self, Held())
        if not unit.open:  # left by another thread at this moment
            unit.kept.pop(self, None)
            return None
        held: Held[S] = found
        return held

    # Calls

    def enter(self) -> Use[S] | None:
        """Begin a call; `None` if something has to be waited for."""
        frame = self._frames.get()
        held: Any = frame.kept.get(self)
        if held is None and frame.parent is not None:
            held = self.held()
        if held is None:
            choice = self.choose()
            use = None if _is_waited_for(choice) else self.slots[choice.variant].enter()
            if use is not None:
                self.reasons[choice.reason] += 1
            return use
        instance: Instance[S] | None = held.instance
        return self._enter_first(held) if instance is None else instance.enter()

    def _enter_first(self, held: Held[S]) -> Use[S] | None:
        if held.choice is None:
            choice = self.choose()
            if _is_waited_for(choice):
                return None
            held.choice = choice
        if held.variant is None and (instance := self.slots[held.choice.variant].take()) is not None:
            self._settle(held, instance, held.choice.reason)
            return instance.enter()
        return None

    async def enter_slowly(self) -> Use[S]:
        """
        Begin a call, whatever has to be waited for.

        Raises:
            LifetimeError: the switch does not run, or runs in another event loop.
            UnopenedError: not even the default implementation can be opened.
        """
        self._check()
        held = self.held()
        while True:
            use = await (self._enter_alone() if held is None else self._enter_held(held))
            if use is not None:
                return use
            self._check()

    async def _enter_alone(self) -> Use[S] | None:
        choice = await self.choose_slowly()
        instance, reason = await self.instance(choice.variant, choice.reason)
        use = instance.enter()
        if use is not None:
            self.reasons[reason] += 1
        return use

    async def _enter_held(self, held: Held[S]) -> Use[S] | None:
        choice = held.choice or held.chosen(await self.choose_slowly())
        instance, reason = await self.instance(held.variant or choice.variant, choice.reason)
        if held.variant is not None and held.variant != instance.variant:
            # Another task of this unit was served otherwise meanwhile: what it got counts for all.
            instance, reason = await self.instance(held.variant, reason)
        self._settle(held, instance, reason)
        return instance.enter()

    def _settle(self, held: Held[S], instance: Instance[S], reason: SelectionReason) -> None:
        if held.variant is None:
            held.variant = instance.variant
            self.reasons[reason] += 1
        held.settle(instance)

    async def instance(self, variant: str, reason: SelectionReason) -> tuple[Instance[S], SelectionReason]:
        """Return what serves for a variant: its own instance, or the default's, and why."""
        slot = self.slots[variant]
        if variant != self.default:
            instance = await slot.obtain()
            if instance is not None:
                return instance, reason
            reason = _excuse(slot)
        return await self._default_instance(), reason

    async def _default_instance(self) -> Instance[S]:
        slot = self.slots[self.default]
        instance = await slot.obtain()
        if instance is None:
            self._check()
            raise self._unopened() from slot.error
        return instance

    def enter_now(self) -> Use[S]:
        """
        Begin a call of something that cannot wait, with what is open.

        Raises:
            LifetimeError: the switch does not run.
            UnopenedError: nothing that could serve is open.
        """
        use = self.enter()
        if use is not None:
            return use
        self._check(here=False)
        held = self.held()
        choice = (None if held is None else held.choice) or self.choose()
        instance, reason = self.instance_now(choice.variant, choice.reason)
        if held is not None:
            held.choice = choice
            self._settle(held, instance, reason)
        else:
            self.reasons[reason] += 1
        return instance.enter() or self.enter_now()

    def instance_now(self, variant: str, reason: SelectionReason) -> tuple[Instance[S], SelectionReason]:
        """Do as `instance` with what is open; what is not is asked for."""
        slot = self.slots[variant]
        instance = slot.take()
        if instance is not None:
            return instance, reason
        self._loop.call_soon_threadsafe(slot.want)
        if variant != self.default:
            return self.instance_now(self.default, _excuse(slot))
        raise self._unopened() from slot.error

    def _unopened(self) -> UnopenedError:
        slot = self.slots[self.default]
        error = slot.error
        why = "it is being opened" if error is None else f"its factory raised {type(error).__name__}: {error}"
        return UnopenedError(self._flag, self.default, why=why)

    def _check(self, *, here: bool = True) -> None:
        if self.closed:
            raise LifetimeError(f"the switch of flag {self._flag!r} is closed; call it inside of its running block")
        if here and asyncio.get_running_loop() is not self._loop:
            raise LifetimeError(
                f"the switch of flag {self._flag!r} runs in another event loop, and only there it can open what is "
                "called; call it there"
            )


def _is_waited_for(choice: Choice) -> bool:
    """Tell whether a resolver might give another answer; see `Client.peek_decision`."""
    return choice.decision.error is ErrorCode.RESOLVER_FAILED


def _excuse(slot: Slot[S]) -> SelectionReason:
    return SelectionReason.FACTORY_FAILED if slot.failures else SelectionReason.OPENING
