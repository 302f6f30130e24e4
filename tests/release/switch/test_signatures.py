"""The comparison of signatures against the calls themselves: all that are possible with a few arguments."""

from collections.abc import Iterator
from inspect import Parameter, Signature
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayflow.release.switch.signatures import refusals

NAMES = ("a", "b", "c")
FOREIGN = "z"


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    """Return any signature with up to three named arguments."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(0, 3))]
    kinds = sorted(
        draw(st.sampled_from([Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY]))
        for _ in names
    )
    made, optional = [], False
    for name, kind in zip(names, kinds, strict=True):
        has_default = draw(st.booleans()) or (optional and kind is not Parameter.KEYWORD_ONLY)
        optional = has_default
        made.append(Parameter(name, kind, default=0 if has_default else Parameter.empty))
    if draw(st.booleans()):
        place = sum(one.kind is not Parameter.KEYWORD_ONLY for one in made)
        made.insert(place, Parameter("args", Parameter.VAR_POSITIONAL))
    if draw(st.booleans()):
        made.append(Parameter("kwargs", Parameter.VAR_KEYWORD))
    return Signature(made)


def called(signature: Signature, places: tuple[str, ...], names: dict[str, str]) -> dict[str, Any] | None:
    """Call a function of that signature and return its variables, `None` if it does not take the call."""
    # Not `Signature.bind`: CPython 3.11 refuses `f(a=1)` for `def f(a=0, /, **kwargs)`, which takes it.
    made: dict[str, Any] = {}
    exec(f"def function{signature}: return locals()", made)
    try:
        variables: dict[str, Any] = made["function"](*places, **names)
    except TypeError:
        return None
    return variables


def calls(signature: Signature) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """Yield every call that it takes, up to four by position and with any names; each value tells what it is for."""
    for count in range(5):
        for size in range(len(NAMES) + 2):
            for names in combinations((*NAMES, FOREIGN), size):
                given_by_name = {name: f"named {name}" for name in names}
                places = tuple(f"place {index}" for index in range(count))
                if called(signature, places, given_by_name) is not None:
                    yield places, given_by_name


def lands(signature: Signature, places: tuple[str, ...], names: dict[str, str]) -> dict[Any, Any] | None:
    """Return where each value of a call ends up: under a name that callers know, or just somewhere."""
    variables = called(signature, places, names)
    if variables is None:
        return None
    found: dict[Any, Any] = {}
    for name, value in variables.items():
        kind = signature.parameters[name].kind
        if kind is Parameter.VAR_POSITIONAL:
            found.update(dict.fromkeys(value))
        elif kind is Parameter.VAR_KEYWORD:
            found.update({each: key for key, each in value.items()})
        else:
            found[value] = f"place of {name}" if kind is Parameter.POSITIONAL_ONLY else name
    return found


def agrees(wanted: Signature, found: Signature, places: tuple[str, ...], names: dict[str, str]) -> bool:
    """Tell whether the other takes a call, and an argument means the same by position as by name."""
    ours, theirs = lands(wanted, places, names), lands(found, places, names)
    if ours is None or theirs is None:
        return False
    both_ways = {one.name for one in wanted.parameters.values() if one.kind is Parameter.POSITIONAL_OR_KEYWORD}
    named = {name for name, one in found.parameters.items() if one.kind is not Parameter.POSITIONAL_ONLY}
    gathers = {None} if "args" in found.parameters else set()
    return all(
        theirs[value] in ({name} if name in named else {name, *gathers})
        for value, name in ours.items()
        if name in both_ways and value in places
    )


@settings(max_examples=150)
@given(wanted=signatures(), found=signatures())
def test_a_signature_is_refused_if_and_only_if_some_call_goes_wrong(wanted: Signature, found: Signature) -> None:
    wrong = [call for call in calls(wanted) if not agrees(wanted, found, *call)]

    assert bool(refusals(wanted, found)) == bool(wrong), (str(wanted), str(found), wrong, refusals(wanted, found))


@given(wanted=signatures())
def test_every_signature_takes_its_own_calls(wanted: Signature) -> None:
    assert refusals(wanted, wanted) == ()


def signature_of(function: Any) -> Signature:
    return Signature.from_callable(function)


@pytest.mark.parametrize(
    ("wanted", "found", "text"),
    [
        (lambda key: 0, lambda: 0, "takes no argument 'key' by position"),
        (lambda key: 0, lambda k: 0, "takes no argument 'key' by name"),
        (lambda key: 0, lambda key, ttl: 0, "needs an argument 'ttl'"),
        (lambda key, ttl=0: 0, lambda key, ttl: 0, "needs an argument 'ttl'"),
        (lambda key, ttl: 0, lambda ttl, key: 0, "has 'key' at another position"),
        (lambda *, ttl: 0, lambda: 0, "takes no argument 'ttl' by name"),
        (lambda *keys: 0, lambda key: 0, "does not take any number of arguments"),
        (lambda **names: 0, lambda: 0, "does not take named arguments of any name"),
    ],
)
def test_the_refusal_says_what_is_wrong(wanted: Any, found: Any, text: str) -> None:
    assert text in refusals(signature_of(wanted), signature_of(found))
