"""
The bytes that go to Redis and come from it.

One framing for everything that is made of parts, because the script has to make and read it too: netstrings without
the comma, `<length>:<bytes>`, one after the other. It keeps any bytes, and neither side ever re-encodes a document.

* A message on the channel: `gf1`, then names and values in turn, those of a log entry without `was` and `before`.
  One with the name `gap` says only that something happened, and why the rest is missing; one with `awaited` besides
  is a request for reports, which earlier releases take for nothing but a reason to look at the position.
* The generations of a flag: variant, off, armed, and so on for each variant.
* The document in a hash: not packed, `<revision>:` and then the document's own bytes.

The fields of a log entry: `epoch rev nonce prev` are the position and the nonce before it, `kind key` the document,
`live` is 1, or 0 if it was deleted, `doc` its bytes, `gens` the generations after, `action actor reason at request`
the audit, `was` and `before` the revision (0 for none) and bytes of the document before. Unknown names are skipped.

Contract: `tests/store/redis/test_wire.py` pins these bytes; other processes and releases read them.
"""

from collections.abc import Iterable, Mapping, Sequence

from grayflow.core.generations import Generation, Generations
from grayflow.core.position import Document, Position
from grayflow.store.port import Awaited, Change, Changed, DocumentKind, Event, Gap
from grayflow.store.redis.keys import is_generation, is_revision

__all__ = [
    "MESSAGE_LIMIT",
    "UnreadableError",
    "pack",
    "pairs",
    "read_change",
    "read_document",
    "read_generations",
    "read_message",
    "read_position",
    "unpack",
    "write_document",
    "write_request",
]

MESSAGE_LIMIT = 16_384
"""
Bytes of the largest message that carries its change. Beyond it a burst of messages would overrun a slow reader, so
nobody writes one; who hears one all the same looks at the store instead.
"""

_MAGIC = b"gf1"
_KINDS: dict[bytes, DocumentKind] = {b"flag": "flag", b"segment": "segment"}


class UnreadableError(ValueError):
    """These bytes were not written by grayflow, or by a release that speaks another dialect."""


def pack(parts: Iterable[bytes]) -> bytes:
    """Frame parts, one after the other."""
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)


def unpack(data: bytes) -> list[bytes]:
    """
    Undo `pack`.

    Raises:
        UnreadableError: `data` is something else.
    """
    parts = []
    start, end = 0, len(data)
    while start < end:
        colon = data.find(b":", start, start + 10)
        size = data[start:colon]
        if colon < 0 or not size.isdigit():
            raise UnreadableError(f"no length at byte {start}")
        start = colon + 1 + int(size)
        if start > end:
            raise UnreadableError(f"a part ends after the last byte, at {start}")
        parts.append(data[colon + 1 : start])
    return parts


def read_document(value: bytes) -> Document:
    """
    Take the revision off a document.

    A value without one was put there by hand. It counts as revision 0, is given to the reader as it is, and can be
    edited away: one strange value must not take the whole namespace from everybody.
    """
    revision, colon, data = value.partition(b":")
    if colon and is_revision(revision):
        return Document(int(revision), data)
    return Document(0, value)


def write_document(revision: int, data: bytes) -> bytes:
    """Put the revision before a document, as the script does."""
    return b"%d:%b" % (revision, data)


def read_generations(value: bytes) -> Generations:
    """
    Read what the script keeps of one flag's variants.

    Raises:
        UnreadableError: it is something else.
    """
    parts = unpack(value)
    if len(parts) % 3:
        raise UnreadableError("generations come in threes")
    found = {}
    for i in range(0, len(parts), 3):
        name, off, armed = parts[i : i + 3]
        if not (is_generation(off) and is_revision(armed)):
            raise UnreadableError("a generation is no number")
        try:
            found[name.decode()] = Generation(off=int(off), armed=int(armed))
        except UnicodeDecodeError as error:
            raise UnreadableError("the name of a variant is no text") from error
    return found


def read_position(fields: Mapping[bytes, bytes]) -> Position:
    """
    Read the position that a log entry, a message or an answer names.

    Raises:
        UnreadableError: it names none.
    """
    try:
        epoch, revision, nonce = fields[b"epoch"], fields[b"rev"], fields[b"nonce"]
        if not is_revision(revision):
            raise UnreadableError("rev is no revision")
        return Position(epoch=epoch.decode(), revision=int(revision), nonce=nonce.decode())
    except (KeyError, UnicodeDecodeError) as error:
        raise UnreadableError("there is no position") from error


def read_change(fields: Mapping[bytes, bytes]) -> Change:
    """
    Read a log entry, or a message, which is one without the document before.

    Raises:
        UnreadableError: a field is missing or cannot be read.
    """
    position = read_position(fields)
    try:
        kind, live, was, at = _KINDS[fields[b"kind"]], fields[b"live"], fields.get(b"was", b"0"), int(fields[b"at"])
        if live not in {b"0", b"1"} or not is_revision(was) or not -(2**63) <= at < 2**63:
            raise UnreadableError(f"a field of revision {position.revision} cannot be")
        return Change(
            position=position,
            previous=fields[b"prev"].decode(),
            kind=kind,
            key=fields[b"key"].decode(),
            document=fields[b"doc"] if live == b"1" else None,
            before=Document(int(was), fields[b"before"]) if int(was) else None,
            generations=read_generations(fields[b"gens"]),
            action=fields[b"action"].decode(),
            actor=fields[b"actor"].decode(),
            reason=fields[b"reason"].decode(),
            at=at,
            request_id=fields[b"request"].decode(),
        )
    except (KeyError, ValueError) as error:
        raise UnreadableError(f"revision {position.revision} cannot be read") from error


def read_message(data: bytes) -> Event:
    """Read what was published. Whatever cannot be read is a `Gap`: the reader looks at the store instead."""
    if not data.startswith(_MAGIC):
        return Gap("a message is not of this release")
    if len(data) > MESSAGE_LIMIT:
        return Gap("a message is larger than any that grayflow writes")
    try:
        fields = pairs(unpack(data[len(_MAGIC) :]))
        if b"awaited" in fields:
            return Awaited(read_position(fields))
        if b"gap" in fields:
            return Gap(fields[b"gap"].decode(errors="replace"))
        return Changed(read_change(fields))
    except UnreadableError as error:
        return Gap(f"a message could not be read: {error}")


def write_request(position: Position) -> bytes:
    """Return the message that asks for reports of a position."""
    named = {"epoch": position.epoch, "rev": str(position.revision), "nonce": position.nonce}
    named |= {"gap": "somebody waits until all have seen it", "awaited": "1"}
    return _MAGIC + pack(text.encode(errors="replace") for pair in named.items() for text in pair)


def pairs(parts: Sequence[bytes]) -> dict[bytes, bytes]:
    """
    Return names and values that stand in turn as a mapping.

    Raises:
        UnreadableError: the last name has no value, or one stands there twice.
    """
    named = dict(zip(parts[::2], parts[1::2], strict=False))
    if 2 * len(named) != len(parts):
        raise UnreadableError("names and values do not stand in turn")
    return named
