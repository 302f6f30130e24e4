"""A world in memory for atoms to change, whose functions can be told to fail, to wait, and when to do so."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from grayflow import MemoryStore
from grayflow.release.atom.atoms import Atoms
from grayflow.release.atom.model import Atom, Step, StepCall
from tests.release.atom.world import NAMES, QUICK

__all__ = ["Bench", "opened"]


class Bench:
    """Steps that turn names from `old` to `new`."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.calls: list[StepCall] = []
        self.log: list[str] = []
        """What was called, in order: `do link`."""
        self.failures: dict[str, list[BaseException | None]] = defaultdict(list)
        """What the calls of a function raise, one after the other; `None`: nothing. For ever, if `always` is set."""
        self.always: dict[str, BaseException] = {}
        self.half: set[str] = set()
        """Functions that do their work before they raise."""
        self.gates: dict[str, Gate] = {}
        """Functions that wait in the middle."""

    @property
    def state(self) -> str:
        """`before`, `after`, or what is found instead."""
        found = set(self.states.values())
        return {("old",): "before", ("new",): "after"}.get(tuple(found), str(self.states))

    def gate(self, what: str) -> "Gate":
        """Let a function wait in the middle, until it is opened."""
        self.gates[what] = Gate()
        return self.gates[what]

    def count(self, what: str) -> int:
        """Return how often a function was called."""
        return self.log.count(what)

    async def do(self, call: StepCall) -> str:
        await self._act("do", call, "new")
        return f"result of {call.step}"

    async def undo(self, call: StepCall) -> None:
        await self._act("undo", call, "old")

    async def capture(self, call: StepCall) -> str:
        await self._act("capture", call, None)
        return self.states[call.step]

    async def check(self, call: StepCall) -> str:
        await self._act("check", call, None)
        return "applied" if self.states[call.step] == "new" else "not_applied"

    def atom(
        self,
        *names: str,
        step: dict[str, Any] | None = None,
        steps: dict[str, dict[str, Any]] | None = None,
        **rules: Any,
    ) -> Atom:
        """Return an atom of these steps, all of them if none is named; with `pre` and `post` if there are three."""
        made = [
            Step(
                name,
                **{
                    "do": self.do,
                    "undo": self.undo,
                    "capture": self.capture,
                    "undo_retry": QUICK,
                    **(step or {}),
                    **((steps or {}).get(name, {})),
                },
            )
            for name in names or NAMES
        ]
        self.states = {**dict.fromkeys(names or NAMES, "old"), **self.states}
        if len(made) < 3:
            return Atom("deploy", **{"version": 1, "steps": made, **rules})
        return Atom("deploy", **{"version": 1, "pre": made[0], "steps": made[1:-1], "post": made[-1], **rules})

    async def _act(self, what: str, call: StepCall, to: str | None) -> None:
        name = f"{what} {call.step}"
        self.calls.append(call)
        self.log.append(name)
        if name in self.half:
            self._turn(call.step, to)
        if name in self.gates:
            await self.gates[name].pass_through()
        error = self.failures[name].pop(0) if self.failures[name] else self.always.get(name)
        if error is not None:
            raise error
        self._turn(call.step, to)

    def _turn(self, name: str, to: str | None) -> None:
        if to is not None:
            self.states[name] = to


class Gate:
    """Where a function waits."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self.open = anyio.Event()

    async def pass_through(self) -> None:
        """Say that it is reached, and wait."""
        self.reached.set()
        await self.open.wait()


@asynccontextmanager
async def opened(store: Any = None, atoms: Iterable[Atom] = (), **options: Any) -> AsyncIterator[Atoms]:
    """Open atoms on a store that stays open as long, its own if none is given."""
    async with store or MemoryStore() as held, Atoms(held, atoms, **{"recover_every": None, **options}) as made:
        yield made
