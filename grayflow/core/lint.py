"""
Problems of a whole flag set, each with its path: what is valid and still hardly meant.

The parts: what a document says by itself (`lint_rules.py`), what it says about others (`lint_references.py`), how it
names what a context holds (`lint_names.py`), and whether somebody looks after it (`lint_care.py`).
"""

from collections.abc import Collection, Iterable

from grayflow.core.context import Context, field_names
from grayflow.core.extensions import Extensions
from grayflow.core.findings import Finding, error
from grayflow.core.flag import Flag, Segment
from grayflow.core.lint_care import care
from grayflow.core.lint_names import misnamed
from grayflow.core.lint_references import references
from grayflow.core.lint_rules import rules, tests
from grayflow.core.validate import degradations

__all__ = ["Finding", "lint"]


def lint(
    flags: Iterable[Flag],
    segments: Iterable[Segment],
    *,
    context_type: type[Context] | None = None,
    extensions: Extensions | None = None,
    now: int | None = None,
    staged: Collection[str] = (),
) -> tuple[Finding, ...]:
    """
    Return what is wrong or odd with a flag set: flags in the given order, then segments.

    Archived flags are not looked at, only who still refers to them.

    Args:
        flags: All flags, decoded.
        segments: All segments, decoded.
        context_type: The service's own context; attributes are compared with its fields. Without it, with those
            that every context has.
        extensions: The foreign hashes and operators that the service has.
        now: Nanoseconds since the epoch. Without it nothing is said about dates.
        staged: Keys of flags that serve one variant after the other: those whose turn is not now are not unused.
    """
    all_flags, all_segments = tuple(flags), tuple(segments)
    extensions = extensions or Extensions()
    refers = references(all_flags, all_segments)
    names = misnamed(field_names(context_type or Context))
    found: list[Finding] = []
    documents: tuple[Flag | Segment, ...] = (*all_flags, *all_segments)
    for document in documents:
        if isinstance(document, Flag):
            if document.archived:
                continue
            found += [*rules(document, staged=document.key in staged), *care(document, now)]
        found += [*tests(document), *names(document), *refers(document)]
        found += [error(document, "degraded", *place) for place in degradations(document, extensions)]
    return tuple(found)
