"""Semantic versions: precedence against a comparison written another way, and the ranges of npm."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.core.semver import LONGEST, allowed, version, within

# From lowest to highest; the third line is the example in the specification of semantic versions.
LADDER = [
    "0.0.0-0", "0.0.0", "0.0.1", "0.0.9", "0.0.10", "0.1.0", "0.9.99", "1.0.0-0", "1.0.0-9", "1.0.0-10", "1.0.0--",
    "1.0.0-A", "1.0.0-a",
    "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
    "1.0.0", "1.0.1-x", "1.0.1", "1.2.0", "1.10.0", "2.0.0-0", "2.0.0", "10.0.0", f"{2**64}.0.0", f"1{'0' * 5000}.0.0",
]  # fmt: skip

numerals = st.integers(0, 2**70).map(str)
words = st.from_regex(r"[0-9A-Za-z-]{0,3}[A-Za-z-][0-9A-Za-z-]{0,3}", fullmatch=True)
versions = st.tuples(
    st.lists(numerals | st.integers(0, 2).map(str), min_size=3, max_size=3),
    st.lists(numerals | st.integers(0, 11).map(str) | words, max_size=4),
    st.sampled_from(["", "+build", "+1.a-b.001"]),
)


def written(parts):
    core, pre, build = parts
    return ".".join(core) + ("-" + ".".join(pre) if pre else "") + build


def precedes(one, other):
    """Section 11 of the specification, word by word, on numbers that are numbers."""
    core, others = [int(part) for part in one[0]], [int(part) for part in other[0]]
    if core != others:
        return core < others
    if not one[1] or not other[1]:
        return bool(one[1]) and not other[1]
    for mine, theirs in zip(one[1], other[1], strict=False):
        if mine == theirs:
            continue
        if mine.isdigit() and theirs.isdigit():
            return int(mine) < int(theirs)
        if mine.isdigit() != theirs.isdigit():
            return mine.isdigit()
        return mine < theirs
    return len(one[1]) < len(other[1])


def test_the_ladder_is_strictly_ascending():
    keys = [version(step) for step in LADDER]

    assert None not in keys
    assert all(lower < higher for lower, higher in itertools.pairwise(keys))


@given(versions, versions)
def test_precedence_is_that_of_the_specification(one, other):
    mine, theirs = version(written(one)), version(written(other))

    assert (mine < theirs) == precedes(one, other)
    assert (mine == theirs) == (one[:2] == other[:2])


def test_build_metadata_is_ignored():
    assert version("1.2.3+a") == version("1.2.3") == version("1.2.3+b.007")


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1.2", "1.2.3.4", "01.2.3", "1.02.3", "1.2.03", "1.2.3-", "1.2.3-a..b", "1.2.3-01", "1.2.3-a.01",
        "1.2.3+",
        "1.2.3+a..b", "1.2.3-+a", "v1.2.3", " 1.2.3", "1.2.3 ", "1.2.3\n", "-1.2.3", "1.2.x", "1.2.3-ä", "1.2.3+ä",
        "\u0661.2.3",
        "1,2,3", "1.2.3+a+b", "latest",
    ],
)  # fmt: skip
def test_what_is_no_version(text):
    assert version(text) is None


@pytest.mark.parametrize(
    ("text", "lenient", "meant"),
    [
        ("1", "partial", "1.0.0"), ("1.2", "partial", "1.2.0"), ("1.2.3", "partial", "1.2.3"),
        ("0", "partial", "0.0.0"),
        ("1-rc.1", "partial", "1.0.0-rc.1"), ("1.2-rc.1+b", "partial", "1.2.0-rc.1"), ("1+b", "partial", "1.0.0"),
        ("v1", "partial", None), ("V1.2.3", "partial", None), ("01", "partial", None), ("1.", "partial", None),
        ("v1", "any", "1.0.0"), ("V1.2", "any", "1.2.0"), ("v1.2.3-a", "any", "1.2.3-a"), ("1", "any", "1.0.0"),
        ("vv1", "any", None), ("v", "any", None), ("v 1", "any", None), ("version1", "any", None),
    ],
)  # fmt: skip
def test_leniency(text, lenient, meant):
    assert version(text, lenient) == (meant and version(meant))


def test_longer_text_is_no_version():
    assert version("1.0.0-" + "a" * (LONGEST - 6)) is not None
    assert version("1.0.0-" + "a" * (LONGEST - 5)) is None


@pytest.mark.parametrize(
    ("sign", "base", "inside", "outside"),
    [
        ("^", "1.2.3", ["1.2.3", "1.3.0", "1.3.0-beta", "1.99.0"], ["1.2.2", "1.2.3-rc.1", "2.0.0-0", "2.0.0"]),
        ("^", "1.2.3-beta.2", ["1.2.3-beta.2", "1.2.3-rc", "1.9.0"], ["1.2.3-beta.1", "1.2.3-alpha", "2.0.0-a"]),
        ("^", "0.2.3", ["0.2.3", "0.2.99"], ["0.2.2", "0.3.0-a", "0.3.0", "1.0.0"]),
        ("^", "0.0.3", ["0.0.3"], ["0.0.2", "0.0.3-a", "0.0.4-a", "0.0.4", "0.1.0"]),
        ("^", "0.0.0", ["0.0.0"], ["0.0.1"]),
        ("^", "1", ["1.0.0", "1.9.9"], ["0.9.9", "1.0.0-a", "2.0.0"]),
        ("^", "0", ["0.0.0", "0.9.9"], ["1.0.0-a", "1.0.0"]),
        ("^", "1.2", ["1.2.0", "1.9.9"], ["1.1.9", "2.0.0"]),
        ("^", "0.2", ["0.2.0", "0.2.9"], ["0.1.9", "0.3.0"]),
        ("^", "0.0", ["0.0.0", "0.0.9"], ["0.1.0-a", "0.1.0"]),
        ("^", "9.9.9", ["9.9.9", "9.10.0"], ["10.0.0-a", "10.0.0"]),
        ("~", "1.2.3", ["1.2.3", "1.2.99"], ["1.2.2", "1.3.0-a", "1.3.0", "2.0.0"]),
        ("~", "1.2", ["1.2.0", "1.2.99"], ["1.1.9", "1.3.0-0", "1.3.0"]),
        ("~", "1", ["1.0.0", "1.9.9"], ["0.9.9", "2.0.0-0", "2.0.0"]),
        ("~", "0", ["0.0.0", "0.9.9"], ["1.0.0"]),
        ("~", "0.2.3", ["0.2.3", "0.2.99"], ["0.3.0"]),
        ("~", "0.0.3", ["0.0.3", "0.0.99"], ["0.1.0"]),
        ("~", "1.99.0", ["1.99.5"], ["1.100.0-a", "1.100.0", "1.98.0"]),
        ("^", "9" * 5000 + ".0.0", ["9" * 5000 + ".9.9"], ["1" + "0" * 5000 + ".0.0", "8" * 5000 + ".0.0"]),
    ],
)  # fmt: skip
def test_ranges_are_those_of_npm(sign, base, inside, outside):
    borders = allowed(base, sign, "partial")

    assert [found for found in inside if not within(version(found), borders)] == []
    assert [found for found in outside if within(version(found), borders)] == []


def test_a_base_that_is_no_version_has_no_range():
    assert allowed("1.2", "^") is None
    assert allowed("x", "~", "any") is None


@given(versions, st.sampled_from("^~"))
def test_a_release_is_in_its_own_range_and_the_next_major_is_not(parts, sign):
    borders = allowed(written(parts), sign)

    assert within(version(written(parts)), borders)
    assert not within(version(f"{int(parts[0][0]) + 1}.0.0"), borders)
