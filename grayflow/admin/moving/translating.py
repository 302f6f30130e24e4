"""One way in for all systems: from the bytes of an export to documents that are checked."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TypeVar

import msgspec

from grayflow.admin.checks import kind_of
from grayflow.admin.formats import TextFormat
from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.remarks import Ledger, Moved
from grayflow.admin.moving.source import Options, read_source
from grayflow.core.codec import check, decode_flag, decode_segment, encode
from grayflow.core.extensions import Extensions
from grayflow.core.flag import Flag, Segment
from grayflow.core.foreign import SYSTEMS, System, foreign_extensions
from grayflow.core.foreign.flagd import Generation
from grayflow.errors import ConfigurationError, InvalidFlagError

__all__ = ["translate"]

D = TypeVar("D", Flag, Segment)


def translate(
    system: System,
    export: bytes | str,
    *,
    format: TextFormat | None = None,  # noqa: A002 - the word that everybody would use
    environment: str | None = None,
    attributes: Mapping[str, str] | None = None,
    fractional: Generation = 3,
) -> Moved:
    """
    Translate another system's export into flags and segments that decide the same for everybody.

    Services that evaluate them need `foreign_extensions(system)`, which holds the other system's hashes.

    Args:
        system: Whose export it is.
        export: JSON, or YAML.
        format: How it is written, JSON if left out.
        environment: Which one to take, where an export holds several.
        attributes: The other system's names of attributes -> those that your contexts have, where they differ; see
            `grayflow.core.foreign.foreign_context` for the names that are taken otherwise.
        fractional: How flagd buckets, by its own numbers: 3 hashes CBOR (flagd-core 2 for Python), 2 text with whole
            numbers, 1 text with floats.

    Raises:
        ConfigurationError: it is no export of that system, or the environment is not clear.
        MissingExtraError: YAML without the extra `yaml`.
    """
    if system not in SYSTEMS:
        raise ConfigurationError(f"there is no system {system!r}; {', '.join(SYSTEMS)} are known")
    ledger = Ledger()
    source, options = read_source(export, format), Options(environment=environment, fractional=fractional)
    mine = import_module(f"grayflow.admin.moving.{system}")
    flags, segments = mine.translate(source, Attributes(system, attributes or {}), options, ledger)
    extensions = foreign_extensions(system)
    return Moved(
        flags=_sound(flags, decode_flag, extensions, ledger),
        segments=_sound(segments, decode_segment, extensions, ledger),
        remarks=ledger.remarks,
    )


def _sound(
    documents: Iterable[D], decode: Callable[[bytes], D], extensions: Extensions, ledger: Ledger
) -> tuple[D, ...]:
    """Return the documents as every reader will decode them; those that nobody would are refused."""
    found = []
    for document in documents:
        try:
            decoded = decode(encode(document))
            check(decoded, extensions)
            found.append(decoded)
        except InvalidFlagError as error:
            ledger.about(kind_of(document), document.key)
            for problem in error.problems:
                ledger.refused(problem.path, problem.message)
        except (msgspec.MsgspecError, RecursionError):
            ledger.about(kind_of(document), document.key).refused("", "it is nested too deep")
    return tuple(found)
