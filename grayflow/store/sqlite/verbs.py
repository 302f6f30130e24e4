"""
What each verb of the store does, in SQL.

Plain functions on a connection, each one transaction, so that a verb is done or not done whoever stops waiting for
it. Errors of SQLite go through; `store.py` translates them.
"""

import sqlite3
from collections.abc import Sequence
from uuid import uuid4

import msgspec

from grayflow.core.generations import Generation, Generations
from grayflow.core.position import Document, Position
from grayflow.errors import ConflictError, HistoryGoneError, NotInitializedError, StoreFormatError
from grayflow.store.port import Change, DocumentKind, Edit, State
from grayflow.store.sqlite.file import transaction
from grayflow.store.sqlite.tables import change_of, row_of

__all__ = ["Verbs"]

_MOST = 2**63 - 1
_WITH_BEFORE = (
    "SELECT c.*, b.document AS before FROM changes AS c "
    "LEFT JOIN changes AS b ON b.namespace = c.namespace AND b.revision = c.before_revision"
)


class Verbs:
    """
    The verbs on one namespace of one file.

    Args:
        namespace: Whose rows.
        place: The path, for messages.
    """

    def __init__(self, namespace: str, place: str) -> None:
        self._namespace = namespace
        self._place = place

    def position(self, connection: sqlite3.Connection) -> Position:
        """See `Store.position`."""
        return _position(self._head(connection))

    def replaced(self, connection: sqlite3.Connection) -> Sequence[str]:
        """See `Store.replaced`."""
        return _epochs(self._head(connection))

    def load(self, connection: sqlite3.Connection) -> State:
        """See `Store.load`."""
        kinds: dict[DocumentKind, dict[str, Document]] = {"flag": {}, "segment": {}}
        with transaction(connection, "DEFERRED"):
            head = self._head(connection)
            rows = connection.execute(
                "SELECT kind, key, revision, document FROM current_documents WHERE namespace = ?", (self._namespace,)
            )
            for kind, key, revision, document in rows:
                kinds[kind][key] = Document(revision, document)
            generations = self._generations(connection)
        found = len(kinds["flag"]) + len(kinds["segment"])
        if found != head["documents"]:
            raise StoreFormatError(
                f"{self._place} holds {found} documents of namespace {self._namespace!r} but says {head['documents']}: "
                "it is damaged",
                remedy=self._mend(),
            )
        return State(position=_position(head), flags=kinds["flag"], segments=kinds["segment"], generations=generations)

    def get(self, connection: sqlite3.Connection, kind: DocumentKind, key: str) -> tuple[Document | None, Generations]:
        """See `Store.get`."""
        with transaction(connection, "DEFERRED"):
            self._head(connection)
            return self._held(connection, kind, key)

    def changes(self, connection: sqlite3.Connection, since: Position) -> Sequence[Change] | None:
        """See `Store.changes`."""
        with transaction(connection, "DEFERRED"):
            position = self.position(connection)
            if since == position:
                return ()
            if since.epoch != position.epoch or not 0 <= since.revision < position.revision:
                return None
            rows = connection.execute(
                "SELECT * FROM changes WHERE namespace = ? AND revision > ? ORDER BY revision",
                (self._namespace, since.revision),
            ).fetchall()
        chained = since
        for row in rows:
            if row["previous"] != chained.nonce:
                return None
            chained = _position(row)
        return [change_of(row) for row in rows] if chained == position else None

    def history(
        self, connection: sqlite3.Connection, key: str | None, kind: DocumentKind, before: int | None, limit: int
    ) -> Sequence[Change]:
        """See `Store.history`."""
        asked: list[object] = [self._namespace]
        where = "c.namespace = ?"
        if key is not None:
            where += " AND c.kind = ? AND c.key = ?"
            asked += [kind, key]
        if before is not None:
            where += " AND c.revision < ?"
            asked.append(min(before, _MOST))
        with transaction(connection, "DEFERRED"):
            self._head(connection)
            rows = connection.execute(
                f"{_WITH_BEFORE} WHERE {where} ORDER BY c.revision DESC LIMIT ?",  # made of the texts above only
                (*asked, min(limit, _MOST)),
            ).fetchall()
        return [change_of(row, row["before"]) for row in rows]

    def oldest(self, connection: sqlite3.Connection) -> int:
        """See `Store.oldest`."""
        with transaction(connection, "DEFERRED"):
            return self._oldest(connection, self.position(connection))

    def at(self, connection: sqlite3.Connection, revision: int) -> State:
        """See `Store.at`."""
        kinds: dict[DocumentKind, dict[str, Document]] = {"flag": {}, "segment": {}}
        with transaction(connection, "DEFERRED"):
            position = self.position(connection)
            oldest = self._oldest(connection, position)
            if revision < oldest - 1:
                raise HistoryGoneError(revision, oldest=oldest)
            shown = min(revision, position.revision)
            # SQLite: beside max() the other columns are those of the row that has it.
            rows = connection.execute(
                "SELECT kind, key, max(revision), document FROM changes "
                "WHERE namespace = ? AND revision <= ? GROUP BY kind, key",
                (self._namespace, shown),
            )
            for kind, key, written, document in rows:
                if document is not None:
                    kinds[kind][key] = Document(written, document)
        return State(
            position=Position(epoch=position.epoch, revision=shown, nonce=""),
            flags=kinds["flag"],
            segments=kinds["segment"],
            generations={},
        )

    def commit(self, connection: sqlite3.Connection, edit: Edit, expected: int) -> Change:
        """See `Store.commit`."""
        with transaction(connection, "IMMEDIATE"):
            position = self.position(connection)
            done = self._done(connection, edit.request_id)
            if done is not None:
                return done
            before, generations = self._held(connection, edit.kind, edit.key)
            actual = before.revision if before is not None else 0
            if actual != expected or (edit.document is None and before is None):
                raise ConflictError(edit.key, expected=expected, actual=actual, kind=edit.kind)
            change = edit.committed(position, before, generations, nonce=uuid4().hex)
            self._write(connection, change)
        return change

    def init(self, connection: sqlite3.Connection, replaces: Sequence[str] | None) -> Position:
        """See `Store.init`."""
        with transaction(connection, "IMMEDIATE"):
            found = self._found(connection)
            if found is not None and replaces is None:
                return _position(found)
            replaced = list(replaces or ())
            if found is not None:
                replaced += [found["epoch"], *_epochs(found)]
            position = Position(epoch=uuid4().hex, revision=self._highest(connection), nonce=uuid4().hex)
            connection.execute(
                "INSERT OR REPLACE INTO namespaces (namespace, epoch, revision, nonce, documents, replaces) "
                "SELECT ?, ?, ?, ?, count(*), ? FROM current_documents WHERE namespace = ?",
                (
                    self._namespace,
                    position.epoch,
                    position.revision,
                    position.nonce,
                    msgspec.json.encode(list(dict.fromkeys(replaced))).decode(),
                    self._namespace,
                ),
            )
        return position

    def _found(self, connection: sqlite3.Connection) -> sqlite3.Row | None:
        found: sqlite3.Row | None = connection.execute(
            "SELECT * FROM namespaces WHERE namespace = ?", (self._namespace,)
        ).fetchone()
        return found

    def _mend(self) -> str:
        accepted = f"grayflow init --replace --namespace {self._namespace}"
        return f"Put a copy in its place, or accept what is there: {accepted}"

    def _head(self, connection: sqlite3.Connection) -> sqlite3.Row:
        found = self._found(connection)
        if found is None:
            raise NotInitializedError(self._place, namespace=self._namespace)
        return found

    def _highest(self, connection: sqlite3.Connection) -> int:
        """Return the highest revision that left a trace anywhere, so that none is given twice."""
        (highest,) = connection.execute(
            "SELECT max(coalesce((SELECT revision FROM namespaces WHERE namespace = :n), 0),"
            " coalesce((SELECT max(revision) FROM changes WHERE namespace = :n), 0),"
            " coalesce((SELECT max(revision) FROM documents WHERE namespace = :n), 0),"
            " coalesce((SELECT max(max(off / 2, armed)) FROM generations WHERE namespace = :n), 0))",
            {"n": self._namespace},
        ).fetchone()
        return int(highest)

    def _oldest(self, connection: sqlite3.Connection, position: Position) -> int:
        (oldest,) = connection.execute(
            "SELECT min(revision) FROM changes WHERE namespace = ?", (self._namespace,)
        ).fetchone()
        return position.revision + 1 if oldest is None else int(oldest)

    def _held(
        self, connection: sqlite3.Connection, kind: DocumentKind, key: str
    ) -> tuple[Document | None, Generations]:
        row = connection.execute(
            "SELECT revision, document FROM current_documents WHERE namespace = ? AND kind = ? AND key = ?",
            (self._namespace, kind, key),
        ).fetchone()
        document = Document(*row) if row is not None else None
        return document, self._generations(connection, key).get(key, {}) if kind == "flag" else {}

    def _generations(self, connection: sqlite3.Connection, *key: str) -> dict[str, Generations]:
        found: dict[str, dict[str, Generation]] = {}
        only = " AND key = ?" if key else ""
        rows = connection.execute(
            f"SELECT key, variant, off, armed FROM generations WHERE namespace = ?{only}",  # noqa: S608 - see above
            (self._namespace, *key),
        )
        for flag, variant, off, armed in rows:
            found.setdefault(flag, {})[variant] = Generation(off=off, armed=armed)
        return dict(found)

    def _done(self, connection: sqlite3.Connection, request_id: str) -> Change | None:
        row = connection.execute(
            f"{_WITH_BEFORE} WHERE c.namespace = ? AND c.request_id = ?", (self._namespace, request_id)
        ).fetchone()
        return change_of(row, row["before"]) if row is not None else None

    def _write(self, connection: sqlite3.Connection, change: Change) -> None:
        row = row_of(self._namespace, change)
        try:
            connection.execute(
                f"INSERT INTO changes ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})",  # noqa: S608
                row,
            )
        except sqlite3.IntegrityError as error:
            raise StoreFormatError(
                f"{self._place} has a change of revision {change.revision} already, though namespace "
                f"{self._namespace!r} is at {change.revision - 1}: it is damaged and nothing was written",
                remedy=self._mend(),
            ) from error
        identity = (self._namespace, change.kind, change.key)
        if change.document is None:
            connection.execute("DELETE FROM documents WHERE (namespace, kind, key) = (?, ?, ?)", identity)
        else:
            connection.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)", (*identity, change.revision))
        connection.executemany(
            "INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?, ?)",
            [
                (self._namespace, change.key, variant, generation.off, generation.armed)
                for variant, generation in change.generations.items()
            ],
        )
        grown = (change.document is not None) - (change.before is not None)
        connection.execute(
            "UPDATE namespaces SET revision = ?, nonce = ?, documents = documents + ? WHERE namespace = ?",
            (change.revision, change.position.nonce, grown, self._namespace),
        )


def _epochs(row: sqlite3.Row) -> tuple[str, ...]:
    return msgspec.json.decode(row["replaces"], type=tuple[str, ...])


def _position(row: sqlite3.Row) -> Position:
    return Position(epoch=row["epoch"], revision=row["revision"], nonce=row["nonce"])
