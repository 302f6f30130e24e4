"""What migrations raise says what is true now and what to do, keeps its facts, and can be sent."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from grayflow.errors import GrayflowError, ReleaseError
from grayflow.release.migration import errors
from grayflow.release.migration.errors import (
    MigrationBusyError,
    MigrationError,
    MirrorWriteError,
    NotAnnouncedError,
    NotAppliedError,
    RowExistsError,
    StageRefusedError,
    StaleStageError,
)
from grayflow.release.migration.rules import Side
from grayflow.release.migration.setup import Written

SAMPLES = [
    MigrationError("m", migration="orders"),
    NotAppliedError("a constraint"),
    RowExistsError("k", side="old", migration="orders"),
    StaleStageError("m", migration="orders"),
    StageRefusedError("m", migration="orders", unmet=("a", "b")),
    MigrationBusyError("m", migration="orders"),
    NotAnnouncedError("m", migration="orders"),
    MirrorWriteError("m", migration="orders", result=Written(Side.OLD, applied=True, mirrored=False)),
]


@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_errors_survive_pickle_and_copy(sample: GrayflowError, again: Callable[[Any], Any]) -> None:
    restored = again(sample)

    assert type(restored) is type(sample)
    assert str(restored) == str(sample)
    assert restored.__dict__ == sample.__dict__


def test_all_are_errors_of_releases_and_drawn() -> None:
    assert {type(sample).__name__ for sample in SAMPLES} == set(errors.__all__)
    assert all(isinstance(sample, ReleaseError) for sample in SAMPLES)
    assert [name for name in errors.__all__ if name not in (errors.__doc__ or "")] == []


def test_what_is_missing_is_a_list() -> None:
    assert str(SAMPLES[4]) == "m\n- a\n- b"
