"""The part of `Admin` that changes segments."""

from grayflow.admin import verbs
from grayflow.admin.changing import Changing
from grayflow.admin.results import Saved
from grayflow.admin.verbs import Ids
from grayflow.core.codec import Source
from grayflow.core.flag import Segment

__all__ = ["SegmentVerbs"]


class SegmentVerbs(Changing):
    """Changes segments. What is said of flags in `Admin` holds for them, but a segment has nothing to switch."""

    async def create_segment(self, document: Source, *, reason: str = "") -> Saved[Segment]:
        """Save a new segment; see `Admin.create`."""
        return await self._create(Segment, document, reason)

    async def edit_segment(self, document: Source, expected: int | None = None, *, reason: str = "") -> Saved[Segment]:
        """Replace a segment's document; see `Admin.edit`."""
        return await self._edit(Segment, document, expected, reason)

    async def put_segment(self, document: Source, *, reason: str = "") -> Saved[Segment]:
        """Create a segment or replace its document; see `Admin.put`."""
        return await self._put(Segment, document, reason)

    async def delete_segment(self, key: str, *, reason: str = "") -> Saved[Segment]:
        """Delete a segment; conditions that name it become false. Warns of who does."""
        return await self._delete(Segment, key, reason)

    async def include_in_segment(self, key: str, ids: Ids, *, reason: str = "") -> Saved[Segment]:
        """Put ids on the segment's `include` list and take them off its `exclude` list."""
        wanted = verbs.several(ids)
        return await self._change(
            Segment, key, lambda segment: verbs.include_in_segment(segment, wanted), "include", reason
        )

    async def exclude_from_segment(self, key: str, ids: Ids, *, reason: str = "") -> Saved[Segment]:
        """Put ids on the segment's `exclude` list, which beats all else, and take them off its `include` list."""
        unwanted = verbs.several(ids)
        return await self._change(
            Segment, key, lambda segment: verbs.exclude_from_segment(segment, unwanted), "exclude", reason
        )

    async def rollback_segment(self, key: str, to: int | None = None, *, reason: str = "") -> Saved[Segment]:
        """Bring back an earlier version of a segment; see `Admin.rollback`."""
        return await self._rollback(Segment, key, to, reason)
