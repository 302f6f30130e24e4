"""Names of files that survive a power cut: a file's own sync says nothing of the directory in which it was put."""

import os
from pathlib import Path

__all__ = ["sync_directory"]


def sync_directory(path: Path) -> None:
    """
    Return when the names in a directory are on the disk: what was linked, renamed or made there before.

    Raises:
        OSError: they may not be. Where a directory cannot be opened, as on Windows, there is nothing to sync.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
