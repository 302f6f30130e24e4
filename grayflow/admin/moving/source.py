"""Reading another system's export: from bytes to typed documents, one after the other."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from grayflow.admin.formats import TextFormat
from grayflow.admin.moving.remarks import Ledger, Subject
from grayflow.core.codec import from_json
from grayflow.core.foreign.flagd import Generation
from grayflow.errors import ConfigurationError

__all__ = ["Model", "Options", "chosen_environment", "listed", "of_type", "read_source", "told_apart", "unknown_fields"]

M = TypeVar("M", bound="Model")

_DEEPEST = 100


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who moves says about the system left behind; see `translate`."""

    environment: str | None = None
    fractional: Generation = 3


class Model(msgspec.Struct, frozen=True, rename="camel"):
    """
    One kind of object in an export, with the fields that decide something.

    Others that are known have no say in decisions: dates, authors, what only analytics reads. All the rest is told.
    """

    subject: ClassVar[Subject] = "flag"
    """What remarks call such an object."""


def read_source(data: bytes | str, format_: TextFormat | None) -> dict[str, Any]:
    """
    Return the object that an export is.

    Raises:
        ConfigurationError: it is no JSON (or YAML), or no object.
        MissingExtraError: YAML without the extra `yaml`.
    """
    text = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    try:
        if format_ == "yaml":
            from grayflow.admin.yaml_text import load

            found = load(text)
        else:
            found = from_json(text.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the export is no {'YAML' if format_ == 'yaml' else 'JSON'}: {error}") from error
    if not isinstance(found, dict):
        raise ConfigurationError("the export is not a JSON object")
    if _is_deep(found):
        raise ConfigurationError(f"the export is nested deeper than {_DEEPEST} levels")
    return found


def _is_deep(value: Any) -> bool:
    level, inner = 0, [value]
    while inner and level <= _DEEPEST:
        level += 1
        inner = [
            one
            for outer in inner
            for one in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(one, dict | list)
        ]
    return level > _DEEPEST


def of_type(model: type[M], value: Any) -> M:
    """
    Return a part of an export in its type; numbers and booleans may be written as text.

    Raises:
        msgspec.ValidationError: it is something else.
    """
    return msgspec.convert(value, model, strict=False)


def listed(value: Any) -> list[Any]:
    """Return a list, an empty one for whatever is none."""
    return value if isinstance(value, list) else []


def unknown_fields(model: type[Model], value: Any, aside: frozenset[str] = frozenset()) -> list[str]:
    """Return the names of fields that a part of an export has, that say something, and that nobody here knows."""
    known = set(model.__struct_encode_fields__) | aside
    given = value if isinstance(value, Mapping) else {}
    return sorted(name for name, said in given.items() if name not in known and said not in (None, "", [], {}, False))


def told_apart(
    model: type[M], documents: Iterable[dict[str, Any]], ledger: Ledger, aside: frozenset[str], named: str = "key"
) -> Iterator[tuple[str, M]]:
    """
    Yield the documents that can be read, with their names; the others are refused in the ledger.

    Args:
        model: Their type.
        documents: What the export holds.
        ledger: For remarks, also about fields that are not known.
        aside: Fields that are known to have no say.
        named: Which field is the name.
    """
    for value in documents:
        name = str(value.get(named, "?"))
        ledger.about(model.subject, name)
        try:
            yield name, of_type(model, value)
        except msgspec.ValidationError as error:
            ledger.refused("", str(error))
            continue
        for field in unknown_fields(model, value, aside):
            ledger.left_out(field, "nobody here knows what this field means", "it was passed over")


def chosen_environment(names: list[Any], wanted: str | None, ledger: Ledger) -> str | None:
    """
    Return which environment of an export to take, `None` if it names none.

    Raises:
        ConfigurationError: it has not the one that is wanted, or several of which none is wanted.
    """
    known = list(dict.fromkeys(name for name in names if isinstance(name, str)))
    if wanted is not None and wanted not in known:
        raise ConfigurationError(f"the export has no environment {wanted!r}; it has {', '.join(known) or 'none'}")
    if wanted is None and len(known) > 1:
        raise ConfigurationError(f"the export has several environments; choose one: {', '.join(known)}")
    chosen = wanted or (known[0] if known else None)
    if len(known) > 1:
        others = ", ".join(name for name in known if name != chosen)
        ledger.note("", f"the export has other environments too: {others}", f"{chosen} was taken")
    return chosen
