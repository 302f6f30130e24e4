"""Names that grayflow allows: keys of flags and segments, and variants named after their values."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from grayflow.core.flag import Kind

__all__ = ["Variants", "free_name", "legal_keys", "short"]

_ILLEGAL = re.compile("[^A-Za-z0-9._:/-]")
_LONGEST = 200


def legal_keys(wanted: Iterable[str]) -> dict[str, str]:
    """Return wanted key -> key: the same wherever it is allowed, and never one for two."""
    names = list(dict.fromkeys(wanted))
    legal = {name: name for name in names if 0 < len(name) <= _LONGEST and not _ILLEGAL.search(name)}
    taken = set(legal.values())
    for name in names:
        if name not in legal:
            legal[name] = free_name(_ILLEGAL.sub("_", name)[: _LONGEST - 4] or "_", taken, "-{}")
            taken.add(legal[name])
    return legal


def free_name(wanted: str, taken: Iterable[str], form: str = " ({})") -> str:
    """Return a name that is not taken: the wanted one, or that with a number behind it."""
    held = set(taken)
    number, name = 2, wanted
    while name in held:
        name, number = wanted + form.format(number), number + 1
    return name


def short(text: str | None) -> str | None:
    """Return text as the name of a rule, `None` if there is none."""
    return text[:_LONGEST] if text else None


class Variants:
    """
    The values of one flag, each under a name.

    Booleans are called `on` and `off`, text and numbers what they are, the rest `v0`, `v1` and so on.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._names: dict[bytes, str] = {}

    def add(self, value: Any, name: str | None = None) -> str:
        """Add a value under a name of its own, and return that name."""
        wanted = (name or _named(value))[: _LONGEST - 6]
        found = free_name(wanted, self.values) if wanted else free_name(f"v{len(self.values)}", self.values)
        self.values[found] = value
        self._names.setdefault(_identity(value), found)
        return found

    def name_of(self, value: Any) -> str:
        """Return the name of a value, which is added if it is new."""
        return self._names.get(_identity(value)) or self.add(value)

    @property
    def kind(self) -> Kind:
        """The narrowest kind that has all the values."""
        types = {type(value) for value in self.values.values()}
        if types == {bool}:
            return "boolean"
        if types == {str}:
            return "string"
        if types == {int}:
            return "integer"
        return "float" if types and types <= {int, float} else "json"


def _named(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) else ""


def _identity(value: Any) -> bytes:
    """Return bytes that are equal for equal JSON values only; 1 and 1.0 and true are three."""
    return msgspec.json.encode(value, order="deterministic")
