"""Patterns: one meaning in every engine, and what is refused so that no search takes long."""

import json
import subprocess
import sys

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from grayflow.core.pattern import LONGEST_SUBJECT, compile_pattern
from tests.core.patterns import patterns, subjects


def found(pattern, subject, *, fold=False):
    """The answer, which both engines must agree on."""
    compiled = compile_pattern(pattern, fold=fold)
    short, long = compiled.short(subject) is not None, compiled.long(subject) is not None

    assert short is long, f"re says {short}, RE2 says {long}"
    return short


@pytest.fixture
def no_re2(monkeypatch):
    monkeypatch.setitem(sys.modules, "re2", None)


class TestMeaning:
    @pytest.mark.parametrize(
        ("pattern", "yes", "no"),
        [
            ("b", ["abc", "b"], ["ac", ""]),
            ("", ["", "x"], []),
            ("^b", ["bc"], ["ab", "a\nb"]),
            ("b$", ["ab"], ["ba", "b\n"]),
            (r"b\z", ["ab"], ["b\n"]),
            (r"b\Z", ["ab"], ["b\n"]),
            (r"\Ab", ["b"], ["ab"]),
            ("(?m)^b$", ["a\nb", "b\nc"], ["ab"]),
            ("(?m)b$", ["b\n"], []),
            ("a.c", ["abc", "aéc", "a\rc"], ["ac", "a\nc"]),
            ("(?s)a.c", ["a\nc"], ["ac"]),
            ("a(?s:.)c.", ["a\ncx"], ["a\nc\n"]),
            (r"^\d+$", ["0123"], ["\u0661", "12a", "\u00b2"]),
            (r"^\w+$", ["a_1"], ["é", "a-b", "ß"]),
            (r"^\s+$", [" \t\n\f\r"], ["\u00a0", "\v", "\u2003"]),
            (r"\bcat\b", ["a cat!", "cat", "écaté"], ["cats", "_cat"]),
            (r"\Bat", ["cat"], ["at", "éat"]),
            (r"^\B$", [""], ["a"]),
            (r"a\B", ["ab"], ["a", "aé"]),
            (r"a*\B", ["", "-", "é-"], ["aéa"]),
            ("[[:alpha:]]", ["é1b"], ["é1"]),
            ("^[[:^alpha:]]$", ["1", "é"], ["b"]),
            (r"^[[:digit:]\-x]+$", ["1-x"], ["y"]),
            ("^[]a]+$", ["]a"], ["b"]),
            ("^[^]a]$", ["b"], ["]", "a"]),
            (r"^[\w-]+$", ["a-b"], ["a.b"]),
            ("^[a-]$", ["a", "-"], ["b"]),
            (r"^[\b]$", ["\b"], ["b"]),
            ("^[[.]$", ["[", "."], ["a"]),
            ("[^a]", ["\n", "é"], ["a"]),
            ("(?i)straße", ["STRAßE", "STRAẞE"], ["STRASSE"]),
            ("(?i)k", ["K", "\u212a"], ["c"]),
            ("(?i)i", ["I"], ["\u0131", "\u0130"]),
            ("a(?i)b|c", ["aB", "C"], ["Ab"]),
            ("a(?:(?i)b)c", ["aBc"], ["aBC"]),
            ("(?i:a)b", ["Ab"], ["AB"]),
            ("(?i)a(?-i)b", ["Ab"], ["AB"]),
            ("(?i)[^b]", ["c"], ["b", "B"]),
            (r"(?i)[\Wx]", ["X", "-"], ["y", "Y", "s", "K"]),
            (r"(?i)\W", ["-"], ["s", "k"]),
            ("(?P<first>a)(?<second>b)", ["ab"], ["ba"]),
            (r"\Qa.b*\E+", ["a.b**"], ["aXb"]),
            (r"\Q(?", ["(?"], ["("]),
            (r"\Q\E", ["", "x"], []),
            (r"\x41\x{e9}\u00e9\U0001F600", ["Aéé\U0001f600"], ["A"]),
            (r"\0\07\012", ["\0\x07\n"], ["\0"]),
            (r"\a\t\n\r\v\f", ["\a\t\n\r\v\f"], ["t"]),
            (r"\.\*\-\_\/\é", [".*-_/é"], ["x"]),
            ("x{", ["x{"], ["x"]),
            ("x{a}", ["x{a}"], ["xa"]),
            ("^a{2}$", ["aa"], ["a", "aaa"]),
            ("^a{2,}$", ["aa", "aaaa"], ["a"]),
            ("^a{1,2}$", ["a", "aa"], ["", "aaa"]),
            ("^a{0}b$", ["b"], ["ab"]),
            ("^(?:a|)b$", ["ab", "b"], ["aab"]),
            ("^(?:a?){3}$", ["", "aaa"], ["aaaa"]),
            ("(?:^)*a", ["ba"], ["b"]),
            ("a??b", ["b", "ab"], ["a"]),
            ("(?U)a+b", ["aab"], ["b"]),
            ("(?)a", ["a"], ["b"]),
            ("^(?:[a-c]|[b-e]|x)$", ["a", "e", "x"], ["f"]),
            ("[^\\x00-\\x{10FFFF}]", [], ["", "a"]),
            ("(?s)^.$", ["\n", "\U0001f600"], ["", "ab"]),
            ("^.+@.+\\..+$", ["joe@example.com"], ["joe@example", "@.", "a@b.", "a\n@b.c"]),
            ("^.*a.*b.*c$", ["xaxbxc", "abc", "bacbc"], ["cba", "acb", "ac\nb"]),
            (".*@(foo|bar)\\.com", ["me@bar.com.au"], ["me@baz.com"]),
            ("(iPhone|iPad).*OS (1[0-9]|[4-9])_", ["iPad; CPU OS 17_1"], ["iPad; CPU OS 3_1"]),
        ],
    )
    def test_both_engines_agree_on_the_answer(self, pattern, yes, no):
        assert [subject for subject in yes if not found(pattern, subject)] == []
        assert [subject for subject in no if found(pattern, subject)] == []

    def test_folding_a_pattern_is_as_if_it_began_with_the_flag(self):
        assert found("^Straße[a-c]$", "sTRAẞEB", fold=True)
        assert found("(?-i)A", "A", fold=True)
        assert not found("(?-i)A", "a", fold=True)

    # What is compared with is what RE2 makes of the text as the author wrote it.
    @settings(max_examples=400)
    @given(patterns, st.lists(subjects, min_size=1, max_size=6))
    def test_a_pattern_means_what_re2_says(self, pattern, texts):
        try:
            compiled = compile_pattern(pattern)
        except ValueError:
            return
        options = re2.Options()
        options.log_errors = False
        original = re2.compile(pattern, options)
        for subject in texts:
            short, long = compiled.short(subject) is not None, compiled.long(subject) is not None
            assert short is long
            # google-re2 1.1 finds \B inside a character of several bytes.
            if subject.isascii() or r"\B" not in pattern:
                assert short is (original.search(subject) is not None)


class TestSubjects:
    def test_re_reads_512_characters_and_re2_the_rest(self):
        compiled = compile_pattern("b$")

        assert compiled.search("a" * (LONGEST_SUBJECT - 1) + "b") is True
        assert compiled.search("a" * LONGEST_SUBJECT + "b") is True
        assert compiled.search("a" * 10_000_000) is False
        assert compiled.search("é" * LONGEST_SUBJECT + "b") is True

    def test_without_re2_longer_text_cannot_be_read(self, no_re2):
        compiled = compile_pattern("b$")

        assert compiled.search("a" * (LONGEST_SUBJECT - 1) + "b") is True
        assert compiled.search("a" * LONGEST_SUBJECT + "b") is None

    @pytest.mark.parametrize("length", [0, LONGEST_SUBJECT])
    def test_half_a_surrogate_pair_cannot_be_read(self, length):
        assert compile_pattern(".").search("\ud800" + "a" * length) is None


REFUSED = [
    ("a(?=b)", "look-around is not allowed"),
    ("a(?!b)", "look-around is not allowed"),
    ("(?<=a)b", "look-around is not allowed"),
    ("(?<!a)b", "look-around is not allowed"),
    (r"(a)\1", "back-references are not allowed"),
    (r"(?P<n>a)(?P=n)", "back-references are not allowed"),
    (r"(?P<n>a)\k<n>", "back-references are not allowed"),
    (r"(a)?(?(1)b|c)", "conditional groups are not allowed"),
    ("(?>a)b", "atomic groups are not allowed"),
    ("(?#x)a", "comments are not allowed"),
    ("(?|a|b)", r"opens no kind of group that is allowed"),
    ("(?R)", r"flag R is not allowed"),
    ("(?1)", r"opens no kind of group that is allowed"),
    ("(?P>n)", r"opens no kind of group that is allowed"),
    ("(?x)a b", "flag x is not allowed; i, m, s and U are"),
    ("(?-)a", "opens no kind of group that is allowed"),
    ("a*+", "cannot be repeated or possessive"),
    ("a**", "cannot be repeated or possessive"),
    ("a{2}{3}", "cannot be repeated or possessive"),
    ("*a", "nothing that \\* could repeat"),
    ("a|+", "nothing that \\+ could repeat"),
    ("(?i)*", "nothing that \\* could repeat"),
    ("({2})", "nothing that { could repeat"),
    ("a{,3}", "write {0,n}"),
    ("a{3,1}", "ends below its beginning"),
    ("a{1001}", "repeats more than 1000 times"),
    ("a{1,99999999999999999999}", "repeats more than 1000 times"),
    ("(a{100}){100}", "written out the pattern is too long"),
    ("(?:" + "[^a]" * 3 + "){1000}", "written out the pattern is too long"),
    ("(a", r"the \( has no \)"),
    ("a)", r"a \) without its \("),
    ("[a", r"the \[ has no \]"),
    ("[]", r"the \[ has no \]"),
    ("[b-a]", "is no range"),
    (r"[a-\d]", "is no range"),
    ("[[:foo:]]", "is no class; known are alnum"),
    (r"[\Qa]", "means nothing here"),
    (r"[\B]", "means nothing here"),
    (r"\y", "means nothing here"),
    (r"\e", "means nothing here"),
    ("a\\", "the backslash at the end"),
    (r"\p{L}", "Unicode properties"),
    (r"\x{110000}", "is the code of no character"),
    (r"\x{d800}", "is the code of no character"),
    (r"\xg", "means nothing here"),
    ("\ud800", "half a surrogate pair"),
    ("a" * 10_001, "10000 are allowed"),
    ("(" * 51 + ")" * 51, "nested deeper than 50"),
    ("(a+)+$", "inside an unbounded repeat"),
    ("(a*)*", "inside an unbounded repeat"),
    (r"(\w+\s?)*$", "inside an unbounded repeat"),
    ("((ab?c+)d)*x", "inside an unbounded repeat"),
    ("(?:(?:a{2,}b)?c)+", "inside an unbounded repeat"),
    ("a*a*b", "two unbounded repeats in a row"),
    (".*.*x", "two unbounded repeats in a row"),
    (r"\d+\w+$", "two unbounded repeats in a row"),
    (r"^\d+\.?\d*$", "two unbounded repeats in a row"),
    (r"a*b?(?:c|)\b(a*)d", "two unbounded repeats in a row"),
    ("(?:x|a+)(?:a+|y)z", "two unbounded repeats in a row"),
    ("(?:a+b?){2}x", "two unbounded repeats in a row"),
    ("(?i)k*\u212a*x", "two unbounded repeats in a row"),
    ("(.*a){20}", "more than 5,000,000 steps"),
    ("(.*?,){11}P", "more than 5,000,000 steps"),
    ("xa{0,400}[ab]{0,400}c{0,400}a{0,400}d$", "more than 5,000,000 steps"),
    ("xa{0,500}a{0,500}b", "more than 5,000,000 steps"),
    ("x(?:a{0,30}){0,30}b", "more than 5,000,000 steps"),
    ("x(?:a|a?){30}b", "more than 5,000,000 steps"),
    ("y(?:x|(?:a|ab|b)*)c", "more than 5,000,000 steps"),
    ("x(a|aa)+y", "more than 5,000,000 steps"),
]


class TestRefusals:
    @pytest.mark.parametrize(("pattern", "message"), REFUSED)
    def test_refused_with_its_reason(self, pattern, message):
        with pytest.raises(ValueError, match=message):
            compile_pattern(pattern)

    @pytest.mark.parametrize(("pattern", "message"), REFUSED)
    def test_refused_without_re2_as_well(self, pattern, message, no_re2):
        with pytest.raises(ValueError, match=message):
            compile_pattern(pattern)

    def test_the_message_says_where(self):
        with pytest.raises(ValueError, match=r"^at character 3 of the pattern: look-around"):
            compile_pattern("ab(?=c)")

    @settings(max_examples=300)
    @given(st.text("ab(?:|)[]^-\\dQEx{}0123,*+$.<=!>Pi", max_size=14))
    def test_any_text_compiles_or_is_refused_with_a_reason(self, text):
        try:
            told = compile_pattern(text).search("ab")
        except ValueError as error:
            told = str(error)

        assert told in {True, False} or len(told) > 20

    @pytest.mark.parametrize(
        "pattern",
        [
            r"^[\w.+-]+@[\w-]+\.[\w.-]+$", r"\S+@\S+\.\S+", r"^[^@]+@[^@]+\.[a-z]{2,}$", r"@example\.(com|org)$",
            ".*@example[.]com",
            "^(?:https?://)?[^/]+/.*[.](png|jpe?g|gif)$", r"^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$",
            r"^(\d{1,3}\.){3}\d{1,3}$",
            r"^v?\d+\.\d+(\.\d+)?(-[\w.]+)?$", r"^[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}$",
            r"Mozilla.*Chrome/(\d+)\.(\d+)", "(Android|Linux).*(Chrome|Firefox)/[0-9]+",
            r"foo.*\.internal\.example\.com$",
            r"@.*(com|org|net|io|dev)$", "hello.*world", "^(alpha|beta|gamma)$", r"^/api/v[0-9]+/users/[^/]+$",
            r"^\s*\w+\s*$",
            r"^[\w.+-]+@([\w-]{1,63}\.)+[\w-]{2,24}$", "^.*a.*b.*c.*d.*e.*f$", r"\s+$", r"^(\+\d{1,3})?[ -]?\d{5,}$",
            "(?i)^(yes|no)$",
            r"^([01]?\d|2[0-3]):[0-5]\d$", r"#.*#.*#", "x(?:a?)*y", "(foo|bar|baz)+",
            "|".join(f"user-{i}@example" for i in range(400)),
            "^(?:" + "|".join(f"tenant_{i}" for i in range(500)) + ")$",
        ],
    )  # fmt: skip
    def test_everyday_patterns_are_allowed(self, pattern):
        assert compile_pattern(pattern).search("") in (True, False)


# The known ways to stop a backtracking engine, most of them from reports about real programs.
NOTORIOUS = [
    *[pattern for pattern, _ in REFUSED if len(pattern) < 60],
    "^(a+)+$",
    "^([a-zA-Z0-9])(([\\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}(([a-z]{2,3})|([a-z]{2,3}[.]{1}[a-z]{2,3}))$",
    "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y", "(?:.|\\n)*x(?:.|\\n)*y", r"[\s\u200c]+|[\s\u200c]+$", r"\s+$",
    (r"(?:(?:\"|'|\]|\}|\\|\d|(?:nan|infinity|true|false|null|undefined|symbol|math)|\`|\-|\+)+[)]*;?"
    r"((?:\s|-|~|!|{}|\|\||\+)*.*(?:.*=.*)))"),
    "^(?:.?.?.?.?.?.?.?)*$", "(?:a?){40}a{40}", "(?:a{0,9}b?){9}c", "^(.*?,){11}P", "(a|a)*b", "(a|b|ab)*c",
    "(?:ab?|ba?)*c", "a.*b.*c.*d.*e",
    "^.*a.*b.*c.*d$", "x.*aaaaaaaaaaaaaaab", "a.*[ab][ab][ab][ab][ab][ab]c", "a[ab]*[bc][ab]*c",
    r"\w(?:\w|-\w){0,500}\.c", "(?:[^,]{0,50},){11}P",
    "a{1,200}b{0,200}a{1,200}c", "(.*)=(.*)", r"^\S+\s\S+\s\S+\s\S+x$", ".*a.*a.*a.*ab", r"(?:\ba|a\B|-)*x",
    r"^(?:\d+|\w)+$",
    r"^[\w-]+(\.[\w-]+)*@", r"<[^>]*>[^<]*</[^>]*>x", "(?i)a.*k.*\u212ab", "((a{0,5}){0,5}){0,5}$",
    "^((ab)*c?){0,50}d", "a.*(?:ab|ac|ad|ae)f",
]  # fmt: skip

_SEARCH_THEM_ALL = """
import itertools, json, sys
from grayflow.core.pattern import compile_pattern

for pattern in json.load(sys.stdin):
    try:
        search = compile_pattern(pattern).short
    except ValueError:
        continue
    letters = sorted({char for char in pattern if char.isalnum()} | set("a,@- "))[:12]
    pairs = map("".join, itertools.product(letters[:7], repeat=2))
    for unit in [*letters, *pairs, "aab", "ab-", "a,a", "x-a"]:
        text = unit * 512
        search(text[:512]), search(text[:511] + "!"), search(text[:510] + "\\n!")
print("done")
"""


def test_no_notorious_pattern_stops_a_program():
    # Killed after a time that a single exponential or cubic search would exceed many times over.
    done = subprocess.run(
        [sys.executable, "-c", _SEARCH_THEM_ALL],
        input=json.dumps(NOTORIOUS),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.stdout == "done\n", done.stderr
