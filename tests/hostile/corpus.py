"""
What is valid, as bytes: the seeds from which hostile inputs are made.

The documents are those of `tests/spec/evaluation.json`, which use every operator and every kind of condition, so that
a mutation of one is nearly a flag and gets far. Nothing here is drawn at random: one seed, one million inputs.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from grayflow.core.generations import Generation
from grayflow.core.position import Document, Position
from grayflow.replica.last_good import Kept
from grayflow.store.port import State
from grayflow.store.redis.wire import pack

__all__ = [
    "CONTEXTS",
    "NOW",
    "answers",
    "flags",
    "kept",
    "messages",
    "next_message",
    "segments",
    "served",
    "states",
    "tokens",
]

SPEC = Path(__file__).parent.parent / "spec" / "evaluation.json"

NOW = 1_798_761_600_000_000_000
"""2027-01-01T00:00:00Z, on and beside which windows of the documents begin and end."""

CONTEXTS: tuple[Any, ...] = (
    {},
    {"user_id": "u-1", "country": "DE", "plan": "pro", "app_version": "2.1.0", "ip": "10.1.2.3", "attributes": {}},
    {"user_id": 42, "country": None, "age": 17.5, "tags": ["a", "B", None, 3], "address": {"city": ["x"]}, "plan": {}},
    {"user_id": "\ud800", "email": "x" * 600, "age": float("nan"), "app_version": "v1", "ip": "::1", "role": [[]]},
)


@cache
def _groups() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(SPEC.read_text())["groups"]
    return found


def _text(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


@cache
def flags() -> tuple[bytes, ...]:
    """Return the documents of flags."""
    return tuple(_text(document) for group in _groups() for document in group["flags"])


@cache
def segments() -> tuple[bytes, ...]:
    """Return the documents of segments."""
    return tuple(_text(document) for group in _groups() for document in group.get("segments", ()))


@cache
def served() -> State:
    """Return a small flag set at revision 7, as a service would hold it."""
    documents = {"flag": {}, "segment": {}}
    for group in _groups():
        if group.get("segments"):
            for kind, listed in (("flag", group["flags"][:3]), ("segment", group["segments"])):
                documents[kind] |= {each["key"]: Document(3, _text(each)) for each in listed}
    return State(
        position=Position(epoch="e1", revision=7, nonce="n7"),
        flags=documents["flag"],
        segments=documents["segment"],
        generations={key: {"on": Generation(off=6, armed=3)} for key in documents["flag"]},
    )


def next_message(kind: str, key: str, document: bytes | None, **fields: bytes) -> bytes:
    """Return the message that makes revision 8 of what is `served`; `fields` are put in the place of its own."""
    own = {
        "epoch": b"e1",
        "rev": b"8",
        "nonce": b"n8",
        "prev": b"n7",
        "kind": kind.encode(),
        "key": key.encode(),
        "live": b"0" if document is None else b"1",
        "doc": document or b"",
        "gens": pack([b"on", b"16", b"8"]) if kind == "flag" else b"",
        "action": b"edit",
        "actor": b"ada",
        "reason": "Grün".encode(),
        "at": b"1767225600123456789",
        "request": b"r1",
    }
    return b"gf1" + pack(part for name, value in (own | fields).items() for part in (name.encode(), value))


@cache
def messages() -> tuple[bytes, ...]:
    """Return messages that continue what is `served`, repeat it, come too early, or are of another life."""
    state = served()
    found = [next_message("flag", json.loads(data)["key"], data) for data in flags()[::8]]
    found += [next_message("segment", json.loads(data)["key"], data) for data in segments()]
    key = next(iter(state.flags))
    data = state.flags[key].data.replace(b'"enabled":true', b'"enabled":false')
    found += [
        next_message("flag", key, data),
        next_message("flag", key, None),
        next_message("segment", next(iter(state.segments)), None),
        next_message("flag", key, data, rev=b"7", nonce=b"n7", prev=b"n6"),
        next_message("flag", key, data, rev=b"9", nonce=b"n9", prev=b"n8"),
        next_message("flag", key, data, epoch=b"e2"),
        next_message("flag", key, data, prev=b"n6"),
        b"gf1" + pack([b"epoch", b"e1", b"rev", b"8", b"nonce", b"n8", b"gap", b"too large for a message"]),
        b"gf2" + pack([b"epoch", b"e1"]),
        b"{}",
    ]
    return tuple(found)


@cache
def states() -> tuple[bytes, ...]:
    """
    Return what a server may answer to a full load and to questions about its log, in one piece.

    Names and values in turn. The first letter of a name says which: `f`lag, `s`egment, generations (`o`), field of
    the `m`eta hash, entry of the `l`og.
    """
    meta = [b"mschema", b"1", b"mready", b"1", b"mepoch", b"e1", b"mrev", b"7", b"mnonce", b"n7", b"mbase", b"2"]
    found = []
    for group in _groups():
        parts = [*meta, b"mreplaces", pack([b"e0", b"*"])]
        for letter, listed in ((b"f", group["flags"]), (b"s", group.get("segments", ()))):
            for each in listed:
                parts += [letter + each["key"].encode(), b"3:" + _text(each)]
        parts += [b"o" + group["flags"][0]["key"].encode(), pack([b"on", b"6", b"3", b"off", b"0", b"0"])]
        parts += [b"l7-0", next_message("flag", "f", b"{}", rev=b"7", was=b"3", before=b"{}")[3:]]
        found.append(pack(parts))
    return tuple(found)


@cache
def answers() -> tuple[bytes, ...]:
    """Return answers of a server in RESP2."""
    return (
        b"+OK\r\n",
        b":-12\r\n",
        b"$-1\r\n",
        b"$5\r\nhello\r\n",
        b"$0\r\n\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"-ERR unknown command\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"*3\r\n:1\r\n$1\r\na\r\n*2\r\n$-1\r\n+x\r\n",
        b"*4\r\n*2\r\n$5\r\nready\r\n$1\r\n1\r\n*2\r\n$1\r\na\r\n$2\r\n1:\r\n*0\r\n-NOPERM no\r\n",
    )


@cache
def kept() -> tuple[bytes, ...]:
    """Return bodies of the file that keeps the last good flags."""
    state = served()
    few = State(position=state.position, flags={}, segments={}, generations={})
    return tuple(
        msgspec.msgpack.encode(Kept(namespace="default", saved_at=NOW, state=each)) for each in (state, few, state)
    )


def tokens() -> tuple[bytes, ...]:
    """Return positions as their owners carry them about."""
    return (b"e1:7:n7", b"0123456789abcdef:999999999999999:fedcba9876543210")
