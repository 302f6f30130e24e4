"""GrowthBook's conditions: the answers that are easy to get wrong."""

import pytest

from grayflow.core.foreign import foreign_extensions, mongo

NESTED = {"tags": ["a", {"k": 1}], "o": {"a.b": 1, "c": {"d": None}}, "n": 3}


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        ({}, True),
        ({"n": 3}, True),
        ({"n": 3.0}, True),
        ({"n": "3"}, False),
        ({"n": True}, False),
        ({"tags": ["a", {"k": 1}]}, True),
        ({"tags.1.k": 1}, True),
        ({"tags.length": 2}, True),
        ({"tags.01.k": 1}, False),
        ({"o.c": {"d": None}}, True),
        ({"missing": None}, True),
        ({"n": {}}, True),
        ({"$or": []}, True),
        ({"$nor": []}, False),
        ({"$and": []}, True),
        ({"$not": {"n": 4}}, True),
        ({"$or": [{"n": {"$bogus": 1}}, {"n": 3}]}, True),
        ({"$or": [{"n": {"$bogus": 1}}, {"n": 4}]}, None),
        ({"$not": {"n": {"$bogus": 1}}}, None),
        ({"n": {"$not": {"$bogus": 1}}}, None),
        ({"n": {"$bogus": 1}, "tags": "x"}, False),
    ],
)
def test_a_condition_has_three_answers(condition: object, answer: object):
    assert mongo.evaluate(condition, NESTED) is answer


@pytest.mark.parametrize(
    ("operators", "value", "answer"),
    [
        ({"$eq": [1]}, [1], False),
        ({"$ne": None}, None, False),
        ({"$lt": 2}, 1, True),
        ({"$lt": 2}, "1", False),
        ({"$lt": 2}, True, False),
        ({"$lt": 2}, None, False),
        ({"$gt": "a"}, "b", True),
        ({"$gt": "\ufb00"}, "\U0001f600", False),  # UTF-16: a surrogate is below U+FB00
        ({"$in": ["a", None]}, None, True),
        ({"$in": ["a"]}, ["x", "a"], True),
        ({"$in": [{"k": 1}]}, {"k": 1}, False),
        ({"$in": [1]}, True, False),
        ({"$in": "abc"}, "a", False),
        ({"$nin": "abc"}, "a", False),
        ({"$nin": ["a"]}, None, True),
        ({"$ini": ["ÄB"]}, "äb", True),
        ({"$nini": ["ÄB"]}, ["äb"], False),
        ({"$all": ["a", {"$gt": 1}]}, ["a", 2], True),
        ({"$all": []}, [], True),
        ({"$all": []}, "x", False),
        ({"$alli": ["A"]}, ["a"], True),
        ({"$elemMatch": {"$gt": 1}}, [None, 2], True),
        ({"$elemMatch": {"k": 1}}, [{"k": 1}], True),
        ({"$elemMatch": {"$or": [{"k": 2}, {"k": 1}]}}, [{"k": 1}], True),
        ({"$elemMatch": {"$gt": 1}}, 2, False),
        ({"$size": {"$gt": 1}}, [1, 2], True),
        ({"$size": 1}, "x", False),
        ({"$exists": False}, None, True),
        ({"$type": "array"}, [], True),
        ({"$type": "null"}, None, True),
        ({"$regex": "^a"}, "ab", True),
        ({"$regex": "^a"}, ["ab"], False),
        ({"$regexi": "^A"}, "ab", True),
        ({"$regex": "("}, "(", False),
        ({"$notRegex": "("}, "x", True),
        ({"$notRegex": "^a"}, None, True),
        ({"$or": []}, 1, False),
        ({"$veq": "1.2.0"}, "v1.2.0+build", True),
        ({"$vgt": "1.9.0"}, "1.10.0", True),
        ({"$vgt": "1.0.0-rc.2"}, "1.0.0", True),
        ({"$vlt": "1.0.0-rc.10"}, "1.0.0-rc.9", True),
        ({"$vgte": 2}, 2.5, True),
        ({"$vgte": "2"}, 2, False),
        ({"$vne": "2"}, 2, True),
        ({"$veq": "1.2.0"}, None, False),
    ],
)
def test_operators_compare_as_growthbook_does(operators: object, value: object, answer: object):
    assert mongo.matches(operators, value) is answer


def test_the_shipped_operators_answer_for_any_of_their_values():
    operators = foreign_extensions("growthbook").operators

    assert operators["growthbook:condition"]([1, 2], ({"$size": 5}, {"$size": 2}))
    assert not operators["growthbook:condition"](3, ({"$bogus": 5},))
    assert operators["growthbook:vgte"]("1.10", ("9", "1.9"))
    assert not operators["growthbook:vlt"]("1.10", ("1.9",))
