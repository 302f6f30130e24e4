"""What lint says about a flag set: one remark, with its place."""

from typing import Literal

import msgspec

from grayflow.core.flag import Flag, Segment

__all__ = ["Finding", "Severity", "error", "warning"]

Severity = Literal["error", "warning"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in a valid document that is probably not what was meant."""

    severity: Severity
    """`error`: it answers something else than it says. `warning`: it may well be meant."""
    code: str
    """Names the check, for filters: `unknown-flag`, `expired` …"""
    key: str
    kind: Literal["flag", "segment"]
    path: str
    """Where in the document: `rules[2].when[0]`; empty for the document as a whole."""
    message: str
    """What was found, what follows from it, and what to do."""

    def __str__(self) -> str:
        place = f", {self.path}" if self.path else ""
        return f"{self.severity}: {self.kind} {self.key!r}{place}: {self.message} [{self.code}]"


def error(document: Flag | Segment, code: str, path: str, message: str) -> Finding:
    """Return an error about a document."""
    return _finding("error", document, code, path, message)


def warning(document: Flag | Segment, code: str, path: str, message: str) -> Finding:
    """Return a warning about a document."""
    return _finding("warning", document, code, path, message)


def _finding(severity: Severity, document: Flag | Segment, code: str, path: str, message: str) -> Finding:
    kind: Literal["flag", "segment"] = "flag" if isinstance(document, Flag) else "segment"
    return Finding(severity=severity, code=code, key=document.key, kind=kind, path=path, message=message)
