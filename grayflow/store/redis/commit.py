"""What the script is given and what it answers: `scripts.lua`, seen from Python."""

import secrets
from collections.abc import Sequence

from grayflow.core.position import Position
from grayflow.errors import ConflictError, HistoryGoneError
from grayflow.store.port import SCHEMA, Change, Edit
from grayflow.store.redis.keys import Keys, is_revision
from grayflow.store.redis.layout import Layout
from grayflow.store.redis.wire import MESSAGE_LIMIT, UnreadableError, pairs, read_position, unpack

__all__ = [
    "commit_arguments",
    "commit_keys",
    "init_arguments",
    "init_keys",
    "read_commit",
    "read_init",
]

_REMEMBERED_MS = 600_000
"""How long a request id is known."""

Words = list[str | bytes | int]


def commit_keys(keys: Keys, edit: Edit) -> list[str | bytes]:
    """Return the keys that a commit touches, in the script's order."""
    return [
        keys.meta,
        keys.documents(edit.kind),
        keys.offs,
        keys.log,
        keys.history(edit.kind, edit.key),
        keys.request(edit.request_id),
    ]


def commit_arguments(keys: Keys, edit: Edit, *, expected: int, log_limit: int, history_limit: int) -> Words:
    """Return what the script needs to know of an edit, in its order."""
    return [
        "commit",
        SCHEMA,
        keys.channel,
        log_limit,
        history_limit,
        _REMEMBERED_MS,
        MESSAGE_LIMIT,
        expected,
        secrets.token_hex(8),
        edit.kind,
        edit.key,
        0 if edit.document is None else 1,
        edit.document or b"",
        edit.action,
        edit.actor,
        edit.reason,
        edit.at,
        edit.request_id,
        *_marks(edit),
    ]


def _marks(edit: Edit) -> Words:
    marks, words = edit.marks, Words()
    for variant in dict.fromkeys((*marks.off, *marks.armed, *marks.disarmed, *marks.passed)):
        armed = "now" if variant in marks.armed else "never" if variant in marks.disarmed else ""
        # What is held is never below 0, so a number below it changes nothing; the script compares digits.
        passed = max(0, marks.passed.get(variant, 0))
        words += [variant, "1" if variant in marks.off else "", armed, passed]
    return words


def init_keys(keys: Keys) -> list[str | bytes]:
    """Return the keys that `init` touches, in the script's order."""
    return [keys.meta, keys.documents("flag"), keys.documents("segment"), keys.offs, keys.log]


def init_arguments(keys: Keys, replaces: Sequence[str] | None, top: int) -> Words:
    """Return what the script needs to begin an epoch, in its order; `top` is the highest revision found."""
    epoch, nonce = secrets.token_hex(8), secrets.token_hex(8)
    return ["init", SCHEMA, keys.channel, "" if replaces is None else "1", epoch, nonce, top, *(replaces or ())]


def read_commit(answer: Sequence[bytes], edit: Edit, *, expected: int, layout: Layout) -> Change:
    """
    Return the change that was made.

    Raises:
        ConflictError, NotInitializedError, StoreFormatError, HistoryGoneError: none was made, and why.
    """
    if answer[0] == b"conflict":
        raise ConflictError(edit.key, expected=expected, actual=int(answer[1]), kind=edit.kind)
    return layout.change((b"the answer", _done(answer, layout)))


def read_init(answer: Sequence[bytes], layout: Layout) -> Position:
    """
    Return where the namespace is now.

    Raises:
        StoreFormatError: it was not initialised, and why.
    """
    try:
        return read_position(_done(answer, layout))
    except UnreadableError as error:
        raise layout.damaged("its position cannot be read") from error


def _done(answer: Sequence[bytes], layout: Layout) -> dict[bytes, bytes]:
    match answer:
        case [b"done", entry]:
            return _entry(entry, layout)
        case [b"uninitialised", _]:
            raise layout.missing()
        case [b"newer", schema]:
            raise layout.newer(schema)
        case [b"denied", command]:
            raise layout.denied(command)
        case [b"log", what]:
            raise layout.damaged(f"its log is inconsistent: {what.decode(errors='replace')}")
        case [b"forgotten", revision] if is_revision(revision):
            # Done within the last ten minutes, and pushed out of the log by thousands of later changes.
            raise HistoryGoneError(int(revision), oldest=int(revision) + 1)
        case [b"damaged", what]:
            raise layout.damaged(f"{what.decode(errors='replace')} is not as grayflow leaves it")
        case _:
            raise layout.damaged(f"the script answered {answer!r:.100}")


def _entry(data: bytes, layout: Layout) -> dict[bytes, bytes]:
    try:
        return pairs(unpack(data))
    except UnreadableError as error:
        raise layout.damaged(f"the answer cannot be read ({error})") from error
