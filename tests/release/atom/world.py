"""
A world of files for atoms to change: every step turns two files from `old` to `new`, one after the other.

Two files, so that a process that dies between them leaves a state which is neither; and real files, so that it stays
there when the process is gone.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grayflow.cleanup.retry import Retry
from grayflow.release.atom.model import Atom, Step, StepCall

__all__ = ["NAMES", "QUICK", "World", "make_atom"]

NAMES = ("drain", "unpack", "stop", "link", "start", "open")
"""The steps of the deploy that everything began with: `pre`, four steps, `post`."""

QUICK = Retry(attempts=4, base=0.001, cap=0.001)


class World:
    """
    What the steps change.

    Args:
        folder: Where; made if it is missing.
        point: Called before, between and after the writes of each effect, and before each look.
    """

    def __init__(self, folder: Path, point: Callable[[str], None] = lambda what: None) -> None:
        self.folder, self.point = folder, point
        self.effects: list[str] = []
        """Of this process: which functions were called, in order."""

    def begin(self) -> "World":
        """Make the world before everything."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            self._turn(name, "old")
        return self

    def look(self, name: str) -> list[str]:
        """Return the state of one step's files."""
        return [self._path(name, part).read_text() for part in "ab"]

    @property
    def state(self) -> str:
        """`before`, `after`, or what is found instead."""
        found = {name: self.look(name) for name in NAMES}
        for word, text in (("before", "old"), ("after", "new")):
            if all(parts == [text, text] for parts in found.values()):
                return word
        return str(found)

    async def do(self, call: StepCall) -> None:
        """Turn the step's files to new."""
        self._note(call, "do")
        self._turn(call.step, "new", call.fencing_token)

    async def undo(self, call: StepCall) -> None:
        """Turn them back."""
        self._note(call, "undo")
        self._turn(call.step, call.before[0], call.fencing_token)

    async def capture(self, call: StepCall) -> list[str]:
        """Return their state."""
        self._note(call, "capture")
        return self.look(call.step)

    async def check(self, call: StepCall) -> str:
        """Tell whether both are new, or none."""
        self._note(call, "check")
        self._refuse_the_overtaken(call.fencing_token)  # from now on: what it finds has to stay so
        found = self.look(call.step)
        return {("new", "new"): "applied", ("old", "old"): "not_applied"}.get((found[0], found[1]), "wrong")

    def _note(self, call: StepCall, what: str) -> None:
        self.effects.append(f"{what} {call.step}")
        self.point(f"{what} {call.step}")

    def _turn(self, name: str, text: str, fence: int = 0) -> None:
        for part in "ab":
            self._refuse_the_overtaken(fence)
            path = self._path(name, part)
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_text(text)
            draft.replace(path)
            self.point(f"{name} {part} is {text}")

    def _refuse_the_overtaken(self, fence: int) -> None:
        """Do what a resource can do about a process that wakes up in the middle of a step and finishes it."""
        highest = self.folder / "fence"
        seen = int(highest.read_text()) if highest.exists() else 0
        if fence < seen:
            raise PermissionError(f"token {fence} is older than {seen}")
        if fence > seen:
            draft = highest.with_suffix(f".{os.getpid()}")
            draft.write_text(str(fence))
            draft.replace(highest)

    def _path(self, name: str, part: str) -> Path:
        return self.folder / f"{name}-{part}"


def make_atom(world: World, *, check: bool = True, step: dict[str, Any] | None = None, **rules: Any) -> Atom:
    """
    Return the deploy as an atom.

    Args:
        world: What it changes.
        check: Whether the steps can tell that they are done.
        step: More for every step.
        rules: More for the atom.
    """
    made = [
        Step(
            name,
            do=world.do,
            undo=world.undo,
            capture=world.capture,
            check=world.check if check else None,
            **{"undo_retry": QUICK, **(step or {})},
        )
        for name in NAMES
    ]
    return Atom("deploy", **{"version": 1, "pre": made[0], "steps": made[1:-1], "post": made[-1], **rules})
