"""
One snapshot and one context for a unit of work, and flags forced to a value in tests.

A block of either kind is a *frame* that a context variable points to, so tasks started inside see it and their
siblings do not. A frame counts only while its block is open: a task that outlives the block goes on with the current
snapshot, and keeps nothing but the context.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec

from grayflow.core.context import Context
from grayflow.core.frozen import FrozenDict, freeze
from grayflow.core.position import Position
from grayflow.errors import ConfigurationError, LifetimeError
from grayflow.replica.view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from grayflow.client.resolvers import Resolved
    from grayflow.core.compiler import Compiled
    from grayflow.core.decision import Decision

__all__ = ["MISSING", "Frame", "Frames", "Host", "Kept", "Override", "Scope"]

MISSING: Any = object()
"""No override."""

_NOTHING: Any = FrozenDict()


class Kept(Protocol):
    """Something that is kept for the length of a unit of work."""

    def let_go(self) -> None:
        """Called once, when the unit of work is over."""


class Frame(msgspec.Struct, eq=False):
    """What an evaluation in some place of the program goes by."""

    context: Context
    """Whoever the unit of work is for."""
    parent: "Frame | None"
    """The frame around it; `None` for the client's own."""
    view: View | None = None
    """The pinned view; `None` where nothing is pinned."""
    instant: Any = None
    """The pinned instant, nanoseconds since 1970; `None` where the clock is asked."""
    open: bool = True
    overrides: Mapping[str, Any] = _NOTHING
    resolved: "Resolved | None" = None
    kept: dict[object, "Kept"] = {}
    """What parts of grayflow keep for this unit of work, each under a key of its own; see `unit`."""
    # The two tables of the hot path: empty unless nothing but the snapshot decides.
    checks: "Mapping[str, Callable[[Any, Any, Any], Decision]]" = _NOTHING
    answers: "Mapping[str, Compiled]" = _NOTHING

    def __repr__(self) -> str:
        return f"<Frame{'' if self.open else ', closed'}>"  # short, and says nothing of whom it is for

    def quicken(self, view: View) -> None:
        """Let the hot path answer from that view, as far as its freshness allows."""
        self.checks = view.checks if view.freshness != "expired" else _NOTHING
        self.answers = view.answers if view.freshness == "fresh" else _NOTHING

    def slow(self) -> None:
        """Let every question be looked at properly."""
        self.checks = self.answers = _NOTHING

    def pin(self) -> "Frame | None":
        """Return the nearest open frame that pins a view, if any does."""
        frame: Frame | None = self
        while frame is not None and not (frame.open and frame.view is not None):
            frame = frame.parent
        return frame

    def overridden(self, key: str) -> Any:
        """Return what an open frame forces the flag to, `MISSING` if none does."""
        frame: Frame | None = self
        while frame is not None:
            if frame.open and key in frame.overrides:
                return frame.overrides[key]
            frame = frame.parent
        return MISSING

    def forces(self) -> bool:
        """Tell whether any flag is overridden here."""
        frame: Frame | None = self
        while frame is not None:
            if frame.open and frame.overrides:
                return True
            frame = frame.parent
        return False

    def nearest_open(self) -> "Frame":
        """Return the nearest frame that counts, itself included; the client's own always does."""
        frame = self
        while not frame.open and frame.parent is not None:
            frame = frame.parent
        return frame

    def unit(self) -> "Frame | None":
        """
        Return the outermost frame in which every question is answered as here, `None` where nothing is pinned.

        Inner scopes that neither replace the context nor pin anew belong to the unit of work around them.
        """
        frame, pin = self.nearest_open(), self.pin()
        if pin is None:
            return None
        while frame.parent is not None and not frame.overrides:
            around = frame.parent.nearest_open()
            beyond = around.pin()
            if around.context is not frame.context or beyond is None or beyond.view is not pin.view:
                break
            frame = around
        return frame

    def close(self) -> None:
        """Let it count no more, and let go what was kept for it."""
        self.open = False
        self.slow()
        while self.kept:
            self.kept.popitem()[1].let_go()


Frames = ContextVar[Frame]


class Host(Protocol):
    """What a scope needs of its client."""

    context_type: type[Context]
    frames: Frames
    pinned: set[Frame]

    def pin(self, context: Context | None) -> Frame:
        """Return a frame that pins what counts here, not yet open to anybody."""

    def bind(self, context: Context | None) -> Frame:
        """Return a frame that has a context and pins nothing."""

    async def pin_at_least(self, context: Context | None, at_least: "str | Position") -> Frame:
        """Wait for a change, then return a frame that pins the current view, stale if the change was not reached."""


class Scope(msgspec.Struct, eq=False):
    """
    One snapshot, one freshness, one instant and one context, for the length of the block; see `Client.scope`.

    Use it once. Inside, `position` says what is pinned.
    """

    _host: Host
    _context: Context | None
    _at_least: "str | Position | None"
    _pin: bool
    _reached: Frame | None = None
    _frame: Frame | None = None
    _token: "Token[Frame] | None" = None

    def __repr__(self) -> str:
        return f"<Scope at {self.position}>"  # and nothing of whom it is for

    async def wait(self) -> Self:
        """
        Wait for `at_least` now, before the block; then the block may be a plain `with`, and in another thread.

        For code without an event loop, whose client lives in a thread of its own: `flags_thread.call(scope.wait)`.

        Raises:
            LifetimeError: the block was entered already.
        """
        if self._frame is not None:
            raise _entered_before()
        if self._at_least is not None:
            self._reached = await self._host.pin_at_least(self._context, self._at_least)
            self._at_least = None
        return self

    @property
    def context(self) -> Context | None:
        """What evaluations inside go by."""
        return self._context if self._frame is None else self._frame.context

    @property
    def position(self) -> Position | None:
        """Where the pinned snapshot is: `None` before the block, and where there is no snapshot."""
        return None if self._frame is None or self._frame.view is None else self._frame.view.position

    def __enter__(self) -> Self:
        if self._at_least is not None:
            raise ConfigurationError(
                "at_least waits for a change, so the block is: async with flags.scope(..., at_least=token):"
            )
        if self._frame is not None:
            raise _entered_before()
        host = self._host
        if self._reached is not None:
            frame = self._reached
        else:
            frame = host.pin(self._context) if self._pin else host.bind(self._context)
        self._frame = frame
        host.pinned.add(frame)
        self._token = host.frames.set(frame)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._frame is not None and self._token is not None:
            self._host.pinned.discard(self._frame)
            self._frame.close()
            _reset(self._host.frames, self._token)

    async def __aenter__(self) -> Self:
        await self.wait()
        return self.__enter__()

    async def __aexit__(self, *exc: object) -> None:
        self.__exit__(*exc)


def _entered_before() -> LifetimeError:
    return LifetimeError("this scope was entered before; make a new one: with flags.scope(...):")


class Override:
    """
    Flags forced to values for the length of the block; see `Client.override`.

    Use it once.
    """

    def __init__(self, host: Host, values: Mapping[str, Any]) -> None:
        self._host = host
        self._values = {key: freeze(value) for key, value in values.items()}
        self._frame: Frame | None = None
        self._token: Token[Frame] | None = None

    def __enter__(self) -> Self:
        if self._frame is not None:
            raise LifetimeError("this override was entered before; make a new one: with flags.override(...):")
        around = self._host.frames.get()
        self._frame = Frame(around.context, around.nearest_open())
        self._frame.resolved = around.resolved
        self._frame.overrides = self._values
        self._token = self._host.frames.set(self._frame)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._frame is not None and self._token is not None:
            self._frame.close()
            _reset(self._host.frames, self._token)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *exc: object) -> None:
        self.__exit__(*exc)


def _reset(frames: Frames, token: "Token[Frame]") -> None:
    try:
        frames.reset(token)
    except ValueError:
        # Left in another context than it was entered in, as generator fixtures are. The frame is closed, and whoever
        # still sees it sees that it counts for nothing.
        return
