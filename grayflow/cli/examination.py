"""What `doctor` looks at, one check after the other; each says what it found and what to do."""

from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from typing import Any, Literal
from uuid import uuid4

import msgspec

from grayflow.cli.exits import Exit, exit_of
from grayflow.cli.words import counted
from grayflow.clock import SystemClock
from grayflow.core.extensions import Extensions
from grayflow.core.position import Position
from grayflow.core.snapshot import Builder, Snapshot
from grayflow.errors import (
    ConflictError,
    GrayflowError,
    NotInitializedError,
    StoreAccessError,
    StoreError,
    StoreFormatError,
)
from grayflow.store.port import SCHEMA, Edit, State, Store

__all__ = ["Check", "examine", "snapshot_of"]

MANY_FLAGS = 10_000
"""Above this a snapshot still works; loading and memory are felt."""
APART_S = 1.0
"""So far may two clocks be apart before windows open and close visibly early or late."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    status: Literal["ok", "warning", "error"]
    found: str
    remedy: str = ""
    exit: Exit = Exit.NO
    """The exit code if it is an error."""

    def shape(self) -> dict[str, Any]:
        """Return what `doctor --json` prints besides the name."""
        return {"status": self.status, "found": self.found, "remedy": self.remedy}


async def examine(
    store: Store, extensions: Extensions | None, *, told: Callable[[str], object] = str
) -> tuple[Check, ...]:
    """
    Look at everything that can be looked at; what is out of reach ends the round.

    Args:
        store: Not opened yet.
        extensions: The foreign hashes and operators that flags may name.
        told: Called with the name of each check when it is over.
    """
    checks: list[Check] = []
    async with store:
        async for check in _checks(store, extensions):
            checks.append(check)
            told(check.name)
            if check.exit is Exit.STORE and check.status == "error":
                break
    return tuple(checks)


async def _checks(store: Store, extensions: Extensions | None) -> AsyncIterator[Check]:
    reached = _ok("connection", f"{store.place}, namespace {store.namespace!r}")
    try:
        position = await store.position()
    except (NotInitializedError, StoreFormatError) as error:
        yield reached
        yield _unusable(error, store.namespace)
        return
    except StoreError as error:
        yield _out_of_reach(error)
        return
    yield reached
    yield _ok("position", f"epoch {position.epoch}, revision {position.revision}, schema {SCHEMA}")
    try:
        state = await store.load()
    except StoreError as error:
        yield _failed("documents", error)
        return
    for check in _documents(state, extensions):
        yield check
    yield await _history(store, position)
    yield await _link(store)
    yield await _clock(store)
    for check in await _place(store):
        yield check
    yield _patterns()
    yield await _rights(store)


def _unusable(error: NotInitializedError | StoreFormatError, namespace: str) -> Check:
    """Tell what is wrong with a store that was reached: no data, or data that must not be used."""
    if isinstance(error, StoreFormatError):
        return _failed("data", error)
    remedy = (
        "a new namespace: initialise it. One that was lost: grayflow export --last-good FILE flags.json (or an "
        f"export), grayflow init, grayflow import flags.json, and last grayflow init --replace --namespace {namespace}"
    )
    return Check(name="initialised", status="error", found=str(error), remedy=remedy, exit=Exit.STORE)


def _out_of_reach(error: StoreError) -> Check:
    """Tell apart what an operator would mend differently."""
    if isinstance(error, StoreAccessError):
        remedy = "check user name and password in the URL, and the rules of the user: grayflow acl"
        return Check(name="access", status="error", found=str(error), remedy=remedy, exit=Exit.STORE)
    return _failed("connection", error)


def _failed(name: str, error: GrayflowError) -> Check:
    if isinstance(error, StoreFormatError):
        return Check(name=name, status="error", found=error.message, remedy=error.remedy, exit=exit_of(error))
    return Check(name=name, status="error", found=str(error), exit=exit_of(error))


def _ok(name: str, found: str) -> Check:
    return Check(name=name, status="ok", found=found)


def _documents(state: State, extensions: Extensions | None) -> list[Check]:
    snapshot = snapshot_of(state, extensions)
    size = sum(len(document.data) for document in (*state.flags.values(), *state.segments.values()))
    counts = f"{counted(len(state.flags), 'flag')} and {counted(len(state.segments), 'segment')}"
    found = f"{counts}, {size / 1024:.1f} KiB"
    if len(state.flags) > MANY_FLAGS:
        remedy = f"archive and delete what is not used; beyond {MANY_FLAGS} loading and memory are felt"
        checks = [Check(name="documents", status="warning", found=found, remedy=remedy)]
    else:
        checks = [_ok("documents", found)]
    problems = snapshot.problems
    if not problems:
        return [*checks, _ok("soundness", "every document is read and evaluated as it says")]
    for problem in problems[:20]:
        remedy = f"see `grayflow show {problem.key}`; put a corrected document or roll it back"
        checks.append(Check(name="soundness", status="error", found=str(problem), remedy=remedy))
    if len(problems) > 20:
        more = Check(
            name="soundness", status="error", found=f"{len(problems) - 20} more problems", remedy="grayflow lint"
        )
        checks.append(more)
    return checks


def snapshot_of(state: State, extensions: Extensions | None = None) -> Snapshot:
    """Return a state ready to be evaluated, broken documents included as such."""
    builder = Builder(extensions=extensions)
    for key, document in state.segments.items():
        builder.add_segment(key, document)
    for key, document in state.flags.items():
        builder.add_flag(key, document)
    return builder.build(state.position)


async def _history(store: Store, position: Position) -> Check:
    try:
        oldest = await store.oldest()
    except StoreError as error:
        return _failed("history", error)
    if oldest > position.revision:
        return _ok("history", "no changes are kept")
    return _ok("history", f"changes since revision {oldest}")


async def _link(store: Store) -> Check:
    """Subscribe, as every client does: a user may read everything and hear nothing."""
    try:
        async with store.follow():
            return _ok("link", "changes are pushed to this user")
    except StoreAccessError as error:
        remedy = "changes arrive with the next poll only; give the user the channel of the namespace: grayflow acl"
        return Check(name="link", status="error", found=str(error), remedy=remedy)
    except StoreError as error:
        return _failed("link", error)


async def _place(store: Store) -> list[Check]:
    """Ask the adapter what it has to say of its server."""
    try:
        found = await store.checkup()
    except StoreError as error:
        return [_failed("server", error)]
    return [Check(name=one.name, status=one.status, found=one.found, remedy=one.remedy) for one in found]


async def _rights(store: Store) -> Check:
    """Try a write that cannot change anything: the deletion of what is not there."""
    edit = Edit(
        kind="segment",
        key=f"grayflow:doctor:{uuid4().hex}",
        document=None,
        action="doctor",
        actor="grayflow doctor",
        reason="a probe that writes nothing",
        at=SystemClock().now(),
        request_id=uuid4().hex,
    )
    try:
        await store.commit(edit, expected=0)
    except ConflictError:
        return _ok("rights", "this user may change flags")
    except StoreAccessError as error:
        remedy = "right for a service that only reads; whoever changes flags needs the writer's ACL"
        return Check(name="rights", status="warning", found=str(error), remedy=remedy)
    except StoreError as error:
        return _failed("rights", error)
    return _failed("rights", StoreError("the store accepted the deletion of what is not there"))


async def _clock(store: Store) -> Check:
    try:
        offset = await store.clock_offset()
    except StoreAccessError:
        return _ok("clock", "unknown (no right to ask)")
    except StoreError as error:
        return _failed("clock", error)
    if offset is None:
        return _ok("clock", "the store has no clock of its own")
    found = f"the store is {abs(offset):.3f} s {'ahead' if offset > 0 else 'behind'}"
    if abs(offset) <= APART_S:
        return _ok("clock", found)
    remedy = "let both machines keep time by NTP: windows open and close by the clock of each process"
    return Check(name="clock", status="warning", found=found, remedy=remedy)


def _patterns() -> Check:
    if find_spec("re2") is not None:
        return _ok("patterns", "RE2 is installed")
    found = "RE2 is not installed: `matches` reads the first 512 characters at most and refuses some patterns"
    return _ok("patterns", found)
