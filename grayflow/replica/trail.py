"""
Which positions a replica has passed through, and so what an arriving change is to it.

Pure. Revisions alone do not tell: after a failover that lost acknowledged writes they are used a second time. The
nonces of the newest revisions are kept, so that a duplicate is known from a change that took its number.
"""

from typing import Literal

from grayflow.core.position import Position
from grayflow.store.port import Change

__all__ = ["Step", "Trail"]

Step = Literal["next", "old", "doubt"]

_KEPT = 256


class Trail:
    """
    The chain of positions that ends at the held one.

    Args:
        start: Where a full load arrived.
    """

    def __init__(self, start: Position) -> None:
        self.end = start
        """The held position."""
        self._nonces = {start.revision: start.nonce}

    def judge(self, change: Change) -> Step:
        """Tell whether a change continues the held position, is part of it already, or is cause to ask the store."""
        end, position = self.end, change.position
        if position.epoch == end.epoch and position.revision == end.revision + 1 and change.previous == end.nonce:
            return "next"
        return "old" if self.includes(position) else "doubt"

    def includes(self, position: Position) -> bool:
        """Tell whether the held state is known to be that position, or to have come from it change by change."""
        return position.epoch == self.end.epoch and self._nonces.get(position.revision) == position.nonce

    def reached(self, position: Position) -> bool:
        """Tell whether the held state has that change; what lies further back than is remembered is taken for it."""
        if position.epoch != self.end.epoch or position.revision > self.end.revision:
            return False
        return self._nonces.get(position.revision, position.nonce) == position.nonce

    def extend(self, position: Position) -> None:
        """Move on to the position of a change that was judged `next`."""
        self.end = position
        self._nonces[position.revision] = position.nonce
        # Revisions are dense, so the oldest is the one that lies `_KEPT` below.
        self._nonces.pop(position.revision - _KEPT, None)
