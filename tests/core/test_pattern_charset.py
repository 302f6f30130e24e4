"""Sets of characters, and case as Unicode's simple folding has it."""

import itertools
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.core.pattern.charset import ALL, LARGEST, NONE, folded, inverted, merged, overlap

ranges = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)).map(lambda pair: (pair[0], sum(pair))), max_size=6)
sets = ranges.map(merged)


def members(found):
    return {code for low, high in found for code in range(low, min(high, 60) + 1)}


@given(ranges, ranges)
def test_union_and_intersection(one, other):
    assert members(merged(one, other)) == members(one) | members(other)
    assert members(overlap(merged(one), merged(other))) == members(one) & members(other)


@given(sets)
def test_the_inverse_holds_all_others(found):
    assert members(inverted(found)) == set(range(61)) - members(found)
    assert inverted(inverted(found)) == found


@given(sets)
def test_sets_are_sorted_and_apart(found):
    assert all(high + 1 < low for (_, high), (low, _) in itertools.pairwise(found))


def test_the_inverse_of_nothing_is_all():
    assert inverted(NONE) == ALL
    assert inverted(ALL) == NONE


@pytest.mark.parametrize(
    ("letter", "cases"),
    [
        ("a", "aA"), ("K", "kK\u212a"), ("\u212a", "kK\u212a"), ("s", "sS\u017f"), ("ß", "ß\u1e9e"),
        ("\u03c2", "\u03a3\u03c3\u03c2"),
        ("\u01c5", "\u01c4\u01c5\u01c6"), ("\u0131", "\u0131"), ("\u0130", "\u0130"), ("i", "iI"), ("1", "1"),
        ("\u4e2d", "\u4e2d"),
        ("\U00010400", "\U00010400\U00010428"), ("\uab70", "\uab70\u13a0"),
    ],
)  # fmt: skip
def test_the_cases_of_a_letter(letter, cases):
    assert folded(((ord(letter), ord(letter)),)) == merged([(ord(case), ord(case)) for case in cases])


def test_all_letters_of_unicode_are_folded():
    # The table of strangers and the blocks with case were written by hand; here they are held against all of Unicode.
    orbits = defaultdict(set)
    for start in range(0, LARGEST + 1, 256):
        block = "".join(map(chr, range(start, start + 256)))
        if block.casefold() != block or block.upper() != block:
            for letter in block:
                forms = [form for form in (letter.casefold(), letter.lower()) if len(form) == 1]
                orbits[forms[0] if forms else letter].add(ord(letter))
    assert len(orbits) > 2_000
    for orbit in orbits.values():
        if len(orbit) > 1:
            whole = merged([(code, code) for code in orbit])
            assert all(folded(((code, code),)) == whole for code in orbit)


def test_a_large_set_is_folded_like_its_members():
    assert folded(ALL) == ALL
    assert folded(((0x61, 0x7A),)) == merged([(0x41, 0x5A), (0x61, 0x7A), (0x17F, 0x17F), (0x212A, 0x212A)])
