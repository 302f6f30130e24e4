"""Patterns for tests: made up at random, in the syntax that all engines share."""

from hypothesis import strategies as st

__all__ = ["patterns", "subjects"]

_CHARACTERS = ["a", "b", "c", "k", "K", "1", "_", "-", " ", "\\.", ".", "\\n", "é", "\u017f"]
_CLASSES = [
    "[ab]",
    "[^a]",
    r"\d",
    r"\w",
    r"\s",
    r"\D",
    r"\W",
    r"\S",
    "[[:alpha:]]",
    "[[:^upper:]]",
    r"[\w-]",
    "[a-c]",
    "[]a]",
]
_EDGES = ["^", "$", r"\b", r"\B", r"\A", r"\z"]
_REPEATS = ["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?", "??"]
_GROUPS = ["(", "(?:", "(?i:", "(?m:", "(?s:", "(?P<name>"]

_atoms = st.one_of(*map(st.sampled_from, (_CHARACTERS, _CHARACTERS, _CLASSES, _EDGES)))


def _joined(inner):
    group = st.tuples(st.sampled_from(_GROUPS), inner, st.just(")")).map("".join)
    piece = st.tuples(st.one_of(_atoms, _atoms, group), st.sampled_from(["", "", *_REPEATS])).map("".join)
    start = st.sampled_from(["", "", "", "", "(?i)", "(?m)", "(?s)", "(?ms-i)"])
    row = st.tuples(start, st.lists(piece, max_size=5).map("".join)).map("".join)
    return st.lists(row, min_size=1, max_size=3).map("|".join)


patterns = st.recursive(_joined(_atoms), _joined, max_leaves=4)
subjects = st.text("aabbccABkK\u017f1_-. é\n", max_size=10)
