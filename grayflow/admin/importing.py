"""
Writing many documents at once: what an import would do (pure), and doing it.

Everything that can be known to be wrong is known before the first write. What was written stays written if the store
fails in the middle, and importing the same text again goes on from there, since documents that are there already are
passed over.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any

import msgspec
from anyio.lowlevel import checkpoint

from grayflow.admin.checks import Documents, canonical, circle, missing, model_of, node_of, refuse_degraded
from grayflow.admin.formats import Found, Parsed
from grayflow.admin.results import ImportReport, Misfit
from grayflow.admin.writer import Held, Order, Writer, held_of
from grayflow.core.codec import encode
from grayflow.core.extensions import Extensions
from grayflow.core.flag import Flag, Segment
from grayflow.core.graph import Node, needs, undecidable
from grayflow.core.position import Document
from grayflow.errors import ConflictError, InvalidFlagError, Problem, StoreError
from grayflow.store.port import State

__all__ = ["ImportPlan", "Write", "plan_import", "run_import"]

Progress = Callable[[int, int], None]
"""Told how many documents are done, and how many there are to do."""


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One document to be written."""

    node: Node
    document: Flag | Segment | None
    """`None` to delete it."""
    held: Held[Any]


class ImportPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an import will do, in this order."""

    writes: tuple[Write, ...]
    unchanged: tuple[Node, ...]
    problems: tuple[Misfit, ...]
    warnings: tuple[Problem, ...]


class _World(msgspec.Struct, frozen=True):
    """The documents as they will be, for checks of references; see `checks.Documents`."""

    flags: Mapping[str, Document]
    segments: Mapping[str, Document]


def plan_import(parsed: Parsed, state: State, extensions: Extensions, *, replace: bool) -> ImportPlan:
    """
    Decide what to write.

    Args:
        parsed: What the text holds.
        state: What the store holds.
        extensions: The foreign hashes and operators that documents may name.
        replace: Whether documents that the text does not hold are to be deleted. Then one bad document keeps all
            the others from being written: half a replacement is worse than none.
    """
    problems = list(parsed.problems)
    sound: dict[Node, tuple[Found, Flag | Segment, bytes]] = {}
    for found in parsed.documents:
        try:
            document, data = canonical(model_of(found.kind), found.data, found.key)
            refuse_degraded(document, _held(state, node_of(document)).decoded, extensions)
            sound[node_of(document)] = (found, document, data)
        except InvalidFlagError as error:
            problems += [Misfit(found.place, problem) for problem in error.problems]
    for node, message in _circles({node: document for node, (_, document, _) in sound.items()}, state).items():
        found, *_ = sound.pop(node)
        problems.append(Misfit(found.place, Problem(key=node[1], kind=node[0], path="", message=message)))
    if replace and not parsed.documents and not problems:
        message = "the text holds no document; replacing everything by nothing is refused"
        problems.append(Misfit("the text", Problem(key="?", path="", message=message)))

    gone = _gone(parsed, state) if replace else ()
    writes = [
        Write(node=node, document=document, held=_held(state, node))
        for node, (_, document, data) in sound.items()
        if not _is_there(state, node, data)
    ]
    written = {write.node for write in writes}
    world = _world(state, {node: data for node, (_, _, data) in sound.items()}, gone)
    return ImportPlan(
        writes=(*_needed_first(writes), *(Write(node=node, document=None, held=_held(state, node)) for node in gone)),
        unchanged=tuple(node for node in sound if node not in written),
        problems=tuple(problems),
        warnings=tuple(warning for write in writes if write.document for warning in missing(write.document, world)),
    )


def _held(state: Documents, node: Node) -> Held[Any]:
    kind, key = node
    if kind == "segment":
        return held_of(Segment, key, state.segments.get(key), {})
    generations = state.generations.get(key, {}) if isinstance(state, State) else {}
    return held_of(Flag, key, state.flags.get(key), generations)


def _is_there(state: State, node: Node, data: bytes) -> bool:
    decoded = _held(state, node).decoded
    return decoded is not None and encode(decoded) == data


def _circles(documents: Mapping[Node, Flag | Segment], state: State) -> dict[Node, str]:
    """Return the documents that would become part of a circle, with the circle in words."""
    before = _edges(state)
    after = {**before, **{node: needs(document) for node, document in documents.items()}}
    stuck = (undecidable(after) - undecidable(before)) & documents.keys()
    shown = {node: circle(node, after) for node in stuck if after[node] != before.get(node, frozenset())}
    return {node: message for node, message in shown.items() if message}


def _edges(state: State) -> dict[Node, frozenset[Node]]:
    nodes = [*(("flag", key) for key in state.flags), *(("segment", key) for key in state.segments)]
    held = ((node, _held(state, node).decoded) for node in nodes)
    return {node: needs(decoded) for node, decoded in held if decoded is not None}


def _gone(parsed: Parsed, state: State) -> tuple[Node, ...]:
    kept = {(found.kind, found.key) for found in parsed.documents}
    nodes: list[Node] = [*(("flag", key) for key in state.flags), *(("segment", key) for key in state.segments)]
    return tuple(node for node in nodes if node not in kept)


def _world(state: State, added: Mapping[Node, bytes], gone: Iterable[Node]) -> _World:
    flags, segments = dict(state.flags), dict(state.segments)
    for (kind, key), data in added.items():
        (flags if kind == "flag" else segments)[key] = Document(0, data)
    for kind, key in gone:
        del (flags if kind == "flag" else segments)[key]
    return _World(flags, segments)


def _needed_first(writes: Iterable[Write]) -> list[Write]:
    """Put what others need before them, so that no reader sees a reference that is still to come."""
    by_node = {write.node: write for write in writes}
    edges = {node: needs(write.document) & by_node.keys() for node, write in by_node.items() if write.document}
    # A circle that the store holds already may be written again; its members need no order.
    tangled = undecidable(edges)
    free = {node: found - tangled for node, found in edges.items() if node not in tangled}
    return [by_node[node] for node in (*TopologicalSorter(free).static_order(), *sorted(tangled))]


async def run_import(
    plan: ImportPlan, writer: Writer, reason: str, *, dry_run: bool, blocked: bool, progress: Progress | None
) -> ImportReport:
    """
    Do what was planned, one document after the other.

    Args:
        plan: From `plan_import`.
        writer: Who writes.
        reason: For the audit.
        dry_run: Only say what would be done.
        blocked: Write nothing, because of the problems.
        progress: Called after each document.
    """
    done: dict[str, list[Node]] = {"created": [], "updated": [], "deleted": []}
    remaining: tuple[Node, ...] = tuple(write.node for write in plan.writes) if blocked else ()
    problems, stopped = list(plan.problems), None
    for index, write in enumerate(() if blocked else plan.writes):
        try:
            if not dry_run:
                await _write(writer, write, reason)
            done[_outcome(write)].append(write.node)
        except InvalidFlagError as error:
            problems += [Misfit("the store", problem) for problem in error.problems]
        except StoreError as error:
            stopped, remaining = error, tuple(write.node for write in plan.writes[index:])
            break
        if progress is not None:
            progress(index + 1, len(plan.writes))
        await checkpoint()  # a store in memory never waits, and others want the loop too
    return ImportReport(
        dry_run=dry_run,
        created=tuple(done["created"]),
        updated=tuple(done["updated"]),
        deleted=tuple(done["deleted"]),
        unchanged=plan.unchanged,
        remaining=remaining,
        problems=tuple(problems),
        warnings=plan.warnings,
        stopped=stopped,
    )


async def _write(writer: Writer, write: Write, reason: str) -> None:
    order = Order(action="import", reason=reason, references=False)
    try:
        await writer.save(write.held, write.document, order)
    except ConflictError:  # somebody changed it since the import was planned: the text still wins
        await writer.write(write.held.model, write.held.key, _always(write.document), order)


def _always(document: Flag | Segment | None) -> Callable[[Held[Any]], Awaitable[Flag | Segment | None]]:
    async def plan(held: Held[Any]) -> Flag | Segment | None:  # noqa: ARG001 - whatever is there now
        return document

    return plan


def _outcome(write: Write) -> str:
    if write.document is None:
        return "deleted"
    return "created" if write.held.document is None else "updated"
