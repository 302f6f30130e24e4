"""
From what redis-py raises to what grayflow raises: where, what went wrong, and what to do next.

The only place that does, and the rest of the package never sees an exception of redis-py. The text of a server is
quoted, because it names the right or the command that is missing; a password is never part of it.
"""

import os
import re
import shlex
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    MaxConnectionsError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from grayflow.errors import GrayflowError, StoreAccessError, StoreError, StoreFormatError, StoreUnavailableError
from grayflow.store.redis.acl import ACL_REMEDY
from grayflow.store.redis.keys import type_of

__all__ = ["WRONG_TYPE", "foreign", "translate", "translated"]

WRONG_TYPE = "WRONGTYPE"
"""How the text of a server begins that found a value of another type; it does not say under which key."""

_BY_CLASS: tuple[tuple[type[Exception], type[StoreError], str], ...] = (
    (BusyLoadingError, StoreUnavailableError, "is still loading its data from disk; try again in a moment"),
    (
        ReadOnlyError,
        StoreUnavailableError,
        "is a replica, which takes no writes; name the master, or use redis+sentinel://",
    ),
    (OutOfMemoryError, StoreUnavailableError, "is out of memory and refuses writes; raise maxmemory or free some"),
    (ClusterDownError, StoreUnavailableError, "is a cluster that is down at the moment; see CLUSTER INFO"),
    (MovedError, StoreUnavailableError, "is one node of a cluster, and our keys are on another; use redis+cluster://"),
    (AskError, StoreUnavailableError, "is a cluster and is moving our slot; try again in a moment"),
    (TryAgainError, StoreUnavailableError, "is a cluster and is moving our slot; try again in a moment"),
    (MaxConnectionsError, StoreUnavailableError, "has no free connection of ours"),
    (InvalidResponse, StoreUnavailableError, "does not speak Redis's protocol; check host, port and rediss://"),
    (RedisTimeoutError, StoreUnavailableError, "did not answer in time"),
    (TimeoutError, StoreUnavailableError, "did not answer in time"),
)

_BY_TEXT: tuple[tuple[str, type[StoreError], str], ...] = (
    ("MISCONF", StoreUnavailableError, "cannot save to disk and refuses writes; see its log"),
    ("NOREPLICAS", StoreUnavailableError, "has too few replicas and refuses writes; see min-replicas-to-write"),
    ("BUSY", StoreUnavailableError, "is busy with a script that does not end; see SCRIPT KILL"),
    ("max number of clients", StoreUnavailableError, "takes no more clients; raise maxclients or use fewer"),
    ("DB index is out of range", StoreAccessError, "has no database of that number; mend the end of the URL"),
    ("CERTIFICATE_VERIFY_FAILED", StoreUnavailableError, "shows a certificate that is not trusted; see ssl_ca_certs"),
    ("CLUSTERDOWN", StoreUnavailableError, "is a cluster that is down at the moment; see CLUSTER INFO"),
)

# What Redis says inside of a script, where NOPERM is not always the code.
_DENIED = ("NOPERM", "user executing the script can't", "has no permissions", "No permissions")


@contextmanager
def translated(place: str) -> Iterator[None]:
    """
    Raise whatever redis-py raises as an error of ours; `place` is the URL without secrets.

    Not only RedisError: AttributeError, RuntimeError and UnicodeDecodeError were seen to come out of redis-py 8.1.0
    when a connection went away at the wrong moment.
    """
    try:
        yield
    except GrayflowError:
        raise
    except Exception as error:
        raise translate(error, place) from error


def translate(error: Exception, place: str, *, denied: str = ACL_REMEDY) -> StoreError:
    """
    Return the error of ours that says what `error` says; one of ours as it is.

    Args:
        error: What redis-py raised.
        place: The URL without secrets.
        denied: What to do if this is about rights.
    """
    if isinstance(error, StoreError):
        return error
    if isinstance(error, AuthenticationError):
        return _refused(str(error), place)
    text = f"{getattr(error, 'status_code', None) or ''} {error}".strip()
    if isinstance(error, NoPermissionError) or any(phrase in text for phrase in _DENIED):
        return StoreAccessError(f"{place} forbids it: {_quoted(text)}. Nothing was changed; {denied}.")
    if isinstance(error, MasterNotFoundError):
        return _no_master(text, place)
    known = _known(error, text, place)
    if known is not None:
        return known
    if "connecting to" in text:
        return _unreachable(error, text, place)
    return StoreUnavailableError(f"{place} cannot be used: {_quoted(text) or type(error).__name__}.")


def _known(error: Exception, text: str, place: str) -> StoreError | None:
    for kind, ours, says in _BY_CLASS:
        if isinstance(error, kind):
            return ours(f"{place} {says}." + (" Is that its port for TLS?" if _mistakable(error, place) else ""))
    if WRONG_TYPE in text:
        return foreign(place, (), ())
    for phrase, ours, says in _BY_TEXT:
        if phrase in text:
            return ours(f"{place} {says}. It said: {_quoted(text)}.")
    return None


def foreign(place: str, keys: Sequence[str | bytes], types: Sequence[bytes]) -> StoreFormatError:
    """
    Return the error for data of somebody else's under our keys; no `init` can mend that.

    Args:
        place: The URL without secrets.
        keys: Keys of ours that were asked for or written.
        types: What type the server holds under each of them.
    """
    for key, held in zip(keys, types, strict=True):
        if held not in {b"none", type_of(key).encode()}:
            name = key if isinstance(key, str) else key.decode(errors="replace")
            return StoreFormatError(
                f"{place} holds a {held.decode(errors='replace')} under {name!r}, where grayflow keeps a "
                f"{type_of(key)}: somebody else uses that name. Nothing was changed",
                remedy="Take another namespace; or, if nobody needs that key, remove it: redis-cli DEL "
                f"{shlex.quote(name)}",
            )
    return StoreFormatError(
        f"{place} holds something of somebody else's under our keys. Nothing was changed",
        remedy="Take another namespace, or remove what is not grayflow's",
    )


def _mistakable(error: Exception, place: str) -> bool:
    # A server that expects plain text waits for the end of what it takes for a line, and says nothing.
    return place.startswith("rediss") and isinstance(error, (RedisTimeoutError, TimeoutError))


def _unreachable(error: Exception, text: str, place: str) -> StoreError:
    cause = error.__context__
    files = isinstance(cause, (FileNotFoundError, PermissionError)) and place.startswith("rediss")
    if isinstance(cause, ssl.SSLError) or files:
        return StoreUnavailableError(
            f"{place} cannot be reached encrypted: {_quoted(str(cause))}. Look at ssl_ca_certs, ssl_certfile and "
            "ssl_keyfile."
        )
    # redis-py 8.1.0 says `Error 111 connecting to ... Connect call failed`, and nothing that a person would.
    number = re.search(r"Err(?:or|no) (\d+)", text)
    what = os.strerror(int(number[1])) if number else _quoted(text)
    return StoreUnavailableError(
        f"{place} cannot be reached: {what}. Is the server running, and are host and port right?"
    )


def _refused(text: str, place: str) -> StoreAccessError:
    if "required" in text.lower():
        return StoreAccessError(
            f"{place} asks for a password and the URL has none. Nothing was read or changed; "
            "write redis://USER:PASSWORD@HOST."
        )
    return StoreAccessError(
        f"{place} refused user and password: {_quoted(text)}. Nothing was read or changed; mend the URL, "
        "or the user on the server (ACL GETUSER)."
    )


def _no_master(text: str, place: str) -> StoreError:
    if any(word in text for word in ("AuthenticationError", "Authentication required", "NOAUTH", "WRONGPASS")):
        return StoreAccessError(
            f"the Sentinels of {place} refused user and password. Nothing was read or changed; "
            "mend sentinel_username and sentinel_password."
        )
    return StoreUnavailableError(
        f"the Sentinels of {place} name no master: they are unreachable, do not know the service, or are "
        "electing one; try again in a moment."
    )


# What redis-py 8.1.0 makes of the text of a server that refused one command of several.
_ANNOTATED = re.compile(r"Command # \d+ \(.*?\) of pipeline caused error: \(['\"](.*)['\"],\)", re.DOTALL)


def _quoted(text: str) -> str:
    """Return a server's text in quotes, on one line of at most 200 characters: whatever it ends in, ours goes on."""
    plain = " ".join(_ANNOTATED.sub(r"\1", text).split())[:200]
    return f'"{plain}"' if plain else ""
