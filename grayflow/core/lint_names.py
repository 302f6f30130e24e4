"""Attributes whose name is nearly that of a declared field of the context: `uid` where the service says `user_id`."""

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches

from grayflow.core.findings import Finding, warning
from grayflow.core.flag import Attribute, Bucket, By, First, Flag, Path, Segment, Split
from grayflow.core.validate import all_conditions

__all__ = ["misnamed"]

_USUAL = {
    "user_id": ("uid", "user", "id", "key", "targeting_key", "distinct_id"),
    "session_id": ("sid", "session"),
    "tenant_id": ("tid", "tenant"),
    "device": ("device_type",),
    "platform": ("os", "os_name"),
    "app_version": ("version", "ver", "app_ver", "client_version"),
    "user_agent": ("ua", "agent"),
    "country": ("country_code", "country_iso", "geo_country"),
    "region": ("region_code",),
    "ip": ("ip_address", "ip_addr", "remote_addr", "remote_ip", "client_ip"),
    "path": ("url_path", "request_path"),
}
"""What other systems and services call the fields that every context has."""


def misnamed(fields: frozenset[str]) -> Callable[[Flag | Segment], Iterator[Finding]]:
    """
    Return the function that finds, in one document, names that no field has, but that come close to one.

    Other unknown names are attributes, and fine.
    """
    meant: dict[str, str | None] = {"now": None, **dict.fromkeys(fields)}

    def find(document: Flag | Segment) -> Iterator[Finding]:
        for path, name in _names(document):
            if name not in meant:
                meant[name] = _meant(name, fields)
            if field := meant[name]:
                message = f"no field of the context is called {name!r}; did you mean {field!r}?"
                yield warning(document, "near-miss", path, message)

    return find


def _names(document: Flag | Segment) -> Iterator[tuple[str, str]]:
    for path, condition in all_conditions(document):
        if isinstance(condition, Attribute):
            yield from _first_steps(f"{path}.name", condition.name)
        elif isinstance(condition, Bucket):
            yield from _first_steps(f"{path}.by", condition.by)
    yield from _first_steps("by", document.by)
    if isinstance(document, Segment):
        return
    yield from _split_names("otherwise", document.otherwise)
    for index, rule in enumerate(document.rules):
        yield from _first_steps(f"rules[{index}].by", rule.by)
        yield from _split_names(f"rules[{index}].serve", rule.serve)


def _split_names(path: str, serve: object) -> Iterator[tuple[str, str]]:
    if isinstance(serve, Split):
        yield from _first_steps(f"{path}.by", serve.by)


def _first_steps(path: str, by: By | None) -> Iterator[tuple[str, str]]:
    if isinstance(by, First):
        for index, step in enumerate(by.first):
            yield from _first_step(f"{path}.first[{index}]", step)
    elif by is not None:
        yield from _first_step(path, by)


def _first_step(path: str, name: Path) -> Iterator[tuple[str, str]]:
    first = name.split(".")[0] if isinstance(name, str) else name[0]
    if isinstance(first, str) and first:
        yield path, first


def _meant(name: str, fields: frozenset[str]) -> str | None:
    words = _words(name)
    by_words = {_words(field): field for field in sorted(fields)}
    if exact := {"".join(known): field for known, field in by_words.items()}.get("".join(words)):
        return exact
    for field, others in _USUAL.items():
        if field in fields and "".join(words) in {other.replace("_", "") for other in others}:
            return field
    # Only names of as many words: `device_id` is near to `device` in letters and something else in meaning.
    near = {"_".join(known): field for known, field in by_words.items() if len(known) == len(words)}
    matches = get_close_matches("_".join(words), near, n=1, cutoff=0.8) if len(name) > 3 else []
    return near[matches[0]] if matches else None


def _words(name: str) -> tuple[str, ...]:
    """Split `userId`, `User-ID` and `user_id` into the same words."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return tuple(word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word)
