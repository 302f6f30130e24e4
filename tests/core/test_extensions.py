"""What may be given as extensions, and what is said of the rest."""

from typing import Any

import pytest

from grayflow import ConfigurationError, Extensions, Hash, Snapshot
from grayflow.core.foreign import foreign_extensions


def fn(*_: Any) -> int:
    return 7


def test_hashes_and_operators_may_be_given_by_name():
    found = Extensions(hashes={"sha1": Hash(10, fn)}, operators={"geo": lambda _, __: True})

    assert found.slot("sha1", "salt", "anna") == 7
    assert found.slot("md5", "salt", "anna") is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hashes": 5}, "hashes is 5; give a mapping such as {'sha1': Hash(10_000, fn)}"),
        ({"hashes": [("sha1", Hash(10, fn))]}, "give a mapping such as {'sha1'"),
        ({"hashes": None}, "hashes is None; give a mapping"),
        ({"hashes": {"sha1": fn}}, "hash 'sha1' is <function fn"),
        ({"hashes": {"sha1": (10, fn)}}, "give Hash(size, fn)"),
        ({"hashes": {5: Hash(10, fn)}}, "hashes holds the name 5; flags name them by a text that is not empty"),
        ({"hashes": {"": Hash(10, fn)}}, "hashes holds the name ''"),
        ({"hashes": {"sha1": Hash(0, fn)}}, "hash 'sha1' has size 0; a whole number of 1 or more is needed"),
        ({"hashes": {"sha1": Hash(True, fn)}}, "has size True"),
        ({"hashes": {"sha1": Hash("10", fn)}}, "has size '10'"),
        ({"hashes": {"sha1": Hash(10, "fn")}}, "hash 'sha1' has 'fn' as its function; give a function of salt and id"),
        ({"operators": "geo"}, "operators is 'geo'; give a mapping such as {'geo': fn}"),
        ({"operators": {"geo": 5}}, "operator 'geo' is 5; give a function of the attribute and the values"),
        ({"operators": {"in": fn}}, "operator 'in' is built in and cannot be replaced; choose another name"),
    ],
)
def test_what_could_never_work_is_refused_in_words(given: dict[str, Any], said: str):
    with pytest.raises(ConfigurationError) as caught:
        Extensions(**given)

    assert said in str(caught.value)


@pytest.mark.parametrize("answer", [-1, 10, 3.5, True, None, "7"])
def test_what_is_no_slot_counts_as_an_absent_id(answer: Any):
    assert Extensions(hashes={"odd": Hash(10, lambda _, __: answer)}).slot("odd", "salt", "anna") is None


def test_a_hash_that_raises_counts_as_an_absent_id():
    def broken(salt: str, unit: str) -> int:
        raise ValueError(unit)

    assert Extensions(hashes={"broken": Hash(10, broken)}).slot("broken", "salt", "anna") is None


def test_those_of_other_systems_may_be_joined_with_ones_own():
    joined = foreign_extensions("flagd", also=Extensions(hashes={"flagd3:pair/10": Hash(10, fn), "mine": Hash(9, fn)}))

    assert joined.slot("flagd3:pair/10", "salt", "anna") == joined.slot("mine", "salt", "anna") == 7
    assert joined.slot("flagd3:pair/11", "salt", "anna") in range(11)


def test_a_flag_is_decided_by_a_hash_of_ones_own():
    flag = {
        "key": "f",
        "enabled": True,
        "otherwise": "off",
        "rules": [{"when": [{"type": "bucket", "hash": "sha1", "ranges": [[7, 8]]}], "serve": "on"}],
    }
    snapshot = Snapshot.build([flag], extensions=Extensions(hashes={"sha1": Hash(10, fn)}))

    assert snapshot.evaluate("f", {"user_id": "anna"}, default=None).value is True
