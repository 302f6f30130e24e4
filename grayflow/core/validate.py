"""
What is wrong with a document beyond what its types say: whatever takes two fields to see.

A document with one of these problems does not decode. What only blunts a condition (an unknown operator, a bad
pattern) is found by `degradations`: it is refused on write, and on read costs that condition and nothing else.

Every document of every load is checked here, so a sound one is walked once and no path is written for it: what is wrong
in a part comes with its path inside that part, and whoever holds the part puts its own place before it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import UNSET, UnsetType

from grayflow.core.comparison import comparison
from grayflow.core.extensions import Extensions
from grayflow.core.flag import (
    ON_OFF,
    SLOTS,
    All,
    AnyOf,
    Attribute,
    Bucket,
    Condition,
    Flag,
    FlagIs,
    Not,
    Segment,
    ServeOnFailure,
    Split,
)
from grayflow.core.ids import id_texts

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

_Look = Callable[[Condition], Iterable[Found]]
"""Finds what is wrong with one condition, those inside it aside."""


_MOST = 50
"""Of one document. A list of ids may hold a hundred thousand mistakes, and what is found is kept and shown."""

_NAMED = 10


def few(found: Iterable[Found]) -> list[Found]:
    """Return the first problems only, and a last one that says so if there are more."""
    found = iter(found)
    first = next(found, None)
    if first is None:
        return []
    told = [first, *islice(found, _MOST - 1)]
    if len(told) == _MOST and next(found, None) is not None:
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
    if not _OF_KIND[flag.kind].issuperset(map(type, flag.variants.values())):
        yield from _variant_problems(flag)
    for path, message in _serve_problems(flag, flag.off):
        yield f"off{path}", message
    for path, message in _serve_problems(flag, flag.otherwise):
        yield f"otherwise{path}", message
    if type(flag.on_failure) is ServeOnFailure:
        for path, message in _serve_problems(flag, flag.on_failure.variant):
            yield f"on_failure.variant{path}", message
    if flag.targets:
        yield from _target_problems(flag)
    yield from _rule_problems(flag)
    yield from _in_conditions(flag, _condition_problems)


def segment_problems(segment: Segment) -> Iterator[Found]:
    """Yield what is wrong with a segment's document."""
    yield from _in_conditions(segment, _condition_problems)
    for name in ("include", "exclude"):
        yield from _id_problems(id_texts(getattr(segment, name)), name)


def _variant_problems(flag: Flag) -> Iterator[Found]:
    if flag.variants is ON_OFF:
        yield "variants", f"a flag of kind {flag.kind!r} needs variants of its own: name -> {flag.kind} value"
        return
    for name, value in flag.variants.items():
        if not _fits(value, flag.kind):
            yield f"variants.{name}", f"{_shown(value)} is no {flag.kind} value"


_OF_KIND: Mapping[str, frozenset[type]] = {
    "boolean": frozenset({bool}),
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "float": frozenset({float}),
    "json": frozenset(),
}
"""Values of these types fit; all others are looked at one by one."""


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


def _rule_problems(flag: Flag) -> Iterator[Found]:
    for index, rule in enumerate(flag.rules):
        for path, message in _serve_problems(flag, rule.serve):
            yield f"rules[{index}].serve{path}", message
        if rule.percent is not None and abs((slots := rule.percent * 1000) - round(slots)) > 1e-6:
            yield f"rules[{index}].percent", f"{rule.percent} has more than three decimals"


def _serve_problems(flag: Flag, serve: str | Split | None | UnsetType) -> Iterable[Found]:
    if type(serve) is Split:
        return _split_problems(flag, serve)
    # What is left out means a variant that is there, see `Flag`.
    if serve is None or serve is UNSET or serve in flag.variants:
        return ()
    return [("", f"there is no variant {serve!r}; the variants are {_names(flag)}")]


def _names(flag: Flag) -> str:
    named = ", ".join(map(repr, islice(flag.variants, _NAMED))) or "none"
    return named if len(flag.variants) <= _NAMED else f"{named} and {len(flag.variants) - _NAMED} more"


def _split_problems(flag: Flag, split: Split) -> Iterator[Found]:
    if (split.weights is None) == (split.ranges is None):
        yield "", "a split has either weights or ranges"
    names = [pair[0] for pair in (*(split.weights or ()), *(split.ranges or ()))]
    for name in dict.fromkeys((*names, *((split.absent,) if split.absent is not None else ()))):
        if name not in flag.variants:
            yield "", f"there is no variant {name!r}; the variants are {_names(flag)}"
    if split.weights is not None and split.hash is None:
        total = sum(weight for _, weight in split.weights)
        if total != SLOTS:
            yield ".weights", f"the weights add up to {total}; they must add up to {SLOTS}"
    if split.ranges is not None:
        yield from _range_problems([(low, high) for _, low, high in split.ranges], sized=split.hash is None)


def _range_problems(ranges: Iterable[tuple[int, int]], *, sized: bool) -> Iterator[Found]:
    for index, (low, high) in enumerate(ranges):
        if low > high:
            yield f".ranges[{index}]", f"the range ends at {high}, before its start at {low}"
        elif sized and high > SLOTS:
            yield f".ranges[{index}]", f"the range ends at {high}; the last slot is {SLOTS - 1}"


def _target_problems(flag: Flag) -> Iterator[Found]:
    owners: dict[str | None, str] = {}
    for variant, ids in flag.targets.items():
        path, units = f"targets.{variant}", id_texts(ids)
        if variant not in flag.variants:
            yield path, f"there is no variant {variant!r}; the variants are {_names(flag)}"
        yield from _id_problems(units, path)
        if not owners.keys().isdisjoint(units):
            for unit in units:
                if unit is not None and unit in owners:
                    yield path, f"the id {unit!r} is listed under {owners[unit]!r} too; one id gets one variant"
        if len(flag.targets) > 1:
            owners = {**dict.fromkeys(units, variant), **owners}


def _id_problems(units: tuple[str | None, ...], path: str) -> Iterator[Found]:
    if None in units:
        for index, unit in enumerate(units):
            if unit is None:
                yield f"{path}[{index}]", "this cannot be an id; ids are text or whole numbers"


def _in_conditions(document: Flag | Segment, look: _Look) -> Iterator[Found]:
    """Yield what is found in the conditions of a document."""
    if isinstance(document, Segment):
        for path, message in _found(document.when or (), look):
            yield f"when{path}", message
        return
    for path, message in _found(document.requires, look) if document.requires else ():
        yield f"requires{path}", message
    for index, rule in enumerate(document.rules):
        for path, message in _found(rule.when, look) if rule.when else ():
            yield f"rules[{index}].when{path}", message


def _found(conditions: Iterable[Condition], look: _Look) -> Iterator[Found]:
    for index, condition in enumerate(conditions):
        for path, message in look(condition):
            yield f"[{index}]{path}", message
        if type(condition) is All or type(condition) is AnyOf:
            for path, message in _found(condition.of, look):
                yield f"[{index}].of{path}", message
        elif type(condition) is Not:
            for path, message in _found((condition.of,), look):
                yield f"[{index}].of{path.removeprefix('[0]')}", message  # of one condition, so it has no index


def _condition_problems(condition: Condition) -> Iterable[Found]:
    if type(condition) is Bucket:
        return _range_problems(condition.ranges, sized=condition.hash is None)
    if type(condition) is FlagIs and condition.off and condition.variants is not None:
        return [("", "either `off` or `variants` can be asked for, not both")]
    return ()


def degradations(document: Flag | Segment, extensions: Extensions) -> list[Found]:
    """Return what makes conditions or splits of a decoded document answer less than was meant."""

    def look(condition: Condition) -> Iterable[Found]:
        if type(condition) is Attribute:
            problems = comparison(condition, extensions.operators).problems
            return [(f".{path}", message) for path, message in problems] if problems else ()
        return _hash_problems(condition.hash, condition.ranges, extensions) if type(condition) is Bucket else ()

    found = list(_in_conditions(document, look))
    if isinstance(document, Flag):
        for place, split in _splits(document):
            found += [(f"{place}{path}", message) for path, message in _split_degradations(split, extensions)]
    return found


def foreign_hashes(document: Flag | Segment) -> Iterator[Found]:
    """Yield path and name of every foreign hash that a document goes by."""
    for path, condition in all_conditions(document):
        if isinstance(condition, Bucket) and condition.hash is not None:
            yield f"{path}.hash", condition.hash
    if isinstance(document, Flag):
        yield from ((f"{path}.hash", split.hash) for path, split in _splits(document) if split.hash is not None)


def _splits(flag: Flag) -> Iterator[tuple[str, Split]]:
    if type(flag.otherwise) is Split:
        yield "otherwise", flag.otherwise
    for index, rule in enumerate(flag.rules):
        if type(rule.serve) is Split:
            yield f"rules[{index}].serve", rule.serve


def _split_degradations(split: Split, extensions: Extensions) -> list[Found]:
    found = _hash_problems(split.hash, [(low, high) for _, low, high in split.ranges or ()], extensions)
    if not found and split.hash is not None and split.weights is not None:
        size, total = extensions.hashes[split.hash].size, sum(weight for _, weight in split.weights)
        if total != size:
            found.append((".weights", f"the weights add up to {total}; the hash {split.hash!r} has {size}"))
    return found


def _hash_problems(name: str | None, ranges: Iterable[tuple[int, int]], extensions: Extensions) -> list[Found]:
    if name is None:
        return []
    if name not in extensions.hashes:
        known = ", ".join(sorted(extensions.hashes)) or "none"
        return [(".hash", f"there is no hash {name!r}; the extensions given have: {known}")]
    size = extensions.hashes[name].size
    return [
        (f".ranges[{index}]", f"the range ends at {high}; the hash {name!r} has {size} slots")
        for index, (_, high) in enumerate(ranges)
        if high > size
    ]
