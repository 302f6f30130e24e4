"""
GrowthBook's conditions: MongoDB's operators over attributes, as its clients answer them.

There are three answers. None stands for what depends on an operator that nobody here knows; it fails a condition
however often it is negated. Saved groups do not occur: importing puts their values where they are named.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from grayflow.core.pattern import Pattern, compile_pattern
from grayflow.core.values import number, text

__all__ = ["Answer", "evaluate", "is_operators", "kind", "matches", "opposite", "version_holds"]

Answer = bool | None
"""None: not known, which counts as failed."""

_INDEX = re.compile("0|[1-9][0-9]{0,8}")
_KINDS = ("$or", "$nor", "$and", "$not")


def evaluate(condition: Mapping[str, Any], attributes: Any) -> Answer:
    """Answer a whole condition."""
    return _all(_entry(name, wanted, attributes) for name, wanted in condition.items())


def _entry(name: str, wanted: Any, attributes: Any) -> Answer:
    match name:
        case "$or":
            return _either(wanted, attributes)
        case "$nor":
            return opposite(_either(wanted, attributes))
        case "$and":
            return _all(evaluate(one, attributes) for one in wanted)
        case "$not":
            return opposite(evaluate(wanted, attributes))
    return matches(wanted, _at(attributes, name))


def _either(conditions: Any, attributes: Any) -> Answer:
    return not conditions or _any(evaluate(one, attributes) for one in conditions)


def matches(wanted: Any, value: Any) -> Answer:
    """Answer what a condition says of one attribute: operators, or what it must equal. None is a missing one."""
    if is_operators(wanted):
        return _all(_operator(name, value, operand) for name, operand in wanted.items())
    return _same(value, wanted)


def is_operators(wanted: Any) -> bool:
    """Tell operators from an object to compare with. An empty object is operators, and holds."""
    return isinstance(wanted, Mapping) and all(name.startswith("$") for name in wanted)


def opposite(answer: Answer) -> Answer:
    """Negate; what is not known stays so."""
    return None if answer is None else not answer


def _all(answers: Any) -> Answer:
    found: Answer = True
    for answer in answers:
        if answer is False:
            return False
        found = None if answer is None else found
    return found


def _any(answers: Any) -> Answer:
    found: Answer = False
    for answer in answers:
        if answer is True:
            return True
        found = None if answer is None else found
    return found


# Operators on one attribute


def _operator(name: str, value: Any, wanted: Any) -> Answer:
    if name in _NEGATED:
        return opposite(_operator(_NEGATED[name], value, wanted))
    if name in {"$nin", "$nini"}:
        return _is_list(wanted) and not _is_in(value, wanted, fold=name == "$nini")
    if name == "$not":
        return opposite(matches(wanted, value))
    meaning = _MEANINGS.get(name)
    if meaning is not None:
        return meaning(value, wanted)
    return False if name in _KINDS else None


def _strictly(value: Any, wanted: Any) -> bool:
    """Compare as JavaScript's `===` does: lists and objects equal nothing."""
    return kind(value) not in {"array", "object"} and _same(value, wanted)


def _same(value: Any, wanted: Any) -> bool:
    named = kind(value)
    if named != kind(wanted):
        return False
    if named == "array":
        return len(value) == len(wanted) and all(map(_same, value, wanted))
    if named == "object":
        return value.keys() == wanted.keys() and all(_same(value[name], wanted[name]) for name in value)
    return bool(value == wanted)


def kind(value: Any) -> str:
    """Return GrowthBook's word for the type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if _is_list(value):
        return "array"
    return "object" if isinstance(value, Mapping) else "unknown"


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset)


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(value: Any, wanted: Any) -> bool:
        # UTF-16 code units, as JavaScript orders text; in big-endian bytes they compare the same way.
        if (said := text(value)) is not None and (other := text(wanted)) is not None:
            return holds(said.encode("utf-16-be", "surrogatepass"), other.encode("utf-16-be", "surrogatepass"))
        if (count := number(value)) is not None and (limit := number(wanted)) is not None:
            return holds(count, limit)
        return False

    return compare


def _is_in(value: Any, wanted: Any, *, fold: bool) -> bool:
    lowered = _lower if fold else _as_it_is
    found = value if _is_list(value) else (value,)
    return any(_strictly(lowered(one), lowered(other)) for one in found for other in wanted)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _as_it_is(value: Any) -> Any:
    return value


def _has_all(value: Any, wanted: Any, *, fold: bool) -> Answer:
    if not (_is_list(wanted) and _is_list(value)):
        return False
    return _all(_any(_element(one, element, fold=fold) for element in value) for one in wanted)


def _element(wanted: Any, element: Any, *, fold: bool) -> Answer:
    if fold and isinstance(wanted, str) and isinstance(element, str):
        return element.lower() == wanted.lower()
    return matches(wanted, element)


def _has_element(value: Any, wanted: Any) -> Answer:
    if not _is_list(value):
        return False
    # Operators test the element itself; a condition tests its fields.
    test = matches if is_operators(wanted) and not any(name in {"$or", "$nor", "$and"} for name in wanted) else evaluate
    return _any(test(wanted, element) for element in value if element is not None)


def _finds(value: Any, pattern: Any, *, fold: bool) -> bool:
    compiled = _compiled(pattern, fold) if isinstance(pattern, str) else None
    return compiled is not None and isinstance(value, str) and compiled.search(value) is True


@lru_cache(maxsize=1024)
def _compiled(pattern: str, fold: bool) -> Pattern | None:  # noqa: FBT001 - part of the key
    try:
        return compile_pattern(pattern, fold=fold)
    except ValueError:
        return None


_NEGATED = {"$ne": "$eq", "$notRegex": "$regex", "$notRegexi": "$regexi", "$vne": "$veq"}

_MEANINGS: Mapping[str, Callable[[Any, Any], Answer]] = {
    "$eq": _strictly,
    "$lt": _ordered(lambda found, limit: found < limit),
    "$lte": _ordered(lambda found, limit: found <= limit),
    "$gt": _ordered(lambda found, limit: found > limit),
    "$gte": _ordered(lambda found, limit: found >= limit),
    "$in": lambda value, wanted: _is_list(wanted) and _is_in(value, wanted, fold=False),
    "$ini": lambda value, wanted: _is_list(wanted) and _is_in(value, wanted, fold=True),
    "$all": lambda value, wanted: _has_all(value, wanted, fold=False),
    "$alli": lambda value, wanted: _has_all(value, wanted, fold=True),
    "$elemMatch": _has_element,
    "$size": lambda value, wanted: _is_list(value) and matches(wanted, len(value)),
    "$exists": lambda value, wanted: (value is not None) is bool(wanted),
    "$type": lambda value, wanted: kind(value) == wanted,
    "$regex": lambda value, wanted: _finds(value, wanted, fold=False),
    "$regexi": lambda value, wanted: _finds(value, wanted, fold=True),
    **{
        name: lambda value, wanted, name=name: version_holds(name, value, wanted)  # type: ignore[misc]
        for name in ("$veq", "$vlt", "$vlte", "$vgt", "$vgte")
    },
}


# Versions


def version_holds(name: str, value: Any, wanted: Any) -> bool:
    """
    Compare two versions, as text or numbers, by GrowthBook's padding.

    Args:
        name: `$veq`, `$vlt`, `$vlte`, `$vgt` or `$vgte`.
        value: The attribute.
        wanted: What it is compared with. False if the two are of different kinds.
    """
    kinds = {kind(value), kind(wanted)}
    if len(kinds) > 1 or not kinds <= {"number", "string"}:
        return False
    found, limit = _padded(value), _padded(wanted)
    match name:
        case "$veq":
            return found == limit
        case "$vlt":
            return found < limit
        case "$vlte":
            return found <= limit
        case "$vgt":
            return found > limit
    return found >= limit


def _padded(value: Any) -> str:
    """Write each number of a version as wide as the others, so that text compares as versions do."""
    written = value if isinstance(value, str) else _digits(value)
    parts = re.split("[-.]", re.sub(r"^v|\+.*$", "", written or "0"))
    if len(parts) == 3:
        parts.append("~")  # behind every letter: a release is above its pre-releases
    return "-".join(part.rjust(5) if part.isdigit() else part for part in parts)


def _digits(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e21 else repr(value)


# Attributes


def _at(attributes: Any, path: str) -> Any:
    """Follow a dotted path into objects, lists by index, and the length of lists."""
    for step in path.split("."):
        if isinstance(attributes, Mapping) and step in attributes:
            attributes = attributes[step]
        elif isinstance(attributes, list | tuple) and step == "length":
            attributes = len(attributes)
        elif isinstance(attributes, list | tuple) and _INDEX.fullmatch(step) and int(step) < len(attributes):
            attributes = attributes[int(step)]
        else:
            return None
    return attributes
