"""What does one decision cost, beside the same decision written by hand?"""

import asyncio
from collections.abc import Callable
from itertools import cycle
from typing import Any

from benchmarks.harness import Row, Table, drive, per_call
from benchmarks.workloads import CONTEXTS, FLAGS, WORKLOADS, Workload
from grayflow import Client
from grayflow.admin import Admin
from grayflow.core.context import Context
from grayflow.store.memory import MemoryStore

__all__ = ["run"]


def run() -> list[Table]:
    """Measure `peek`, a check inside a scope, and the awaited check, on every workload."""
    return asyncio.run(_run())


async def _run() -> list[Table]:
    async with MemoryStore() as store:
        async with Admin(store, actor="benchmark") as admin:
            for flag in FLAGS:
                await admin.create(flag, reason="benchmark")
        async with Client(store) as flags:
            return [
                _peek(flags),
                _in_scope(flags),
                _awaited(flags),
            ]


def _calls(decide: Callable[[Context], Any]) -> Callable[[], Any]:
    contexts = cycle(CONTEXTS)
    return lambda: decide(next(contexts))


def _floor(workload: Workload) -> float:
    return per_call(_calls(workload.floor))


def _sync(flags: Client, workload: Workload) -> Callable[[Context], Any]:
    key, default = workload.key, workload.default
    if workload.default is None:
        return lambda context: flags.peek_value(key, context, default=default)
    return lambda context: flags.peek(key, context, default=default)


def _peek(flags: Client) -> Table:
    rows = [Row(work.name, per_call(_calls(_sync(flags, work))), _floor(work)) for work in WORKLOADS]
    return Table("peek, context prebuilt", "ns", tuple(rows))


def _in_scope(flags: Client) -> Table:
    rows = []
    for work in WORKLOADS:
        with flags.scope(CONTEXTS[0]):
            rows.append(Row(work.name, per_call(_calls(_sync(flags, work))), _floor(work)))
    return Table("peek inside a scope", "ns", tuple(rows))


def _awaited(flags: Client) -> Table:
    async def nothing(_: Context) -> bool:
        return True

    floor = per_call(_calls(lambda context: drive(nothing(context))))
    rows = [Row("an empty await", floor)]
    for work in WORKLOADS:
        key, default = work.key, work.default
        ask = flags.value if default is None else flags.is_enabled
        cost = per_call(_calls(lambda context: drive(ask(key, context, default=default))))  # noqa: B023 - called at once
        rows.append(Row(work.name, cost, floor))
    return Table("await is_enabled", "ns", tuple(rows))
