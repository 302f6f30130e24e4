"""
What is wrong with a document beyond what its types say: whatever takes two fields to see.

A document with one of these problems does not decode. What only blunts a condition (an unknown operator, a bad
pattern) is found by `degradations`: it is refused on write, and on read costs that condition and nothing else.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from grayflow.core.extensions import Extensions
from grayflow.core.flag import (
    SLOTS,
    All,
    AnyOf,
    Attribute,
    Bucket,
    Condition,
    First,
    Flag,
    FlagIs,
    Not,
    Segment,
    ServeOnFailure,
    Split,
)
from grayflow.core.ids import id_text
from grayflow.core.operators import prepare

__all__ = [
    "Found",
    "all_conditions",
    "degradations",
    "few",
    "flag_problems",
    "foreign_hashes",
    "segment_problems",
    "walk_conditions",
]

Found = tuple[str, str]
"""Path in the document, and what is wrong there."""


_MOST = 50
"""Of one document. A list of ids may hold a hundred thousand mistakes, and what is found is kept and shown."""

_NAMED = 10


def few(found: Iterable[Found]) -> list[Found]:
    """Return the first problems only, and a last one that says so if there are more."""
    found = iter(found)
    told = list(islice(found, _MOST))
    if next(found, None) is not None:
        told.append(("", f"and more; these are the first {_MOST}"))
    return told


def walk_conditions(conditions: Iterable[Condition], path: str) -> Iterator[tuple[str, Condition]]:
    """Yield every condition with its path, the nested ones after the one that holds them."""
    for index, condition in enumerate(conditions):
        yield from _walk(condition, f"{path}[{index}]")


def _walk(condition: Condition, path: str) -> Iterator[tuple[str, Condition]]:
    yield path, condition
    if isinstance(condition, All | AnyOf):
        yield from walk_conditions(condition.of, f"{path}.of")
    elif isinstance(condition, Not):
        yield from _walk(condition.of, f"{path}.of")


def all_conditions(document: Flag | Segment) -> Iterator[tuple[str, Condition]]:
    """Yield every condition of a document with its path."""
    if isinstance(document, Segment):
        yield from walk_conditions(document.when or (), "when")
        return
    yield from walk_conditions(document.requires, "requires")
    for index, rule in enumerate(document.rules):
        yield from walk_conditions(rule.when, f"rules[{index}].when")


def flag_problems(flag: Flag) -> Iterator[Found]:
    """Yield what is wrong with a flag's document; nothing if it can be compiled."""
    yield from _variant_problems(flag)
    yield from _served_problems(flag)
    yield from _target_problems(flag)
    if flag.by is not None:
        yield from _by_problems(flag.by, "by")
    for index, rule in enumerate(flag.rules):
        path = f"rules[{index}]"
        if rule.percent is not None and abs(rule.percent * 1000 - round(rule.percent * 1000)) > 1e-6:
            yield f"{path}.percent", f"{rule.percent} has more than three decimals"
        if rule.by is not None:
            yield from _by_problems(rule.by, f"{path}.by")
    yield from _condition_problems(flag)


def segment_problems(segment: Segment) -> Iterator[Found]:
    """Yield what is wrong with a segment's document."""
    yield from _condition_problems(segment)
    if segment.by is not None:
        yield from _by_problems(segment.by, "by")
    for name in ("include", "exclude"):
        yield from _id_problems(getattr(segment, name), name)


def _variant_problems(flag: Flag) -> Iterator[Found]:
    if flag.kind != "boolean" and flag.variants == {"on": True, "off": False}:
        yield "variants", f"a flag of kind {flag.kind!r} needs variants of its own: name -> {flag.kind} value"
        return
    for name, value in flag.variants.items():
        if not _fits(value, flag.kind):
            yield f"variants.{name}", f"{_shown(value)} is no {flag.kind} value"


def _fits(value: Any, kind: str) -> bool:
    match kind:
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, float) or (_fits(value, "integer") and abs(value) < 1 << 1023)
        case _:
            return True


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "that number"
    return text if len(text) <= 60 else text[:57] + "..."


def _served_problems(flag: Flag) -> Iterator[Found]:
    yield from _serve_problems(flag, flag.off_variant, "off")
    yield from _serve_problems(flag, flag.otherwise_serves, "otherwise")
    for index, rule in enumerate(flag.rules):
        yield from _serve_problems(flag, flag.rule_serves(rule), f"rules[{index}].serve")
    if isinstance(flag.on_failure, ServeOnFailure):
        yield from _serve_problems(flag, flag.on_failure.variant, "on_failure.variant")


def _serve_problems(flag: Flag, serve: str | Split | None, path: str) -> Iterator[Found]:
    if isinstance(serve, Split):
        yield from _split_problems(flag, serve, path)
    elif serve is not None and serve not in flag.variants:
        yield path, f"there is no variant {serve!r}; the variants are {_names(flag)}"


def _names(flag: Flag) -> str:
    named = ", ".join(map(repr, islice(flag.variants, _NAMED))) or "none"
    return named if len(flag.variants) <= _NAMED else f"{named} and {len(flag.variants) - _NAMED} more"


def _split_problems(flag: Flag, split: Split, path: str) -> Iterator[Found]:
    if (split.weights is None) == (split.ranges is None):
        yield path, "a split has either weights or ranges"
    names = [pair[0] for pair in (*(split.weights or ()), *(split.ranges or ()))]
    for name in dict.fromkeys((*names, *((split.absent,) if split.absent is not None else ()))):
        if name not in flag.variants:
            yield path, f"there is no variant {name!r}; the variants are {_names(flag)}"
    if split.weights is not None and split.hash is None:
        total = sum(weight for _, weight in split.weights)
        if total != SLOTS:
            yield f"{path}.weights", f"the weights add up to {total}; they must add up to {SLOTS}"
    if split.ranges is not None:
        ranges = [(low, high) for _, low, high in split.ranges]
        yield from _range_problems(ranges, f"{path}.ranges", sized=split.hash is None)
    if split.by is not None:
        yield from _by_problems(split.by, f"{path}.by")


def _range_problems(ranges: Iterable[tuple[int, int]], path: str, *, sized: bool) -> Iterator[Found]:
    for index, (low, high) in enumerate(ranges):
        if low > high:
            yield f"{path}[{index}]", f"the range ends at {high}, before its start at {low}"
        elif sized and high > SLOTS:
            yield f"{path}[{index}]", f"the range ends at {high}; the last slot is {SLOTS - 1}"


def _target_problems(flag: Flag) -> Iterator[Found]:
    owners: dict[str, str] = {}
    for variant, ids in flag.targets.items():
        path = f"targets.{variant}"
        if variant not in flag.variants:
            yield path, f"there is no variant {variant!r}; the variants are {_names(flag)}"
        yield from _id_problems(ids, path)
        for unit in map(id_text, ids):
            if unit is not None and owners.setdefault(unit, variant) != variant:
                yield path, f"the id {unit!r} is listed under {owners[unit]!r} too; one id gets one variant"


def _id_problems(ids: Iterable[str | int], path: str) -> Iterator[Found]:
    for index, unit in enumerate(ids):
        if id_text(unit) is None:
            yield f"{path}[{index}]", "this cannot be an id; ids are text or whole numbers"


def _by_problems(by: Any, path: str) -> Iterator[Found]:
    for step in by.first if isinstance(by, First) else (by,):
        if step == ():
            yield path, "an empty path names no attribute"


def _condition_problems(document: Flag | Segment) -> Iterator[Found]:
    for path, condition in all_conditions(document):
        if isinstance(condition, Bucket):
            yield from _range_problems(condition.ranges, f"{path}.ranges", sized=condition.hash is None)
            if condition.by is not None:
                yield from _by_problems(condition.by, f"{path}.by")
        elif isinstance(condition, FlagIs) and condition.off and condition.variants is not None:
            yield path, "either `off` or `variants` can be asked for, not both"
        elif isinstance(condition, Attribute) and condition.name == ():
            yield f"{path}.name", "an empty path names no attribute"


def degradations(document: Flag | Segment, extensions: Extensions) -> list[Found]:
    """Return what makes conditions or splits of a decoded document answer less than was meant."""
    found: list[Found] = []
    for path, condition in all_conditions(document):
        if isinstance(condition, Attribute):
            prepared = prepare(condition, extensions.operators)
            found += [(f"{path}.{inner}", message) for inner, message in prepared.problems]
        elif isinstance(condition, Bucket):
            found += _hash_problems(condition.hash, condition.ranges, path, extensions)
    if isinstance(document, Flag):
        for path, split in _splits(document):
            found += _split_degradations(split, path, extensions)
    return found


def foreign_hashes(document: Flag | Segment) -> Iterator[Found]:
    """Yield path and name of every foreign hash that a document goes by."""
    for path, condition in all_conditions(document):
        if isinstance(condition, Bucket) and condition.hash is not None:
            yield f"{path}.hash", condition.hash
    if isinstance(document, Flag):
        yield from ((f"{path}.hash", split.hash) for path, split in _splits(document) if split.hash is not None)


def _splits(flag: Flag) -> Iterator[tuple[str, Split]]:
    serves = [("otherwise", flag.otherwise_serves)]
    serves += [(f"rules[{index}].serve", flag.rule_serves(rule)) for index, rule in enumerate(flag.rules)]
    return ((path, serve) for path, serve in serves if isinstance(serve, Split))


def _split_degradations(split: Split, path: str, extensions: Extensions) -> list[Found]:
    ranges = [(low, high) for _, low, high in split.ranges or ()]
    found = _hash_problems(split.hash, ranges, path, extensions)
    if not found and split.hash is not None and split.weights is not None:
        size, total = extensions.hashes[split.hash].size, sum(weight for _, weight in split.weights)
        if total != size:
            found.append((f"{path}.weights", f"the weights add up to {total}; the hash {split.hash!r} has {size}"))
    return found


def _hash_problems(
    name: str | None, ranges: Iterable[tuple[int, int]], path: str, extensions: Extensions
) -> list[Found]:
    if name is None:
        return []
    if name not in extensions.hashes:
        known = ", ".join(sorted(extensions.hashes)) or "none"
        return [(f"{path}.hash", f"there is no hash {name!r}; the extensions given have: {known}")]
    size = extensions.hashes[name].size
    return [
        (f"{path}.ranges[{index}]", f"the range ends at {high}; the hash {name!r} has {size} slots")
        for index, (_, high) in enumerate(ranges)
        if high > size
    ]
