"""The count of steps is never too low: held against an engine that backtracks without any cleverness and counts."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from grayflow.core.pattern.cost import LONGEST_SUBJECT, MOST_STEPS, steps
from grayflow.core.pattern.parser import parse
from grayflow.core.pattern.simple import committed, trimmed
from grayflow.core.pattern.tree import Chars, Choice, Commit, Edge, Repeat, Sequence

ROOM = 16
ENOUGH = 50_000


class TooLongError(Exception):
    """The engine was stopped: the test has seen enough."""


class Engine:
    """Looks for all ways to match, at every place, and counts how often it looks at a character or an edge."""

    def __init__(self, text):
        self.text, self.steps = text, 0

    def search(self, node):
        for start in range(len(self.text) + 1):
            self.match(node, start, lambda end: False)
        return self.steps

    def look(self):
        self.steps += 1
        if self.steps > ENOUGH:
            raise TooLongError

    def holds(self, ranges, at):
        return at < len(self.text) and any(low <= ord(self.text[at]) <= high for low, high in ranges)

    def at_edge(self, where, at):
        text, end = self.text, len(self.text)
        word = (at > 0 and text[at - 1].isalnum()) != (at < end and text[at].isalnum())
        return {
            "text_start": at == 0,
            "text_end": at == end,
            "line_start": at == 0 or text[at - 1] == "\n",
            "line_end": at == end or text[at] == "\n",
            "word": word,
            "inside": not word,
        }[where]

    def match(self, node, at, then):
        match node:
            case Chars(ranges=ranges):
                self.look()
                return self.holds(ranges, at) and then(at + 1)
            case Edge(where=where):
                self.look()
                return self.at_edge(where, at) and then(at)
            case Sequence(items=()):
                return then(at)
            case Sequence(items=(first, *rest)):
                return self.match(first, at, lambda end: self.match(Sequence(tuple(rest)), end, then))
            case Choice(options=options):
                return any(self.match(option, at, then) for option in options)
            case Repeat(body=Chars(ranges=ranges), least=least, most=most):
                return self.run(ranges, at, then, least, most)
            case Repeat():
                return self.repeat(node, at, then, 0)
            case Commit(gap=gap, tail=tail):
                return self.commit(gap, tail, at, then)

    def run(self, ranges, at, then, least, most):
        ends = [at]
        while most is None or len(ends) <= most:
            self.look()
            if not self.holds(ranges, ends[-1]):
                break
            ends.append(ends[-1] + 1)
        return any(then(end) for end in reversed(ends[least:]))

    def repeat(self, node, at, then, done):
        def again(end):
            return (end > at or done < node.least) and self.repeat(node, end, then, done + 1)

        if (node.most is None or done < node.most) and self.match(node.body, at, again):
            return True
        return done >= node.least and then(at)

    def commit(self, gap, tail, at, then):
        ends = []
        while not self.match(tail, at, lambda end: ends.append(end) or True):
            self.look()
            if not self.holds(gap, at):
                return False
            at += 1
        return then(ends[0])


_ATOMS = st.sampled_from(["a", "b", "c", "ab", "bc", ".", "[ab]", "[^a]", "[bc]", "a", "b", "d", r"\b", "$"])
_REPEATS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "{0,12}", "{9}", "{2,}"])


def _rows(inner):
    piece = st.tuples(inner, _REPEATS).map("".join)
    return st.lists(st.lists(piece, min_size=1, max_size=5).map("".join), min_size=1, max_size=3).map("|".join)


_groups = _rows(_ATOMS).map("(?:{})".format)
# What stands at the beginning and the end cannot be left out, so that something is left to be counted.
_patterns = st.tuples(
    st.sampled_from(["a", "b", "^", "[ab]"]), _rows(_ATOMS | _groups).map("(?:{})".format), st.sampled_from("dca$")
)


@settings(max_examples=300, deadline=None)
@given(
    _patterns.map("".join),
    st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=4),
    st.text("abc\n", max_size=4),
)
def test_no_search_takes_more_steps_than_were_counted(pattern, units, tail):
    try:
        tree = committed(trimmed(parse(pattern, fold=False)))
    except ValueError:
        assume(condition=False)
    counted = steps(tree, ROOM)

    for unit in units:
        engine = Engine(((unit * ROOM)[: ROOM - len(tail)] + tail)[:ROOM])
        try:
            assert engine.search(tree) <= counted
        except TooLongError:
            assert counted > ENOUGH


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^x.*a{40}b", "x" + "a" * 120),
        ("^.*a{40}b.*c", "a" * 120),
        ("^x.*(?:a{20}|b)c", "x" + "a" * 63),
        ("^x(?:ab{0,60}){1,2}b{30}c", "xa" + "b" * 99),
        ("^x(?:ab){0,60}(?:ab){20}c", "x" + "ab" * 60),
        ("^x.*(?:abcdefgh|" + "|".join(f"{letter}bcdefgh" for letter in "ijklmnopqrs") + ")z", "x" + "y" * 100),
        ("^x.*a[ab]{0,40}c", "x" + "ab" * 31),
        ("^x.*(?:ab|ab|a)c", "x" + "ab" * 31),
        ("^x.*ab[ab]*c", "x" + "ab" * 31),
        ("^x.*a[0-9]*b", "x" + "a0" * 31),
        ("^x.*a{3}[0-9]*b", "x" + "a0" * 31),
    ],
)
def test_the_count_is_not_too_low_where_it_is_close(pattern, text):
    tree = committed(trimmed(parse(pattern, fold=False)))

    assert Engine(text).search(tree) <= steps(tree, len(text))


@pytest.mark.parametrize(
    ("pattern", "worst"),
    [
        ("a.*a.*ab", "a"),
        ("a[ab]*ab", "ab"),
        ("a.*(?:ab|ac)d", "ab"),
        ("ab.*ab[abc]*d", "ab"),
        ("a(?:bc|ba|a)*d", "a"),
        ("^.*a.*b.*d$", "ab"),
    ],
)
def test_the_count_is_close_enough_to_be_of_use(pattern, worst):
    tree = committed(trimmed(parse(pattern, fold=False)))
    taken = Engine((worst * 64)[:64]).search(tree)

    assert taken <= steps(tree, 64) <= 12 * taken


def test_the_count_grows_with_the_text():
    tree = trimmed(parse("a.*b.*d", fold=False))

    assert steps(tree, 64) < steps(tree, 128) < steps(tree, LONGEST_SUBJECT)
    assert steps(trimmed(parse("x(a|aa)+y", fold=False))) > MOST_STEPS
