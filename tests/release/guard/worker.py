"""
One process of a fleet under test: it calls a guarded implementation all the time, and tells how that goes.

    python -m tests.release.guard.worker URL NAMESPACE NAME JSON

Flags say what is broken: `old.broken`, `new.broken` and `new.hangs`, by the name of the process. It prints a line of
JSON whenever something has changed.
"""

import sys
from typing import Any, Protocol

import anyio
import msgspec

from grayflow import Admin, Client, Context
from grayflow.clock import SystemClock
from grayflow.release import BreakerPolicy, FallbackGuard, FleetTrip, ImplementationSwitch
from tests.release.kit import opening


class Shelf(Protocol):
    async def get(self, key: str) -> str: ...


class Side:
    def __init__(self, name: str, flags: Client):
        self.name, self._flags = name, flags

    async def get(self, key: str) -> str:
        if self._flags.peek(f"{self.name}.hangs"):
            await anyio.sleep_forever()
        if self._flags.peek(f"{self.name}.broken"):
            raise OSError(f"{self.name} is broken")
        return self.name


def sides(flags: Client) -> dict[str, Any]:
    """Return the two that a switch chooses from."""
    return {"off": opening(lambda: Side("old", flags)), "on": opening(lambda: Side("new", flags))}


async def work(url: str, namespace: str, name: str, options: dict[str, Any]) -> None:
    flags = Client(url, namespace=namespace, name=name)
    async with Admin(url, namespace=namespace, actor=name) as admin, flags:
        switch = ImplementationSwitch(Shelf, flag="shelf", variants=sides(flags), default="off")
        guard = FallbackGuard(
            switch,
            new="on",
            old="off",
            safe=["get"],
            timeout=options.get("timeout", 5),
            breaker=BreakerPolicy(minimum_calls=5, open_for=options.get("open_for", 300), probes=1, close_after=1),
            fleet=FleetTrip(admin=admin, **options["trip"]),
        )
        async with switch.running(flags), guard.running(flags):
            await call_for_ever(guard, Context(user_id=name), flags)


async def call_for_ever(guard: FallbackGuard[Shelf], context: Context, flags: Client) -> None:
    told = b""
    while True:
        with flags.scope(context):
            try:
                answer = await guard.proxy().get("k")
            except OSError as error:
                answer = str(error)
        status = guard.status
        line = {"state": status.state, "answer": answer, "both_failed": status.outcomes.get("both_failed", 0) // 50}
        if msgspec.json.encode(line) != told:
            told = msgspec.json.encode(line)
            sys.stdout.write(f"{told.decode()}\n")
            sys.stdout.flush()
        await SystemClock().sleep(0.02)


if __name__ == "__main__":
    anyio.run(work, *sys.argv[1:4], msgspec.json.decode(sys.argv[4]))
