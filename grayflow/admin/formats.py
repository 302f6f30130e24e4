"""
Flag sets as text: JSON for people and version control, JSON Lines for pipes, YAML for those who write by hand.

Pure. Reading accepts what people have: our own export, one document, a list, an object of documents by key. Each
document comes out with the place where it stands, so that a problem can be found again.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any, Literal, cast

import msgspec
from msgspec import Raw

from grayflow.admin.results import Misfit
from grayflow.core.codec import from_json, pretty
from grayflow.errors import Problem
from grayflow.store.port import DocumentKind

__all__ = ["ENDINGS", "FORMAT", "Found", "Parsed", "TextFormat", "format_of", "read_text", "write_text"]

FORMAT = 1
"""The layout of exports, under the name `grayflow`. A higher number is refused."""

TextFormat = Literal["json", "jsonl", "yaml"]

ENDINGS: Mapping[str, TextFormat] = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".yaml": "yaml",
    ".yml": "yaml",
}
"""How the names of files say what is in them."""

_KINDS: tuple[DocumentKind, ...] = ("flag", "segment")
_WRAPPED = ({"flag"}, {"segment"})
_ANY_JSON = msgspec.json.Decoder(dict[str, Raw] | list[Raw])
# What JSON Lines look like where nobody said so: a line that is a whole object, and more behind it.
_LINES = re.compile(rb"\s*\{[^\n]*\}[ \t\r]*\n\s*\{")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One document as it stands in a text, not checked."""

    place: str
    kind: DocumentKind
    key: str
    data: bytes


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """What a text holds."""

    documents: tuple[Found, ...]
    problems: tuple[Misfit, ...] = ()


def format_of(name: str) -> TextFormat | None:
    """Return the format that a file's name ends in, `None` if it tells nothing."""
    return ENDINGS.get(PurePath(name).suffix.lower())


def write_text(documents: Iterable[tuple[DocumentKind, str, bytes]], format_: TextFormat) -> str:
    """
    Return documents as text that `read_text` reads; equal documents give equal text, in the order of their keys.

    Args:
        documents: Kind, key and the document, which must be JSON.
        format_: How.

    Raises:
        MissingExtraError: YAML without the extra `yaml`.
    """
    ordered = sorted(documents, key=lambda one: (one[0] != "segment", one[1]))
    if format_ == "jsonl":
        return "".join(msgspec.json.encode({kind: Raw(_one_line(data))}).decode() + "\n" for kind, _, data in ordered)
    whole: dict[str, Any] = {"grayflow": FORMAT, "segments": {}, "flags": {}}
    for kind, key, data in ordered:
        whole[f"{kind}s"][key] = msgspec.json.decode(data) if format_ == "yaml" else Raw(data)
    if format_ == "json":
        return pretty(whole) + "\n"
    from grayflow.admin.yaml_text import dump

    return dump(whole)


def _one_line(data: bytes) -> bytes:
    return data if b"\n" not in data else msgspec.json.format(data, indent=-1)


def read_text(text: bytes | str, format_: TextFormat | None = None) -> Parsed:
    """
    Find the documents in a text; what cannot be found is a problem with its place.

    Args:
        text: UTF-8.
        format_: How it is written; found out if left out, YAML excepted.

    Raises:
        MissingExtraError: YAML without the extra `yaml`.
    """
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    data = data.removeprefix(b"\xef\xbb\xbf")
    reader = _Reader()
    if format_ == "yaml":
        reader.yaml(data)
    elif format_ == "jsonl" or (format_ is None and _LINES.match(data)):
        reader.lines(data)
    else:
        reader.whole(data)
    return Parsed(documents=tuple(reader.found), problems=tuple(reader.problems))


class _Reader:
    """Collects the documents of one text."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self.problems: list[Misfit] = []
        self._seen: dict[tuple[DocumentKind, str], str] = {}

    def yaml(self, data: bytes) -> None:
        from grayflow.admin.yaml_text import load

        try:
            self.whole(msgspec.json.encode(load(data)))
        except (ValueError, msgspec.MsgspecError, TypeError, RecursionError) as error:
            self._refuse("the text", None, "flag", f"not YAML that says JSON values: {error}")

    def lines(self, data: bytes) -> None:
        for number, line in enumerate(data.splitlines(), 1):
            if line.strip():
                value = self._parsed(line, f"line {number}")
                if isinstance(value, list):
                    self._refuse(f"line {number}", None, "flag", "expected one object a line")
                elif value is not None and not self._header(value, f"line {number}"):
                    self._one(Raw(line), f"line {number}", "flag", None)

    def whole(self, data: bytes) -> None:
        value = self._parsed(data, "the text")
        if isinstance(value, list):
            self._several(value, "", "flag")
        elif value is not None:
            self._mapping(value, data)

    def _mapping(self, value: dict[str, Raw], data: bytes) -> None:
        if "key" in value or set(value) in _WRAPPED:
            self._one(Raw(data), "the text", "flag", None)
            return
        self._header(value, "the text")
        parts = {name: raw for name, raw in value.items() if name in {"flags", "segments"}}
        if not parts and "grayflow" not in value:
            self._several(value, "", "flag")
            return
        for name in value.keys() - parts.keys() - {"grayflow"}:
            self._refuse(name, None, "flag", "an export has `grayflow`, `segments` and `flags` and nothing else")
        for kind in _KINDS:
            if f"{kind}s" in parts:
                inner = self._parsed(bytes(parts[f"{kind}s"]), f"{kind}s")
                if inner is not None:
                    self._several(inner, f"{kind}s", kind)

    def _header(self, value: dict[str, Raw], place: str) -> bool:
        """Look at the format number; true if that is all there is."""
        if "grayflow" not in value:
            return False
        if bytes(value["grayflow"]) != str(FORMAT).encode():
            message = f"format {bytes(value['grayflow']).decode(errors='replace')}; this release reads {FORMAT}"
            self._refuse(place, None, "flag", message)
        return value.keys() == {"grayflow"}

    def _several(self, value: dict[str, Raw] | list[Raw], place: str, kind: DocumentKind) -> None:
        if isinstance(value, list):
            for index, raw in enumerate(value):
                self._one(raw, f"{place}[{index}]" if place else f"item {index}", kind, None)
        else:
            for key, raw in value.items():
                self._one(raw, f"{place}.{key}".removeprefix("."), kind, key)

    def _one(self, raw: Raw, place: str, kind: DocumentKind, key: str | None) -> None:
        value = self._parsed(bytes(raw), place, key, kind)
        if isinstance(value, list):
            self._refuse(place, key, kind, "expected an object, got a list")
        elif value is not None and key is None and set(value) in _WRAPPED:
            ((kind, raw),) = cast("dict[DocumentKind, Raw]", value).items()
            inner = self._parsed(bytes(raw), place, None, kind)
            if inner is not None:
                self._document(inner, bytes(raw), place, kind, None)
        elif value is not None:
            self._document(value, bytes(raw), place, kind, key)

    def _document(
        self, value: dict[str, Raw] | list[Raw], data: bytes, place: str, kind: DocumentKind, key: str | None
    ) -> None:
        fields = value if isinstance(value, dict) else {}
        named = key if key is not None else _text(fields.get("key"))
        if named is None:
            self._refuse(place, None, kind, "the document has no `key`")
        elif (first := self._seen.setdefault((kind, named), place)) != place:
            self._refuse(place, named, kind, f"given twice; first at {first}")
        else:
            whole = data if "key" in fields else msgspec.json.encode({"key": named, **fields})
            self.found.append(Found(place=place, kind=kind, key=named, data=whole))

    def _parsed(
        self, data: bytes, place: str, key: str | None = None, kind: DocumentKind = "flag"
    ) -> dict[str, Raw] | list[Raw] | None:
        try:
            return cast("dict[str, Raw] | list[Raw]", _ANY_JSON.decode(data))
        except msgspec.ValidationError:
            self._refuse(place, key, kind, "expected an object")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._refuse(place, key, kind, f"not JSON: {_why(data, error)}")
        return None

    def _refuse(self, place: str, key: str | None, kind: DocumentKind, message: str) -> None:
        problem = Problem(key="?" if key is None else key, kind=kind, path="", message=message)
        self.problems.append(Misfit(place, problem))


def _text(raw: Raw | None) -> str | None:
    try:
        return None if raw is None else msgspec.json.decode(bytes(raw), type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _why(data: bytes, error: Exception) -> str:
    """Return what is wrong with JSON; orjson's words say the line, where it agrees that something is."""
    try:
        from_json(data)
    except ValueError as said:
        return str(said)
    return str(error)
