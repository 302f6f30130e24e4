"""
The typed subject of a decision: for whom, from where, with what.

Also how a condition finds an attribute in it: by field where the context type declares one, else in `attributes`.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from grayflow.core.flag import By, First, Path
from grayflow.core.ids import id_text

__all__ = ["Context", "Fetch", "as_context", "field_names", "read", "read_id", "walk"]

C = TypeVar("C", bound="Context")

Fetch = Callable[[str], Any]
"""Gives the value of an attribute that the context lacks, or `None`."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who and what a decision is about.

    A service subclasses it with fields of its own and hands the class to the client, so that field names are the
    same across the code base. Values are kept as given and never checked: an operator that cannot read one says so.
    """

    user_id: str | int | None = None
    session_id: str | int | None = None
    tenant_id: str | int | None = None
    device: str | None = None
    platform: str | None = None
    app_version: str | None = None
    user_agent: str | None = None
    country: str | None = None
    region: str | None = None
    ip: str | None = None
    path: str | None = None
    attributes: Mapping[str, Any] = {}
    """Whatever has no field: name -> JSON value."""


def field_names(context_type: type[Context]) -> frozenset[str]:
    """Return the declared fields, `attributes` excepted: it holds names, it is none."""
    return frozenset(context_type.__struct_fields__) - {"attributes"}


def as_context(given: Any, context_type: type[C]) -> C:
    """
    Return `given` as a `context_type`; the very object if it is one already.

    Of a mapping, names of fields become fields and the rest attributes; values are kept as given. A context of
    another class is read in the same way. A required field that is missing becomes `None`.

    Raises:
        TypeError: it is neither a context nor a mapping nor `None`.
    """
    if type(given) is context_type:
        return given
    if given is None:
        return _filled(context_type, {}, {})
    if isinstance(given, Context):
        given = {name: getattr(given, name, None) for name in given.__struct_fields__}
    elif not isinstance(given, Mapping):
        raise TypeError(f"a context is a {context_type.__name__} or a mapping, not {type(given).__name__}")
    named = dict(given)
    inner = named.get("attributes")
    if isinstance(inner, Mapping):
        # What is said outright beats what is said among the attributes, unless it says nothing.
        named = {**inner, **{name: value for name, value in named.items() if value is not None or name not in inner}}
        named.pop("attributes", None)
    names = field_names(context_type)
    fields = {name: value for name, value in named.items() if name in names}
    attributes = {name: value for name, value in named.items() if name not in names}
    return _filled(context_type, fields, attributes)


def _filled(context_type: type[C], fields: dict[str, Any], attributes: dict[str, Any]) -> C:
    for name in _required(context_type):
        fields.setdefault(name, None)
    return context_type(**fields, attributes=attributes)


@lru_cache(maxsize=64)
def _required(context_type: type[Context]) -> tuple[str, ...]:
    # msgspec 0.22: `fields` describes the whole class anew at each call, 30 µs for a context of the usual size.
    infos = msgspec.structs.fields(context_type)
    return tuple(info.name for info in infos if info.required)


def read(context: Context, path: Path, fields: frozenset[str], fetch: Fetch | None = None) -> Any:
    """
    Return what the context holds under a name or path, `None` if nothing.

    Args:
        context: Whose type declares `fields`.
        path: A name (tried as it stands, then along its dots) or a list of steps; see `grayflow.core.flag.Path`.
        fields: From `field_names`.
        fetch: Asked for names that the context does not have or has as null.
    """
    if not isinstance(path, str):
        return walk(_top(context, path[0], fields, fetch), path[1:])
    found = _top(context, path, fields, fetch)
    if found is None and "." in path:
        first, *rest = path.split(".")
        return walk(_top(context, first, fields, fetch), tuple(rest))
    return found


def _top(context: Context, name: str | int, fields: frozenset[str], fetch: Fetch | None) -> Any:
    found = getattr(context, str(name)) if name in fields else context.attributes.get(name)  # type: ignore[arg-type]
    return fetch(str(name)) if found is None and fetch is not None else found


def walk(value: Any, steps: tuple[str | int, ...]) -> Any:
    """Follow steps into mappings by name and into lists by index; `None` where there is nothing."""
    for step in steps:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list | tuple):
            value = _element(value, step)
        else:
            return None
    return value


def _element(values: list[Any] | tuple[Any, ...], step: str | int) -> Any:
    if isinstance(step, str):
        if not (step.isascii() and step.isdigit() and len(step) <= 9):
            return None
        step = int(step)
    return values[step] if 0 <= step < len(values) else None


def read_id(context: Context, by: By, fields: frozenset[str], fetch: Fetch | None = None) -> str | None:
    """Return the id to bucket or look up, in its text form; `None` if it is absent or has none."""
    for path in by.first if isinstance(by, First) else (by,):
        unit = id_text(read(context, path, fields, fetch))
        if unit is not None:
            return unit
    return None
