r"""
Sets of characters as ranges of code points: sorted, apart from each other, both ends included.

Case is folded here and by no engine. Python's `re` and RE2 disagree on it (`re` takes dotless i for i, and knows
only ASCII where `\w` is ASCII), so a set that ignores case is written out with all its members.
"""

from collections.abc import Iterable

__all__ = ["ALL", "LARGEST", "NAMED", "NEWLINE", "NONE", "PERL", "Ranges", "folded", "inverted", "merged", "overlap"]

Ranges = tuple[tuple[int, int], ...]

LARGEST = 0x10FFFF
NONE: Ranges = ()
ALL: Ranges = ((0, LARGEST),)
NEWLINE: Ranges = ((10, 10),)

_DIGIT = ((0x30, 0x39),)
_UPPER = ((0x41, 0x5A),)
_LOWER = ((0x61, 0x7A),)
_WORD = (*_DIGIT, *_UPPER, (0x5F, 0x5F), *_LOWER)

PERL: dict[str, Ranges] = {"d": _DIGIT, "s": ((9, 10), (12, 13), (32, 32)), "w": _WORD}
r"""What `\d`, `\s` and `\w` mean: ASCII, and no vertical tab, as RE2 has it."""

NAMED: dict[str, Ranges] = {
    "alnum": (*_DIGIT, *_UPPER, *_LOWER),
    "alpha": (*_UPPER, *_LOWER),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGIT,
    "graph": ((33, 126),),
    "lower": _LOWER,
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": (*_DIGIT, (0x41, 0x46), (0x61, 0x66)),
}
"""What `[:alpha:]` and the like mean inside a class: ASCII."""

# Where letters with case live, up to Unicode 17. Large sets are searched for case only there.
_CASED: Ranges = (
    (0x41, 0x587),
    (0x10A0, 0x10FF),
    (0x13A0, 0x13FF),
    (0x1C80, 0x1CBF),
    (0x1D79, 0x1D8E),
    (0x1E00, 0x1FFF),
    (0x2126, 0x2188),
    (0x24B6, 0x24E9),
    (0x2C00, 0x2D2F),
    (0xA640, 0xA7FF),
    (0xAB53, 0xABBF),
    (0xFF21, 0xFF5A),
    (0x10400, 0x105BF),
    (0x10C80, 0x10D8F),
    (0x118A0, 0x118DF),
    (0x16E40, 0x16ED3),
    (0x1E900, 0x1E943),
)

# Characters that fold to a letter which knows nothing of them: `"\u212a".lower()` is k, but no method of k is U+212A.
_STRANGERS: dict[str, str] = {
    "k": "\u212a",
    "s": "\u017f",
    "\u00df": "\u1e9e",
    "\u00e5": "\u212b",
    "\u03b2": "\u03d0",
    "\u03b5": "\u03f5",
    "\u03b8": "\u03d1\u03f4",
    "\u03b9": "\u0345\u1fbe",
    "\u03ba": "\u03f0",
    "\u03bc": "\u00b5",
    "\u03c0": "\u03d6",
    "\u03c1": "\u03f1",
    "\u03c3": "\u03c2",
    "\u03c6": "\u03d5",
    "\u03c9": "\u2126",
    "\u0432": "\u1c80",
    "\u0434": "\u1c81",
    "\u043e": "\u1c82",
    "\u0441": "\u1c83",
    "\u0442": "\u1c84\u1c85",
    "\u044a": "\u1c86",
    "\u0463": "\u1c87",
    "\u1e61": "\u1e9b",
    "\ua64b": "\u1c88",
}


def merged(*sets: Iterable[tuple[int, int]]) -> Ranges:
    """Return the union of sets, whose ranges may come in any order."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(pair for ranges in sets for pair in ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def inverted(ranges: Ranges) -> Ranges:
    """Return all other characters."""
    edges = [-1, *(edge for pair in ranges for edge in pair), LARGEST + 1]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return tuple((before + 1, after - 1) for before, after in pairs if before + 1 < after)


def overlap(one: Ranges, other: Ranges) -> Ranges:
    """Return what two sets have in common."""
    found = []
    left = right = 0
    while left < len(one) and right < len(other):
        low, high = max(one[left][0], other[right][0]), min(one[left][1], other[right][1])
        if low <= high:
            found.append((low, high))
        if one[left][1] < other[right][1]:
            left += 1
        else:
            right += 1
    return tuple(found)


def folded(ranges: Ranges) -> Ranges:
    """Return the set with every case of its letters: Unicode's simple folding, so no letter becomes two."""
    cased = overlap(ranges, _CASED)
    others = {other for low, high in cased for code in range(low, high + 1) for other in _cases(chr(code))}
    return merged(ranges, ((ord(other), ord(other)) for other in others))


def _cases(letter: str) -> set[str]:
    base = _simple_fold(letter)
    near = {base, base.lower(), base.upper(), base.title()}
    return {other for other in near if len(other) == 1 and _simple_fold(other) == base} | set(_STRANGERS.get(base, ""))


def _simple_fold(letter: str) -> str:
    for form in (letter.casefold(), letter.lower()):
        if len(form) == 1:
            return form
    return letter
