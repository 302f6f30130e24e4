"""The floor: the same decisions written by hand, as closures over plain constants; and what Python itself costs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from mmh3 import hash as murmur3

from benchmarks.peers.work import LISTED, WORKS
from benchmarks.peers.worker import Column
from benchmarks.workloads import WORKLOADS
from grayflow import Context

__all__ = ["peer"]


async def _nothing() -> bool:
    return True


DECIDE = dict(zip(WORKS, (work.floor for work in WORKLOADS), strict=True))


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, Sequence[Column]]]:
    """Yield the closures, and three things that nobody can do without."""
    asks = {work: f"answer = {work}({{context}})" for work in DECIDE}
    context = "Context(user_id=user, country=country, attributes={'plan': plan, 'age': age})"
    closures = Column("hand-written closures", asks, context, {**DECIDE, "Context": Context})
    primitives = {
        "empty await": "answer = await nothing()",
        "dict get": "answer = get(user)",
        "murmur3": "answer = murmur3(user, 77, False)",
    }
    names = {"nothing": _nothing, "get": dict.fromkeys(LISTED, True).get, "murmur3": murmur3}
    yield "mmh3", (closures, Column("Python itself", primitives, "", names, checked=False))
