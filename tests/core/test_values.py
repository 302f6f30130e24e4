"""Reading values: coercion, kinds, and equality that survives whatever it is given."""

import math
import sys
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.core.values import (
    Alternatives,
    as_number,
    as_text,
    equal,
    json_value,
    kind,
    number,
    over_elements,
    shown,
    text,
)
from tests.core.hostile import Colour, Level, Liar, Thorny, nested, zoo

json_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def deep(wanted, value):
    return value in Alternatives.of([json_value(wanted)])


class TestText:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("a", "a"), ("", ""), ("1.0", "1.0"), (" a ", " a "), (True, "true"), (False, "false"),
            (0, "0"), (-5, "-5"), (10**30, "1" + "0" * 30), (1.0, "1"), (-0.0, "0"), (1e21, "1000000000000000000000"),
            (1.5, "1.5"), (0.1, "0.1"), (1e-7, "1e-07"), (-2.5, "-2.5"), (1e300, str(int(1e300))),
            (Colour.RED, "red"), (Level.HIGH, "3"),
            (None, None), (math.nan, None), (math.inf, None), (b"a", None), ([], None), ({}, None), (10**400, None),
        ],
    )  # fmt: skip
    def test_coercion_to_text(self, value, expected):
        assert as_text(value) == expected

    def test_the_longest_number_that_becomes_text_has_400_digits(self):
        assert as_text(10**400 - 1) == "9" * 400
        assert as_text(-(10**400)) is None

    @pytest.mark.parametrize("limit", [640, 4300])
    def test_no_number_runs_into_the_limit_on_digits(self, limit):
        before = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(limit)
        try:
            for digits in (399, 400, 401, 639, 640, 641, 4300, 5000):
                assert as_text(10**digits) == ("1" + "0" * 399 if digits == 399 else None)
                assert as_number("9" * digits) == (10**digits - 1 if digits <= 400 else None)
                assert shown(10**digits) == "a huge number"
        finally:
            sys.set_int_max_str_digits(before)

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_the_text_of_a_float_reads_back_as_the_same_number(self, value):
        assert as_number(as_text(value)) == value

    @given(st.integers(-(10**400) + 1, 10**400 - 1))
    def test_the_text_of_a_whole_number_reads_back_as_the_same_number(self, value):
        # A sign and 400 digits are one character more than is read as a number.
        assert as_number(as_text(value)) in (value, None if len(as_text(value)) > 400 else value)

    def test_plain_text_comes_out_of_a_subclass(self):
        for given_, expected in ((Colour.RED, "red"), (Liar("a"), "a")):
            assert type(text(given_)) is str
            assert text(given_) == expected


class TestNumber:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("1", 1), ("-1", -1), ("+1", 1), ("007", 7), ("1.5", 1.5), ("5.", 5.0), (".5", 0.5), ("-.5", -0.5),
            ("1e3", 1000.0), ("1E-2", 0.01), ("1.e2", 100.0), (" \t\n\r\f\v1 ", 1), (str(2**70), 2**70), (3, 3),
            (2.5, 2.5),
            (Level.HIGH, 3), ("9" * 400, int("9" * 400)),
            ("", None), (" ", None), (".", None), ("+", None), ("e5", None), ("1e", None), ("1,000", None),
            ("1_000", None),
            ("0x10", None), ("inf", None), ("nan", None), ("Infinity", None), ("1e999", None), ("--1", None),
            ("1 2", None),
            ("١٢", None), ("\u00a01", None), ("9" * 401, None), (True, None), (math.nan, None), (math.inf, None),
            (None, None),
            (b"1", None), ([1], None),
        ],
    )  # fmt: skip
    def test_coercion_to_a_number(self, value, expected):
        found = as_number(value)

        assert found == expected
        assert type(found) is type(expected)

    def test_plain_numbers_come_out_of_subclasses(self):
        class Real(float):
            pass

        assert type(number(Level.HIGH)) is int
        assert type(number(Real(1.5))) is float
        assert number(Real("nan")) is None


class TestKind:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (True, "boolean"), (1, "number"), (1.5, "number"), ("", "text"), (Colour.RED, "text"),
            (Level.HIGH, "number"),
            ([], "list"), ((), "list"), (set(), "list"), ({}, "object"), (MappingProxyType({}), "object"),
            (None, None), (math.nan, None), (-math.inf, None), (b"", None), (1j, None), (Thorny(), None),
        ],
    )  # fmt: skip
    def test_kinds(self, value, expected):
        assert kind(value) == expected


class TestEqual:
    @given(json_trees)
    def test_every_value_equals_itself(self, value):
        assert deep(value, value)

    @given(json_trees, json_trees)
    def test_equality_is_symmetric(self, one, other):
        assert deep(one, other) == deep(other, one)

    @pytest.mark.parametrize(
        ("wanted", "value"),
        [
            (1, 1.0), (1.0, 1), (0, -0.0), (2**53, float(2**53)), ("red", Colour.RED), (3, Level.HIGH),
            ([1, [2]], (1.0, (2,))), ({"a": [1]}, MappingProxyType({"a": (1,)})), ({}, {}), ([], ()), ([None], [None]),
            ([True], [True]),
        ],
    )  # fmt: skip
    def test_equal(self, wanted, value):
        assert deep(wanted, value)

    @pytest.mark.parametrize(
        ("wanted", "value"),
        [
            (1, True), (True, 1), ([True], [1]), (0, False), (False, 0), ("1", 1), (1, "1"), (None, False),
            (False, None), ("", None),
            (2**53 + 1, float(2**53)), ("a", b"a"), ([1], [True]), ([1], [1, 2]), ([1, 2], [1]), ([1], {1}), ([], {}),
            ({}, []),
            ({"a": 1}, {"a": 1, "b": 2}), ({"a": 1}, {"b": 1}), ({"1": 1}, {1: 1}), ({"a": None}, {"b": None}),
            ([1], "1"),
            ([1], math.nan), (1, math.nan), ("a", Thorny()), (["a"], Thorny()),
        ],
    )  # fmt: skip
    def test_different(self, wanted, value):
        assert not deep(wanted, value)

    @pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}])
    def test_the_depth_of_what_is_compared_is_bounded(self, wrap):
        assert deep(nested(wrap, 31), nested(wrap, 31))
        assert not deep(nested(wrap, 31), nested(wrap, 100_000))
        with pytest.raises(ValueError, match="deeper than 32 levels"):
            json_value(nested(wrap, 32))

    def test_what_holds_itself_equals_nothing(self):
        loop = []
        loop.append(loop)

        assert not deep([[[]]], loop)
        assert not equal(loop, json_value(nested(lambda inner: [inner], 31)))

    @pytest.mark.parametrize("value", [math.nan, math.inf, b"", object(), [math.nan], {1: 2}, {"a": {1}}, 1j])
    def test_what_json_does_not_have_is_no_alternative(self, value):
        with pytest.raises(ValueError, match="is no"):
            json_value(value)

    def test_scalars_are_looked_up_and_not_searched(self):
        known = Alternatives.of(json_value([*range(1000), *map(str, range(1000)), True, None]))

        assert known.deep == ()
        assert all(value in known for value in (999, 999.0, "999", True, None))
        assert all(value not in known for value in (1000, "1000", False, 1.5))


class TestElements:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (3, True), (1, False), ("x", None), ([], False), ((), False), (set(), False), ([3], True), ([1, 3], True),
            ([1, 2], False), (["x", 3], True), (["x", 1], False), (["x"], None), (["x", "y"], None), ([None], None),
            ([[3]], None), ({3, "x"}, True), (frozenset({1}), False),
        ],
    )  # fmt: skip
    def test_any_element_decides(self, value, expected):
        test = over_elements(lambda found: None if number(found) is None else found > 2)

        assert test(value) is expected


def test_whatever_it_is_it_can_be_shown_in_a_message():
    for value in [*zoo(), None]:
        assert 0 < len(shown(value)) < 100


def test_whatever_it_is_it_can_be_read():
    for value in [*zoo(), None]:
        for read in (text, number, as_text, as_number, kind):
            read(value)
        assert isinstance(value in Alternatives.of(json_value(["a", 1, [1], {"a": 1}, None])), bool)
