"""JSONLogic as flagd evaluates it."""

from typing import Any

import pytest

from grayflow.core.foreign import foreign_extensions, jsonlogic

DATA = {
    "n": 3,
    "s": "text",
    "l": [1, 2, 3],
    "o": {"in": {"er": "x"}},
    "none": None,
    "people": [{"age": 20}, {"age": 40}],
}


def var(name: Any) -> Any:
    return {"var": name}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (var("n"), 3),
        (var(["gone", 7]), 7),
        (var(["none", 7]), 7),
        (var("o.in.er"), "x"),
        (var("l.1"), 2),
        (var("l.length"), 3),
        (var("l.01"), None),
        (var("s.0"), "t"),
        (var(""), DATA),
        ([1, var("n")], [1, 3]),
        ({"a": 1, "b": 2}, {"a": 1, "b": 2}),
        ({"if": [False, 1, False, 2, 3]}, 3),
        ({"if": [False, 1]}, None),
        ({"?:": [True, 1, 2]}, 1),
        ({"and": [1, 0, 2]}, 0),
        ({"or": [0, "", "x"]}, "x"),
        ({"!": [[]]}, True),
        ({"!": "x"}, False),
        ({"!!": [{}]}, True),
        ({"!!": ["0"]}, True),
        ({"==": [1, "1"]}, True),
        ({"==": [1, "1.0"]}, True),
        ({"==": [None, 0]}, False),
        ({"==": [True, 1]}, True),
        ({"==": [["a"], "a"]}, True),
        ({"!=": [1, "x"]}, True),
        ({"===": [1, "1"]}, False),
        ({"===": [1, True]}, False),
        ({"===": [1, 1.0]}, True),
        ({"!==": [1, "1"]}, True),
        ({"<": [1, 2, 3]}, True),
        ({"<": [1, 3, 2]}, False),
        ({"<": ["10", "9"]}, True),
        ({"<": ["10", 9]}, False),
        ({"<": [None, 1]}, True),
        ({">=": ["x", 1]}, False),
        ({"in": ["ex", var("s")]}, True),
        ({"in": [2, var("l")]}, True),
        ({"in": ["2", var("l")]}, False),
        ({"in": [1, 5]}, False),
        ({"cat": ["a", 1, 2.5, None, True, [1, "b"]]}, "a12.5nulltrue1,b"),
        ({"substr": ["jsonlogic", 4]}, "logic"),
        ({"substr": ["jsonlogic", -5, 3]}, "log"),
        ({"substr": ["jsonlogic", 1, -5]}, "son"),
        ({"merge": [1, [2, 3]]}, [1, 2, 3]),
        ({"+": [1, "2", 3]}, 6),
        ({"-": [3]}, -3),
        ({"-": [3, "1"]}, 2),
        ({"*": [2, 3]}, 6),
        ({"/": [6, 3]}, 2),
        ({"%": [7, 4]}, 3),
        ({"min": [3, 1]}, 1),
        ({"max": [3, "4"]}, 4),
        ({"missing": ["n", "gone"]}, ["gone"]),
        ({"map": [var("l"), {"*": [var(""), 2]}]}, [2, 4, 6]),
        ({"filter": [var("l"), {">": [var(""), 1]}]}, [2, 3]),
        ({"reduce": [var("l"), {"+": [var("current"), var("accumulator")]}, 10]}, 16),
        ({"all": [var("people"), {">": [var("age"), 18]}]}, True),
        ({"all": [[], True]}, False),
        ({"some": [var("people"), {">": [var("age"), 30]}]}, True),
        ({"some": [var("s"), True]}, False),
        ({"none": [var("people"), {">": [var("age"), 50]}]}, True),
        ({"starts_with": [var("s"), "te"]}, True),
        ({"ends_with": [var("n"), "te"]}, None),
        ({"sem_ver": ["v1.2", ">=", "1.1.9"]}, True),
        ({"sem_ver": ["1.2.3", "^", "1.9"]}, True),
        ({"sem_ver": ["1.2.3", "~", "1.3"]}, False),
        ({"sem_ver": ["x", "=", "1.2.3"]}, None),
        ({"sem_ver": ["1.2.3", "?", "1.2.3"]}, None),
    ],
)
def test_an_expression_has_this_value(expression: Any, value: Any):
    assert jsonlogic.evaluate(expression, DATA) == value


@pytest.mark.parametrize("expression", [{"bogus": [1]}, {"fractional": [["a", 1]]}, {"missing_some": [1, ["a"]]}])
def test_an_operation_that_nobody_knows_is_an_error(expression: Any):
    with pytest.raises(ValueError, match="is no operation"):
        jsonlogic.evaluate(expression, DATA)


def test_the_shipped_operator_asks_about_it_and_answers_for_any_of_its_values():
    logic = foreign_extensions("flagd").operators["flagd:logic"]

    assert logic(7, ({"==": [{"var": "it"}, 1]}, {"==": [{"%": [{"var": "it"}, 2]}, 1]}))
    assert not logic(8, ({"==": [{"%": [{"var": "it"}, 2]}, 1]},))
