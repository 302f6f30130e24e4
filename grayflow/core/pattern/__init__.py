r"""
The patterns of `matches`: a search that never stops the event loop.

A pattern is parsed once, with RE2's syntax and meaning, and refused where a backtracking engine could take long with
it, whichever engines are installed: a flag that is written on one machine works on every other. What is left is
written out again without anything that engines read differently (classes as ranges, no case flags), so it means the
same to all of them.

Text of up to 512 characters is searched by Python's `re`: the patterns are proven to be quick on it, and a call costs
less than a tenth of one to RE2. Longer text goes to RE2, in linear time, if the extra `re2` is installed; if not, it
cannot be read. Neither can text that holds half a surrogate pair.

Meaning, where engines differ: a pattern is searched for, not matched from the start. `\d`, `\s`, `\w`, `\b` and
`[[:alpha:]]` are ASCII. `.` is not a newline, unless `(?s)`. `$` is the end of the text, and not the place before a
last newline; `\z` and `\Z` are the same. `(?i)`, `(?m)` and `(?s)` may stand anywhere and hold to the end of their
group. `\Q...\E` is literal text. Groups may be named both `(?P<n>...)` and `(?<n>...)`.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from grayflow.core.pattern.cost import LONGEST_SUBJECT, MOST_STEPS, steps
from grayflow.core.pattern.parser import parse
from grayflow.core.pattern.render import has_inside, render
from grayflow.core.pattern.shape import check_shape, check_size
from grayflow.core.pattern.simple import committed, trimmed
from grayflow.core.pattern.tree import Node

__all__ = ["LONGEST_SUBJECT", "Pattern", "compile_pattern"]

_Search = Callable[[str], Any]


class Pattern(msgspec.Struct, frozen=True):
    """A pattern that is safe to search with."""

    short: _Search
    """For text of up to 512 characters: a match, or None."""

    long: _Search | None
    """The same for longer text; None without RE2."""

    def search(self, subject: str) -> bool | None:
        """Whether the pattern is found in a text; None if the text cannot be read."""
        if len(subject) <= LONGEST_SUBJECT:
            return self.short(subject) is not None if subject.isascii() or _is_encodable(subject) else None
        if self.long is None or not _is_encodable(subject):
            return None
        return self.long(subject) is not None


def compile_pattern(text: str, *, fold: bool = False) -> Pattern:
    """
    Read, check and compile a pattern.

    Args:
        text: The pattern.
        fold: Ignore case in all of it, as `(?i)` at its beginning does.

    Raises:
        ValueError: it is no pattern, or could take long; the message says what is refused and what to write instead.
    """
    tree = parse(text, fold=fold)
    check_shape(tree)
    check_size(tree)
    wanted = trimmed(tree)
    quick = committed(wanted)
    if steps(quick) > MOST_STEPS:
        raise ValueError(
            f"on some text of {LONGEST_SUBJECT} characters the search could take more than {MOST_STEPS:,} steps. "
            "Begin the pattern with ^, lower the bounds of its repeats, or let each repeat be followed by a character "
            "that it cannot take"
        )
    return Pattern(short=re.compile(render(quick, "re"), re.ASCII).search, long=_re2(wanted))


def _re2(tree: Node) -> _Search | None:
    """Compile for RE2, if it is installed."""
    try:
        import re2
    except ImportError:
        return None
    options = re2.Options()
    options.log_errors = False
    written = render(tree, "re2")
    if has_inside(tree):
        # google-re2 1.1: a search begins at any byte, so `\B` is found inside a character of several bytes. This
        # begins at characters only.
        written = rf"\A(?s:.)*?(?:{written})"
    search: _Search = re2.compile(written, options).search
    return search


def _is_encodable(subject: str) -> bool:
    try:
        subject.encode()
    except UnicodeEncodeError:
        return False
    return True
