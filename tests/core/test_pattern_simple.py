"""What patterns are simplified to: less to search for, and found in the same texts."""

import pytest

from grayflow.core.pattern import compile_pattern
from grayflow.core.pattern.parser import parse
from grayflow.core.pattern.render import render
from grayflow.core.pattern.simple import committed, trimmed


def quick(pattern):
    return render(committed(trimmed(parse(pattern, fold=False))), "re")


@pytest.mark.parametrize(
    ("pattern", "trimmed_to"),
    [
        (".*a", "a"), ("a.*", "a"), ("a+", "a"), ("a{2,5}b{3,}", "a{2}b{3}"), ("(x?y*)?a(b|)", "a"), (".*", ""),
        ("x*$", r"\Z"),
        ("^.*a", r"\A.*a"), (".*a|b+c+", "bc|a"), (r"\ba*", r"\b"), ("(?:ab)+c", "abc"), ("(?:^)?a", "a"),
        ("a(?:a?)*b", "aa*b"),
    ],
)  # fmt: skip
def test_what_may_be_absent_at_the_ends_is_left_out(pattern, trimmed_to):
    assert quick(pattern) == trimmed_to


@pytest.mark.parametrize(
    ("pattern", "committed_to"),
    [
        ("^.*a.*b", r"\A(?>.*?(?:a)).*b"),
        ("^.+@.+c", r"\A.(?>.*?(?:\x40.)).*c"),
        ("^.*a.*b.*c", r"\A(?>.*?(?:a))(?>.*?(?:b)).*c"),
        ("^[ab]*a.*c", r"\A(?>[a-b]*?(?:a)).*c"),
    ],
)
def test_a_gap_ends_at_the_nearest_place_where_the_next_can_take_the_rest(pattern, committed_to):
    assert quick(pattern) == committed_to


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        # The second gap cannot take what the first could.
        ("^.*ab*c$", "axabc"),
        # Nor what stands between the two.
        ("^a*[ac]a*d$", "acd"),
        # What begins first does not end first.
        ("^[ab]*(?:abbb|b)[ab]*b$", "abbb"),
        ("^.*(?:ab?c?)b*c$", "axabc"),
        # The gaps do not cross a line.
        ("^.*a(?s:.)*b$", "xa\nb"),
        ("^(?s:.)*a.*b$", "a\nab"),
    ],
)
def test_a_gap_is_not_ended_where_that_would_lose_a_match(pattern, subject):
    compiled = compile_pattern(pattern)

    assert compiled.short(subject) is not None
    assert compiled.long(subject) is not None
