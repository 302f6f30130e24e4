"""
What is true in the end: does the client hold what the server holds, and did every acknowledged edit happen once?
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from grayflow.core.position import Position
from grayflow.core.snapshot import Builder
from grayflow.replica.view import View
from grayflow.store.port import Change, State
from tests.faults.stage import Stage, until

__all__ = ["Findings", "differences", "judge"]


@dataclass(frozen=True)
class Findings:
    """What the judge found; all but `forgotten` has to be nothing."""

    lost: tuple[str, ...]
    """Flags and switch-offs that the client does not have as the server has them, and edits that are nowhere."""
    doubled: tuple[str, ...]
    """Edits that were made more than once, or once and the writer was told that they were not."""
    forgotten: tuple[Position, ...]
    """Of edits that the server acknowledged and does not have."""


async def judge(stage: Stage, *, forgets: bool) -> Findings:
    """Compare client, server and writer, while nobody edits."""
    position = await stage.store.position()
    await until(lambda: stage.flags.position == position, f"the client did not come to revision {position.revision}")
    state = await stage.store.load()
    made = await _made_since(stage)
    counts = Counter(change.request_id for change in made)
    missing = [change for name, change in stage.writer.acknowledged.items() if name not in counts]
    view = stage.flags._replica.view
    lost = await stage.aside(differences, view, state) + _unnoticed(view, made)
    doubled = [f"{name} was made {times} times" for name, times in counts.items() if times > 1]
    if not forgets:
        # The writer insists, so it makes again what it was told was not made.
        denied = [change for change in made if change.request_id not in stage.writer.acknowledged]
        doubled += [f"{change.key}: revision {change.revision} was made, and the writer told no" for change in denied]
        lost += [f"{change.key}: revision {change.revision} was acknowledged and is gone" for change in missing]
    return Findings(
        lost=tuple(lost),
        doubled=tuple(doubled),
        forgotten=tuple(change.position for change in missing),
    )


def differences(view: View, state: State) -> list[str]:
    """Return what a view does not hold as the store does."""
    builder = Builder()
    for key, document in state.flags.items():
        builder.add_flag(key, document)
    held, wanted = (view.snapshot.flags if view.snapshot else {}), builder.build(state.position).flags
    found = []
    for key in {*held, *wanted}:
        mine, theirs = held.get(key), wanted.get(key)
        if mine is None or theirs is None or (mine.revision, mine.flag) != (theirs.revision, theirs.flag):
            found.append(f"{key} is {_told(mine)} here and {_told(theirs)} in the store")
    return found + [
        f"{key} has other generations here than in the store"
        for key in {*view.generations, *state.generations}
        if dict(view.generations.get(key) or {}) != dict(state.generations.get(key) or {})
    ]


def _unnoticed(view: View, made: Sequence[Change]) -> list[str]:
    return [
        f"the switch-off of {change.key} in revision {change.revision} was not noticed"
        for change in made
        if change.action == "switch_off" and view.generations[change.key]["on"].off < 2 * change.revision
    ]


async def _made_since(stage: Stage) -> list[Change]:
    """Return the changes that the server has made since the stage was set."""
    found: list[Change] = []
    before = None
    while page := await stage.store.history(before=before, limit=500):
        found += [change for change in page if change.actor == stage.writer.actor]
        before = page[-1].revision
        if before <= stage.started_at.revision:
            break
    return found


def _told(entry: object) -> str:
    return "missing" if entry is None else f"revision {getattr(entry, 'revision', '?')}"
