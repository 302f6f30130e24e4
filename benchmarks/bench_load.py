"""What do loading, the first evaluation and one change cost, and how does that grow with the number of flags?"""

import gc
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.harness import Row, Table, per_call
from benchmarks.workloads import CONTEXTS, many_flags
from grayflow.core.flag import Flag
from grayflow.core.position import Document
from grayflow.core.snapshot import Snapshot

__all__ = ["run"]

SIZES = (1_000, 10_000)


def run() -> list[Table]:
    """Measure loads, changes and memory."""
    return [_load(), _apply(), _memory()]


def _load() -> Table:
    decoder = msgspec.json.Decoder(Flag)
    rows = []
    for size in SIZES:
        documents = many_flags(size)
        floor = _best(lambda: [decoder.decode(document) for document in documents])  # noqa: B023 - called at once
        rows.append(Row(f"build {size:,} flags", _best(lambda: Snapshot.build(documents)), floor))  # noqa: B023
        rows.append(Row(f"build and evaluate all {size:,}", _best(lambda: _first(documents)), floor))  # noqa: B023
    return Table("load, against a bare typed decode", "ms", tuple(rows))


def _first(documents: list[bytes]) -> None:
    snapshot = Snapshot.build(documents)
    for key in snapshot.flags:
        snapshot.evaluate(key, CONTEXTS[0], default=False)


def _best(work: Callable[[], Any]) -> float:
    took = []
    for _ in range(5):
        gc.collect()
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return min(took) * 1000


def _apply() -> Table:
    rows: list[Row] = []
    for size in (100, *SIZES):
        documents = many_flags(size)
        snapshots = [Snapshot.build(documents)]

        def change(documents: list[bytes] = documents, snapshots: list[Snapshot] = snapshots) -> None:
            snapshots[0] = snapshots[0].apply("flag", "flag-7", Document(1, documents[7]), None)

        rows.append(Row(f"among {size:,} flags", per_call(change) / 1000, rows[0].value if rows else None))
    return Table("apply one change", "µs", tuple(rows))


def _memory() -> Table:
    documents = many_flags(10_000)
    tracemalloc.start()
    snapshot = Snapshot.build(documents)
    loaded = tracemalloc.get_traced_memory()[0]
    for key in snapshot.flags:
        snapshot.evaluate(key, CONTEXTS[0], default=False)
    compiled = tracemalloc.get_traced_memory()[0] - loaded
    tracemalloc.stop()
    size = sum(map(len, documents)) / len(documents)
    rows = (
        Row("its document", size / 1024),
        Row("loaded", loaded / len(documents) / 1024),
        Row("more once compiled", compiled / len(documents) / 1024),
    )
    return Table("memory of a flag", "KiB", rows)
