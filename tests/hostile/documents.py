"""What must hold of any bytes that come as a document, or as everything that a server holds."""

from collections import deque
from contextlib import suppress
from typing import Any

import msgspec

from grayflow.core.codec import check, decode_flag, decode_segment, encode
from grayflow.core.context import Context, as_context
from grayflow.core.flag import Flag, Segment
from grayflow.core.lint import lint
from grayflow.core.liveness import boundary, live, marks
from grayflow.core.outcomes import finish
from grayflow.core.position import Position
from grayflow.core.reference import Reference
from grayflow.core.snapshot import Builder, Snapshot
from grayflow.errors import InvalidFlagError, StoreError
from grayflow.replica.last_good import Kept
from grayflow.replica.loading import assemble
from grayflow.store.port import State
from grayflow.store.redis.layout import META, Layout
from grayflow.store.redis.wire import UnreadableError, pairs, unpack
from grayflow.testing.pools import EXTENSIONS
from tests.hostile.corpus import CONTEXTS, NOW

__all__ = ["answers_alike", "flag", "loaded", "segment", "state"]

SUBJECTS = tuple(as_context(context, Context) for context in CONTEXTS)
LAYOUT = Layout("redis://somewhere", "default")


async def flag(data: bytes) -> bool:
    """Decode a flag; if it is one, everything that is ever done with a flag works."""
    try:
        found = decode_flag(data)
    except InvalidFlagError as error:
        return refused(error)
    snapshot = Snapshot.build([found], extensions=EXTENSIONS)
    spelled_once(found)
    looked_at(found)
    live(found, NOW)
    boundary(found, NOW)
    marks(found, None, {}, NOW)
    marks(None, found, {}, NOW)
    answers_alike(snapshot)
    return True


async def segment(data: bytes) -> bool:
    """Decode a segment; likewise."""
    try:
        found = decode_segment(data)
    except InvalidFlagError as error:
        return refused(error)
    asking = {"key": "f", "enabled": True, "rules": [{"when": [{"type": "segment", "key": found.key}]}]}
    spelled_once(found)
    looked_at(found)
    answers_alike(Snapshot.build([asking], [found], extensions=EXTENSIONS))
    return True


async def state(data: bytes) -> bool:
    """Read what a server holds; if it is a flag set, it is served, saved and followed like any other."""
    try:
        parts = unpack(data)
    except UnreadableError:
        parts = data.split(b":")
    named = dict(zip(parts[::2], parts[1::2], strict=False))
    of = {letter: {name[1:]: value for name, value in named.items() if name[:1] == letter} for letter in (b"f", b"s")}
    try:
        found = await LAYOUT.state(meta(named, len(of[b"f"]) + len(of[b"s"])), of[b"f"], of[b"s"], offs(named))
        log(named)
    except StoreError:
        return False
    await loaded(found)
    return True


def meta(named: dict[bytes, bytes], count: int) -> list[bytes | None]:
    """Return the fields of the hash, with the right count unless another is given."""
    given = {b"mcount": b"%d" % count} | named
    return [given.get(b"m" + name.encode()) for name in META]


def offs(named: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {name[1:]: value for name, value in named.items() if name[:1] == b"o"}


def log(named: dict[bytes, bytes]) -> None:
    """Read the entries of the log, and what only some verbs look at."""
    values = {name[1:].decode(errors="replace"): value for name, value in named.items() if name[:1] == b"m"}
    LAYOUT.epochs(values.get("replaces"))
    LAYOUT.base(values)
    for name, value in named.items():
        if name[:1] == b"l":
            try:
                fields = pairs(unpack(value))
            except UnreadableError:
                continue
            change = LAYOUT.change((name[1:], fields))
            msgspec.json.encode(change)


async def loaded(found: State) -> None:
    """Build a snapshot at once and change by change; both answer alike, and what is saved comes back."""
    held = await assemble(found, Builder(extensions=EXTENSIONS), deque())
    answers_alike(held.snapshot)
    assert held.snapshot.position == found.position
    kept = Kept(namespace="default", saved_at=NOW, state=found)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=Kept) == kept
    grown = Snapshot.build(extensions=EXTENSIONS)
    for kind, documents in (("flag", found.flags), ("segment", found.segments)):
        for key, document in documents.items():
            grown = grown.apply(kind, key, document, found.position)
    assert decisions(grown) == decisions(held.snapshot)
    for kind, documents in (("flag", found.flags), ("segment", found.segments)):
        for key in documents:
            grown = grown.apply(kind, key, None, Position(epoch="e", revision=1, nonce="n"))
    assert not grown.flags
    assert not grown.problems


def refused(error: InvalidFlagError) -> bool:
    assert 0 < len(error.problems) <= 60
    assert len(str(error)) < 100_000
    return False


def spelled_once(found: Flag | Segment) -> None:
    """Canonical bytes decode to the same document, and are the canonical bytes of that."""
    canonical = encode(found)
    again = decode_flag(canonical) if isinstance(found, Flag) else decode_segment(canonical)
    assert again == found
    assert encode(again) == canonical


def looked_at(found: Flag | Segment) -> None:
    """Whoever writes it is told what is odd about it."""
    with suppress(InvalidFlagError):
        check(found, EXTENSIONS)
    flags, segments = ([found], []) if isinstance(found, Flag) else ([], [found])
    for finding in lint(flags, segments, extensions=EXTENSIONS, now=NOW):
        assert str(finding)


def answers_alike(snapshot: Snapshot) -> None:
    """Every flag answers every context, as the specification does, and says what is wrong with it."""
    for key, entry in snapshot.flags.items():
        assert entry.fault is None
        for subject in SUBJECTS:
            found = snapshot.evaluate(key, subject, default=None, now=NOW)
            assert entry.fault is None, entry.fault
            if entry.flag is not None:
                compiled = snapshot.compiled(key)
                assert compiled is not None
                expected = Reference(snapshot, subject, NOW).decide(key)
                assert expected is not None
                assert found == finish(expected, compiled.kind, None)
    for problem in snapshot.problems:
        assert str(problem)


def decisions(snapshot: Snapshot) -> list[Any]:
    return [snapshot.evaluate(key, SUBJECTS[1], now=NOW) for key in sorted(snapshot.flags)]
