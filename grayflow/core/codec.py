"""
Between bytes and model: decoding that refuses everything a flag must not be, and one canonical spelling.

Whatever decodes here can be compiled. A document that does not is reported as problems with their paths; who holds
an older good form keeps it, and no other document is touched.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, get_args

import msgspec
import orjson

from grayflow.core.extensions import Extensions
from grayflow.core.flag import KEY_PATTERN, ON_OFF, TIME_PATTERN, Condition, Day, Flag, Kind, Segment
from grayflow.core.validate import Found, degradations, few, flag_problems, segment_problems
from grayflow.errors import InvalidFlagError, Problem

__all__ = [
    "Source",
    "check",
    "decode_flag",
    "decode_segment",
    "encode",
    "from_json",
    "pretty",
    "to_bytes",
]

MAX_BYTES = 1 << 20
"""A document with all its id lists."""
MAX_BYTES_BESIDE_IDS = 64 << 10
MAX_DEPTH = 32

Source = Flag | Segment | Mapping[str, Any] | bytes | str
"""A document in any form: the Struct, a mapping as JSON would give it, or JSON itself."""

D = TypeVar("D", Flag, Segment)

_FLAG = msgspec.json.Decoder(Flag)
_SEGMENT = msgspec.json.Decoder(Segment)
# Strings are matched first, so brackets inside them do not count. One that is not closed is refused by msgspec; here it
# reaches to the end, or a megabyte of `\"` would be read again from each of its quotes, which takes an hour.
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")
_PATTERNS = {
    KEY_PATTERN: "1 to 200 of the characters A-Z a-z 0-9 . _ : / -",
    TIME_PATTERN: "a time of day such as 22:30",
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "kind": get_args(Kind),
    "type": tuple(str(each.__struct_config__.tag) for each in get_args(Condition)),
    "days": get_args(Day),
    "coerce": ("text", "number"),
    "lenient": ("no", "partial", "any"),
    "epoch": ("s", "ms"),
    "on_failure": ("caller_default", "last_known"),
}
"""What may stand in a field of a few words, which msgspec 0.22 does not tell."""
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at (?:`key` in )?`\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)


def decode_flag(data: bytes, key: str | None = None) -> Flag:
    """
    Decode and check the document of a flag.

    Args:
        data: JSON, at most 1 MiB, of which at most 64 KiB beside id lists, nested at most 32 deep.
        key: The name it is stored under, which it must have.

    Raises:
        InvalidFlagError: it is not a valid document; `problems` says all that is wrong (of very many things the first
            fifty), or the first thing that kept it from being read.
    """
    flag = _decode(data, _FLAG, key, "flag", flag_problems)
    if flag.kind == "boolean" and flag.variants == ON_OFF:
        msgspec.structs.force_setattr(flag, "variants", ON_OFF)  # most flags have them: one object, not one for each
    return flag


def decode_segment(data: bytes, key: str | None = None) -> Segment:
    """Decode and check the document of a segment; see `decode_flag`."""
    return _decode(data, _SEGMENT, key, "segment", segment_problems)


def _decode(
    data: bytes,
    decoder: "msgspec.json.Decoder[D]",
    key: str | None,
    kind: str,
    problems: Callable[[D], Iterator[Found]],
) -> D:
    problem = _oversize(data)
    if problem is None:
        try:
            document = decoder.decode(data)
        # msgspec 0.22: bad UTF-8 raises UnicodeDecodeError, which is none of its own errors.
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            problem = _decode_problem(error, data)
        else:
            found = few(problems(document))
            if key is not None and document.key != key:
                found.append(("key", f"the document says {document.key!r}, but it is stored as {key!r}"))
            if len(data) > MAX_BYTES_BESIDE_IDS and (beside := _beside_ids(document)) > MAX_BYTES_BESIDE_IDS:
                found.append(("", f"{beside} bytes beside the id lists; at most {MAX_BYTES_BESIDE_IDS} are allowed"))
            if not found:
                return document
            raise _invalid(document.key if key is None else key, kind, found)
    raise _invalid("?" if key is None else key, kind, [problem])


def _oversize(data: bytes) -> Found | None:
    if len(data) > MAX_BYTES:
        return "", f"{len(data)} bytes; at most {MAX_BYTES} are allowed"
    # The count of openers bounds the depth; documents that could be too deep are rare enough to be scanned.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_too_deep(data):
        return "", f"nested deeper than {MAX_DEPTH} levels"
    return None


def _is_too_deep(data: bytes) -> bool:
    depth = 0
    for token in _STRUCTURE.finditer(data):
        match token[0]:
            case b"[" | b"{":
                depth += 1
                if depth > MAX_DEPTH:
                    return True
            case b"]" | b"}":
                depth -= 1
    return False


def _decode_problem(error: Exception, data: bytes) -> Found:
    if isinstance(error, RecursionError):
        return "", f"nested deeper than {MAX_DEPTH} levels"
    if isinstance(error, UnicodeDecodeError):
        return "", "not UTF-8"
    matched = _PLACE.match(str(error))
    if matched is None or not isinstance(error, msgspec.ValidationError):
        return "", str(error)
    path, what = matched["path"] or "", matched["what"]
    for pattern, meaning in _PATTERNS.items():
        what = what.replace(f"`str` matching regex {pattern!r}", meaning)
    found = _found(data, path)
    if what.startswith(("Invalid enum value", "Invalid value")) and found is not None:
        choices = _CHOICES.get(path.rpartition(".")[2].partition("[")[0])
        return path, what if choices is None else f"{found} is none of {', '.join(map(repr, choices))}"
    return path, what if found is None else f"{what}, found {found}"


def _found(data: bytes, path: str) -> str | None:
    """Return what stands at a path, shortened; `None` where it cannot be told or would be no help."""
    try:
        value = msgspec.json.decode(data)
    # msgspec 0.22: the whole document is read here, with numbers that the typed decoder stopped at or never came to.
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    for name, index in _STEP.findall(path):
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and index and int(index) < len(value):
            value = value[int(index)]
        else:
            return None
    text = repr(value)
    return None if isinstance(value, dict | list) else text if len(text) <= 60 else f"{text[:57]}..."


def _beside_ids(document: Flag | Segment) -> int:
    if isinstance(document, Flag):
        return len(encode(msgspec.structs.replace(document, targets={})))
    return len(encode(msgspec.structs.replace(document, include=(), exclude=())))


def _invalid(key: str, kind: str, found: list[Found]) -> InvalidFlagError:
    return InvalidFlagError(tuple(Problem(key=key, kind=kind, path=path, message=message) for path, message in found))


def encode(document: Flag | Segment) -> bytes:
    """
    Return the canonical bytes of a document: fields in their declared order, defaults left out, names sorted.

    Lists keep their order, which means something in rules and weights.
    """
    return msgspec.json.encode(document, order="deterministic")


def to_bytes(source: Source) -> bytes:
    """
    Return the JSON of a document given in any form; not checked beyond being JSON.

    Raises:
        InvalidFlagError: it holds what JSON cannot hold.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, str):
        return source.encode(errors="surrogatepass")
    try:
        return msgspec.json.encode(source)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError, OverflowError) as error:
        key = source.key if isinstance(source, Flag | Segment) else source.get("key")
        kind = "segment" if isinstance(source, Segment) else "flag"
        raise _invalid(str(key), kind, [("", f"cannot be written as JSON: {error}")]) from error


def check(document: Flag | Segment, extensions: Extensions) -> None:
    """
    Refuse on write what a reader would only tolerate: unknown operators and hashes, bad patterns, bad values.

    Raises:
        InvalidFlagError: with every such place.
    """
    kind = "flag" if isinstance(document, Flag) else "segment"
    if found := degradations(document, extensions):
        raise _invalid(document.key, kind, found)


def from_json(data: bytes | str) -> Any:
    """
    Parse JSON of no particular shape, such as a context on the command line.

    Raises:
        ValueError: it is no JSON; the text says where.
    """
    return orjson.loads(data)


def pretty(value: Any) -> str:
    """Return any JSON value or document as indented JSON for people and version control."""
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2).decode()
