"""
Semantic versions 2.0.0: precedence, and the ranges that `^` and `~` stand for.

Numbers may be of any length, so they are never turned into `int` (CPython refuses more than 4300 digits, and takes
quadratic time before that): two runs of digits without leading zeros compare by length, then as text. Build
metadata is checked for form and otherwise ignored.
"""

import re
from typing import Literal

__all__ = ["LONGEST", "Leniency", "Range", "Version", "allowed", "version", "within"]

Leniency = Literal["no", "partial", "any"]
Numeral = tuple[int, str]
Core = tuple[Numeral, ...]

Version = tuple[Core, tuple[object, ...]]
"""Major, minor, patch; then what orders pre-releases. Compares by precedence."""

Range = tuple[Version, Core]
"""The lowest version that is in, and the beginning of the first core that is out."""

LONGEST = 65_536
"""Longer text is no version: a million identifiers would stop the event loop while they are sorted out."""

_NUMERAL = "(0|[1-9][0-9]*)"
_REST = r"(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?"
_PARTIAL = rf"{_NUMERAL}(?:\.{_NUMERAL}(?:\.{_NUMERAL})?)?{_REST}"
_FORMS = {
    "no": re.compile(rf"{_NUMERAL}\.{_NUMERAL}\.{_NUMERAL}{_REST}"),
    "partial": re.compile(_PARTIAL),
    "any": re.compile(rf"[vV]?{_PARTIAL}"),
}
_ZERO: Numeral = (1, "0")
_RELEASE = (1,)


def version(written: str, lenient: Leniency = "no") -> Version | None:
    """
    Read a version; None for what is none.

    Args:
        written: The text, at most 65,536 characters.
        lenient: `partial` takes `1` and `1.2` for `1.0.0` and `1.2.0`, also before `-rc.1`; `any` a leading `v` or
            `V` too.
    """
    read = _read(written, lenient)
    return None if read is None else read[0]


def allowed(written: str, sign: Literal["^", "~"], lenient: Leniency = "no") -> Range | None:
    """
    Read a version as the base of an npm range; None for what is no version.

    `^` keeps the first part that is not zero, `~` keeps major and minor; a part that is left out may be anything:
    `^1.2` ends before 2, `^0.0` before 0.1, `^0` before 1, `~1` before 2, `~1.2` before 1.3.
    """
    read = _read(written, lenient)
    if read is None:
        return None
    base, given = read
    kept = min(given, 2) if sign == "~" else next((at + 1 for at in range(given) if base[0][at] != _ZERO), given)
    return base, (*base[0][: kept - 1], _next(base[0][kept - 1]))


def within(found: Version, borders: Range) -> bool:
    """Whether a version is in a range. A pre-release of the first core that is out is out as well."""
    lowest, out = borders
    return lowest <= found and found[0] < out


def _read(written: str, lenient: Leniency) -> tuple[Version, int] | None:
    found = _FORMS[lenient].fullmatch(written) if len(written) <= LONGEST else None
    if found is None:
        return None
    major, minor, patch, pre, build = found.groups()
    order = _RELEASE if pre is None else _pre_release(pre)
    if order is None or (build is not None and "" in build.split(".")):
        return None
    given = 1 if minor is None else 2 if patch is None else 3
    minor, patch = minor or "0", patch or "0"
    return (((len(major), major), (len(minor), minor), (len(patch), patch)), order), given


def _pre_release(written: str) -> tuple[object, ...] | None:
    """A key below every release; numbers come before words, and fewer identifiers before more."""
    order: list[object] = [0]
    for word in written.split("."):
        if not word or (word.isdigit() and len(word) > 1 and word[0] == "0"):
            return None
        order.append((0, len(word), word) if word.isdigit() else (1, 0, word))
    return tuple(order)


def _next(numeral: Numeral) -> Numeral:
    """One more, digit by digit."""
    digits = numeral[1]
    head = digits.rstrip("9")
    zeros = "0" * (len(digits) - len(head))
    raised = head[:-1] + chr(ord(head[-1]) + 1) + zeros if head else "1" + zeros
    return len(raised), raised
