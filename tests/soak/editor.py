"""Somebody who changes flags and segments at random through `Admin`, and remembers what was acknowledged."""

import random
from collections import Counter
from typing import Any, NamedTuple

import anyio

from grayflow import Admin, Saved
from grayflow.core.position import Position
from grayflow.errors import (
    ConfigurationError,
    ConflictError,
    HistoryGoneError,
    InvalidFlagError,
    StoreError,
    UnknownFlagError,
)
from tests.faults.stage import clock
from tests.soak.crew import FLAGS

__all__ = ["Acknowledged", "Editor"]

_SEGMENTS = tuple(f"segment-{number}" for number in range(5))
_VERBS = {
    "switch_off": 6,
    "switch_on": 6,
    "set_percent": 3,
    "include": 3,
    "put": 3,
    "edit": 3,
    "delete": 2,
    "create": 3,
    "rollback": 3,
    "put_segment": 2,
    "include_in_segment": 2,
    "rollback_segment": 1,
    "delete_segment": 1,
}
"""A verb of `Admin` -> how often it is drawn."""
_REFUSALS = (UnknownFlagError, ConflictError, InvalidFlagError, ConfigurationError, HistoryGoneError)


class Acknowledged(NamedTuple):
    """One edit that the server said yes to."""

    at: float
    position: Position
    request_id: str


class Editor:
    """
    Edits until cancelled.

    Args:
        admin: Open.
        seed: Draws the edits.
    """

    def __init__(self, admin: Admin, seed: int) -> None:
        self.ledger: list[Acknowledged] = []
        """Since the server last forgot something, or was declared to be the truth."""
        self.done: Counter[str] = Counter()
        self.refused = 0
        """Edits that made no sense just then: a deleted flag, one that is there already, no earlier version."""
        self.unanswered = 0
        self.turn = anyio.Lock()
        """Whoever holds it keeps the editor from editing."""
        self._admin = admin
        self._random = random.Random(seed)

    async def run(self) -> None:
        """Edit for ever."""
        while True:
            async with self.turn:
                await self.edit()
            await clock.sleep(self._random.uniform(0.02, 0.2))

    async def edit(self) -> None:
        """Try one edit."""
        verb = self._random.choices([*_VERBS], [*_VERBS.values()])[0]
        key = self._random.choice(_SEGMENTS if verb.endswith("segment") else FLAGS)
        try:
            saved: Saved[Any] = await getattr(self._admin, verb)(*self._arguments(verb, key), reason="soak")
        except _REFUSALS:
            self.refused += 1
        except StoreError:
            self.unanswered += 1
            await clock.sleep(0.1)
        else:
            self.done[verb] += saved.changed
            self.remember(saved)

    def remember(self, saved: Saved[Any]) -> None:
        """Write an acknowledged edit down."""
        if saved.change is not None:
            self.ledger.append(Acknowledged(clock.monotonic(), saved.change.position, saved.change.request_id))

    def _arguments(self, verb: str, key: str) -> tuple[Any, ...]:
        draw, unit = self._random, f"u-{self._random.randrange(50)}"
        match verb:
            case "set_percent":
                return key, draw.randrange(0, 101, 10)
            case "include":
                return key, "on", unit
            case "include_in_segment":
                return key, unit
            case "put_segment":
                return ({"key": key, "include": [unit], "description": str(draw.random())},)
            case "put" | "edit" | "create":
                when = [{"type": "segment", "key": draw.choice(_SEGMENTS)}]
                rules = [{"name": "staff", "when": when}, {"percent": draw.randrange(101)}]
                return ({"key": key, "enabled": draw.random() < 0.7, "otherwise": "off", "rules": rules},)
            case _:
                return (key,)
