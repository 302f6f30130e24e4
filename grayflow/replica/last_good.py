"""
The flag set on disk, so that a process that starts while the store is away does not start with nothing.

One file: a line that names format and version, a checksum, and the state as MessagePack. It is written beside its
place, forced to the disk and renamed, so a reader finds the old file or the new one. Only its owner may read it.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from grayflow.store.directory import sync_directory
from grayflow.store.port import State

__all__ = ["Kept", "Unusable", "is_last_good", "read", "write"]

_NAME = b"grayflow last-good "
_HEADER = _NAME + b"1\n"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds."""

    namespace: str
    saved_at: int
    """When the state was last known to be the store's: nanoseconds since 1970, by the wall clock."""
    state: State


class Unusable(Exception):  # noqa: N818 - a reason to go on without, not an error of the caller
    """The file cannot be used; the text says why."""

    def __init__(self, why: str, *, missing: bool = False) -> None:
        super().__init__(why)
        self.missing = missing
        """There is no such file, as on the first start."""


_DECODER = msgspec.msgpack.Decoder(Kept)


def write(path: Path, kept: Kept) -> None:
    """
    Put the state into the file; blocking, so call it in a worker thread.

    Raises:
        OSError: the directory is missing, full, or not ours; the old file is as it was.
    """
    body = msgspec.msgpack.encode(kept)
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600, and rename keeps it.
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_HEADER + _checksum(body) + b"\n")
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(path)
    finally:
        Path(beside).unlink(missing_ok=True)
    sync_directory(path.parent)


def is_last_good(content: bytes) -> bool:
    """Tell whether bytes are such a file, of whatever version."""
    return content.startswith(_NAME)


def read(path: Path, namespace: str | None) -> Kept:
    """
    Read the file; blocking, so call it in a worker thread.

    Args:
        path: The file.
        namespace: Whose it has to be, `None` for anybody's.

    Raises:
        Unusable: it is missing, damaged, of another version or of another namespace.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise Unusable(error.strerror or str(error), missing=missing) from error
    if not content.startswith(_HEADER):
        raise Unusable("it was not written by this release of grayflow")
    checksum, _, body = content[len(_HEADER) :].partition(b"\n")
    if checksum != _checksum(body):
        raise Unusable("it is damaged: the checksum does not fit")
    try:
        kept = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"it is damaged: {error}") from error
    if namespace not in {None, kept.namespace}:
        raise Unusable(f"it is of namespace {kept.namespace!r}, not {namespace!r}")
    return kept


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=32).hexdigest().encode()
