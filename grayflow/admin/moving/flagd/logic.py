"""Looking into JSONLogic expressions: what they refer to, which attributes they ask for, what is constant in them."""

from collections.abc import Iterator, Mapping
from typing import Any

from grayflow.core.foreign import jsonlogic
from grayflow.core.foreign.flagd import IT
from grayflow.core.foreign.jsonlogic import operation

__all__ = [
    "TIMESTAMP",
    "Resolver",
    "UnsayableError",
    "constant",
    "has_shares",
    "is_constant",
    "of_it",
    "plain_variable",
    "variables",
]

TIMESTAMP = "$flagd.timestamp"
_KEY = "$flagd.flagKey"
_INNER = {"map", "filter", "all", "some", "none", "reduce"}
"""Operations whose second argument looks into elements of a list, not into the context."""

_LARGEST = 20_000
"""Evaluators that refer to others twice double with each step."""


class UnsayableError(ValueError):
    """An expression that cannot be said in conditions."""


class Resolver:
    """
    Puts shared evaluators into their places, and the key of the flag where it is asked for.

    Args:
        evaluators: By name.
        key: The flag's.
    """

    def __init__(self, evaluators: Mapping[str, Any], key: str) -> None:
        self._evaluators, self._key, self._left = evaluators, key, _LARGEST

    def resolved(self, expression: Any, within: tuple[str, ...] = ()) -> Any:
        """
        Return an expression that stands for itself.

        Raises:
            UnsayableError: an evaluator does not exist, or refers to itself, or the whole becomes huge.
        """
        self._left -= 1
        if self._left < 0:
            raise UnsayableError(f"with its evaluators it has more than {_LARGEST} parts")
        if isinstance(expression, list):
            return [self.resolved(one, within) for one in expression]
        if not isinstance(expression, Mapping):
            return expression
        found = operation(expression)
        if found is not None and found[0] == "$ref":
            return self._referred(found[1], within)
        if found is not None and found[0] == "var" and found[1][:1] == [_KEY]:
            return self._key
        return {name: self.resolved(one, within) for name, one in expression.items()}

    def _referred(self, arguments: list[Any], within: tuple[str, ...]) -> Any:
        name = arguments[0] if arguments else ""
        if not isinstance(name, str) or name not in self._evaluators:
            raise UnsayableError(f"there is no evaluator {name!r}")
        if name in within:
            raise UnsayableError(f"the evaluator {name!r} refers to itself")
        return self.resolved(self._evaluators[name], (*within, name))


def variables(expression: Any) -> set[str]:
    """
    Return the names of the attributes that an expression asks for.

    Raises:
        UnsayableError: it computes a name, asks for the context as a whole, or holds an operation that nobody knows.
    """
    return set(_variables(expression))


def _variables(expression: Any) -> Iterator[str]:
    if isinstance(expression, list):
        for one in expression:
            yield from _variables(one)
        return
    found = operation(expression)
    if found is None:
        return
    name, arguments = found
    if name == "var":
        yield _name(arguments)
        arguments = arguments[1:]
    elif name == "missing":
        yield from _missing(arguments)
        return
    elif name in _INNER:
        arguments = arguments[:1]
    elif name not in jsonlogic.KNOWN and name != "fractional":
        raise UnsayableError(f"there is no operation {name!r} here")
    for one in arguments:
        yield from _variables(one)


def _name(arguments: list[Any]) -> str:
    name = arguments[0] if arguments else ""
    if not isinstance(name, str | int) or isinstance(name, bool) or name == "":
        raise UnsayableError("`var` must name one attribute")
    return str(name)


def _missing(arguments: list[Any]) -> Iterator[str]:
    names = arguments[0] if arguments and isinstance(arguments[0], list) else arguments
    for name in names:
        yield _name([name])


def plain_variable(expression: Any) -> tuple[str, Any] | None:
    """Return name and default of an expression that is an attribute and nothing else."""
    found = operation(expression)
    if found is None or found[0] != "var":
        return None
    default = found[1][1] if len(found[1]) > 1 else None
    return (_name(found[1]), constant(default)) if is_constant(default) else None


def is_constant(expression: Any) -> bool:
    """Tell whether an expression has one value for everybody."""
    return not variables(expression) and not has_shares(expression)


def has_shares(expression: Any) -> bool:
    """Tell whether an expression shares ids out."""
    if isinstance(expression, list):
        return any(map(has_shares, expression))
    found = operation(expression)
    return found is not None and (found[0] == "fractional" or any(map(has_shares, found[1])))


def constant(expression: Any) -> Any:
    """
    Return the value of a constant expression.

    Raises:
        UnsayableError: it has none.
    """
    try:
        return jsonlogic.evaluate(expression, {})
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise UnsayableError(f"it cannot be evaluated: {error}") from error


def of_it(expression: Any) -> Any:
    """Return an expression that asks for one attribute as our operator takes it: it calls the attribute `it`."""
    if isinstance(expression, list):
        return [of_it(one) for one in expression]
    found = operation(expression)
    if found is None:
        return expression
    op, arguments = found
    if op == "var":
        return {op: [IT, *(of_it(one) for one in arguments[1:])]} if len(arguments) > 1 else {op: IT}
    if op == "missing":
        return {op: [IT]}
    if op in _INNER:
        return {op: [of_it(arguments[0]), *arguments[1:]] if arguments else []}
    return {op: [of_it(one) for one in arguments]}
