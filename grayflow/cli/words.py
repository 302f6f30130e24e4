"""Facts about flags in a word or a line, as tables and summaries show them. Pure."""

import re
from typing import Any

import msgspec

from grayflow.admin.wording import percent_text, serve_text
from grayflow.core.calendar import as_datetime, from_datetime
from grayflow.core.entry import FlagEntry
from grayflow.core.flag import (
    All,
    AnyOf,
    Attribute,
    Bucket,
    Condition,
    During,
    Flag,
    FlagIs,
    Not,
    Rule,
    SegmentIs,
)
from grayflow.core.snapshot import Snapshot
from grayflow.errors import Problem

__all__ = [
    "brief",
    "condition_text",
    "counted",
    "id_text",
    "moment",
    "safe",
    "serves",
    "span",
    "state_of",
    "step_text",
    "unreadable",
]

# What moves the cursor, changes colours or titles, or turns the order of what is read: C0 but the tab and the newline,
# C1 (to a terminal U+009B is ESC [), line and paragraph separators, and the marks that turn the direction of text.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def safe(text: str, *, lines: bool = True) -> str:
    """
    Return stored text for a terminal: whoever wrote a flag must not steer the screen of whoever reads it.

    Args:
        text: Any.
        lines: Whether its newlines may stay; else they are written out like everything that is not shown.
    """
    shown = _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return shown if lines else shown.replace("\n", "\\n")


def moment(at: int) -> str:
    """Return an instant in UTC, to the second."""
    try:
        return as_datetime(at).isoformat(sep="T", timespec="seconds").replace("+00:00", "Z")
    except OverflowError:  # a writer's clock may say anything; years end at 9999
        return f"{at} ns"


def state_of(entry: FlagEntry, now: int) -> str:
    """Return `on`, `off`, `scheduled`, `expired`, `archived` or `broken`."""
    flag = entry.flag
    if flag is None or entry.problems:
        return "broken"
    if flag.archived:
        return "archived"
    if not flag.enabled:
        return "off"
    if flag.expires_at is not None and from_datetime(flag.expires_at) <= now:
        return "expired"
    if flag.effective_at is not None and from_datetime(flag.effective_at) > now:
        return "scheduled"
    return "on"


def counted(number: int, noun: str) -> str:
    """Return `1 flag`, `2 flags`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def span(nanoseconds: int) -> str:
    """Return how long something takes or took in its largest unit: `3 min`."""
    seconds = max(0, nanoseconds) // 1_000_000_000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def unreadable(snapshot: Snapshot) -> tuple[Problem, ...]:
    """Return why documents could not be used at all, flags before segments."""
    found = [problem for _, entry in sorted(snapshot.flags.items()) for problem in entry.problems]
    return (*found, *(problem for _, entry in sorted(snapshot.segments.items()) for problem in entry.problems))


def serves(flag: Flag | None) -> str:
    """Return in a few words what a flag serves while it is on."""
    if flag is None:
        return ""
    parts = []
    listed = sum(map(len, flag.targets.values()))
    if listed:
        parts.append(f"{listed} listed")
    parts += [_rule(flag, rule) for rule in flag.rules[:2]]
    if len(flag.rules) > 2:
        parts.append(counted(len(flag.rules) - 2, "more rule"))
    rest = flag.otherwise_serves
    parts.append(rest if isinstance(rest, str) else "default" if rest is None else "split")
    return ", ".join(parts)


def _rule(flag: Flag, rule: Rule) -> str:
    share = "" if rule.percent is None else percent_text(rule.percent).replace(" ", "") + " "
    serve = flag.rule_serves(rule)
    served = serve if isinstance(serve, str) else "default" if serve is None else "split"
    whom = "" if not rule.when else f" if {rule.name}" if rule.name else " if …"
    return f"{share}{served}{whom}"


def step_text(flag: Flag, path: str) -> str:
    """Return what was looked at, in words, for a step of an explanation; `""` where the path says it all."""
    names = re.fullmatch(r"(?:rules\[(\d+)\]\.)?(requires|when|percent|serve)(?:\[(\d+)\])?", path)
    if names is None:
        return ""
    rule = None if names[1] is None else flag.rules[int(names[1])]
    if names[2] == "requires":
        return condition_text(flag.requires[int(names[3])])
    if rule is None:
        return ""
    label = f"rule {rule.name!r}: " if rule.name is not None else ""
    if names[2] == "when":
        return label + condition_text(rule.when[int(names[3])])
    if names[2] == "percent" and rule.percent is not None:
        return f"{label}within {percent_text(rule.percent)}"
    return label + serve_text(flag.rule_serves(rule))


def condition_text(condition: Condition) -> str:
    """Return a condition in words."""
    match condition:
        case All(of=inner):
            return "all of (" + "; ".join(map(condition_text, inner)) + ")"
        case AnyOf(of=inner):
            return "any of (" + "; ".join(map(condition_text, inner)) + ")"
        case Not(of=one):
            return f"not ({condition_text(one)})"
        case SegmentIs(key=key):
            return f"in segment {key!r}"
        case FlagIs():
            return _flag_is(condition)
        case Bucket(ranges=ranges):
            return "in slots " + ", ".join(f"{low}..{high}" for low, high in ranges)
        case During():
            return _during(condition)
        case Attribute():
            return _attribute(condition)


def _flag_is(condition: FlagIs) -> str:
    if condition.off:
        return f"flag {condition.key!r} is off"
    if condition.variants is None:
        return f"flag {condition.key!r} is on"
    return f"flag {condition.key!r} serves " + (" or ".join(condition.variants) or "nothing")


def _during(condition: During) -> str:
    parts = [",".join(condition.days)] if condition.days is not None else []
    if condition.start != condition.end:
        parts.append(f"{condition.start}-{condition.end} UTC")
    if condition.from_ is not None:
        parts.append(f"from {condition.from_.isoformat()}")
    if condition.until is not None:
        parts.append(f"until {condition.until.isoformat()}")
    return " ".join(["during", *parts]) if parts else "at any time"


def _attribute(condition: Attribute) -> str:
    name = condition.name if isinstance(condition.name, str) else "/".join(map(str, condition.name))
    shown = [brief(value, 40) for value in condition.values[:5]]
    if len(condition.values) > 5:
        shown.append(f"… {len(condition.values) - 5} more")
    negated = "not " if condition.negate else ""
    return " ".join([f"{name} {negated}{condition.op}", ", ".join(shown)]).rstrip()


def id_text(unit: str | int) -> str:
    """Return an id as it stands in a list; in quotes where it would not be seen, or taken for several."""
    text = str(unit)
    return text if re.fullmatch(r"[^\s,\"'…]+", text) else msgspec.json.encode(text).decode()


def brief(value: Any, most: int = 200) -> str:
    """Return a value as JSON, cut where it gets long."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= most else f"{text[: most - 1]}…"
