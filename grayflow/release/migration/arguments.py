"""Checks what migrations are given by their callers, at once and in the same words."""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grayflow.errors import ConfigurationError
from grayflow.release.migration.setup import Limits, Policy, Terms
from grayflow.release.migration.spool import SpoolPlace
from grayflow.store.given import refuse_async, refused, seconds, whole

__all__ = [
    "check_apart",
    "check_functions",
    "check_migration_name",
    "check_word",
    "checked_limits",
    "checked_place",
    "checked_policy",
    "checked_store",
    "checked_terms",
    "paced",
]

_VERBS = (
    "get", "exists", "tombstone", "list", "insert", "upsert_if_newer", "delete_if_not_newer", "scan",
)  # fmt: skip


def check_migration_name(given: Any) -> str:
    """
    Return the name of a migration: a flag's key, short enough for what is derived from it.

    Raises:
        ConfigurationError: it cannot be one.
    """
    if not (isinstance(given, str) and re.fullmatch(r"[A-Za-z0-9._:/-]{1,150}", given)):
        raise refused("the name of a migration", given, "use 1 to 150 of A-Z a-z 0-9 . _ : / -")
    return given


def checked_store(what: str, store: Any) -> Any:
    """
    Return one of the two stores.

    Raises:
        ConfigurationError: it lacks a method.
    """
    missing = [verb for verb in _VERBS if not callable(getattr(store, verb, None))]
    if isinstance(store, type) or missing:
        lacks = f"; it lacks {', '.join(missing)}" if missing else ""
        raise refused(what, store, f"give an object with the methods of MigrationStore{lacks}")
    return store


def check_apart(old: Any, new: Any) -> None:
    """Refuse one store in both places: rows would be mirrored onto themselves."""
    if old is new:
        raise refused("new", new, "give another store than old")


def checked_place(cursor: Any) -> tuple[Any, str] | None:
    """
    Return where a page begins; it may have been through JSON.

    Raises:
        ConfigurationError: it is no `Page.cursor`.
    """
    if cursor is None:
        return None
    fits = isinstance(cursor, tuple | list) and len(cursor) == 2 and isinstance(cursor[1], str)
    if not fits:
        raise refused("cursor", cursor, "give Page.cursor of the page before, or None for the first")
    return cursor[0], cursor[1]


def check_word(what: str, given: Any, *allowed: str) -> None:
    """Refuse what is none of the words."""
    if not isinstance(given, str) or given not in allowed:
        raise refused(what, given, f"give {' or '.join(map(repr, allowed))}")


def check_functions(**given: Any) -> None:
    """Refuse what cannot be called, and what would have to be awaited."""
    for what, function in given.items():
        if not callable(function):
            raise refused(what, function, "give a function of a row")
        refuse_async(what, function)


def checked_terms(profile: Any, soak: Any, min_compared: Any, max_mismatch: Any) -> Terms:
    """
    Return what a migration has to prove.

    Raises:
        ConfigurationError: one of the arguments of `Migration` cannot be used.
    """
    check_word("profile", profile, "split", "mirrored")
    return Terms(
        profile=profile,
        soak_s=seconds("soak", soak, least=0.0),
        min_compared=whole("min_compared", min_compared, least=0),
        max_mismatch=_share("max_mismatch", max_mismatch),
    )


def checked_limits(
    call_timeout: Any, repair_after: Any, repair_every: Any, repair_attempts: Any, max_stale: Any, max_compares: Any
) -> Limits:
    """
    Return how long things may take.

    Raises:
        ConfigurationError: one of the arguments of `Migration` cannot be used.
    """
    call_s = seconds("call_timeout", call_timeout)
    return Limits(
        call_s=call_s,
        grace_s=3 * call_s if repair_after is None else seconds("repair_after", repair_after, least=0.0),
        max_stale_s=seconds("max_stale", max_stale, least=0.0, endless=True),
        repair_s=seconds("repair_every", repair_every),
        attempts=whole("repair_attempts", repair_attempts),
        compares=whole("max_compares", max_compares, least=0),
    )


def checked_policy(mirror: Any, failure: Any, unavailable: Any, spool: Any, spool_limit: Any) -> Policy:
    """
    Return how writes reach the other store.

    Raises:
        ConfigurationError: one of the arguments of `Migration` cannot be used.
    """
    check_word("mirror", mirror, "copy", "replay")
    check_word("on_mirror_failure", failure, "record", "fail", "compensate")
    place = _checked_spool(unavailable, spool, spool_limit, compensates=failure == "compensate")
    return Policy(way=mirror, failure=failure, spool=place)


def _checked_spool(unavailable: Any, spool: Any, limit: Any, *, compensates: bool) -> SpoolPlace | None:
    """Return where writes are announced while the board does not answer, `None` if they are refused."""
    check_word("on_journal_unavailable", unavailable, "fail", "proceed")
    most = whole("spool_limit", limit)
    if unavailable == "fail":
        if spool is not None:
            raise refused("spool", spool, "leave it out, or give on_journal_unavailable='proceed', which uses it")
        return None
    if compensates:
        raise ConfigurationError(
            "on_journal_unavailable='proceed' cannot be had with on_mirror_failure='compensate': the atom that takes "
            "writes back has its record on the board as well; leave one of them out"
        )
    if not (isinstance(spool, str | os.PathLike) and str(spool)):
        raise refused("spool", spool, "give the path of a folder on a local disk: on_journal_unavailable is 'proceed'")
    if find_spec("fcntl") is None:
        raise refused("spool", spool, "leave it out: this system has no locks of files that end with their process")
    return SpoolPlace(Path(spool).expanduser().absolute(), most)


def paced(batch: Any, rate: Any) -> tuple[int, float]:
    """Return how many rows at once, and how many a second."""
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not rate > 0:
        raise refused("rate", rate, "give rows a second, more than 0")
    return whole("batch", batch), float(rate)


def _share(what: str, given: Any) -> float:
    """Return a share."""
    if not isinstance(given, int | float) or isinstance(given, bool) or not 0 <= given <= 1:
        raise refused(what, given, "give a share from 0 to 1")
    return float(given)
