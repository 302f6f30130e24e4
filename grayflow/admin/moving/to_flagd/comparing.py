"""
Conditions on attributes as JSONLogic.

flagd compares values as they are: a list as a whole, not its elements, and text that is a number as that number. So
what our operators know beyond that is told in the report, and what flagd has no operation for cannot be said.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from grayflow.admin.moving.flagd.conditions import within_text_or_list
from grayflow.admin.moving.flagd.logic import UnsayableError
from grayflow.core.flag import All, AnyOf, Attribute, Condition, Path
from grayflow.core.foreign.flagd import IT, LOGIC
from grayflow.core.foreign.jsonlogic import operation
from grayflow.core.instants import instant
from grayflow.core.semver import allowed

__all__ = ["TIMESTAMP", "comparison", "either", "exists", "idiom", "seconds", "variable"]

TIMESTAMP: Any = {"var": "$flagd.timestamp"}
_KEY = "targetingKey"
_ORDER = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_VERSIONS = {"semver_eq": "=", "semver_lt": "<", "semver_le": "<=", "semver_gt": ">", "semver_ge": ">="}
_RANGES: Mapping[str, Any] = {"semver_caret": "^", "semver_tilde": "~"}
_TEXT = {"starts_with", "ends_with", "contains"}
_SECOND = 1_000_000_000


def variable(path: Path) -> Any:
    """
    Return the expression of an attribute.

    Raises:
        UnsayableError: a step of the path holds a dot, which JSONLogic takes for two steps.
    """
    steps = (path,) if isinstance(path, str) else tuple(map(str, path))
    if not isinstance(path, str) and any("." in step for step in steps):
        raise UnsayableError(f"flagd cannot look for {path!r}: a dot in a name is a path there")
    return {"var": _KEY if steps == ("user_id",) else ".".join(steps)}


def exists(expression: Any) -> Any:
    """Return the expression that there is a value."""
    return {"!==": [expression, None]}


def either(expressions: list[Any]) -> Any:
    """Return the expression that one of these is true."""
    return expressions[0] if len(expressions) == 1 else {"or": expressions} if expressions else False


def comparison(condition: Attribute) -> Any:
    """
    Return a condition as an expression.

    Raises:
        UnsayableError: flagd has no operation for it.
    """
    if condition.name == "now":
        return _negated(condition, _by_the_clock(condition))
    value = variable(condition.name)
    if condition.op == "exists":
        present = not condition.values or True in condition.values
        missing = False in condition.values
        if present and missing:
            return True
        return _negated(condition, exists(value) if present else {"===": [value, None]})
    test = _negated(condition, _test(condition, value))
    readable = _readable(condition, value) if condition.negate or condition.unreadable else None
    if readable is not None:
        test = {"if": [readable, test, condition.unreadable]}
    # JSONLogic turns a missing attribute into 0, text or false, each where it likes.
    return {"if": [exists(value), test, condition.absent]}


def idiom(condition: Condition) -> Any | None:
    """
    Return the expression of a condition that flagd says in a word and we in several, `None` for others.

    These are what importing from flagd writes: `in` looks into text and lists alike, and an attribute by itself stands
    for its truth.
    """
    match condition:
        case AnyOf(
            of=(All(of=(Attribute(op="is", values=("text",)), Attribute(op="contains", values=(part,)))), inner)
        ):
            match inner:
                case All(of=(Attribute(op="is", values=("list",)), Attribute(name=name, op="in", values=(one,)))):
                    same = condition == within_text_or_list(name, part, one)
                    return {"in": [one, variable(name)]} if same else None
        case Attribute(name=name, op="equals", negate=True, values=(False, 0, "", [])):
            truth = {"!!": [variable(name)]}
            return {"if": [exists(variable(name)), truth, condition.absent]}
    return None


def _readable(condition: Attribute, value: Any) -> Any:
    """Return the expression that an attribute is of the kind that the operator compares, `None` if every one is."""
    if condition.op.startswith("semver_"):
        return {"sem_ver": [value, ">=", "0.0.0-0"]}
    if condition.op in _TEXT and condition.coerce is None:
        return _of_kind("text", value)
    if condition.op in _ORDER:
        return {"===" if condition.coerce is None else "==": [value, {"+": [value]}]}
    return None


def _negated(condition: Attribute, test: Any) -> Any:
    return {"!": [test]} if condition.negate else test


def _test(condition: Attribute, value: Any) -> Any:
    op, values = condition.op, list(condition.values)
    if op == LOGIC:
        return either([_about(expression, value) for expression in values])
    if condition.fold:
        raise UnsayableError("flagd cannot ignore case")
    if op in {"in", "equals"}:
        return _among(condition, value)
    if op in _TEXT:
        return either([{"in": [one, value]} if op == "contains" else {op: [value, one]} for one in values])
    if op in _ORDER:
        return either([{_ORDER[op]: [value, one]} for one in values])
    if op in _VERSIONS:
        return either([{"sem_ver": [value, _VERSIONS[op], one]} for one in values])
    if op in _RANGES:
        return either([_in_range(condition, value, one) for one in values])
    if op in {"before", "after"} and condition.epoch is not None and all(_is_number(one) for one in values):
        return either([{"<" if op == "before" else ">": [value, one]} for one in values])
    if op == "is":
        return either([_of_kind(one, value) for one in values])
    raise UnsayableError(f"flagd has no operation for `{op}`")


def _among(condition: Attribute, value: Any) -> Any:
    if any(isinstance(one, dict | list) for one in condition.values):
        raise UnsayableError("flagd does not compare lists and objects")
    if condition.coerce == "number":
        return either([{"==": [value, one]} for one in condition.values])
    given = {"cat": [value]} if condition.coerce == "text" else value
    return {"in": [given, list(condition.values)]}


def _of_kind(kind: Any, value: Any) -> Any:
    kinds = {
        "boolean": {"in": [value, [True, False]]},
        "text": {"===": [value, {"cat": [value]}]},
        "number": {"===": [value, {"+": [value]}]},
    }
    if kind not in kinds:
        raise UnsayableError(f"flagd cannot tell whether something is a {kind}")
    return kinds[kind]


def _in_range(condition: Attribute, value: Any, base: Any) -> Any:
    found = allowed(str(base), _RANGES[condition.op], condition.lenient)
    if found is None:
        raise UnsayableError(f"{base!r} is no version")
    _, out = found
    end = [digits for _, digits in out]
    below = ".".join([*end, "0", "0"][:3]) + "-0"
    return {"and": [{"sem_ver": [value, ">=", base]}, {"sem_ver": [value, "<", below]}]}


def _by_the_clock(condition: Attribute) -> Any:
    signs: Mapping[str, Callable[[Any], Any]] = {
        "before": lambda at: {"<": [TIMESTAMP, at]},
        "after": lambda at: {">": [TIMESTAMP, at]},
    }
    if condition.op not in signs:
        raise UnsayableError(f"flagd has no operation for the time under `{condition.op}`")
    return either([signs[condition.op](_seconds(one, condition)) for one in condition.values])


def _seconds(value: Any, condition: Attribute) -> int:
    found = instant(value, condition.epoch)
    if found is None:
        raise UnsayableError(f"{value!r} is no instant")
    return found[0] // _SECOND


def seconds(at: datetime) -> int:
    """Return an instant as flagd's timestamps count."""
    return int(at.timestamp())


def _about(expression: Any, value: Any) -> Any:
    """Return an expression of our operator's `it` as one of the attribute itself."""
    if isinstance(expression, list):
        return [_about(one, value) for one in expression]
    found = operation(expression)
    if found is None:
        return expression
    name, arguments = found
    if name == "var" and arguments[:1] == [IT]:
        return {"var": [value["var"], *arguments[1:]]} if len(arguments) > 1 else value
    if name == "missing" and arguments == [IT]:
        return {"missing": [value["var"]]}
    return {name: [_about(one, value) for one in arguments]}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
