"""Facts in a word or a line."""

import pytest

from grayflow.admin.wording import serve_text
from grayflow.cli.words import brief, condition_text, counted, id_text, moment, safe, serves, step_text
from grayflow.core.flag import Flag, Split
from grayflow.testing.builders import flag


def condition(**fields: object) -> str:
    return condition_text(flag("x", requires=[fields]).requires[0])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": "segment", "key": "s"}, "in segment 's'"),
        ({"type": "flag", "key": "f"}, "flag 'f' is on"),
        ({"type": "flag", "key": "f", "off": True}, "flag 'f' is off"),
        ({"type": "flag", "key": "f", "variants": ["a", "b"]}, "flag 'f' serves a or b"),
        ({"type": "flag", "key": "f", "variants": []}, "flag 'f' serves nothing"),
        ({"type": "bucket", "ranges": [[0, 5], [7, 9]]}, "in slots 0..5, 7..9"),
        ({"type": "during"}, "at any time"),
        (
            {"type": "during", "from": "2027-01-01T00:00:00Z", "until": "2027-02-01T00:00:00Z"},
            "during from 2027-01-01T00:00:00+00:00 until 2027-02-01T00:00:00+00:00",
        ),
        (
            {"type": "all", "of": [{"type": "segment", "key": "a"}, {"type": "segment", "key": "b"}]},
            "all of (in segment 'a'; in segment 'b')",
        ),
        ({"type": "attribute", "name": ["a", 0], "op": "exists"}, "a/0 exists"),
        ({"type": "attribute", "name": "n", "op": "lt", "values": [3], "negate": True}, "n not lt 3"),
        (
            {"type": "attribute", "name": "n", "op": "in", "values": [1, 2, 3, 4, 5, 6, 7]},
            "n in 1, 2, 3, 4, 5, … 2 more",
        ),
    ],
)
def test_conditions_are_said_in_words(fields: dict, words: str):
    assert condition(**fields) == words


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (None, ""),
        (flag("x"), "on"),
        (flag("x", otherwise=None), "default"),
        (flag("x", rules=[{"percent": 2.5}], otherwise="off"), "2.5% on, off"),
        (flag("x", rules=[{"when": [{"type": "segment", "key": "s"}], "serve": None}]), "default if …, on"),
        (flag("x", rules=[{}, {}, {}]), "on, on, 1 more rule, on"),
        (flag("x", targets={"on": ["a", "b"]}, otherwise={"ranges": [["on", 0, 5]]}), "2 listed, split"),
    ],
)
def test_what_a_flag_serves_is_said_in_a_few_words(one: Flag | None, words: str):
    assert serves(one) == words


def test_ranges_of_a_split_are_said():
    assert serve_text(Split(ranges=(("a", 0, 250),))) == "a split (0..250 'a')"
    assert serve_text(None) == "the caller's default"


def test_steps_of_an_explanation_are_said_as_far_as_there_is_more_than_the_path():
    one = flag("x", rules=[{"name": "canary", "percent": 5, "serve": {"weights": [["on", 100_000]]}}])

    assert step_text(one, "enabled") == ""
    assert step_text(one, "rules[0].percent") == "rule 'canary': within 5 %"
    assert step_text(one, "rules[0].serve") == "rule 'canary': a split (100 % 'on')"


def test_small_things():
    assert (counted(1, "flag"), counted(2, "flag")) == ("1 flag", "2 flags")
    assert brief("x" * 300, 10) == '"xxxxxxxx…'
    assert moment(0) == "1970-01-01T00:00:00Z"
    assert moment(2**63 - 1).endswith("Z")
    assert moment(-(2**70)).endswith("ns")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain gr\u00fcn \u2713 \U0001f600", "plain gr\u00fcn \u2713 \U0001f600"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\rb\x00\x7f\x9b2J", "a\\rb\\x00\\x7f\\x9b2J"),
        ("\u202egpj.exe\u2069", "\\u202egpj.exe\\u2069"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
    ],
)
def test_text_that_would_steer_a_terminal_is_written_out(text: str, shown: str):
    assert safe(text) == shown
    assert safe(text, lines=False) == shown.replace("\n", "\\n")


@pytest.mark.parametrize(
    ("unit", "shown"),
    [
        ("u-1", "u-1"),
        (42, "42"),
        ("42", "42"),
        ("", '""'),
        ("a b", '"a b"'),
        ("a,b", '"a,b"'),
        ('"', r'"\""'),
        ("\n", r'"\n"'),
    ],
)
def test_an_id_that_would_not_be_seen_is_quoted(unit: str | int, shown: str):
    assert id_text(unit) == shown
