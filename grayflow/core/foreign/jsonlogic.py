"""
JSONLogic, as flagd evaluates it: the parts of a targeting rule that our own conditions cannot say.

Expressions are JSON: an object with one name is an operation, all else is a value. Comparisons turn values into
numbers and text as JavaScript does; booleans are no numbers under `===`. Whatever cannot be answered raises
ValueError or TypeError; the caller says what that means.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grayflow.core.semver import version
from grayflow.core.values import as_number

__all__ = ["KNOWN", "evaluate", "operation", "truth"]

_NAN = math.nan


def operation(expression: Any) -> tuple[str, list[Any]] | None:
    """Return name and arguments of an operation, `None` for a value."""
    if not isinstance(expression, Mapping) or len(expression) != 1:
        return None
    ((name, given),) = expression.items()
    return name, list(given) if isinstance(given, list | tuple) else [given]


def evaluate(expression: Any, data: Any) -> Any:
    """
    Return the value of an expression.

    Args:
        expression: JSON.
        data: What `var` looks into.

    Raises:
        ValueError: an operation that is not known, or arguments that make no sense to it.
    """
    if isinstance(expression, list | tuple):
        return [evaluate(one, data) for one in expression]
    found = operation(expression)
    if found is None:
        return expression
    name, arguments = found
    if name in _LAZY:
        return _LAZY[name](arguments, data)
    if name == "var":
        return _var([evaluate(one, data) for one in arguments], data)
    if name == "missing":
        return _missing([evaluate(one, data) for one in arguments], data)
    meaning = _EAGER.get(name)
    if meaning is None:
        raise ValueError(f"{name!r} is no operation")
    return meaning(*[evaluate(one, data) for one in arguments])


def truth(value: Any) -> bool:
    """Return whether a value counts as true: empty text and lists, 0 and null do not; objects do."""
    if isinstance(value, Mapping):
        return True
    if isinstance(value, float) and math.isnan(value):
        return False
    return bool(value)


# Operations that decide which of their arguments are looked at


def _if(arguments: Sequence[Any], data: Any) -> Any:
    for at in range(0, len(arguments) - 1, 2):
        if truth(evaluate(arguments[at], data)):
            return evaluate(arguments[at + 1], data)
    return evaluate(arguments[-1], data) if len(arguments) % 2 else None


def _first(wanted: bool) -> Callable[[Sequence[Any], Any], Any]:  # noqa: FBT001 - what makes `or` of `and`
    def first(arguments: Sequence[Any], data: Any) -> Any:
        found = None
        for one in arguments:
            found = evaluate(one, data)
            if truth(found) is wanted:
                break
        return found

    return first


def _over(arguments: Sequence[Any], data: Any) -> tuple[list[Any], Any]:
    """Return the elements that an operation goes through, and what it does with each."""
    items = evaluate(arguments[0], data) if arguments else None
    return items if isinstance(items, list) else [], arguments[1] if len(arguments) > 1 else None


def _map(arguments: Sequence[Any], data: Any) -> Any:
    items, inner = _over(arguments, data)
    return [evaluate(inner, item) for item in items]


def _filter(arguments: Sequence[Any], data: Any) -> Any:
    items, inner = _over(arguments, data)
    return [item for item in items if truth(evaluate(inner, item))]


def _all(arguments: Sequence[Any], data: Any) -> Any:
    items, inner = _over(arguments, data)
    return bool(items) and all(truth(evaluate(inner, item)) for item in items)


def _some(arguments: Sequence[Any], data: Any) -> Any:
    items, inner = _over(arguments, data)
    return any(truth(evaluate(inner, item)) for item in items)


def _reduce(arguments: Sequence[Any], data: Any) -> Any:
    items, inner = _over(arguments, data)
    total = arguments[2] if len(arguments) > 2 else None
    for item in items:
        total = evaluate(inner, {"current": item, "accumulator": total})
    return total


_LAZY: Mapping[str, Callable[[Sequence[Any], Any], Any]] = {
    "if": _if,
    "?:": _if,
    "and": _first(wanted=False),
    "or": _first(wanted=True),
    "map": _map,
    "filter": _filter,
    "all": _all,
    "some": _some,
    "none": lambda arguments, data: not _some(arguments, data),
    "reduce": _reduce,
}


# Looking into data


def _var(arguments: Sequence[Any], data: Any) -> Any:
    name = arguments[0] if arguments else ""
    default = arguments[1] if len(arguments) > 1 else None
    if name is None or name == "":
        return data
    for step in _text(name).split("."):
        data = _inside(data, step)
    return default if data is None else data


def _inside(data: Any, step: str) -> Any:
    if isinstance(data, Mapping):
        return data.get(step)
    if not isinstance(data, list | tuple | str):
        return None
    if step == "length":
        return len(data)
    return data[int(step)] if step.isdecimal() and str(int(step)) == step and int(step) < len(data) else None


def _missing(arguments: Sequence[Any], data: Any) -> list[Any]:
    names = arguments[0] if arguments and isinstance(arguments[0], list) else arguments
    return [name for name in names if _var([name], data) in (None, "")]


# Reading values as JavaScript does


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return "[object Object]" if isinstance(value, Mapping) else str(value)


def _number(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    if value is None:
        return 0
    if isinstance(value, list | tuple):
        return 0 if not value else _number(value[0]) if len(value) == 1 else _NAN
    read = as_number(value)
    return _NAN if read is None else read


# Comparing


def _same(left: Any = None, right: Any = None, *_: Any) -> bool:
    """Compare without turning anything; true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[name], right[name]) for name in left)
    return bool(left == right)


def _like(left: Any = None, right: Any = None, *_: Any) -> bool:
    """Compare as `==` does in JavaScript."""
    kinds = [_kind(left), _kind(right)]
    if kinds[0] == kinds[1]:
        return kinds[0] != "object" and left == right
    if "null" in kinds:
        return False
    if "number" in kinds or "boolean" in kinds:
        return bool(_number(left) == _number(right))
    return _text(left) == _text(right)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "object"


def _ordering(holds: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def two(left: Any, right: Any) -> bool:
        kinds = {_kind(left), _kind(right)}
        if "text" in kinds and not kinds & {"number", "boolean"}:
            return holds(_text(left), _text(right))
        return holds(_number(left), _number(right))

    def compare(left: Any = None, right: Any = None, third: Any = None, *_: Any) -> bool:
        return two(left, right) and (third is None or two(right, third))

    return compare


def _in(needle: Any = None, haystack: Any = None, *_: Any) -> bool:
    if isinstance(haystack, list | tuple):
        return any(_same(needle, one) for one in haystack)
    return isinstance(haystack, str) and _text(needle) in haystack


# flagd's own


def _on_text(holds: Callable[[str, str], bool]) -> Callable[..., bool | None]:
    def compare(*arguments: Any) -> bool | None:
        if len(arguments) != 2 or not all(isinstance(one, str) for one in arguments):
            return None
        return holds(*arguments)

    return compare


def _sem_ver(left: Any = None, sign: Any = None, right: Any = None, *_: Any) -> bool | None:
    mine, other = version(_text(left), "any"), version(_text(right), "any")
    if mine is None or other is None or sign not in _SIGNS:
        return None
    return _SIGNS[sign](mine, other)


_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda mine, other: mine == other,
    "!=": lambda mine, other: mine != other,
    "<": lambda mine, other: mine < other,
    "<=": lambda mine, other: mine <= other,
    ">": lambda mine, other: mine > other,
    ">=": lambda mine, other: mine >= other,
    "^": lambda mine, other: mine[0][:1] == other[0][:1],
    "~": lambda mine, other: mine[0][:2] == other[0][:2],
}


# Computing


def _minus(left: Any = None, right: Any = None, *_: Any) -> Any:
    return -_number(left) if right is None else _number(left) - _number(right)


def _product(*arguments: Any) -> Any:
    return math.prod(map(_number, arguments))


def _merged(*arguments: Any) -> list[Any]:
    return [inner for one in arguments for inner in (one if isinstance(one, list) else [one])]


def _substr(given: Any = None, start: Any = None, length: Any = None, *_: Any) -> str:
    written = _text(given)
    begin = int(_number(start) or 0)
    begin = max(len(written) + begin, 0) if begin < 0 else begin
    if length is None:
        return written[begin:]
    size = int(_number(length))
    return written[begin:size] if size < 0 else written[begin : begin + size]


_EAGER: Mapping[str, Callable[..., Any]] = {
    "==": _like,
    "!=": lambda *arguments: not _like(*arguments),
    "===": _same,
    "!==": lambda *arguments: not _same(*arguments),
    "<": _ordering(lambda left, right: left < right),
    "<=": _ordering(lambda left, right: left <= right),
    ">": _ordering(lambda left, right: left > right),
    ">=": _ordering(lambda left, right: left >= right),
    "!": lambda value=None, *_: not truth(value),
    "!!": lambda value=None, *_: truth(value),
    "in": _in,
    "cat": lambda *arguments: "".join(map(_text, arguments)),
    "substr": _substr,
    "merge": _merged,
    "+": lambda *arguments: sum(map(_number, arguments)),
    "-": _minus,
    "*": _product,
    "/": lambda left=None, right=None, *_: _number(left) / _number(right),
    "%": lambda left=None, right=None, *_: _number(left) % _number(right),
    "min": lambda *arguments: min(map(_number, arguments)),
    "max": lambda *arguments: max(map(_number, arguments)),
    "starts_with": _on_text(str.startswith),
    "ends_with": _on_text(str.endswith),
    "sem_ver": _sem_ver,
}

KNOWN = frozenset({"var", "missing", *_LAZY, *_EAGER})
"""The operations that can be evaluated."""
