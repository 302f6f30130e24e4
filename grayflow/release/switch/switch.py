"""The face of a switch between implementations: what an application builds, enters and hands out."""

import random as randomness
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Literal, TypeVar
from weakref import WeakSet

import msgspec

from grayflow.client.asking import AnyContext
from grayflow.client.client import Client
from grayflow.core.flag import By, Flag, Key
from grayflow.errors import ConfigurationError
from grayflow.release.running import Running
from grayflow.release.switch.choice import Selection, SelectionReason
from grayflow.release.switch.factories import checked_factory
from grayflow.release.switch.interface import read_interface
from grayflow.release.switch.proxy import Calls, Route, make_proxy
from grayflow.release.switch.rack import Rack
from grayflow.release.switch.routes import Chosen, Fixed, RackPart, Seat
from grayflow.release.switch.slot import Limits, Slot
from grayflow.store.given import Duration, refused, seconds

__all__ = ["ImplementationSwitch", "SwitchStatus", "VariantStatus"]

S = TypeVar("S")

_MARGIN_S = 1.0


class VariantStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one implementation is doing."""

    open: bool
    """Whether it is open, and not about to be closed."""
    calls: int
    """How many calls are going on."""
    attempts: int
    """How often its factory was called."""
    failures: int
    """How often in a row that failed."""
    error: str | None
    """Why, the last time."""


class SwitchStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a switch is doing."""

    variants: Mapping[str, VariantStatus]
    reasons: Mapping[SelectionReason, int]
    """How often which reason led to a selection: once for a unit of work, and once for a call outside of any."""


class ImplementationSwitch(Generic[S]):
    """
    Two or more implementations of one interface, and a flag that says who gets which.

        switch = ImplementationSwitch(
            CacheService,
            flag="cache.backend",
            variants={"file": FileCache.open, "redis": RedisCache.open},
            default="file",
        )
        async with switch.running(flags):
            cache = switch.proxy()      # wherever a CacheService is expected
            await cache.get("k")        # file or redis, for the user of the current scope

    A unit of work (`Client.scope`) has one implementation from its first call to its end, whatever the flag does
    meanwhile; outside of scopes each call is decided by itself. Going back is the flag's going back; what the side
    that is left behind keeps outside of this process is cleaned up by `Client.on_switch_off`.

    An implementation is opened with its first call. Once the flag can serve it to nobody any more it is closed, when
    the last call, stream, block and scope that uses it is done, or after `drain_timeout`. Where the flag names none
    that could serve (unknown variant, a factory that raises, no id) the default serves, and `status` counts why.
    Synchronous members and attributes cannot wait: for an interface that has any, the default is opened when the
    block is entered, and stays open.

    Args:
        interface: A `Protocol` or an abstract base class.
        flag: Its variants name the implementations; of a boolean flag they are `"on"` and `"off"`.
        variants: Variant -> factory, which takes nothing and returns an async context manager that gives the
            implementation; it may be a class. `lambda: nullcontext(cache)` serves an object that nobody has to close.
        default: The variant that serves where no other can: the old one.
        by: The attribute that a context must have to be served anything but the default, such as `"user_id"`. It has
            to be in the context itself. Left out, the flag alone decides.
        pin: `"call"`: each call is decided by itself, also inside of scopes; for services without state.
        open_timeout: How long a call waits for its implementation to be opened; then the default serves.
        drain_timeout: How long an implementation that is to be closed waits for its users.
        close_timeout: How long closing one may take.
        random: Draws from `[0, 1)`, for jitter; for tests.

    Raises:
        ConfigurationError: an argument cannot be used, such as a factory that needs arguments; or what a factory
            opens does not implement the interface: a member is missing, synchronous where it has to be awaited, or
            does not take the same calls. Where a factory does not say what it opens, that is looked at when it is
            opened, and counts as its failure.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and one place to look is worth more than few
        self,
        # Not `type[S]`: mypy takes no protocol for that (`type-abstract`).
        interface: Callable[..., S],
        *,
        flag: str,
        variants: Mapping[str, Callable[[], AbstractAsyncContextManager[S]]],
        default: str,
        by: By | Mapping[str, Any] | None = None,
        pin: Literal["scope", "call"] = "scope",
        open_timeout: Duration = 5.0,
        drain_timeout: Duration = 30.0,
        close_timeout: Duration = 5.0,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self.flag: str = _checked("flag", flag, Key, "give a flag's key: 1 to 200 of A-Z a-z 0-9 . _ : / -")
        self.interface = read_interface(interface)
        given: Any = variants
        if isinstance(given, Mapping) and not given:
            raise ConfigurationError("variants is empty; give a factory for each variant that the flag serves")
        if not isinstance(given, Mapping):
            raise refused("variants", variants, "give a mapping from variants to factories")
        self._factories = {name: checked_factory(name, given, self.interface) for name, given in variants.items()}
        if default not in self._factories:
            raise refused("default", default, f"name one of the variants: {', '.join(map(repr, self._factories))}")
        self.default = default
        if pin not in {"scope", "call"}:
            raise refused("pin", pin, "give 'scope' or 'call'")
        self._by: By | None = None if by is None else _checked("by", by, By, "give an attribute, or {'first': [...]}")
        self._pinned, self._random = pin == "scope", random
        self._limits = Limits(
            open_s=seconds("open_timeout", open_timeout),
            drain_s=seconds("drain_timeout", drain_timeout, least=0.0),
            close_s=seconds("close_timeout", close_timeout),
        )
        self._seat: Seat[S] = Seat(self.flag)
        self._watched: WeakSet[Client] = WeakSet()
        self._proxies: dict[str | None, S] = {}

    def __repr__(self) -> str:
        names = ", ".join(map(repr, self._factories))
        state = "not running" if self._seat.rack is None else "running"
        return f"<ImplementationSwitch of {self.flag!r}: {names}, by default {self.default!r}; {state}>"

    @property
    def variants(self) -> tuple[str, ...]:
        """All that have an implementation."""
        return tuple(self._factories)

    def running(self, flags: Client) -> Running:
        """
        Return the block in which the switch serves; leave it before the client is closed.

        Leaving it closes every implementation, after the calls that are going on or `drain_timeout`; scopes that are
        still open are not waited for. Nothing is opened before the first call, see the class for what cannot wait.

        Raises:
            LifetimeError: on entering: it is running already.
            UnopenedError: on entering: the default has to be open at once, and cannot be opened.
        """
        limit_s = self._limits.drain_s + self._limits.close_s + _MARGIN_S
        if not isinstance(flags, Client):
            raise refused("flags", flags, "give the grayflow.Client that decides")
        part = RackPart(self._seat, lambda: self._new_rack(flags))
        return Running(f"switch of {self.flag!r}", part, limit_s=limit_s)

    def proxy(self) -> S:
        """
        Return the object to use wherever the interface is expected; always the same.

        It may be asked for at any time; called outside of the `running` block it raises `LifetimeError`. Synchronous
        members may be called from any thread, everything else in the block's event loop. Attributes can be read and
        not set.
        """
        return self._proxy(None)

    def proxy_of(self, variant: str) -> S:
        """
        Return an object that always calls one variant, or the default while that cannot be opened.

        Raises:
            ConfigurationError: there is no such variant.
        """
        self._check_variant(variant)
        return self._proxy(variant)

    def choose(self, context: AnyContext = None) -> Selection[S]:
        """
        Choose for a context, and return what serves and why.

        Args:
            context: As for `Client.is_enabled`; left out, the choice is that of the current unit of work. From
                memory: an attribute that only a resolver has counts as absent.

        Raises:
            LifetimeError: the switch is not running.
        """
        rack = self.rack()
        held = rack.held() if context is None else None
        choice = (None if held is None else held.choice) or rack.choose(context=context)
        slot = rack.slots[choice.variant]
        variant, reason = choice.variant, choice.reason
        if held is not None:
            held.choice = choice
            variant = held.variant or variant
        if variant == choice.variant != self.default and slot.take() is None and slot.failures:
            slot.want()
            variant = self.default
        if variant != choice.variant:
            reason = SelectionReason.FACTORY_FAILED
        return Selection(variant=variant, implementation=self._proxy(variant), reason=reason, decision=choice.decision)

    @property
    def status(self) -> SwitchStatus:
        """
        How the switch is doing.

        Raises:
            LifetimeError: it is not running.
        """
        rack = self.rack()
        return SwitchStatus(
            variants={name: _status(slot) for name, slot in rack.slots.items()}, reasons=dict(rack.reasons)
        )

    def rack(self) -> Rack[S]:
        """
        Return what runs; for what is built upon switches.

        Raises:
            LifetimeError: nothing does.
        """
        return self._seat.taken()

    def route(self) -> Route:
        """Return the way that the flag chooses; for what is built upon switches."""
        return Chosen(self._seat)

    def fixed(self, variant: str) -> Route:
        """
        Return the way to one variant; for what is built upon switches.

        Raises:
            ConfigurationError: there is no such variant.
        """
        self._check_variant(variant)
        return Fixed(self._seat, variant)

    def _check_variant(self, given: Any) -> None:
        if not isinstance(given, str) or given not in self._factories:
            raise refused("variant", given, f"name one of {', '.join(map(repr, self._factories))}")

    def _proxy(self, variant: str | None) -> S:
        if variant not in self._proxies:
            route = self.route() if variant is None else self.fixed(variant)
            which = f"switch {self.flag!r}" if variant is None else f"variant {variant!r} of switch {self.flag!r}"
            told = f"<{self.interface.name} by {which}>"
            self._proxies[variant] = make_proxy(self.interface, Calls(route), told)
        return self._proxies[variant]

    def _new_rack(self, flags: Client) -> Rack[S]:
        slots: dict[str, Slot[S]] = {
            name: Slot(self.flag, factory, self._limits, clock=flags.clock, random=self._random)
            for name, factory in self._factories.items()
        }
        rack = Rack(
            flags,
            self.flag,
            slots,
            self.default,
            by=self._by,
            pinned=self._pinned,
            at_once=self.interface.synchronous,
        )
        if flags not in self._watched:  # there is no way to take a handler back, so each client gets one
            self._watched.add(flags)
            flags.on_change(self.flag, self._changed)
        return rack

    def _changed(self, _: Flag | None, __: Flag | None) -> None:
        if self._seat.rack is not None:
            self._seat.rack.look()


def _status(slot: Slot[Any]) -> VariantStatus:
    instance = slot.instance
    return VariantStatus(
        open=instance is not None and not instance.retired and not instance.closing,
        calls=0 if instance is None else instance.users,
        attempts=slot.attempts,
        failures=slot.failures,
        error=None if slot.error is None else f"{type(slot.error).__name__}: {slot.error}",
    )


def _checked(name: str, given: Any, kind: Any, remedy: str) -> Any:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError:
        raise refused(name, given, remedy) from None
