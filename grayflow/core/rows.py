"""
Rules in rows: those that look the same attribute up, one after the other, are answered by one table.

`country in DE`, then `country in FR, IT`, then ... is the longest part of many flags, and the first rule that lists a
value is known beforehand.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from grayflow.core.comparison import Comparison, comparison
from grayflow.core.flag import Attribute, Path, Rule, Split
from grayflow.core.prepared import Quick

if TYPE_CHECKING:
    from grayflow.core.extensions import ForeignOperator

__all__ = ["LookUp", "Numbered", "Row", "look_ups", "rows"]

_WORTH_A_TABLE = 4

Numbered = tuple[int, Rule]
"""A rule and its index."""

Row = tuple[Numbered, ...]
"""Several rules that one table can answer, or one rule."""


class LookUp(msgspec.Struct, frozen=True):
    """A rule that does nothing but look an attribute up among values."""

    path: Path
    quick: Quick
    comparison: Comparison
    absent: bool
    """It matches where the attribute is missing."""


def rows(rules: tuple[Rule, ...], foreign: "Mapping[str, ForeignOperator]") -> tuple[Row, ...]:
    """Return the rules in their order: those that one table can answer together, and each of the others alone."""
    if len(rules) < _WORTH_A_TABLE:
        return tuple((one,) for one in enumerate(rules))
    return tuple(_grouped(rules, foreign))


def _grouped(rules: tuple[Rule, ...], foreign: "Mapping[str, ForeignOperator]") -> Iterator[Row]:
    for looked_up, several in groupby(enumerate(rules), lambda one: _looked_up(one[1], foreign)):
        row = tuple(several)
        if looked_up is not None and len(row) >= _WORTH_A_TABLE:
            yield row
        else:
            yield from ((one,) for one in row)


def look_ups(row: Row, foreign: "Mapping[str, ForeignOperator]") -> list[LookUp]:
    """Return what the rules of a row look up: all the same attribute, of the same types."""
    return [found for _, rule in row if (found := _look_up(rule, foreign)) is not None]


def _looked_up(rule: Rule, foreign: "Mapping[str, ForeignOperator]") -> tuple[Any, ...] | None:
    found = _look_up(rule, foreign)
    return None if found is None else (found.path, found.quick.types)


def _look_up(rule: Rule, foreign: "Mapping[str, ForeignOperator]") -> LookUp | None:
    if rule.percent is not None or len(rule.when) != 1 or isinstance(rule.serve, Split):
        return None
    condition = rule.when[0]
    if not isinstance(condition, Attribute) or condition.negate or condition.name == "now":
        return None
    asked = comparison(condition, foreign)
    if asked.quick is None or asked.quick.sign != "in":
        return None
    return LookUp(condition.name, asked.quick, asked, condition.absent)
