"""The floor: the same decisions written by hand, as closures over plain constants; and what Python itself costs."""

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from mmh3 import hash as murmur3

from benchmarks.peers.work import COUNTRIES, LISTED, MODELS, PLANS
from benchmarks.peers.worker import Column
from grayflow import Context

__all__ = ["peer"]

HALF = 1 << 31
Decide = Callable[[Any], Any]


def _three() -> Decide:
    countries, plans = frozenset(COUNTRIES), frozenset(PLANS)
    return lambda context: (
        context.country in countries
        and context.attributes.get("plan") in plans
        and context.attributes.get("age", 0) >= 18
        and murmur3(context.user_id, 77, False) < HALF
    )


def _list() -> Decide:
    ids = frozenset(LISTED)
    return lambda context: context.user_id in ids


def _twenty() -> Decide:
    rules = (*((frozenset({f"X{number}"}), False) for number in range(19)), (frozenset({"DE"}), True))

    def decide(context: Any) -> bool:
        country = context.country
        for values, answer in rules:
            if country in values:
                return answer
        return False

    return decide


def _json() -> Decide:
    starts, values = [1 << 30, 1 << 31, 3 << 30], tuple(MODELS.values())
    return lambda context: values[bisect_right(starts, murmur3(context.user_id, 77, False))]


async def _nothing() -> bool:
    return True


DECIDE: dict[str, Decide] = {
    "plain": lambda _: True,
    "unknown": lambda _: False,
    "half": lambda context: murmur3(context.user_id, 77, False) < HALF,
    "three": _three(),
    "list": _list(),
    "twenty": _twenty(),
    "json": _json(),
}


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
