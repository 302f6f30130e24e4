"""No operator raises, or answers anything but its three answers, whatever a context holds."""

import pytest

from grayflow.core.flag import Attribute
from grayflow.core.operators import BUILT_IN, prepare
from tests.core.hostile import zoo

VALUES = {
    "in": ("a", 1, 1.5, True, None, [1, [2]], {"a": {"b": None}}),
    "equals": ("a", 1, True, [1, [2]], {"a": {"b": None}}),
    "is": ("boolean", "number", "object"),
    "exists": (True,),
    "starts_with": ("a", "1."),
    "ends_with": ("a",),
    "contains": ("ab", "x1"),
    "matches": ("^a.*1", r"(\.1)+$"),
    "before": ("2027-01-01T00:00:00Z",),
    "after": ("2027-01-01T00:00:00.0000000001Z",),
    "cidr": ("10.0.0.0/8", "::/64"),
    **dict.fromkeys(("lt", "le", "gt", "ge"), (1.5, 10**400)),
    **dict.fromkeys([op for op in BUILT_IN if op.startswith("semver")], ("1.2.3", "0.0.1-a")),
}
ONE = {"starts_with": ("a",), "contains": ("ab",), "matches": ("^a.*1",)}


def conditions(op):
    for values in ((), VALUES[op], ONE.get(op, VALUES[op][:1])):
        for coerce in (None, "text", "number"):
            for fold in (False, True):
                for epoch in (None, "s", "ms"):
                    yield Attribute(
                        name="x", op=op, values=values, coerce=coerce, fold=fold, epoch=epoch, lenient="any"
                    )


@pytest.mark.parametrize("op", sorted(BUILT_IN))
def test_every_test_is_total(op):
    values = zoo()
    for condition in conditions(op):
        test = prepare(condition, {}).test
        if test is not None:
            answers = [test(value) for value in values]
            assert all(answer is True or answer is False or answer is None for answer in answers)


@pytest.mark.parametrize("op", sorted(BUILT_IN))
def test_whatever_stands_among_the_values_is_used_or_named(op):
    hostile = [value for value in zoo() if type(value) is not str or len(value) < 100_000]
    for coerce in (None, "text", "number"):
        for value in [*hostile, None]:
            ready = prepare(Attribute(name="x", op=op, values=(value,), coerce=coerce, epoch="s", lenient="any"), {})
            assert (ready.test is None) is bool(ready.problems)
            assert all(path == "values[0]" and len(message) < 500 for path, message in ready.problems)


def test_the_table_names_all_operators():
    assert VALUES.keys() == BUILT_IN
