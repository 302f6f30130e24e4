"""What every operator says of attributes it can read, of those it cannot, and of bad entries among its values."""

import ipaddress
import math
import operator
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.core.flag import Attribute
from grayflow.core.operators import BUILT_IN, prepare
from tests.core.hostile import Colour, Level

YEAR = "2027-01-01T00:00:00Z"


def prepared(op, *values, **options):
    return prepare(Attribute(name="x", op=op, values=values, **options), {})


def ask(op, values, attribute, **options):
    ready = prepared(op, *values, **options)
    assert ready.problems == ()
    return ready.test(attribute)


def table(*rows):
    # Named by hand: pytest would write out numbers of 5000 digits, which CPython refuses.
    return pytest.mark.parametrize(("op", "values", "attribute", "expected"), rows, ids=[row[0] for row in rows])


@table(
    ("in", ["a", "b"], "b", True),
    ("in", ["a", "b"], "c", False),
    ("in", ["a"], "A", False),
    ("in", ["red"], Colour.RED, True),
    ("in", [1], 1, True),
    ("in", [1], 1.0, True),
    ("in", [1.0], 1, True),
    ("in", [3], Level.HIGH, True),
    ("in", [1], True, False),
    ("in", [True], 1, False),
    ("in", [True], True, True),
    ("in", [False], 0, False),
    ("in", [0], False, False),
    ("in", ["1"], 1, False),
    ("in", [1], "1", False),
    ("in", [2**53 + 1], float(2**53), False),
    ("in", [1], math.nan, False),
    ("in", ["a"], b"a", False),
    ("in", ["a"], object(), False),
    ("in", ["a"], {}, False),
    ("in", [{"a": [1]}], {"a": (1.0,)}, True),
    ("in", [{"a": [1]}], MappingProxyType({"a": [1]}), True),
    ("in", [{"a": [1]}], {"a": [True]}, False),
    ("in", ["a", "b"], ["x", "b"], True),
    ("in", ["a", "b"], ("x", "y"), False),
    ("in", ["a"], {"a"}, True),
    ("in", ["a"], [], False),
    ("in", ["a"], [None], False),
    ("in", [None], [1, None], True),
    ("in", [[1, 2]], [[1, 2]], True),
    ("in", [[1, 2]], [1, 2], False),
    ("in", [], "a", False),
    ("in", [], [], False),
    ("equals", [[1, 2]], [1, 2], True),
    ("equals", [[1, 2]], (1.0, 2), True),
    ("equals", [[1, 2]], [2, 1], False),
    ("equals", [1, 2], [1], False),
    ("equals", ["a", {"a": None}], {"a": None}, True),
    ("equals", ["a", "b"], "b", True),
    ("equals", [True], 1, False),
    ("equals", [1], 1.0, True),
    ("equals", [[]], set(), False),
    ("equals", [], "a", False),
    ("is", ["boolean"], True, True),
    ("is", ["boolean"], 1, False),
    ("is", ["number"], 1, True),
    ("is", ["number"], 1.5, True),
    ("is", ["number"], True, False),
    ("is", ["number"], math.nan, False),
    ("is", ["number"], "1", False),
    ("is", ["text"], "", True),
    ("is", ["text"], Colour.RED, True),
    ("is", ["text"], b"", False),
    ("is", ["list"], [], True),
    ("is", ["list"], ("a",), True),
    ("is", ["text"], ["a"], False),
    ("is", ["object"], {}, True),
    ("is", ["list", "object"], {}, True),
    ("is", ["object"], datetime(2027, 1, 1, tzinfo=UTC), False),
    ("is", [], "a", False),
    ("exists", [], "", True),
    ("exists", [], False, True),
    ("exists", [], [], True),
    ("exists", [True], 0, True),
    ("exists", [False], 0, False),
    ("exists", [True, False], 0, True),
)
def test_equality_and_kinds(op, values, attribute, expected):
    assert ask(op, values, attribute) is expected


@table(
    ("starts_with", ["ab"], "abc", True),
    ("starts_with", ["b", "a"], "abc", True),
    ("starts_with", ["b"], "abc", False),
    ("starts_with", [""], "", True),
    ("ends_with", ["bc"], "abc", True),
    ("ends_with", ["x", "c"], "abc", True),
    ("ends_with", ["b"], "abc", False),
    ("contains", ["b"], "abc", True),
    ("contains", ["x", "b"], "abc", True),
    ("contains", ["x", "y"], "abc", False),
    ("contains", ["B"], "abc", False),
    ("contains", ["e"], Colour.RED, True),
    ("contains", ["b"], ["x", "abc"], True),
    ("contains", ["b"], [1, "x"], False),
    ("contains", ["b"], [1, None], None),
    ("contains", ["b"], [["b"]], None),
    ("contains", ["1"], 1, None),
    ("contains", ["a"], {"a": 1}, None),
    ("contains", ["a"], b"a", None),
    ("contains", [], "abc", False),
    ("contains", [], 1, None),
    ("matches", ["^a.c$"], "abc", True),
    ("matches", ["x", "b"], "abc", True),
    ("matches", ["x", "y"], "abc", False),
    ("matches", ["b"], ["x", "abc"], True),
    ("matches", ["b"], 1, None),
    ("matches", ["b"], "\ud800b", None),
    ("matches", ["b", "c"], "\ud800b", None),
    ("matches", [], "abc", False),
)
def test_text(op, values, attribute, expected):
    assert ask(op, values, attribute) is expected


@table(
    ("in", ["Straße", 1], "STRASSE", True),
    ("in", ["a", 1], 1, True),
    ("in", ["A"], Colour.RED, False),
    ("in", ["RED"], Colour.RED, True),
    ("in", ["A"], ["x", "a"], True),
    ("in", [["A"]], [["a"]], False),
    ("equals", ["A"], "a", False),
    ("starts_with", ["STRASS"], "straße", True),
    ("ends_with", ["É"], "café", True),
    ("contains", ["FF"], "oﬀice", True),
    ("contains", ["x"], 1, None),
    ("matches", ["^ABC$"], "abc", True),
    ("matches", ["^abc$"], "ABC", True),
)
def test_fold(op, values, attribute, expected):
    assert ask(op, values, attribute, fold=True) is expected


@table(
    ("in", ["5", 6, True], 5, True),
    ("in", ["5", 6, True], "6", True),
    ("in", ["5", 6, True], 6.0, True),
    ("in", ["5", 6, True], "true", True),
    ("in", ["5"], [5], True),
    ("in", ["5"], [None], None),
    ("in", ["5"], {}, None),
    ("in", ["5"], 10**5000, None),
    ("starts_with", [1], 1.5, True),
    ("contains", ["e"], True, True),
    ("matches", [r"^\d+$"], 42, True),
    ("matches", [4], 42, True),
    ("is", ["text"], 5, True),
    ("is", ["number"], 5, False),
    ("is", ["text"], [], None),
    ("equals", [5], 5, True),
    ("equals", ["5"], 5, False),
    ("semver_eq", ["1.2.0"], "1.2.0", True),
    ("lt", [], 5, None),
    ("before", [YEAR], datetime(2026, 1, 1, tzinfo=UTC), True),
    ("before", [YEAR], 5, None),
    ("exists", [], 5, True),
)
def test_coercion_to_text(op, values, attribute, expected):
    assert ask(op, values, attribute, coerce="text") is expected


@table(
    ("in", ["5", 6], "5.0", True),
    ("in", ["5", 6], 5, True),
    ("in", ["5"], "x", None),
    ("in", ["5"], True, None),
    ("in", ["5"], ["x", "5"], True),
    ("gt", ["5"], "10", True),
    ("gt", [5], " 4 ", False),
    ("gt", [5], "1e1", True),
    ("gt", [5], "x", None),
    ("gt", [5], "inf", None),
    ("gt", [5], True, None),
    ("is", ["number"], "5", True),
    ("is", ["number"], "x", None),
    ("contains", [], "5", None),
    ("matches", [], "5", None),
    ("equals", ["5"], 5, False),
    ("before", [YEAR], "2026-01-01T00:00:00Z", True),
    ("before", [YEAR], datetime(2026, 1, 1, tzinfo=UTC), True),
    ("cidr", ["10.0.0.0/8"], "10.0.0.1", True),
)
def test_coercion_to_numbers(op, values, attribute, expected):
    assert ask(op, values, attribute, coerce="number") is expected


@table(
    ("lt", [5], 4, True),
    ("lt", [5], 5, False),
    ("le", [5], 5, True),
    ("gt", [5], 5, False),
    ("ge", [5], 5.0, True),
    ("lt", [1, 5], 4, True),
    ("gt", [1, 5], 2, True),
    ("le", [1, 5], 6, False),
    ("ge", [5, 9], 4, False),
    ("lt", [2**53 + 1], float(2**53), True),
    ("lt", [float(2**53)], 2**53 + 1, False),
    ("lt", [1.5], 10**5000, False),
    ("gt", [1.5], 10**5000, True),
    ("gt", [10**5000], 1e308, False),
    ("lt", [5], Level.HIGH, True),
    ("lt", [5], math.nan, None),
    ("lt", [5], -math.inf, None),
    ("lt", [5], True, None),
    ("lt", [5], "4", None),
    ("lt", [5], [9, 4], True),
    ("lt", [5], [9, "4"], False),
    ("lt", [5], [math.nan], None),
    ("lt", [], 5, False),
    ("lt", [], "5", None),
)
def test_numbers(op, values, attribute, expected):
    assert ask(op, values, attribute) is expected


@table(
    ("before", [YEAR], "2026-12-31T23:59:59.999999999Z", True),
    ("before", [YEAR], YEAR, False),
    ("before", [YEAR], "2027-01-01T00:30:00+01:00", True),
    ("after", [YEAR], YEAR, False),
    ("after", [YEAR], "2027-01-01T00:00:00.0000000001Z", True),
    ("before", [YEAR, "2028-01-01T00:00:00Z"], "2027-06-01T00:00:00Z", True),
    ("after", [YEAR, "2028-01-01T00:00:00Z"], "2027-06-01T00:00:00Z", True),
    ("before", [YEAR], datetime(2026, 12, 31, tzinfo=UTC), True),
    ("before", [YEAR], datetime(2027, 1, 1, tzinfo=UTC), False),
    ("after", [YEAR], datetime(2027, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), False),
    ("before", ["2027-01-01T00:00:00.0000005Z"], datetime(2027, 1, 1, tzinfo=UTC), True),
    ("after", ["2027-01-01T00:00:00.0000005Z"], datetime(2027, 1, 1, 0, 0, 0, 1, tzinfo=UTC), True),
    ("after", ["2027-01-01T00:00:00.0000005Z"], datetime(2027, 1, 1, tzinfo=UTC), False),
    ("before", ["9999-12-31T23:59:60Z"], datetime.max.replace(tzinfo=UTC), True),
    ("after", ["0001-01-01T00:00:00+10:00"], datetime.min.replace(tzinfo=UTC), True),
    ("before", [YEAR], datetime(2026, 1, 1), None),  # noqa: DTZ001 - naive on purpose
    ("before", [YEAR], datetime(2026, 1, 1, tzinfo=UTC).date(), None),
    ("before", [YEAR], "2026-01-01", None),
    ("before", [YEAR], 0, None),
    ("before", [YEAR], ["2026-01-01", "2026-01-01T00:00:00Z"], True),
    ("before", [], YEAR, False),
    ("before", [], datetime(2026, 1, 1, tzinfo=UTC), False),
    ("before", [], 0, None),
)
def test_instants(op, values, attribute, expected):
    assert ask(op, values, attribute) is expected


@pytest.mark.parametrize(
    ("epoch", "values", "attribute", "expected"),
    [
        ("s", [YEAR], 1_798_761_599, True),
        ("s", [YEAR], 1_798_761_600, False),
        ("s", [YEAR], 1_798_761_599.999, True),
        ("ms", [YEAR], 1_798_761_599_999, True),
        ("ms", [YEAR], 1_798_761_600_000, False),
        ("ms", [1_798_761_600_000], "2026-12-31T23:59:59Z", True),
        ("s", [10], 9.5, True),
        ("s", [0], -1, True),
        ("s", [YEAR], True, None),
        ("s", [YEAR], math.nan, None),
        ("s", [YEAR], "1000", None),
        ("s", [10**400], 10**399, True),
    ],
)
def test_numbers_are_instants_where_an_epoch_says_so(epoch, values, attribute, expected):
    assert ask("before", values, attribute, epoch=epoch) is expected


def test_text_is_an_epoch_number_under_coercion():
    assert ask("before", ["1000"], " 999 ", epoch="s", coerce="number") is True
    assert ask("before", [YEAR], "999", epoch="s", coerce="number") is True


# Far from both ends of the calendar, where no time zone leads out of it.
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(moments, moments)
def test_datetimes_order_as_datetimes(one, other):
    assert ask("before", [other.isoformat()], one) is (one < other)
    assert ask("after", [other.isoformat()], one) is (one > other)
    assert ask("before", [other.isoformat()], one.isoformat()) is (one < other)
    assert ask("after", [other.isoformat()], one.astimezone(timezone(timedelta(hours=-3)))) is (one > other)


@pytest.mark.parametrize(
    ("op", "values", "attribute", "lenient", "expected"),
    [
        ("semver_eq", ["1.2.3"], "1.2.3+build", "no", True),
        ("semver_eq", ["1.2.3", "2.0.0"], "2.0.0", "no", True),
        ("semver_eq", ["1.2.3"], "1.2.3-a", "no", False),
        ("semver_lt", ["1.2.3"], "1.2.3-a", "no", True),
        ("semver_lt", ["1.10.0"], "1.9.0", "no", True),
        ("semver_lt", ["1.0.0", "3.0.0"], "2.0.0", "no", True),
        ("semver_le", ["1.2.3"], "1.2.3", "no", True),
        ("semver_gt", ["1.2.3"], "1.2.3", "no", False),
        ("semver_gt", ["1.0.0", "3.0.0"], "2.0.0", "no", True),
        ("semver_ge", ["1.2.3"], "1.2.4", "no", True),
        ("semver_ge", ["1.0.0", "3.0.0"], "2.0.0", "no", True),
        ("semver_le", ["1.0.0", "3.0.0"], "2.0.0", "no", True),
        ("semver_ge", ["1.2.3"], "1.2", "no", None),
        ("semver_ge", ["1.2.3"], "1.3", "partial", True),
        ("semver_ge", ["1"], "v1.2", "partial", None),
        ("semver_ge", ["v1"], "V1.2", "any", True),
        ("semver_ge", ["1.2.3"], 2, "partial", None),
        ("semver_ge", ["1.2.3"], ["x", "2.0.0"], "no", True),
        ("semver_ge", ["1.2.3"], ["x"], "no", None),
        ("semver_ge", [], "1.2.3", "no", False),
        ("semver_caret", ["1.2.3"], "1.9.0", "no", True),
        ("semver_caret", ["1.2.3"], "2.0.0-a", "no", False),
        ("semver_caret", ["1.2.3", "2.1.0"], "2.5.0", "no", True),
        ("semver_caret", ["1"], "1.9.0", "partial", True),
        ("semver_tilde", ["1.2.3"], "1.3.0", "no", False),
        ("semver_tilde", ["1.2"], "1.2.9", "partial", True),
        ("semver_tilde", ["1.2"], "x", "partial", None),
    ],
)
def test_versions(op, values, attribute, lenient, expected):
    assert ask(op, values, attribute, lenient=lenient) is expected


def test_a_number_is_a_version_under_coercion_and_leniency():
    assert ask("semver_ge", [2], 2.5, coerce="text", lenient="partial") is True


@table(
    ("cidr", ["10.0.0.0/8", "::1"], "10.1.2.3", True),
    ("cidr", ["10.0.0.0/8", "::1"], "::1", True),
    ("cidr", ["10.0.0.0/8", "::1"], "11.0.0.1", False),
    ("cidr", ["10.0.0.0/8"], "::ffff:10.0.0.1", True),
    ("cidr", ["10.0.0.0/8"], ipaddress.ip_address("10.0.0.1"), True),
    ("cidr", ["10.0.0.0/8"], ["1.1.1.1", "10.0.0.1"], True),
    ("cidr", ["10.0.0.0/8"], ["x", "1.1.1.1"], False),
    ("cidr", ["10.0.0.0/8"], "x", None),
    ("cidr", ["10.0.0.0/8"], 167772161, None),
    ("cidr", [], "10.0.0.1", False),
)
def test_networks(op, values, attribute, expected):
    assert ask(op, values, attribute) is expected


class TestMissing:
    @pytest.mark.parametrize(
        ("values", "missing"),
        [((), False), ((True,), False), ((False,), True), ((True, False), True), ((False, 1), True)],
    )
    def test_exists_answers_for_what_is_not_there(self, values, missing):
        assert prepared("exists", *values).missing is missing

    @pytest.mark.parametrize("op", sorted(BUILT_IN - {"exists"}))
    def test_all_others_leave_it_to_absent(self, op):
        assert prepared(op).missing is None


BAD = [
    ("in", [float("nan")], {}, "nan is no JSON value"),
    ("in", [{"a": b""}], {}, "type bytes is no JSON value"),
    ("in", [None], {"coerce": "text"}, 'null is not a value that "coerce": "text" can turn'),
    ("in", ["x"], {"coerce": "number"}, '\'x\' is not a value that "coerce": "number" can turn'),
    ("equals", [{1: 2}], {}, "1 is no name in a JSON object"),
    ("is", ["str"], {}, "'str' is not one of boolean, number, text, list, object"),
    ("exists", ["true"], {}, "'true' is not true or false"),
    ("starts_with", [5], {}, "5 is not text"),
    ("starts_with", ["5"], {"coerce": "number"}, "'5' is not text"),
    ("contains", [None], {}, "null is not text"),
    ("matches", [5], {}, "5 is not text that holds a pattern"),
    ("matches", ["(a+)+"], {}, "an unbounded repeat inside an unbounded repeat"),
    ("lt", ["5"], {}, "'5' is not a number"),
    ("lt", [True], {}, "true is not a number"),
    ("lt", ["x"], {"coerce": "number"}, "'x' is not a number"),
    ("lt", [5], {"coerce": "text"}, "5 is not a number"),
    ("before", ["2027-01-01"], {}, "'2027-01-01' is not an instant such as"),
    ("after", [5], {}, "5 is not an instant such as"),
    ("after", ["x"], {"epoch": "ms"}, "or milliseconds since 1970"),
    ("semver_eq", ["1.2"], {}, "'1.2' is not a semantic version such as"),
    ("semver_caret", ["v1"], {"lenient": "partial"}, '("lenient" is "partial")'),
    ("cidr", ["10.0.0.0/33"], {}, "'10.0.0.0/33' is not a network such as"),
]
GOOD = {
    "in": "5", "equals": 1, "is": "text", "exists": True, "starts_with": "a", "contains": "a", "matches": "a",
    "lt": 5, "before": YEAR,
    "after": YEAR, "semver_eq": "1.2.3", "semver_caret": "1.2.3", "cidr": "::1",
}  # fmt: skip


class TestBadValues:
    @pytest.mark.parametrize(("op", "values", "given_", "message"), BAD)
    def test_a_bad_value_is_named_and_with_no_other_nothing_is_tested(self, op, values, given_, message):
        ready = prepared(op, *values, **given_)

        [(path, said)] = ready.problems
        assert path == "values[0]"
        assert message in said
        assert ready.test is None

    @pytest.mark.parametrize(
        ("op", "values", "given_", "message"), [row for row in BAD if row[2].get("coerce") is None]
    )
    def test_the_others_count(self, op, values, given_, message):
        ready = prepared(op, GOOD[op], *values, **given_)

        assert [path for path, _ in ready.problems] == ["values[1]"]
        assert ready.test is not None

    def test_what_is_left_matches(self):
        ready = prepared("lt", "x", 5, True, 3)

        assert [path for path, _ in ready.problems] == ["values[0]", "values[2]"]
        assert (ready.test(4), ready.test(6), ready.test("x")) == (True, False, None)

    def test_an_unknown_operator_is_named_with_the_known_ones(self):
        ready = prepare(Attribute(name="x", op="inn"), {"geo": lambda value, values: True})

        [(path, said)] = ready.problems
        assert ready.test is None
        assert path == "op"
        assert "'inn' is no operator; known are after, before" in said
        assert "geo" in said


class TestQuick:
    @pytest.mark.parametrize(
        ("op", "values", "given_", "types"),
        [
            ("in", ["a", 1, 2.0, None, True], {}, ("str", "int")),
            ("in", ["a", 1], {"coerce": "text"}, ("str",)),
            ("in", [], {}, ("str", "int")),
            ("equals", ["a", 1, ["b"]], {}, ("str", "int")),
            ("equals", ["a"], {"coerce": "number", "fold": True}, ("str", "int")),
            ("contains", ["a"], {}, ("str",)),
            ("contains", ["a", "b"], {"coerce": "text"}, ("str",)),
            ("starts_with", ["a", "1"], {}, ("str",)),
            ("ends_with", [], {}, ("str",)),
            ("lt", [1, 0.5], {}, ("int",)),
            ("le", [1], {"coerce": "number"}, ("int",)),
            ("gt", [1.5], {}, ("int",)),
            ("ge", [1], {}, ("int",)),
        ],
    )
    def test_the_quick_way_says_what_the_test_says(self, op, values, given_, types):
        ready = prepared(op, *values, **given_)

        assert ready.quick.types == types
        for value in ("a", "1", "b", "ab", "") if "str" in types else (), (0, 1, 2, 10**30) if "int" in types else ():
            assert [quickly(ready.quick, one) for one in value] == [ready.test(one) for one in value]

    @pytest.mark.parametrize(
        ("op", "values", "given_"),
        [
            ("in", ["1"], {"coerce": "number"}),
            ("in", ["a"], {"fold": True}),
            ("contains", ["a"], {"fold": True}),
            ("contains", ["1"], {"coerce": "number"}),
            ("lt", [1], {"coerce": "text"}),
            ("gt", [], {}),
            ("matches", ["a"], {}),
        ],
    )
    def test_there_is_none_where_a_value_has_to_be_read_first(self, op, values, given_):
        assert prepared(op, *values, **given_).quick is None


def quickly(quick, value):
    """Do what compiled functions do."""
    signs = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
    if quick.sign == "call":
        return quick.wanted(value)
    return value in quick.wanted if quick.sign == "in" else signs[quick.sign](value, quick.wanted)


class TestForeign:
    def test_a_foreign_operator_gets_the_list_as_it_is(self):
        seen = []
        ready = prepare(
            Attribute(name="x", op="geo", values=(1, "a")), {"geo": lambda *given_: seen.append(given_) or True}
        )

        assert ready.test([None, 2]) is True
        assert seen == [([None, 2], (1, "a"))]
        assert ready.problems == ()

    @pytest.mark.parametrize(
        ("answer", "expected"), [(True, True), (False, False), (None, None), (1, None), ("x", None)]
    )
    def test_only_true_and_false_are_answers(self, answer, expected):
        assert prepare(Attribute(name="x", op="geo"), {"geo": lambda value, values: answer}).test("a") is expected

    def test_one_that_raises_cannot_read(self):
        assert prepare(Attribute(name="x", op="geo"), {"geo": lambda value, values: 1 / 0}).test("a") is None

    def test_a_built_in_name_means_the_built_in(self):
        assert (
            prepare(Attribute(name="x", op="in", values=("a",)), {"in": lambda value, values: False}).test("a") is True
        )
