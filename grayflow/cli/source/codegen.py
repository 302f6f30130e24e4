"""
A Python module with one typed attribute per flag, as text. Pure.

The same flags give the same text, whatever they serve at the moment, so that the module only changes when a flag is
added, taken away, described otherwise or changes its kind: it can stand in version control and be compared in CI.
"""

import keyword
import re
import textwrap
from collections.abc import Iterable

import msgspec

from grayflow.core.flag import Flag, Kind
from grayflow.errors import ConfigurationError

__all__ = ["attribute_of", "module_text"]

_TYPES: dict[Kind, str] = {"boolean": "bool", "integer": "int", "float": "float", "string": "str", "json": "Any"}
_TAKEN = frozenset({"client"})
_WIDTH = 100


def module_text(flags: Iterable[Flag], *, class_name: str, namespace: str) -> str:
    """
    Return the module.

    Args:
        flags: What there is; archived ones are left out.
        class_name: Of the class in it.
        namespace: For its docstring.

    Raises:
        ConfigurationError: the class name is none, or two keys would be the same attribute.
    """
    if not class_name.isidentifier() or keyword.iskeyword(class_name):
        raise ConfigurationError(f"{class_name!r} cannot name a class; use a Python identifier such as 'Flags'")
    wanted = sorted((flag for flag in flags if not flag.archived), key=lambda flag: flag.key)
    names = _names(wanted)
    lines = [
        f'"""Flags of namespace {namespace!r}, written by `grayflow codegen`: run it again instead of editing this."""',
        "",
        *_imports(wanted),
        f'__all__ = ["{class_name}"]',
        "",
        "",
        f"class {class_name}:",
        '    """Every flag as an object with a type."""',
        "",
        "    def __init__(self, client: Client) -> None:",
        "        self.client = client",
    ]
    for flag in wanted:
        lines += _attribute(flag, names[flag.key])
    return "\n".join(lines) + "\n"


def attribute_of(key: str) -> str:
    """Return what a flag is called in Python: `cache.backend` is `cache_backend`, `2fa` is `_2fa`."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", key)
    if name[0].isdigit():
        name = f"_{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN else name


def _names(flags: list[Flag]) -> dict[str, str]:
    names: dict[str, str] = {}
    keys: dict[str, str] = {}
    for flag in flags:
        name = attribute_of(flag.key)
        if name in keys:
            raise ConfigurationError(
                f"flags {keys[name]!r} and {flag.key!r} would both be {name!r} in Python; rename one, or leave one out "
                "with a pattern"
            )
        keys[name] = flag.key
        names[flag.key] = name
    return names


def _imports(flags: list[Flag]) -> list[str]:
    handles = sorted({"BooleanFlag" if flag.kind == "boolean" else "TypedFlag" for flag in flags})
    typing = ["from typing import Any", ""] if any(flag.kind == "json" for flag in flags) else []
    return [*typing, f"from grayflow import {', '.join(sorted(['Client', *handles]))}", ""]


def _attribute(flag: Flag, name: str) -> list[str]:
    if flag.kind == "boolean":
        made = f'self.{name} = BooleanFlag(client, "{flag.key}", default=False)'
    else:
        default = _default(flag)
        type_ = _TYPES[flag.kind] if default is not None or flag.kind == "json" else f"{_TYPES[flag.kind]} | None"
        made = f'self.{name}: TypedFlag[{type_}] = TypedFlag(client, "{flag.key}", default={_literal(default)})'
    return [f"        {made}", *_docstring(flag)]


def _default(flag: Flag) -> object:
    """Return what the `off` variant is: what callers get while the flag is off is what they get without it."""
    if flag.kind == "json" or flag.off_variant is None:
        return None
    value = flag.variants.get(flag.off_variant)
    return float(value) if flag.kind == "float" and isinstance(value, int) else value


def _literal(value: object) -> str:
    # As formatters write it, so that a formatted module still is up to date.
    return msgspec.json.encode(value).decode() if isinstance(value, str) and value.isprintable() else repr(value)


def _docstring(flag: Flag) -> list[str]:
    said = (flag.description or "").strip()
    parts = [said if said[-1] in ".!?" else f"{said}."] if said else []
    if flag.owner:
        parts.append(f"Owner: {flag.owner}.")
    if flag.remove_by is not None:
        parts.append(f"Remove by {flag.remove_by.isoformat()}.")
    # Any text may stand in a description: nothing of it may end the docstring or mean something in it.
    safe = " ".join(parts).replace("\\", "/").replace('"', "'")
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in safe).split())
    if not text:
        return []
    lines = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    if len(lines) == 1:
        return [f'        """{lines[0]}"""']
    return ['        """', *(f"        {line}" for line in lines), '        """']
