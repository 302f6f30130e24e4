"""
A comparison with an attribute, ready to stand in compiled functions.

The flags of a service ask the same few questions (`country in DE, FR`), and the sets and functions that answer them are
most of what a compiled flag weighs. So equal ones of all flags are one object.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from grayflow.core.flag import Attribute
from grayflow.core.operators import BUILT_IN, Prepared, prepare
from grayflow.core.prepared import Problems, Quick, Test

if TYPE_CHECKING:
    from grayflow.core.extensions import ForeignOperator

__all__ = ["Comparison", "comparison"]

_MOST_SHARED = 4096
_LONGEST_SHARED = 100
"""Values. Long lists are seldom equal, and to find out costs as much as to make them."""


class Comparison(msgspec.Struct, frozen=True):
    """What became of an `attribute` condition; immutable."""

    answer: Callable[[Any], bool] | None
    """The condition, as a function of the attribute, which may be `None`. `None`: the condition is false."""
    quick: Quick | None
    """A quicker way for some types, before `negate`."""
    problems: Problems
    """See `Prepared`."""


def comparison(condition: Attribute, foreign: "Mapping[str, ForeignOperator]") -> Comparison:
    """Return the comparison of a condition; `foreign` as for `prepare`."""
    if condition.op not in BUILT_IN or len(condition.values) > _LONGEST_SHARED:
        return _made(condition, prepare(condition, foreign))
    return _shared(msgspec.json.encode(condition))


@lru_cache(maxsize=_MOST_SHARED)
def _shared(written: bytes) -> Comparison:
    # By its JSON, because Python holds 1, 1.0 and True to be equal, and an operator does not.
    condition = _DECODER.decode(written)
    return _made(condition, prepare(condition, {}))


_DECODER = msgspec.json.Decoder(Attribute)


def _made(condition: Attribute, prepared: Prepared) -> Comparison:
    answer = None if prepared.test is None else _answer(condition, prepared, prepared.test)
    return Comparison(answer, prepared.quick, prepared.problems)


def _answer(condition: Attribute, prepared: Prepared, test: Test) -> Callable[[Any], bool]:
    """Fold the three outcomes of an attribute condition into one function of the value."""
    negate, unreadable = condition.negate, condition.unreadable
    absent = condition.absent if prepared.missing is None else prepared.missing is not negate

    def answer(value: Any) -> bool:
        if value is None:
            return absent
        found = test(value)
        return unreadable if found is None else found is not negate

    return answer
