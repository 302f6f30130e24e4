"""Moving in from other systems, and out, on the command line: what is asked for, and the report."""

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, cast, get_args

import msgspec
import typer

from grayflow.admin.formats import TextFormat
from grayflow.admin.moving import Exported, Moved, Remark, to_flagd, translate
from grayflow.cli.completing import complete_system
from grayflow.cli.examination import snapshot_of
from grayflow.cli.session import Session
from grayflow.cli.words import counted
from grayflow.core.extensions import Extensions
from grayflow.core.foreign import SYSTEMS, System, foreign_extensions
from grayflow.core.foreign.flagd import Generation
from grayflow.errors import ConfigurationError
from grayflow.store.port import State

__all__ = [
    "Attributes",
    "Environment",
    "Fractional",
    "FromSystem",
    "MoveIn",
    "Strict",
    "ToSystem",
    "check_target",
    "hindrance",
    "moved_out",
    "tell_moved",
    "tell_remarks",
]

FromSystem = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="SYSTEM",
        help=f"The file is another system's export: {', '.join(SYSTEMS)}.",
        autocompletion=complete_system,
    ),
]
ToSystem = Annotated[
    str | None, typer.Option("--to", metavar="SYSTEM", help="Write another system's definitions: flagd.")
]
Environment = Annotated[
    str | None, typer.Option("--environment", metavar="NAME", help="With --from: which one, if the export has several.")
]
Attributes = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute", metavar="THEIRS=YOURS", help="With --from: what your contexts call an attribute; repeatable."
    ),
]
Fractional = Annotated[
    int, typer.Option("--fractional", metavar="1|2|3", help="With --from flagd: how your flagd hashes ids.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="With --from or --to: write nothing unless all of it can be carried over.")
]

_MOST_NAMED = 5
_WORDS = {"refused": "error", "left out": "warning", "changed": "warning", "note": "note"}


class MoveIn(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for beside the file."""

    system: System
    environment: str | None
    attributes: dict[str, str]
    fractional: Generation

    @classmethod
    def asked(
        cls, system: str | None, environment: str | None, attributes: list[str] | None, fractional: int
    ) -> "MoveIn | None":
        """
        Read the options; `None` if the file is grayflow's own.

        Raises:
            ConfigurationError: they make no sense, or are of no use without `--from`.
        """
        if system is None:
            if environment is not None or attributes or fractional != 3:
                raise ConfigurationError("--environment, --attribute and --fractional belong to --from SYSTEM")
            return None
        if system not in SYSTEMS:
            raise ConfigurationError(f"there is no system {system!r}; {', '.join(SYSTEMS)} are known")
        if fractional not in get_args(Generation):
            raise ConfigurationError(f"flagd has hashed in the ways 1, 2 and 3, not {fractional}")
        pairs = [one.partition("=") for one in attributes or ()]
        if wrong := next((one for one in pairs if not all(one)), None):
            raise ConfigurationError(f"{''.join(wrong)!r} renames nothing; write THEIRS=YOURS, such as userId=user_id")
        return cls(
            system=system,
            environment=environment,
            attributes={theirs: yours for theirs, _, yours in pairs},
            fractional=cast("Generation", fractional),
        )

    def translated(self, text: bytes, format_: TextFormat | None) -> Moved:
        """Return the export as documents; see `grayflow.admin.moving.translate`."""
        return translate(
            self.system,
            text,
            format=format_,
            environment=self.environment,
            attributes=self.attributes,
            fractional=self.fractional,
        )

    def extensions(self, also: Extensions | None) -> Extensions:
        """Return what the documents need, and what else is there."""
        return foreign_extensions(self.system, also=also)


def hindrance(moved: Moved, *, strict: bool, replace: bool) -> str:
    """Return why nothing may be written of what was translated, empty if nothing forbids it."""
    if strict and not moved.faithful:
        return "nothing was written, as not all of it can be carried over (--strict)"
    if replace and not moved.complete:
        return "nothing was written: with --replace, the flags that were not imported would be deleted"
    return ""


def check_target(system: str | None, format_: str | None) -> None:
    """
    Refuse a target of an export that makes no sense.

    Raises:
        ConfigurationError: there is no such system to move to, or it does not take that format.
    """
    if system is None:
        return
    if system != "flagd":
        raise ConfigurationError(f"flags can be written for flagd, not for {system!r}")
    if format_ not in {None, "json"}:
        raise ConfigurationError("definitions for flagd are JSON; leave --format out")


def moved_out(state: State) -> Exported:
    """Return what a store holds as flag definitions of flagd, without the documents that cannot be read."""
    held = snapshot_of(state)
    return to_flagd(
        [entry.flag for entry in held.flags.values() if entry.flag is not None],
        [entry.segment for entry in held.segments.values() if entry.segment is not None],
    )


def tell_moved(session: Session, moved: Moved, system: System) -> None:
    """Print the report of what comes in, and what services need for it."""
    tell_remarks(session, moved.remarks)
    if moved.needs_extensions:
        session.note(
            f'services need Client(..., extensions=foreign_extensions("{system}")), and commands --extensions {system}'
        )


def tell_remarks(session: Session, remarks: Sequence[Remark]) -> None:
    """Print a report on stderr, the weightiest first; what is said of many flags in the same words is said once."""
    ordered = sorted(remarks, key=_said)  # the sort is stable, and weights come in their order
    for (weight, kind, what, instead), alike in groupby(sorted(ordered, key=_weight), key=_said):
        places = [remark for remark in alike if remark.key]
        where = f"{_named(kind, places)}: " if places else ""
        told = "" if weight == "note" else f"{weight}: "
        session.note(f"{told}{where}{what}; {instead}", _WORDS[weight])


def _weight(remark: Remark) -> int:
    return list(_WORDS).index(remark.weight)


def _said(remark: Remark) -> tuple[str, str, str, str]:
    return remark.weight, remark.kind, remark.what, remark.instead


def _named(kind: str, remarks: Sequence[Remark]) -> str:
    places = [f"{remark.key!r} {remark.path}".strip() for remark in remarks]
    shown = ", ".join(places[:_MOST_NAMED])
    rest = len(places) - _MOST_NAMED
    return f"{kind} {shown}" + (f" and {counted(rest, 'place')} more" if rest > 0 else "")
