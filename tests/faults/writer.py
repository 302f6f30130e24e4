"""Somebody who keeps switching flags off and on, insists on every edit, and knows what was acknowledged."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio

from grayflow.clock import SystemClock
from grayflow.core.codec import decode_flag, to_bytes
from grayflow.core.generations import Marks
from grayflow.errors import StoreError, StoreUnavailableError
from grayflow.store.port import Change, Edit, Store

__all__ = ["Writer"]

_sleep = SystemClock().sleep


class Writer:
    """
    Edits one flag after the other until cancelled.

    Args:
        store: Entered by the caller.
        keys: The flags; all of them exist.
        pause_s: Between two edits.
    """

    def __init__(self, store: Store, keys: Sequence[str], *, pause_s: float = 0.02) -> None:
        self.acknowledged: dict[str, Change] = {}
        """Request id -> the change."""
        self.unanswered = 0
        """How often no answer came, and the same edit was sent again."""
        self.pause_s = pause_s
        self.actor = "writer"
        self._store, self._keys = store, keys
        # Most edits hit few flags, which are switched off and on again and again; the others are hit at random.
        self._hot = keys[:20]
        self._turn = anyio.Lock()
        self._random = random.Random(4)

    async def run(self) -> None:
        """Edit for ever."""
        while True:
            await self.switch(self._random.choice(self._hot if self._random.random() < 0.8 else self._keys))
            await _sleep(self.pause_s)

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Stop editing for the length of the block; entered when the edit on its way is acknowledged."""
        async with self._turn:
            yield

    async def switch(self, key: str) -> Change:
        """Switch a flag off, or on if it was off; returns when that is acknowledged, however long it takes."""
        async with self._turn:
            while True:
                try:
                    change = await self._switch(key)
                except StoreError:
                    await _sleep(0.1)
                    continue
                self.acknowledged[change.request_id] = change
                return change

    async def _switch(self, key: str) -> Change:
        held, _ = await self._store.get("flag", key)
        enabled = held is None or not decode_flag(held.data).enabled
        edit = Edit(
            kind="flag",
            key=key,
            document=to_bytes({"key": key, "enabled": enabled, "owner": "payments", "description": uuid4().hex}),
            action="switch_on" if enabled else "switch_off",
            actor=self.actor,
            reason="because",
            at=1,
            request_id=uuid4().hex,
            marks=Marks(armed=("on",)) if enabled else Marks(off=("on",)),
        )
        return await self._insist(edit, 0 if held is None else held.revision)

    async def _insist(self, edit: Edit, expected: int) -> Change:
        # The same request until it is answered, as the error says that a caller may. Anything else, a conflict with
        # what a server has that lost edits included, begins again from what is there.
        while True:
            try:
                return await self._store.commit(edit, expected=expected)
            except StoreUnavailableError:
                self.unanswered += 1
                await _sleep(0.1)
