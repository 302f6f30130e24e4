r"""
From the text of a pattern to its tree: RE2's syntax, less what needs the Unicode database.

What backtracking engines have beyond it (look-around, back-references, conditionals, possessive repeats) is refused
with the way around it. Where engines read the same text differently (`{,3}`, `\1`) it is refused too, rather than
guessed.
"""

import re

import msgspec

from grayflow.core.pattern.charset import ALL, LARGEST, NAMED, NEWLINE, PERL, Ranges, folded, inverted, merged
from grayflow.core.pattern.tree import Chars, Edge, Node, choice, repeat, sequence

__all__ = ["parse"]

_LONGEST = 10_000
_DEEPEST = 50
_MOST = 1_000
_REPEAT = re.compile(r"[*+?]|\{([0-9]+)(,?)([0-9]*)\}")
_UP_TO = re.compile(r"\{,[0-9]+\}")
_FLAGS = re.compile(r"\(\?([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])")
_NAMED_GROUP = re.compile(r"\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>")
_HEX = re.compile(r"x([0-9A-Fa-f]{2})|x\{([0-9A-Fa-f]{1,8})\}|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})")
_OCTAL = re.compile(r"0[0-7]{0,2}")
_CONTROL = {"a": 7, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_EDGES = {"A": Edge("text_start"), "z": Edge("text_end"), "Z": Edge("text_end"), "b": Edge("word"), "B": Edge("inside")}
_AROUND = "look-around is not allowed; use a condition of its own for it, with negate where it must not match"
_REFUSED = {
    "(?=": _AROUND,
    "(?!": _AROUND,
    "(?<=": _AROUND,
    "(?<!": _AROUND,
    "(?P=": "back-references are not allowed; write out what may repeat",
    "(?(": "conditional groups are not allowed; write the cases with |",
    "(?>": "atomic groups are not allowed, and not needed; write (?:...)",
    "(?#": "comments are not allowed; use the description of the flag",
}


class _Flags(msgspec.Struct, frozen=True):
    """What `(?i)`, `(?m)` and `(?s)` switch, for the rest of the group they stand in."""

    i: bool = False
    m: bool = False
    s: bool = False


def parse(text: str, *, fold: bool) -> Node:
    """
    Read a pattern.

    Raises:
        ValueError: it is no pattern, or one that is not allowed here; the message says where and what to write instead.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"the pattern has {len(text)} characters; {_LONGEST} are allowed. Use in for a list of texts")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("the pattern holds half a surrogate pair, which is no character")
    parser = _Parser(text)
    tree = parser.group(_Flags(i=fold), 0)
    if parser.at < len(text):
        raise parser.error("there is a ) without its (; write \\) for the character")
    return tree


class _Parser:
    """A place in a text, moved on by whatever is read there."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def error(self, message: str, at: int | None = None) -> ValueError:
        return ValueError(f"at character {(self.at if at is None else at) + 1} of the pattern: {message}")

    def take(self, token: str) -> bool:
        """Move behind a token if it stands here."""
        found = self.text.startswith(token, self.at)
        self.at += len(token) * found
        return found

    def group(self, flags: _Flags, depth: int) -> Node:
        """Read up to the end of a group, which is not consumed."""
        options: list[Node] = []
        items: list[Node] = []
        while self.at < len(self.text) and self.text[self.at] != ")":
            if self.take("|"):
                options.append(sequence(items))
                items = []
            elif self.take("\\Q"):
                items += self.quoted(flags)
            elif (changed := self.flag_change(flags)) is not None:
                flags = changed
            else:
                items.append(self.repeated(self.atom(flags, depth)))
        return choice([*options, sequence(items)])

    def quoted(self, flags: _Flags) -> list[Node]:
        r"""Read literal text up to `\E`; a repeat behind it is about its last character."""
        end = self.text.find("\\E", self.at)
        end, after = (len(self.text), len(self.text)) if end < 0 else (end, end + 2)
        items = [_one(ord(char), flags) for char in self.text[self.at : end]]
        self.at = after
        return [*items[:-1], self.repeated(items[-1])] if items else []

    def flag_change(self, flags: _Flags) -> _Flags | None:
        found = _FLAGS.match(self.text, self.at)
        if found is None or found[3] == ":":
            return None
        self.at = found.end()
        return self.changed(flags, found)

    def changed(self, flags: _Flags, found: re.Match[str]) -> _Flags:
        """Switch flags on and off. `U` swaps lazy and greedy, which changes nothing here."""
        on, off = found[1], found[2] or ""
        for letter in on + off:
            if letter not in "imsU":
                raise self.error(f"flag {letter} is not allowed; i, m, s and U are", found.start())
        switched = {letter: letter not in off for letter in on + off if letter != "U"}
        return msgspec.structs.replace(flags, **switched)

    # One thing that can be repeated

    def atom(self, flags: _Flags, depth: int) -> Node:
        char = self.text[self.at]
        if char == "(":
            return self.parenthesis(flags, depth)
        if _REPEAT.match(self.text, self.at):
            raise self.error(f"there is nothing that {char} could repeat; write \\{char} for the character")
        self.at += 1
        match char:
            case "[":
                return Chars(self.char_class(flags))
            case ".":
                return Chars(ALL if flags.s else inverted(NEWLINE))
            case "^":
                return Edge("line_start" if flags.m else "text_start")
            case "$":
                return Edge("line_end" if flags.m else "text_end")
            case "\\":
                return self.escape(flags)
        return _one(ord(char), flags)

    def parenthesis(self, flags: _Flags, depth: int) -> Node:
        start = self.at
        for opening, message in _REFUSED.items():
            if self.text.startswith(opening, start):
                raise self.error(message)
        if depth == _DEEPEST:
            raise self.error(f"groups are nested deeper than {_DEEPEST} levels")
        found = _FLAGS.match(self.text, start)
        if found is not None:
            flags = self.changed(flags, found)
        else:
            found = _NAMED_GROUP.match(self.text, start)
        if found is None and self.text.startswith("(?", start):
            raise self.error(f"{self.text[start : start + 3]} opens no kind of group that is allowed; (?: does")
        self.at = start + 1 if found is None else found.end()
        inner = self.group(flags, depth + 1)
        if not self.take(")"):
            raise self.error("the ( has no ); write \\( for the character", start)
        return inner

    def escape(self, flags: _Flags) -> Node:
        char = self.text[self.at : self.at + 1]
        if char in _EDGES:
            self.at += 1
            return _EDGES[char]
        perl = self.perl_class(flags)
        return Chars(perl) if perl is not None else _one(self.escaped(), flags)

    def perl_class(self, flags: _Flags) -> Ranges | None:
        """Read what stands behind the backslash if it is `d`, `s`, `w` or their opposites."""
        char = self.text[self.at : self.at + 1]
        ranges = PERL.get(char.lower())
        if ranges is None:
            return None
        self.at += 1
        return _set(ranges, flags, inverse=char.isupper())

    def escaped(self) -> int:
        """Read the one character that an escape stands for; the backslash is behind us."""
        start, char = self.at - 1, self.text[self.at : self.at + 1]
        found = _HEX.match(self.text, self.at) or _OCTAL.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
            code = int(found[0], 8) if char == "0" else int(next(filter(None, found.groups())), 16)
            if code > LARGEST or 0xD800 <= code <= 0xDFFF:
                raise self.error(f"{code:X} is the code of no character", start)
            return code
        self.at += 1
        if char in _CONTROL:
            return _CONTROL[char]
        if char and not (char.isascii() and char.isalnum()):
            return ord(char)
        raise self.error(_bad_escape(char), start)

    # Repeats

    def repeated(self, body: Node) -> Node:
        start, found = self.at, _REPEAT.match(self.text, self.at)
        if found is None:
            if _UP_TO.match(self.text, start):
                raise self.error("write {0,n} for {,n}, which some engines take for plain text")
            return body
        self.at = found.end()
        self.take("?")
        if _REPEAT.match(self.text, self.at):
            raise self.error("a repeat cannot be repeated or possessive; put a group around it, or leave it out")
        least, most = self.bounds(found)
        return repeat(body, least, most)

    def bounds(self, found: re.Match[str]) -> tuple[int, int | None]:
        match found[0]:
            case "*":
                return 0, None
            case "+":
                return 1, None
            case "?":
                return 0, 1
        if max(len(found[1]), len(found[3])) > 4 or max(int(found[1]), int(found[3] or 0)) > _MOST:
            raise self.error(f"{found[0]} repeats more than {_MOST} times", found.start())
        least = int(found[1])
        most = int(found[3]) if found[3] else None if found[2] else least
        if most is not None and most < least:
            raise self.error(f"{found[0]} ends below its beginning", found.start())
        return least, most

    # Classes

    def char_class(self, flags: _Flags) -> Ranges:
        start = self.at - 1
        inverse = self.take("^")
        found: list[Ranges] = []
        while not (found and self.take("]")):
            if self.at >= len(self.text):
                raise self.error("the [ has no ]; write \\[ for the character", start)
            found.append(self.class_member(flags))
        ranges = merged(*found)
        return inverted(ranges) if inverse else ranges

    def class_member(self, flags: _Flags) -> Ranges:
        if self.text.startswith("[:", self.at) and (end := self.text.find(":]", self.at + 2)) > 0:
            return self.posix(self.text[self.at + 2 : end], end + 2, flags)
        start, low = self.at, self.class_char(flags)
        if not isinstance(low, int):
            return low
        if self.text[self.at : self.at + 1] != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return _set(((low, low),), flags)
        self.at += 1
        high = self.class_char(flags)
        if not isinstance(high, int) or high < low:
            raise self.error(f"{self.text[start : self.at]} is no range; write \\- for the character", start)
        return _set(((low, high),), flags)

    def class_char(self, flags: _Flags) -> int | Ranges:
        """Read one character, or a whole set if it is an escape for one."""
        self.at += 1
        char = self.text[self.at - 1]
        if char != "\\":
            return ord(char)
        if self.take("b"):
            return 8
        perl = self.perl_class(flags)
        return self.escaped() if perl is None else perl

    def posix(self, name: str, end: int, flags: _Flags) -> Ranges:
        ranges = NAMED.get(name.removeprefix("^"))
        if ranges is None:
            raise self.error(f"[:{name}:] is no class; known are {', '.join(NAMED)}")
        self.at = end
        return _set(ranges, flags, inverse=name.startswith("^"))


def _one(code: int, flags: _Flags) -> Chars:
    return Chars(_set(((code, code),), flags))


def _set(ranges: Ranges, flags: _Flags, *, inverse: bool = False) -> Ranges:
    """Fold first and invert then, or the inverse of a letter would hold its other case and so the letter itself."""
    full = folded(ranges) if flags.i else ranges
    return inverted(full) if inverse else full


def _bad_escape(char: str) -> str:
    if char.isdigit() or char in ("k", "g"):
        return "back-references are not allowed; write out what may repeat, or \\x41 for a character by its code"
    if char in ("p", "P"):
        return "classes of Unicode properties are not allowed; write the ranges, as in [a-z\\u00e0-\\u00ff]"
    return f"\\{char} means nothing here" if char else "the backslash at the end has nothing to escape; write \\\\"
