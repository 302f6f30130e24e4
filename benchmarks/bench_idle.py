"""What do two hundred clients cost while nothing happens?"""

import asyncio

from benchmarks.crowds import crowded
from benchmarks.harness import Row, Table
from benchmarks.workloads import many_flags
from grayflow import Admin, SystemClock
from tests.servers import RedisServer

__all__ = ["run"]

CLIENTS, FLAGS = 200, 100
SETTLE_S, IDLE_S = 10.0, 60.0


def run() -> list[Table]:
    """Let them be, for a minute."""
    return [asyncio.run(_idle())]


async def _idle() -> Table:
    clock = SystemClock()
    with RedisServer() as server:
        async with Admin(server.url, namespace="idle", actor="benchmark") as admin:
            await admin.init()
            await admin.import_(b"[" + b",".join(many_flags(FLAGS)) + b"]")
            position = await admin.store.position()
        async with crowded(server.url, "idle", CLIENTS) as crowd:
            await clock.sleep(SETTLE_S)
            before, clients = _server(server), await crowd.all_at(position)
            await clock.sleep(IDLE_S)
            after, clients = _server(server), (await crowd.all_at(position)).since(clients)
    spent = [one - other for one, other in zip(after, before, strict=True)]
    cpu_s, commands, received, sent = spent
    each = CLIENTS * IDLE_S
    rows = (
        Row("server: share of a processor (%)", 100 * cpu_s / IDLE_S),
        Row("all clients: share of a processor (%)", 100 * clients.cpu_s / IDLE_S),
        Row("one client: share of a processor (%)", 100 * clients.cpu_s / each),
        Row("one client: commands in a second", commands / each),
        Row("one client: bytes sent in a second", received / each),
        Row("one client: bytes received in a second", sent / each),
        Row("whole loads", clients.loads),
    )
    return Table(f"{CLIENTS} idle clients in {IDLE_S:g} s", "see each row", rows)


def _server(server: RedisServer) -> tuple[float, ...]:
    with server.connect() as redis:
        cpu, stats = redis.info("cpu"), redis.info("stats")
    counts = ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes")
    return (cpu["used_cpu_user"] + cpu["used_cpu_sys"], *(float(stats[name]) for name in counts))
