"""Flag sets in whatever form somebody has them, as one stream of documents in bytes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from grayflow.core.codec import Source, from_json, to_bytes
from grayflow.core.flag import Flag, Segment
from grayflow.errors import InvalidFlagError, Problem

__all__ = ["Sources", "read_sources"]

Sources = Iterable[Source] | Mapping[str, Source] | bytes | str
"""Documents in a list, by key, or as the JSON of either."""


def read_sources(sources: Sources, kind: str) -> Iterator[tuple[str | None, bytes]]:
    """
    Yield each document as JSON bytes, with its key where it can be told before decoding.

    Raises:
        InvalidFlagError: JSON that does not parse, or that is neither a list nor an object.
    """
    if isinstance(sources, bytes | str):
        sources = _parsed(sources, kind)
    if isinstance(sources, Mapping):
        for key, source in sources.items():
            named = {"key": key, **source} if isinstance(source, Mapping) else source
            yield key, to_bytes(named)
        return
    documents: Iterable[Any] = sources
    for source in documents:
        yield _key(source), to_bytes(source)


def _parsed(text: bytes | str, kind: str) -> Any:
    try:
        parsed = from_json(text)
    except ValueError as error:
        raise InvalidFlagError((Problem(key="?", path="", kind=kind, message=f"not JSON: {error}"),)) from error
    if not isinstance(parsed, list | dict):
        message = "expected a list of documents, or an object of them by key"
        raise InvalidFlagError((Problem(key="?", path="", kind=kind, message=message),))
    return [parsed] if isinstance(parsed, dict) and isinstance(parsed.get("key"), str) else parsed


def _key(source: Source) -> str | None:
    if isinstance(source, Flag | Segment):
        return source.key
    if isinstance(source, Mapping) and isinstance(source.get("key"), str):
        return str(source["key"])
    return None
