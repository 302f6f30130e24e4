"""
Flag keys in Python source, found by its syntax tree. Pure.

Found is what asks by a literal, or by a name that the same module binds to one: `flags.is_enabled("a")`,
`client.value(KEY, default=1)`, `@flags.on_change("a")`, `gate(flags, "a")`, `flags.override(a=True)`; what is built
upon a flag: `ImplementationSwitch(Cache, flag="a", ...)`, `Migration("a", row_key=..., ...)`; and the attributes of a
class of typed flags, such as `grayflow codegen` writes: `shop.payment_v2.peek()`. Keys that are put together while the
program runs cannot be found; the places are counted.
"""

import ast
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

__all__ = ["Use", "find_handles", "find_uses"]

_ASKING = frozenset({"is_enabled", "peek", "peek_value", "peek_decision"})
"""Nobody else's methods are called so."""
_COMMON = frozenset({"value", "evaluate", "on_change", "on_switch_off", "on_switch_on", "gate"})
"""Others have such methods, too: the default, or a name with `flag` in it, tells ours."""
_HANDLES = frozenset({"BooleanFlag", "TypedFlag"})
_BY_CLIENT = frozenset({"gate", "gray", *_HANDLES})
"""Functions that take the client first and the key second."""
_BY_KEYWORD = frozenset({"ImplementationSwitch", "ParallelRun"})
_SETTING = frozenset({"override", "set", "flags"})
"""Their keywords are keys: `flags.override(a=True)`, `flags.set(a=True)`, `pytest.mark.flags(a=True)`."""


class Use(msgspec.Struct, frozen=True):
    """One place where a flag is named, or would be."""

    path: str
    line: int
    kind: Literal["asked", "set", "moved", "unreadable"]
    """`moved`: a migration, which makes its flags itself when it begins."""
    key: str | None
    """`None`: it is made up while the program runs."""


def find_handles(source: str | bytes, path: str) -> dict[str, str]:
    """
    Return the attributes that hold typed flags, `self.payment_v2 = BooleanFlag(client, "payment_v2")` -> the key.

    Raises:
        SyntaxError, ValueError: as `find_uses`.
    """
    return dict(_handles(ast.parse(source, path)))


def find_uses(source: str | bytes, path: str, handles: Mapping[str, str] = MappingProxyType({})) -> tuple[Use, ...]:
    """
    Return every use in a module, in the order of lines.

    Args:
        source: Of the module.
        path: Goes into what is found.
        handles: Attributes that hold typed flags, of all modules.

    Raises:
        SyntaxError: it is no Python.
        ValueError: it holds null bytes.
    """
    tree = ast.parse(source, path)
    finder = _Finder(path, dict(_constants(tree)), handles)
    finder.visit(tree)
    return tuple(sorted(finder.found, key=lambda use: use.line))


def _handles(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            made = node.value
            key = made.args[1] if len(made.args) > 1 else None
            if (
                isinstance(target, ast.Attribute)
                and _name(made.func) in _HANDLES
                and isinstance(key, ast.Constant)
                and isinstance(key.value, str)
            ):
                yield target.attr, key.value


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the module's names for texts."""
    for node in tree.body:
        target, value = None, None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign):
            target, value = node.target, node.value
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield target.id, value.value


class _Finder(ast.NodeVisitor):
    def __init__(self, path: str, constants: Mapping[str, str], handles: Mapping[str, str]) -> None:
        self.found: list[Use] = []
        self._path, self._constants, self._handles = path, constants, handles

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load) and node.attr in self._handles:
            self._note(node, "asked", self._handles[node.attr])
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._visit_assigned(node, node.targets[0])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_assigned(node, node.target)

    def _visit_assigned(self, node: ast.Assign | ast.AnnAssign, target: ast.expr) -> None:
        made = node.value
        if isinstance(target, ast.Attribute) and isinstance(made, ast.Call) and _name(made.func) in _HANDLES:
            return  # where a typed flag is made nobody asks for it yet
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _name(node.func)
        receiver = _name(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if name in _ASKING or (name in _COMMON and _is_ours(node, receiver)):
            self._asked(node, _argument(node, 0, "key"))
        elif name in _BY_CLIENT and len(node.args) >= 2:  # the client comes first
            self._asked(node, node.args[1])
        elif name == "pause_while_off" and len(node.args) >= 3:
            self._asked(node, node.args[2])
        elif name in _BY_KEYWORD:
            self._asked(node, next((one.value for one in node.keywords if one.arg == "flag"), None))
        elif name == "Migration" and any(one.arg == "row_key" for one in node.keywords):  # others have such classes
            self._moved(node, _argument(node, 0, "name"))
        elif name in _SETTING and "flag" in f"{receiver}.{name}".lower():
            self._set(node)
        self.generic_visit(node)

    def _asked(self, node: ast.Call, given: ast.expr | None) -> None:
        if given is None or (isinstance(given, ast.Constant) and given.value is None):
            return  # `on_change()` of every flag
        for key in self._texts(given):
            self._note(node, "asked" if key is not None else "unreadable", key)

    def _moved(self, node: ast.Call, given: ast.expr | None) -> None:
        for name in () if given is None else self._texts(given):
            for key in (None,) if name is None else (name, f"{name}.gray"):
                self._note(node, "unreadable" if key is None else "moved", key)

    def _set(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            if keyword.arg is not None:
                self._note(node, "set", keyword.arg)
        for given in node.args:
            if isinstance(given, ast.Dict):
                for name in given.keys:
                    key = None if name is None else next(self._texts(name))
                    if key is not None:
                        self._note(node, "set", key)

    def _texts(self, node: ast.expr) -> Iterator[str | None]:
        if isinstance(node, ast.Constant):
            yield node.value if isinstance(node.value, str) else None
        elif isinstance(node, ast.Name):
            yield self._constants.get(node.id)
        elif isinstance(node, ast.List | ast.Tuple):
            for element in node.elts:
                yield from self._texts(element)
        elif isinstance(node, ast.IfExp):
            yield from self._texts(node.body)
            yield from self._texts(node.orelse)
        else:
            yield None

    def _note(self, node: ast.expr, kind: Literal["asked", "set", "moved", "unreadable"], key: str | None) -> None:
        self.found.append(Use(self._path, node.lineno, kind, key))


def _is_ours(node: ast.Call, receiver: str) -> bool:
    return "flag" in receiver.lower() or any(keyword.arg == "default" for keyword in node.keywords)


def _argument(node: ast.Call, place: int, name: str) -> ast.expr | None:
    if len(node.args) > place:
        return node.args[place]
    return next((keyword.value for keyword in node.keywords if keyword.arg == name), None)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
