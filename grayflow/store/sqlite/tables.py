"""
The tables of a SQLite store, and how a row becomes a value.

This is the versioned configuration table of a database: every version of every flag with who, when, why, from when
and until when, in columns that plain SQL can ask. Nothing in here opens or locks anything.

    sqlite3 flags.db 'SELECT key, enabled, actor, reason, at FROM flags'
    sqlite3 flags.db "SELECT revision, at, actor, action FROM flag_versions WHERE key = 'payment_v2'"
"""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from grayflow.core.generations import Generation, Generations
from grayflow.core.position import Document, Position
from grayflow.store.port import Change

__all__ = ["APPLICATION_ID", "TABLES", "change_of", "row_of"]

APPLICATION_ID = 0x67664C57
"""Contract: marks a SQLite file as ours ("gfLW"). `user_version` is the schema."""

# `documents` and `generations` are the current state, `changes` the log that is never cut. A document's bytes are in
# the log only, once, so the two cannot contradict each other. Instants are UTC, ISO 8601 with microseconds, so that
# text order is time order; `at_ns` is the exact one.
TABLES = """
CREATE TABLE namespaces (
    namespace TEXT NOT NULL PRIMARY KEY,
    epoch     TEXT NOT NULL,
    revision  INTEGER NOT NULL,
    nonce     TEXT NOT NULL,
    documents INTEGER NOT NULL,
    replaces  TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE changes (
    namespace       TEXT NOT NULL,
    revision        INTEGER NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('flag', 'segment')),
    key             TEXT NOT NULL,
    action          TEXT NOT NULL,
    actor           TEXT NOT NULL,
    reason          TEXT NOT NULL,
    at              TEXT NOT NULL,
    enabled         INTEGER,
    effective_at    TEXT,
    expires_at      TEXT,
    document        BLOB,
    before_revision INTEGER,
    generations     TEXT NOT NULL,
    at_ns           INTEGER NOT NULL,
    request_id      TEXT NOT NULL,
    epoch           TEXT NOT NULL,
    nonce           TEXT NOT NULL,
    previous        TEXT NOT NULL,
    UNIQUE (namespace, revision),
    UNIQUE (namespace, request_id)
);
CREATE INDEX changes_of_document ON changes (namespace, kind, key, revision);

CREATE TABLE documents (
    namespace TEXT NOT NULL,
    kind      TEXT NOT NULL,
    key       TEXT NOT NULL,
    revision  INTEGER NOT NULL,
    PRIMARY KEY (namespace, kind, key)
) WITHOUT ROWID;

CREATE TABLE generations (
    namespace TEXT NOT NULL,
    key       TEXT NOT NULL,
    variant   TEXT NOT NULL,
    off       INTEGER NOT NULL,
    armed     INTEGER NOT NULL,
    PRIMARY KEY (namespace, key, variant)
) WITHOUT ROWID;

CREATE VIEW current_documents AS
    SELECT namespace, kind, key, revision, document
    FROM documents JOIN changes USING (namespace, kind, key, revision) WHERE document IS NOT NULL;

CREATE VIEW flag_versions AS
    SELECT namespace, key, revision, action, actor, reason, at, enabled, effective_at, expires_at,
           document IS NULL AS deleted, CAST(document AS TEXT) AS document
    FROM changes WHERE kind = 'flag';

CREATE VIEW flags AS
    SELECT namespace, key, revision, action, actor, reason, at, enabled, effective_at, expires_at,
           CAST(document AS TEXT) AS document
    FROM documents JOIN changes USING (namespace, kind, key, revision) WHERE kind = 'flag';

CREATE VIEW segments AS
    SELECT namespace, key, revision, action, actor, reason, at, CAST(document AS TEXT) AS document
    FROM documents JOIN changes USING (namespace, kind, key, revision) WHERE kind = 'segment';
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Columns(msgspec.Struct, frozen=True):
    """What of a flag document has columns of its own."""

    enabled: bool = False
    archived: bool = False
    effective_at: datetime | None = None
    expires_at: datetime | None = None


def row_of(namespace: str, change: Change) -> dict[str, Any]:
    """Return the row of `changes`, by column."""
    flag = _flag_columns(change.document) if change.kind == "flag" and change.document is not None else {}
    return {
        "namespace": namespace,
        "revision": change.revision,
        "kind": change.kind,
        "key": change.key,
        "action": change.action,
        "actor": change.actor,
        "reason": change.reason,
        "at": _iso(_EPOCH + timedelta(microseconds=change.at // 1000)),
        "enabled": flag.get("enabled"),
        "effective_at": flag.get("effective_at"),
        "expires_at": flag.get("expires_at"),
        "document": change.document,
        "before_revision": change.before.revision if change.before is not None else None,
        "generations": _packed(change.generations),
        "at_ns": change.at,
        "request_id": change.request_id,
        "epoch": change.position.epoch,
        "nonce": change.position.nonce,
        "previous": change.previous,
    }


def _flag_columns(document: bytes) -> dict[str, Any]:
    """Return what plain SQL may ask of a flag; nothing of a document that cannot be read and is stored all the same."""
    try:
        flag = msgspec.json.decode(document, type=_Columns)
        return {
            "enabled": flag.enabled and not flag.archived,
            "effective_at": _iso(flag.effective_at),
            "expires_at": _iso(flag.expires_at),
        }
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return {}


def _iso(instant: datetime | None) -> str | None:
    if instant is None or instant.tzinfo is None:
        return None
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def change_of(row: sqlite3.Row, before: bytes | None = None) -> Change:
    """Return the change of a row of `changes`; with the document before it, if that is given."""
    revision = row["before_revision"]
    return Change(
        position=Position(epoch=row["epoch"], revision=row["revision"], nonce=row["nonce"]),
        previous=row["previous"],
        kind=row["kind"],
        key=row["key"],
        document=row["document"],
        before=Document(revision, before) if revision is not None and before is not None else None,
        generations=_unpacked(row["generations"]),
        action=row["action"],
        actor=row["actor"],
        reason=row["reason"],
        at=row["at_ns"],
        request_id=row["request_id"],
    )


def _packed(generations: Generations) -> str:
    numbers = {variant: (generation.off, generation.armed) for variant, generation in generations.items()}
    return msgspec.json.encode(numbers).decode()


def _unpacked(text: str) -> Generations:
    numbers = msgspec.json.decode(text, type=dict[str, tuple[int, int]])
    return {variant: Generation(off=off, armed=armed) for variant, (off, armed) in numbers.items()}
