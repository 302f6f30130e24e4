"""The embedded store: one SQLite file, several processes of one host."""

from grayflow.store.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
