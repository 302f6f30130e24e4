"""The scripts that the server runs for us, each with what to tell a caller whom it did not serve."""

from importlib.resources import files

import msgspec

from grayflow.store.redis.acl import ACL_REMEDY, WORKER_REMEDY

__all__ = ["BOARD", "CHANGES", "Script"]


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """One script; calling it again with the same arguments does no harm."""

    text: str
    unsure: str
    """What is true, and what to do, if it was sent and no answer came."""
    denied: str
    """What to do if the server forbids it."""


# Read with the module: entering a store must not read files, it runs on the loop.
def _text(name: str) -> str:
    return files("grayflow.store.redis").joinpath(name).read_text(encoding="utf-8")


CHANGES = Script(
    text=_text("scripts.lua"),
    unsure="The change may have been made or not: it was sent, and no answer came. "
    "Committing the same request again is safe and tells which.",
    denied=ACL_REMEDY,
)
"""What changes flags."""

BOARD = Script(
    text=_text("board.lua"),
    unsure="It may have been done or not: it was sent, and no answer came. Doing it again is safe.",
    denied=WORKER_REMEDY,
)
"""What writes the board."""
