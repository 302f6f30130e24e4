"""What has to be true when everything is settled: no acknowledged write is lost, and the stores agree."""

from collections.abc import Iterable
from typing import Any

from grayflow.release.migration.migration import Migration
from tests.release.migration.bench import rows_of
from tests.release.migration.stores import Order

__all__ = ["Ack", "check", "settle"]

Ack = tuple[str, int]
"""A key, and the version that somebody was told is written or deleted."""


async def settle(migration: Migration[Order]) -> None:
    """Repair and reconcile, until there is nothing more to do."""
    await migration.repair(dead=True, at_once=True)
    for _ in range(3):
        if (await migration.reconcile()).clean:
            break
    assert (await migration.reconcile()).clean
    assert await migration._open().journal.sizes() == (0, 0)


async def check(old: Any, new: Any, profile: str, acks: Iterable[Ack]) -> None:
    """Compare both stores with each other, and with what was acknowledged."""
    olds, news = await rows_of(old), await rows_of(new)
    if profile == "mirrored":
        assert olds == news
    assert {key: news.get(key) for key in olds} == olds
    for key, version in acks:
        held = [news[key].seq] if key in news else []
        known = [*held, await old.tombstone(key) or 0, await new.tombstone(key) or 0]
        assert max(known) >= version, f"version {version} of {key} was acknowledged, and {max(known)} is left"
