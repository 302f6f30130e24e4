"""What is asked of a client: decisions, the blocks around them, and the flags themselves; all of it from memory."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, overload

from msgspec import UNSET

from grayflow.client.carry import carried_context, carried_token, packed
from grayflow.client.evaluator import UNKNOWN, Evaluator
from grayflow.client.gate import ContextOf, Gate, Otherwise
from grayflow.client.live import Live
from grayflow.client.scope import Frames, Override, Scope
from grayflow.core.context import Context, as_context
from grayflow.core.decision import Decision
from grayflow.core.frozen import FrozenDict, FrozenList
from grayflow.core.outcomes import finish
from grayflow.core.position import Position
from grayflow.core.snapshot import Snapshot
from grayflow.errors import ConfigurationError
from grayflow.store.given import Duration

__all__ = ["AnyContext", "Asking"]

T = TypeVar("T")

_PLAIN: Mapping[type, type] = {FrozenDict: dict, FrozenList: list}

AnyContext = Context | Mapping[str, Any] | None
"""A context of the client's type, a mapping that is read as one, or nothing: then it is the scope's."""


class Asking:
    """
    The half of `Client` that needs neither loop nor store.

    Args:
        evaluator: Answers what the hot path cannot.
        live: What is current.
    """

    def __init__(self, evaluator: Evaluator, live: Live) -> None:
        self._evaluator = evaluator
        self._live = live
        self._frames = evaluator.frames
        self._context_type = evaluator.context_type

    # Methods begin with a hot path: a look-up and a call, without allocation. What it cannot answer (an override, an
    # expired snapshot, an attribute that has to be fetched, whatever raises) the evaluator can.

    async def is_enabled(self, key: str, context: AnyContext = None, *, default: bool = False) -> bool:
        """
        Tell whether a boolean flag is on for a context.

        Args:
            key: The flag.
            context: A `context_type`, or a mapping; the scope's if left out.
            default: The answer where there is none: no such flag, no flags yet, a flag of another kind, an expired
                snapshot without another policy.
        """
        frame = self._frames.get()
        subject = frame.context if context is None else context
        if subject.__class__ is self._context_type:
            try:
                value = frame.checks[key](subject, frame.instant, None).value
            except Exception:  # noqa: BLE001 - the evaluator meets it again, and puts it into the decision
                value = None
            if type(value) is bool:
                return value
            if value is UNKNOWN and type(default) is bool:
                return default
        return bool((await self._evaluator.fetching(key, context, default, boolean=True)).value)

    @overload
    async def value(self, key: str, context: AnyContext = None, *, default: None) -> Any: ...
    @overload
    async def value(self, key: str, context: AnyContext = None, *, default: T) -> T: ...
    async def value(self, key: str, context: AnyContext = None, *, default: Any) -> Any:
        """
        Return a flag's value, of the type of the default: a flag of another kind answers with the default.

        A default of `None` takes any type. JSON values are shared and read-only; `copy.deepcopy` makes plain ones.
        """
        decision = self._quick(key, context, default)
        return (await self._evaluator.fetching(key, context, default) if decision is None else decision).value

    async def evaluate(
        self,
        key: str,
        context: AnyContext = None,
        *,
        default: Any = None,
        freshness: Literal["any", "confirmed"] = "any",
    ) -> Decision:
        """
        Decide a flag, and say why.

        Args:
            key: The flag.
            context: A `context_type`, or a mapping; the scope's if left out.
            default: The value where there is none, and the type that is asked for; `None` takes any.
            freshness: `"confirmed"` proves first, within `confirm_timeout`, that the flags are the store's at this
                moment. If that fails, and where it cannot be done (another event loop, a forked child), the decision
                is `stale` and its `detail` says why. In a scope the answer may differ from the pinned one.

        Cancellation: nothing remains; attributes that other tasks wait for are fetched by one of them.
        """
        decision = self._quick(key, context, default) if freshness == "any" else None
        if decision is not None:
            return decision
        return await self._evaluator.fetching(key, context, default, confirmed=freshness != "any")

    def peek(self, key: str, context: AnyContext = None, *, default: bool = False) -> bool:
        """Tell whether a flag is on, as `is_enabled`; see `peek_decision`."""
        frame = self._frames.get()
        subject = frame.context if context is None else context
        if subject.__class__ is self._context_type:
            try:
                value = frame.checks[key](subject, frame.instant, None).value
            except Exception:  # noqa: BLE001 - as in `is_enabled`
                value = None
            if type(value) is bool:
                return value
            if value is UNKNOWN and type(default) is bool:
                return default
        return bool(self._evaluator.now(key, context, default, boolean=True).value)

    @overload
    def peek_value(self, key: str, context: AnyContext = None, *, default: None) -> Any: ...
    @overload
    def peek_value(self, key: str, context: AnyContext = None, *, default: T) -> T: ...
    def peek_value(self, key: str, context: AnyContext = None, *, default: Any) -> Any:
        """Return a flag's value, as `value`; see `peek_decision`."""
        decision = self._quick(key, context, default)
        return (self._evaluator.now(key, context, default) if decision is None else decision).value

    def peek_decision(self, key: str, context: AnyContext = None, *, default: Any = None) -> Decision:
        """
        Decide a flag from memory, as `evaluate`: synchronous, in any thread and without an event loop.

        An attribute that only a resolver has counts as absent, unless the scope has fetched it already; the decision's
        `error` is `resolver_failed` then.
        """
        decision = self._quick(key, context, default)
        return self._evaluator.now(key, context, default) if decision is None else decision

    def _quick(self, key: str, context: Any, default: Any) -> Decision | None:
        frame = self._frames.get()
        subject = frame.context if context is None else context
        if subject.__class__ is not self._context_type:
            return None
        try:
            compiled = frame.answers[key]
            decision = compiled.evaluate(subject, frame.instant, None)
            value = decision.value
            kind = value.__class__
            # Says the same as `finish`, only sooner: a value of the default's very type is what was asked for, and any
            # value where no type was.
            if kind is default.__class__ or (default is None and value is not UNSET):
                return decision
            if _PLAIN.get(kind) is default.__class__:
                return decision
            return finish(decision, compiled.kind, default)
        except Exception:  # noqa: BLE001 - as in `is_enabled`
            return None

    # Units of work

    def scope(self, context: AnyContext = None, *, at_least: str | Position | None = None, pin: bool = True) -> Scope:
        """
        Pin one snapshot, its freshness, one instant and a context for a unit of work.

            with flags.scope(Context(user_id="42")):
                await flags.is_enabled("a"); await flags.is_enabled("b")    # cannot disagree

        An inner scope keeps what is pinned and replaces the context; without one it keeps that too. Tasks started
        inside are in the scope while it is open. Open one per message in consumers and WebSocket handlers.

        Args:
            context: For evaluations inside that give none.
            at_least: A position's token, such as `flags.position.token()` of the process that sent a message. Needs
                `async with`: entering waits up to `confirm_timeout` until the flags have that change, asks the store
                once if they have not, and then goes on; decisions are `stale` if that was in vain. It pins anew.
            pin: False only binds the context, for what lasts long (a connection, a consumer): evaluations inside see
                every change, and scopes inside, one per message, pin. In a scope that pins already it changes nothing.

        Raises:
            TypeError: the context is neither a `Context` nor a mapping.
            ConfigurationError: `at_least` without `async with`, or with `pin=False`.
        """
        if at_least is not None and not pin:
            raise ConfigurationError("a scope waits for at_least in order to pin it; leave out pin=False")
        subject = None if context is None else as_context(context, self._context_type)
        return Scope(self._evaluator, subject, at_least, pin)

    def override(self, values: Mapping[str, Any] | None = None, /, **flags: Any) -> Override:
        """
        Force flags to values for the length of a block and for the tasks started in it; for tests.

            with flags.override({"cache.backend": "redis"}, payment_v2=True):
                ...

        Needs neither start nor store, and the flags need not exist. Values are checked against the callers' defaults
        like those of any flag. Overrides nest, the inner one wins.
        """
        return Override(self._evaluator, {**(values or {}), **flags})

    # Work that is done elsewhere, and later

    def gate(
        self,
        key: str,
        *,
        otherwise: Otherwise = "drop",
        delay: Duration = 60.0,
        context: ContextOf | None = None,
        variant: str | None = None,
        default: bool = False,
    ) -> Gate:
        """
        Let a task run only while a flag is on; the flag is asked when the task runs.

            @broker.task
            @flags.gate("payment_v2", otherwise="delay", context=lambda order: {"user_id": order["user"]})
            async def charge(order: dict[str, Any]) -> None: ...

        For async functions and others; those that are not async decide by `peek`. With Celery and taskiq the
        integrations do what is asked for; elsewhere a dropped call returns `None`, and the others raise
        `GateClosedError` for the worker to deal with.

        Args:
            key: The flag.
            otherwise: What becomes of a call while the gate is closed: `"drop"` (it is gone), `"delay"` (it comes again
                later) or `"dead-letter"` (it is kept where nobody runs it); or a function of the `Refusal`, whose
                result is the call's, and whose exception too.
            delay: How much later, seconds or a `timedelta`.
            context: A function of the task's arguments that makes the context; the scope's if left out.
            variant: Open while this variant is served, for flags that are not boolean; else while the flag is on.
            default: Whether the gate is open where there is no answer: no such flag, no flags yet. To drop work because
                the flags have not arrived is seldom right: give `True`, or delay.

        Returns:
            The decorator. The function has it as its attribute `gate`.

        Raises:
            ConfigurationError: an option cannot be used; on decorating, that the function cannot be guarded.
        """
        return Gate(self, key, otherwise=otherwise, delay=delay, context=context, variant=variant, default=default)

    def carry(self, context: AnyContext = None) -> dict[str, str]:
        """
        Return headers for a message: `carried` opens a scope at the other end, of flags at least as new as these here.

            await charge.kicker().with_labels(**flags.carry(ctx)).kiq(order)             # taskiq
            charge.apply_async((order,), headers=flags.carry(ctx))                       # Celery

        Args:
            context: Sent too, as JSON, if given. Whoever can read the messages can read it.

        Raises:
            ConfigurationError: the context holds what cannot be written as JSON, or is larger than 64 KiB.
            TypeError: it is neither a `Context` nor a mapping.
        """
        return packed(self.position, None if context is None else as_context(context, self._context_type))

    def carried(self, headers: Mapping[str, Any], context: AnyContext = None) -> Scope:
        """
        Return the scope for a message that was sent with `carry`: `async with flags.carried(message.headers):`.

        It waits for the flags that the sender had, see `scope`. Headers that are missing or damaged cost nothing but
        what they would have said.

        Args:
            headers: The message's.
            context: Instead of the one that is carried.
        """
        return self.scope(carried_context(headers) if context is None else context, at_least=carried_token(headers))

    # The flags

    @property
    def frames(self) -> Frames:
        """Where this place of the program finds its unit of work; for what is built upon clients."""
        return self._frames

    @property
    def context_type(self) -> type[Context]:
        """The class of its contexts."""
        return self._context_type

    @property
    def snapshot(self) -> Snapshot | None:
        """The flags: those that the scope has pinned, else the current ones; `None` if there are none yet."""
        pin = self._frames.get().pin()
        return self._live.view().snapshot if pin is None or pin.view is None else pin.view.snapshot

    @property
    def position(self) -> Position | None:
        """Where in the store's life `snapshot` is; its token goes into messages, for `scope(at_least=)`."""
        snapshot = self.snapshot
        return None if snapshot is None else snapshot.position
