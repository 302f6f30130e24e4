"""
Runs the handlers of switches twice, as the fleet will.

Whoever dies after the work and before the record of it leaves it to somebody who does it again. The handlers are called
as a client calls them, with the same events but for attempt and fence; nothing is recorded, no flag is switched.
"""

import inspect
import reprlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from graphlib import TopologicalSorter
from typing import Any

import anyio
import msgspec

from grayflow.cleanup.attempt import Attempt, Outcome
from grayflow.cleanup.event import SwitchEvent, SwitchOff, SwitchOn
from grayflow.cleanup.handlers import Handler, Handlers
from grayflow.client.client import Client
from grayflow.clock import SystemClock
from grayflow.core.flag import Flag
from grayflow.errors import ConfigurationError

__all__ = ["run_handlers_twice"]

_GENERATION = 2


async def run_handlers_twice(flags: Client, *, state: Callable[[], Any] | None = None) -> tuple[str, ...]:
    """
    Run every handler that a client has twice, and fail unless the second run is harmless.

        async def test_handlers_may_run_again(flags):
            app = build_app(flags)
            await run_handlers_twice(flags, state=lambda: (app.cache, app.sent))

    Harmless is what raises nothing and leaves the state as the first run left it. Handlers run one after the other,
    those first that others name in `after`, once for each of their flags and variants: the variants of the flag's
    document, or `on` where the client does not know the flag. Their events say `disabled`, or `enabled`; both runs get
    the same `idempotency_key`, the second a higher `attempt` and, in fleet scope, a higher `fencing_token`. Timeouts
    count by the machine's clock; retries, drains and jobs play no part.

    Args:
        flags: The client, started or not: a `SettableClient` will do.
        state: Returns what handlers may change, for example the keys of a cache or the messages that were sent; may be
            async. It is called before and after each second run, copied in between, and compared with `==`.

    Returns:
        The names of the handlers, in the order in which they ran.

    Raises:
        AssertionError: a handler failed, in whichever run, or its second run changed the state; all are named.
        ConfigurationError: no handler is registered, or `after` cannot be followed.
    """
    handlers = flags._cleanup.handlers  # noqa: SLF001 - what it does with them is what is tried here
    if not len(handlers):
        raise ConfigurationError("no handler is registered, so nothing was tried; call on_switch_off first")
    handlers.check()
    order = _in_order(handlers)
    faults = [fault for handler in order for fault in [await _tried(flags, handler, state)] if fault is not None]
    if faults:
        raise AssertionError(_told(faults)) from next((one.error for one in faults if one.error is not None), None)
    return tuple(handler.name for handler in order)


class _Fault(msgspec.Struct, frozen=True):
    """Why a handler may not run again."""

    text: str
    error: BaseException | None = None


def _in_order(handlers: Handlers) -> tuple[Handler, ...]:
    found = {handler.name: handler for handler in handlers}
    names = TopologicalSorter({handler.name: handler.after for handler in handlers}).static_order()
    return tuple(found[name] for name in names)


async def _tried(flags: Client, handler: Handler, state: Callable[[], Any] | None) -> _Fault | None:
    """Return the first thing that is wrong with a handler."""
    for event in _events(flags, handler):
        of = f"{handler.name!r} for flag {event.flag!r}, variant {event.variant!r}"
        first = await _run(handler, event)
        if first.failure:
            return _Fault(f"{of} failed in its first run: {first.failure}", first.error)
        before = await _probed(state)
        fence = None if event.fencing_token is None else event.fencing_token + 1
        second = await _run(handler, msgspec.structs.replace(event, attempt=2, fencing_token=fence))
        if second.failure:
            return _Fault(f"{of} failed in its second run: {second.failure}", second.error)
        after = await _probed(state)
        if before != after:
            return _Fault(f"{of} changed the state in its second run, from {_short(before)} to {_short(after)}")
    return None


def _events(flags: Client, handler: Handler) -> Iterator[SwitchEvent]:
    off, fleet = handler.switch == "off", handler.scope == "fleet"
    for flag in handler.flags:
        document = _document(flags, flag)
        disabled, enabled = (
            None if document is None else msgspec.structs.replace(document, enabled=on) for on in (False, True)
        )
        for variant in _variants(handler, document):
            yield (SwitchOff if off else SwitchOn)(
                namespace=flags.health.namespace,
                flag=flag,
                variant=variant,
                generation=_GENERATION,
                handler=handler.name,
                attempt=1,
                cause="disabled" if off else "enabled",
                actor="test",
                reason="handlers run twice",
                at=SystemClock().now(),
                before=enabled if off else disabled,
                after=disabled if off else enabled,
                fencing_token=1 if fleet else None,
                drained=("acknowledged" if fleet else "this_process") if off else "",
                holds=_always,
            )


def _document(flags: Client, key: str) -> Flag | None:
    snapshot = flags._replica.holder.view.snapshot  # noqa: SLF001 - the document; a client tells decisions only
    entry = None if snapshot is None else snapshot.flags.get(key)
    return None if entry is None else entry.flag


def _variants(handler: Handler, document: Flag | None) -> tuple[str, ...]:
    if handler.variant is not None:
        return (handler.variant,)
    names = () if document is None else (name for name in document.variants if name != document.off_variant)
    return tuple(names) or ("on",)


async def _run(handler: Handler, event: SwitchEvent) -> Outcome:
    return await Attempt(handler, clock=SystemClock(), limiter=anyio.CapacityLimiter(1)).run(event)


async def _probed(state: Callable[[], Any] | None) -> Any:
    """Return a copy: of what is handed out itself, the next run would change both sides of the comparison."""
    found = None if state is None else state()
    return deepcopy(await found if inspect.isawaitable(found) else found)


def _always() -> bool:
    return True


def _short(value: Any) -> str:
    printed = reprlib.Repr()
    printed.maxother = printed.maxstring = printed.maxlong = 200
    return printed.repr(value)


def _told(faults: list[_Fault]) -> str:
    lines = "\n".join(f"  {fault.text}" for fault in faults)
    many = "a handler is" if len(faults) == 1 else f"{len(faults)} handlers are"
    return f"{many} not harmless when run again, as after a crash or a lost answer:\n{lines}"
