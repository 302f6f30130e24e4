"""
A client for tests of services: its flags are set by the test, and nothing runs behind it.

It answers as any client does, from values that were set and from whole documents, with rules, percentages and times.
It has no store to follow: a test of pushes, hand-overs and clean-up opens a real `Client` on a `MemoryStore`.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grayflow.admin.formats import Found, format_of, read_text
from grayflow.client.client import Client
from grayflow.client.hooks import Hook, HookDetails
from grayflow.client.scope import Frame
from grayflow.core.calendar import as_instant
from grayflow.core.codec import Source, from_json, to_bytes
from grayflow.core.context import Context
from grayflow.core.decision import Decision, ErrorCode
from grayflow.core.extensions import Extensions
from grayflow.core.flag import Kind, Segment
from grayflow.core.frozen import freeze
from grayflow.core.position import Document, Position
from grayflow.core.snapshot import Snapshot
from grayflow.errors import ConfigurationError, InvalidFlagError, UnknownFlagError
from grayflow.replica.holder import Held
from grayflow.replica.trail import Trail
from grayflow.store.given import Duration
from grayflow.store.memory import MemoryStore
from grayflow.store.port import DocumentKind
from grayflow.testing.clock import FakeClock

__all__ = ["SettableClient"]


class SettableClient(Client):
    """
    A `Client` without a store: `flags = SettableClient(); flags.set(payment_v2=True)`.

    It needs no start; starting and closing it do nothing, any number of times, so that an application may do so. Its
    flags are always the newest: `freshness="confirmed"`, `at_least` and `wait_for` find what they want.

    Args:
        context_type: As for `Client`.
        extensions: As for `Client`.
        hooks: As for `Client`.
    """

    def __init__(
        self,
        *,
        context_type: type[Context] = Context,
        extensions: Extensions | None = None,
        hooks: Iterable[Hook] = (),
    ) -> None:
        self._clock = FakeClock()
        self.unknown: dict[str, str] = {}
        """Names that were asked for and are no flags -> what to say about each."""
        super().__init__(
            MemoryStore("tests"),
            context_type=context_type,
            extensions=extensions,
            hooks=(*hooks, _Watch(self)),
            clock=self._clock,
            name="tests",
        )
        nothing = Snapshot.build(extensions=extensions, context_type=context_type)
        self._show(nothing, Position(epoch="tests", revision=0, nonce=""))
        self._live.attend(self)
        self._evaluator._prove = _is_proved  # noqa: SLF001 - a client whose store can say nothing new

    # Flags

    def set(self, values: Mapping[str, Any] | None = None, /, **flags: Any) -> None:
        """
        Let flags have values, whatever their documents say.

        In a task it holds for the task and those that it starts, so tests that run tasks side by side do not disturb
        each other; elsewhere, as in a fixture that is no coroutine, it holds for all.

        Args:
            values: For names that are no identifiers: `{"cache.backend": "redis"}`.
            flags: The others.

        Raises:
            UnknownFlagError: flags were defined, and this is none of them.
            ConfigurationError: the flag that was defined is of another kind.
        """
        given = {**(values or {}), **flags}
        for key, value in given.items():
            self._check(key, value)
        frozen = {key: freeze(value) for key, value in given.items()}
        if not _in_task():
            self._live.frame.overrides = {**self._live.frame.overrides, **frozen}
            return
        around = self._frames.get()
        frame = Frame(around.context, around.nearest_open())
        frame.resolved, frame.overrides = around.resolved, frozen
        self._frames.set(frame)

    def define(self, *documents: Source) -> None:
        """
        Add flags as whole documents: Structs, mappings or JSON. A `Segment` adds a segment.

        From the first one on, a flag that is neither defined nor set is a mistake of the test.

        Raises:
            InvalidFlagError: a document breaks the rules.
        """
        for document in documents:
            kind: DocumentKind = "segment" if isinstance(document, Segment) else "flag"
            data = to_bytes(document)
            self._add(kind, _key_of(data), data)

    def load(self, path: str | PathLike[str]) -> None:
        """
        Add the flags and segments of a file, such as `grayflow export` writes: JSON, JSON Lines or YAML.

        Raises:
            InvalidFlagError: a document breaks the rules.
            OSError: the file cannot be read.
        """
        text = Path(path).read_bytes()
        parsed = read_text(text, format_of(str(path)))
        if parsed.problems:
            raise InvalidFlagError(tuple(misfit.problem for misfit in parsed.problems))
        for found in sorted(parsed.documents, key=_segments_first):
            self._add(found.kind, found.key, found.data)

    @property
    def clock(self) -> FakeClock:
        """What time it is; see `now`."""
        return self._clock

    @property
    def now(self) -> int:
        """The instant that windows and times of day are decided by, nanoseconds since the epoch."""
        return self.clock.now()

    @now.setter
    def now(self, instant: datetime | int) -> None:
        self.clock.step((as_instant(instant) - self.clock.now()) / 1e9)

    # Lifetime

    async def start(self) -> Self:
        """Do nothing."""
        return self

    async def aclose(self) -> None:
        """Do nothing."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def wait_for(self, token: str | Position, *, timeout: Duration | None = 5.0) -> None:  # noqa: ARG002, ASYNC109
        """
        Return at once: what a test sets is there, and no change is on its way.

        Raises:
            ConfigurationError: the token is none.
        """
        if not isinstance(token, Position):
            Position.from_token(token)

    def __repr__(self) -> str:
        return f"<SettableClient: {len(self._documents().flags)} defined, {len(self._live.frame.overrides)} set>"

    def _add(self, kind: DocumentKind, key: str, data: bytes) -> None:
        held = self._documents()
        position = Position(epoch="tests", revision=held.position.revision + 1 if held.position else 1, nonce="")
        snapshot = held.apply(kind, key, Document(position.revision, data), position)
        entry = snapshot.flags[key] if kind == "flag" else snapshot.segments[key]
        if entry.problems:
            raise InvalidFlagError(entry.problems)
        self._show(snapshot, position)

    def _show(self, snapshot: Snapshot, position: Position) -> None:
        held = Held(snapshot, {}, Trail(position))
        self._replica.holder.replace(held, continued=True, asked_at=self.clock.monotonic())

    def _documents(self) -> Snapshot:
        snapshot = self._replica.holder.view.snapshot
        assert snapshot is not None  # shown when this was built
        return snapshot

    def _check(self, key: str, value: Any) -> None:
        documents = self._documents()
        defined = documents.flag(key)
        if defined is None:
            if documents.flags:
                raise UnknownFlagError(key, similar=self._like(key))
        elif not _is_of(defined[0].kind, value):
            raise ConfigurationError(f"flag {key!r} is of kind {defined[0].kind!r}; it cannot be set to {value!r}")

    def _like(self, key: str) -> tuple[str, ...]:
        known = {*self._documents().flags, *self._live.frame.overrides}
        frame: Frame | None = self._frames.get()
        while frame is not None:
            known |= frame.overrides.keys()
            frame = frame.parent
        return tuple(get_close_matches(key, known, 3))


async def _is_proved(_: Position | None) -> str:
    """Say that nothing keeps the flags from being the newest."""
    return ""


class _Watch:
    """Notes which names were asked for that are no flags."""

    def __init__(self, flags: SettableClient) -> None:
        self._flags = flags

    def error(self, details: HookDetails, decision: Decision) -> None:
        """See `Hook`."""
        if decision.error is ErrorCode.FLAG_NOT_FOUND:
            key = details.key
            self._flags.unknown.setdefault(key, str(UnknownFlagError(key, similar=self._flags._like(key))))  # noqa: SLF001 - one thing in two classes


def _key_of(data: bytes) -> str:
    found = from_json(data)
    return str(found.get("key", "")) if isinstance(found, dict) else ""


def _segments_first(found: Found) -> bool:
    return found.kind != "segment"


def _is_of(kind: Kind, value: Any) -> bool:
    if kind == "json":
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    types: dict[Kind, tuple[type, ...]] = {"integer": (int,), "float": (int, float), "string": (str,)}
    return isinstance(value, types.get(kind, ()))


def _in_task() -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:  # no loop runs here
        return False
