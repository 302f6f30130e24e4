"""What makes an atom, and what is refused with the reason."""

import functools
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from grayflow import Client, ConfigurationError
from grayflow.cleanup.retry import Retry
from grayflow.release.atom.atoms import Atoms
from grayflow.release.atom.files import FileJournal
from grayflow.release.atom.model import Atom, Step, StepCall


async def nothing(call: StepCall) -> None:
    """Stand for a function of a step."""


class Deploy:
    async def do(self, call: StepCall) -> None:
        """Be a method."""

    def __call__(self, call: StepCall) -> None:
        """Be callable itself."""


def step(name: str = "a", **more: Any) -> Step:
    return Step(name, **{"do": nothing, "undo": nothing, **more})


def test_the_order_is_pre_steps_post():
    atom = Atom("a", version=1, pre=step("p"), steps=[step("x"), step("y")], post=step("q"))

    assert atom.names == ("p", "x", "y", "q")


def test_durations_are_seconds_or_spans_of_time():
    made = step(timeout=timedelta(minutes=1), undo_timeout=2, check_timeout=timedelta(seconds=3))

    assert (made.limit_s, made.undo_s, made.check_s) == (60.0, 2.0, 3.0)
    assert step(timeout=None).limit_s is None


@pytest.mark.parametrize(
    "function", [nothing, Deploy().do, Deploy(), functools.partial(nothing), lambda call: None, print]
)
def test_a_step_takes_anything_that_can_be_called_with_one_argument(function: Any):
    assert step(do=function, undo=function, capture=function, check=function).do is function


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"do": None}, "do of step 'a' is None; give a function"),
        ({"do": "link"}, "do of step 'a'"),
        ({"undo": lambda: None}, "undo of step 'a' cannot be called with the StepCall alone"),
        ({"check": lambda before, after: None}, "check of step 'a' cannot be called"),
        ({"capture": Deploy}, "the class Deploy"),
        ({"timeout": 0}, "timeout is 0"),
        ({"undo_timeout": None}, "undo_timeout is None"),
        ({"check_timeout": "1"}, "check_timeout"),
        ({"retry": 3}, "retry is 3; give grayflow.Retry"),
        ({"undo_retry": None}, "undo_retry is None"),
        ({"cancellable": 1}, "cancellable is 1; give True or False"),
        ({"independent": "yes"}, "independent"),
        ({"accept_applied": None}, "accept_applied"),
    ],
)
def test_what_a_step_cannot_be_is_said(given: dict[str, Any], words: str):
    with pytest.raises(ConfigurationError) as caught:
        step(**given)

    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["", "a/b", "ä", "a b", "x" * 101, None, 5])
def test_names_are_short_and_plain(name: Any):
    with pytest.raises(ConfigurationError, match="the name of a step"):
        step(name)
    with pytest.raises(ConfigurationError, match="the name of an atom"):
        Atom(name, version=1, steps=[step()])


@pytest.mark.parametrize("given", [None, 3, ""])
def test_a_journal_needs_a_folder(given: Any):
    with pytest.raises(ConfigurationError, match="give the path of the folder that holds the runs"):
        FileJournal(given)


@pytest.mark.parametrize("given", [None, 3, Atom("deploy", version=1, steps=[step()])])
def test_atoms_are_given_in_a_list(given: Any, tmp_path: Path):
    with pytest.raises(ConfigurationError, match="give them in a list"):
        Atoms(FileJournal(tmp_path), given)


def test_a_journal_has_no_namespace_that_could_be_passed_over(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="namespace is 'shop'; the journal has its own place"):
        Atoms(FileJournal(tmp_path), namespace="shop")
    with pytest.raises(ConfigurationError, match="namespace is 'shop'; the store was made for 'default'"):
        Atoms(Client("memory://"), namespace="shop")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"version": 0}, "version is 0; give a whole number from 1"),
        ({"version": True}, "version is True"),
        ({"version": "1"}, "version"),
        ({"steps": []}, "has 0 steps"),
        ({"steps": [step(f"s{number}") for number in range(41)]}, "has 41 steps; give 1 to 40"),
        ({"steps": "ab"}, "steps is 'ab'; give a list of Steps"),
        ({"steps": [nothing]}, "one of steps"),
        ({"steps": [step(), step()]}, "has two steps 'a'"),
        ({"pre": step()}, "has two steps 'a'"),
        ({"post": nothing}, "give a Step"),
        ({"on_cancel": "halt"}, "on_cancel is 'halt'; give 'undo' or 'finish'"),
        ({"on_recover": None}, "on_recover is None; give 'undo' or 'continue'"),
        ({"undo_failure": "stop"}, "undo_failure is 'stop'; give 'halt' or 'continue'"),
        ({"recoveries": 0}, "recoveries is 0"),
        ({"input_type": object()}, "give a type that msgspec.convert knows, such as a dataclass"),
        ({"input_type": "Spec"}, "input_type is 'Spec'; give a type"),
    ],
)
def test_what_an_atom_cannot_be_is_said(given: dict[str, Any], words: str):
    with pytest.raises(ConfigurationError) as caught:
        Atom("deploy", **{"version": 1, "steps": [step()], **given})

    assert words in str(caught.value)


def test_an_idempotency_key_names_run_step_and_direction():
    """Contract: it is handed to others, who remember it."""
    call = StepCall(run_id="deploy-17", atom="deploy", version=1, step="link")

    assert call.idempotency_key == "deploy-17/link/do"
    assert StepCall(run_id="r", atom="a", version=1, step="s", undoing=True).idempotency_key == "r/s/undo"


def test_a_step_is_done_once_and_undone_patiently_unless_it_says_otherwise():
    assert step().retry == Retry(attempts=1)
    assert step().undo_retry.attempts > 5
