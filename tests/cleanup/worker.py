"""
A process with one handler of the fleet that kills itself at one point of its job, as a power cut would.

    python -m tests.cleanup.worker URL NAMESPACE EFFECTS POINT
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from grayflow import Client, SwitchOff, open_store
from grayflow.store.wrappers import Call, Wrapper
from tests.cleanup.on_store import OPTIONS


class Deadly(Wrapper):
    """Kills the process before or after the first call that a point names."""

    point = ""

    async def around(self, call: Call, proceed: Callable[[], Awaitable[Any]]) -> Any:
        name = _name(call)
        if self.point == f"before {name}":
            die()
        result = await proceed()
        if self.point == f"after {name}":
            die()
        return result


def _name(call: Call) -> str:
    value = call.arguments.get("value", b"")
    if call.verb == "board.put" and call.arguments.get("collection") == "jobs":
        return "begin" if b'"state":"running"' in value else "finish" if b'"completed":1' in value else "note"
    return call.verb.removeprefix("board.")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, namespace: str, effects: Path, point: str) -> None:
    store = Deadly(open_store(url, namespace=namespace))
    store.point = point
    key = point.replace(" ", "-")

    def note(word: str) -> None:
        with effects.open("a") as file:
            file.write(f"{word}\n")

    async def purge(off: SwitchOff) -> None:
        note("began")
        if point == "in the handler":
            die()
        if point.endswith("renew"):
            await asyncio.Event().wait()
        note("effect")
        if point == "after the effect":
            die()

    def purge_slowly(off: SwitchOff) -> None:
        """Asks nobody whether it still should; the test stops the process meanwhile."""
        note("began")
        threading.Event().wait(0.5)
        note("effect")

    async with Client(store, name="worker", cleanup=OPTIONS) as flags:
        handler = purge_slowly if point == "stopped" else purge
        flags.on_switch_off(key, scope="fleet", name=key, drain=0.0)(handler)
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4]))
