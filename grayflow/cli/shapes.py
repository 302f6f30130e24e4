"""
What `--json` prints: these shapes are a promise. Fields may be added; none changes its meaning or goes away.

Instants are RFC 3339 in UTC. Documents are what `grayflow put` reads.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from grayflow.admin import Difference, Explanation, ImportReport, Preview, Saved, Stale
from grayflow.admin.diff import plain
from grayflow.admin.moving import Remark
from grayflow.cli.words import moment, state_of
from grayflow.core.decision import Decision
from grayflow.core.entry import FlagEntry, SegmentEntry
from grayflow.core.flag import Flag
from grayflow.core.generations import Generations
from grayflow.errors import Problem
from grayflow.store.port import Change

__all__ = [
    "change_shape",
    "decision_shape",
    "difference_shape",
    "explanation_shape",
    "flag_shape",
    "import_shape",
    "problem_shape",
    "remark_shapes",
    "saved_shape",
    "segment_shape",
    "show_shape",
    "stale_shape",
    "trial_shape",
]

Shape = dict[str, Any]


def flag_shape(entry: FlagEntry, now: int) -> Shape:
    """
    One flag of `list`.

    `key`; `state` (`on`, `off`, `scheduled`, `expired`, `archived`, `broken`); `revision`; `kind`; `owner`; `tags`;
    `lifetime`; `description`; `problems` (why the newest document cannot be used).
    """
    flag = entry.flag
    return {
        "key": entry.key,
        "state": state_of(entry, now),
        "revision": entry.revision,
        "kind": None if flag is None else flag.kind,
        "owner": None if flag is None else flag.owner,
        "tags": [] if flag is None else flag.tags,
        "lifetime": None if flag is None else flag.lifetime,
        "description": None if flag is None else flag.description,
        "problems": [problem_shape(problem) for problem in entry.problems],
    }


def segment_shape(entry: SegmentEntry) -> Shape:
    """One segment of `list --segments`: `key`, `revision`, `owner`, `tags`, `description`, `problems`."""
    segment = entry.segment
    return {
        "key": entry.key,
        "revision": entry.revision,
        "owner": None if segment is None else segment.owner,
        "tags": [] if segment is None else segment.tags,
        "description": None if segment is None else segment.description,
        "problems": [problem_shape(problem) for problem in entry.problems],
    }


def show_shape(
    kind: str, key: str, revision: int, data: bytes, problems: Sequence[Problem], generations: Generations
) -> Shape:
    """
    `show`: `kind`, `key`, `revision`, `document`, `problems`, `generations`.

    `generations` holds `off` and `armed` of each variant that was ever switched off or can be.
    """
    return {
        "kind": kind,
        "key": key,
        "revision": revision,
        "document": plain(data, "segment" if kind == "segment" else "flag"),
        "problems": [problem_shape(problem) for problem in problems],
        "generations": {
            name: {"off": generation.off, "armed": generation.armed} for name, generation in generations.items()
        },
    }


def change_shape(change: Change) -> Shape:
    """
    One change, of `history` and `watch`.

    `revision`, `at`, `actor`, `action`, `reason`, `kind`, `key`, `before` and `after` (documents, null for none), and
    the position as `token`.
    """
    return {
        "revision": change.revision,
        "at": moment(change.at),
        "actor": change.actor,
        "action": change.action,
        "reason": change.reason,
        "kind": change.kind,
        "key": change.key,
        "before": None if change.before is None else plain(change.before.data, change.kind),
        "after": None if change.document is None else plain(change.document, change.kind),
        "token": change.position.token(),
    }


def difference_shape(one: Difference) -> Shape:
    """One difference of `diff`: `path`, and `before` and `after` where there was or is something."""
    shape: Shape = {"path": one.place}
    if one.before is not msgspec.UNSET:
        shape["before"] = one.before
    if one.after is not msgspec.UNSET:
        shape["after"] = one.after
    return shape


def decision_shape(decision: Decision) -> Shape:
    """
    A decision.

    `key`, `value`, `variant` (null: the caller's default), `reason`, `rule`, `revision`, `error`, `detail`,
    `metadata`.
    """
    names = ("key", "value", "variant", "reason", "rule", "revision", "error", "detail", "metadata")
    return {name: getattr(decision, name) for name in names}


def explanation_shape(told: Explanation, flag: Flag | None) -> Shape:
    """`explain`: `decision`, `steps` (each `path` and `passed`), `others` (the same by flag), `document`."""
    return {
        "decision": decision_shape(told.decision),
        "steps": told.steps,
        "others": told.others,
        "document": None if flag is None else plain(flag),
    }


def saved_shape(saved: Saved[Any]) -> Shape:
    """A write: `kind`, `key`, `changed`, `revision`, `token` (for `Client.wait_for`), `warnings`."""
    return {
        "kind": saved.kind,
        "key": saved.key,
        "changed": saved.changed,
        "revision": saved.revision,
        "token": saved.token,
        "warnings": [problem_shape(problem) for problem in saved.warnings],
    }


def trial_shape(differences: Sequence[Difference], moved: Preview | None) -> Shape:
    """
    A write that was only tried: `dry_run` (true), `differences` as of `diff`, and `preview`.

    `preview` is null without contexts; else `contexts` (how many were tried) and `moved`: `flag`, the variants
    `before` and `after` (null: the caller's default), and how many contexts go that way as `count`.
    """
    preview = None
    if moved is not None:
        ways = [
            {"flag": flag, "before": before, "after": after, "count": count}
            for (flag, before, after), count in moved.counts().items()
        ]
        preview = {"contexts": moved.contexts, "moved": ways}
    return {"dry_run": True, "differences": [difference_shape(one) for one in differences], "preview": preview}


def import_shape(report: ImportReport) -> Shape:
    """
    `import`: `ok`, `dry_run`, the documents written and not written, what is wrong with the text.

    `created`, `updated`, `deleted`, `unchanged` and `remaining` hold `kind` and `key`; `problems` have a `place` too;
    `stopped` is what the store said, or null. With `--from` there are `remarks` too.
    """
    shape: Shape = {"ok": report.ok, "dry_run": report.dry_run}
    for name in ("created", "updated", "deleted", "unchanged", "remaining"):
        shape[name] = [{"kind": kind, "key": key} for kind, key in getattr(report, name)]
    shape["problems"] = [{"place": misfit.place, **problem_shape(misfit.problem)} for misfit in report.problems]
    shape["warnings"] = [problem_shape(problem) for problem in report.warnings]
    shape["stopped"] = None if report.stopped is None else str(report.stopped)
    return shape


def remark_shapes(remarks: Sequence[Remark]) -> list[Shape]:
    """
    The remarks of `import --from`.

    Each has `weight` (`refused`, `left out`, `changed`, `note`), `kind` (`flag`, `segment`, `file`), `key` and `path`
    as the other system has them, `what` was found, and what was done `instead`.
    """
    names = ("weight", "kind", "key", "path", "what", "instead")
    return [{name: getattr(remark, name) for name in names} for remark in remarks]


def stale_shape(one: Stale) -> Shape:
    """One flag of `stale`: `key`, `why` (`expired`, `past remove_by`, `settled`), `since`, `detail`, `owner`."""
    return {"key": one.key, "why": one.why, "since": one.since, "detail": one.detail, "owner": one.owner}


def problem_shape(problem: Problem) -> Shape:
    """A problem: `kind`, `key`, `path`, `message`."""
    return {"kind": problem.kind, "key": problem.key, "path": problem.path, "message": problem.message}
