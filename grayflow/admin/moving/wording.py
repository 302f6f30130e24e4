"""The vocabulary that translations are written in: conditions put together, and rules in order."""

from collections.abc import Iterable
from typing import Any

from msgspec import structs

from grayflow.core.flag import All, AnyOf, Attribute, Condition, Not, Path, Rule, Split
from grayflow.core.operators import prepare

__all__ = [
    "ALWAYS",
    "NEVER",
    "attribute",
    "either",
    "every",
    "exists",
    "flat",
    "in_order",
    "is_kind",
    "opposite",
    "without_bad",
]

ALWAYS: Condition = All(of=())
NEVER: Condition = AnyOf(of=())


def flat(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return conditions that must all hold, nested ones side by side; only `NEVER`, if it is among them."""
    found: list[Condition] = []
    for one in conditions:
        found += flat(one.of) if isinstance(one, All) else [one]
    return (NEVER,) if NEVER in found else tuple(found)


def every(conditions: Iterable[Condition]) -> Condition:
    """Return the condition that holds if all of these do."""
    found = flat(conditions)
    return found[0] if len(found) == 1 else All(of=found)


def either(conditions: Iterable[Condition]) -> Condition:
    """Return the condition that holds if one of these does."""
    found: list[Condition] = []
    for one in conditions:
        found += one.of if isinstance(one, AnyOf) else [one]
    if ALWAYS in found:
        return ALWAYS
    return found[0] if len(found) == 1 else AnyOf(of=tuple(found))


def opposite(condition: Condition) -> Condition:
    """Return the condition that holds if this one does not."""
    if isinstance(condition, Not):
        return condition.of
    if condition == ALWAYS:
        return NEVER
    return ALWAYS if condition == NEVER else Not(of=condition)


def attribute(path: Path, op: str, *values: Any, **options: Any) -> Attribute:
    """Return a comparison; options that have their default are left out of the document."""
    return Attribute(name=path, op=op, values=values, **options)


def exists(path: Path) -> Condition:
    """Return the condition that the context has an attribute."""
    return attribute(path, "exists")


def is_kind(path: Path, *kinds: str) -> Condition:
    """Return the condition that an attribute is of one of our kinds: boolean, number, text, list, object."""
    return attribute(path, "is", *kinds)


def without_bad(condition: Attribute) -> tuple[Attribute | None, tuple[str, ...]]:
    """
    Return a condition without the values that it could not be compared with, and what is wrong with those.

    An edit that holds such values is refused. `None` if no value is left, or the operator is not known.
    """
    problems = prepare(condition, {}).problems
    bad = {place for place, _ in problems}
    good = tuple(value for index, value in enumerate(condition.values) if f"values[{index}]" not in bad)
    usable = not problems or (good and "op" not in bad)
    return (structs.replace(condition, values=good) if usable else None), tuple(message for _, message in problems)


def in_order(rules: Iterable[Rule], otherwise: str | Split | None) -> tuple[tuple[Rule, ...], str | Split | None]:
    """
    Return rules without those that nobody can reach, and what is served behind them.

    Rules of which a condition never holds go; a rule that everybody matches ends the list and is what is served
    otherwise.
    """
    kept: list[Rule] = []
    for rule in rules:
        serve = rule.serve
        if NEVER in rule.when:
            continue
        if not rule.when and _answers_all(serve):
            return tuple(kept), serve  # type: ignore[return-value]
        kept.append(rule)
    return tuple(kept), otherwise


def _answers_all(serve: Any) -> bool:
    return not isinstance(serve, Split) or (serve.absent is not None and serve.weights is not None)
