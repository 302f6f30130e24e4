"""What flags and segments have in common when they are changed."""

from collections.abc import Callable
from typing import TypeVar

from msgspec import structs

from grayflow.admin.checks import canonical
from grayflow.admin.desk import Desk
from grayflow.admin.past import rollback_target
from grayflow.admin.results import Saved
from grayflow.admin.writer import Held, Order, Plan, unreadable
from grayflow.core.codec import Source
from grayflow.core.flag import Flag, Segment
from grayflow.errors import ConflictError, InvalidFlagError, Problem

__all__ = ["Changing", "warned"]

D = TypeVar("D", bound=Flag | Segment)


class Changing(Desk):
    """The writes that need not know what they write."""

    async def _create(self, model: type[D], source: Source, reason: str) -> Saved[D]:
        document = self._given(model, source)

        async def plan(held: Held[D]) -> D:
            if held.document is not None:
                raise ConflictError(held.key, expected=0, actual=held.revision, kind=held.kind)
            return document

        return await self._write(model, document.key, plan, Order(action="create", reason=reason, reapply=False))

    async def _edit(self, model: type[D], source: Source, expected: int | None, reason: str) -> Saved[D]:
        document = self._given(model, source)

        async def plan(held: Held[D]) -> D:
            if held.document is None:
                raise await self._writer.unknown(held.kind, held.key)
            if expected is not None and expected != held.revision:
                raise ConflictError(held.key, expected=expected, actual=held.revision, kind=held.kind)
            return document

        return await self._write(model, document.key, plan, Order(action="edit", reason=reason, reapply=False))

    async def _put(self, model: type[D], source: Source, reason: str) -> Saved[D]:
        document = self._given(model, source)

        async def plan(held: Held[D]) -> D:  # noqa: ARG001 - whatever is there
            return document

        return await self._write(model, document.key, plan, Order(action="put", reason=reason))

    async def _delete(self, model: type[D], key: str, reason: str) -> Saved[D]:
        async def plan(held: Held[D]) -> None:
            if held.document is None:
                raise await self._writer.unknown(held.kind, key)

        return await self._write(model, key, plan, Order(action="delete", reason=reason))

    async def _change(self, model: type[D], key: str, change: Callable[[D], D], action: str, reason: str) -> Saved[D]:
        """Apply a pure function to the newest document, again after each conflict."""

        async def plan(held: Held[D]) -> D:
            return change(await self._writer.existing(held))

        return await self._write(model, key, plan, Order(action=action, reason=reason))

    async def _rollback(self, model: type[D], key: str, to: int | None, reason: str) -> Saved[D]:
        kind = (await self._read(model, key)).kind
        # Looked up once: after a conflict it is still this document that the operator wants back.
        target = await rollback_target(self.store, kind, key, to)
        document = self._given(model, target.data)
        words = f"to revision {target.revision if to is None else to}"

        async def plan(held: Held[D]) -> D:  # noqa: ARG001 - whatever is there
            return document

        order = Order(action="rollback", reason=f"{words}: {reason}" if reason else words, lenient=True)
        return await self._write(model, key, plan, order)

    async def _last_good(self, held: Held[D]) -> D:
        """Return the newest version that can be read, which is what processes serve meanwhile."""
        before: int | None = None
        while page := await self.store.history(held.key, kind=held.kind, before=before, limit=100):
            for change in page:
                for data in (change.document, None if change.before is None else change.before.data):
                    try:
                        if data is not None:
                            return self._given(held.model, data)
                    except InvalidFlagError:
                        continue
            before = page[-1].revision
        raise unreadable(held)

    async def _write(self, model: type[D], key: str, plan: Plan[D], order: Order) -> Saved[D]:
        self.store  # noqa: B018 - raises outside the block
        return await self._writer.write(model, key, plan, order)

    def _given(self, model: type[D], source: Source) -> D:
        return canonical(model, source)[0]


def warned(saved: Saved[D], *warnings: Problem) -> Saved[D]:
    """Return an outcome with more to know about it."""
    return structs.replace(saved, warnings=(*saved.warnings, *warnings)) if warnings else saved
