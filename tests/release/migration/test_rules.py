"""The rule table, written down twice: here as a table that people can check, there as code."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.release.migration.rules import (
    Mirror,
    Reading,
    Side,
    Stage,
    Writing,
    authority,
    deletes_from,
    lists_from,
    needs_gray,
    needs_probe,
    reading,
    writing,
)

OLD, NEW = Side.OLD, Side.NEW
STAGES = tuple(Stage)

# Stage -> who answers for a row, in the profile `split`: (not in old), (in old, not gray), (in old, gray).
SPLIT = {
    "off": "old old old",
    "dualwrite": "new old old",
    "shadow": "new old old",
    "live": "new old new",
    "rampdown": "new new new",
    "complete": "new new new",
}
# In the profile `mirrored` it does not matter whether the row is in the old store: (not gray), (gray).
MIRRORED = {
    "off": "old old",
    "dualwrite": "old old",
    "shadow": "old old",
    "live": "old new",
    "rampdown": "new new",
    "complete": "new new",
}
# Which store a write goes to first, and what becomes of the other; columns as above.
SPLIT_UPDATES = {
    "off": "old/none old/none old/none",
    "dualwrite": "new/none old/always old/always",
    "shadow": "new/none old/always old/always",
    "live": "new/none old/always new/if_present",
    "rampdown": "new/if_present new/if_present new/if_present",
    "complete": "new/none new/none new/none",
}
MIRRORED_WRITES = {
    "off": "old/none old/none",
    "dualwrite": "old/always old/always",
    "shadow": "old/always old/always",
    "live": "old/always new/always",
    "rampdown": "new/always new/always",
    "complete": "new/none new/none",
}
LISTS = {
    "off": "old | old",
    "dualwrite": "old new | old",
    "shadow": "old new | old new",
    "live": "old new | old new",
    "rampdown": "new | new",
    "complete": "new | new",
}
DELETES = {
    "off": "old",
    "dualwrite": "new old",
    "shadow": "new old",
    "live": "new old",
    "rampdown": "new old",
    "complete": "new",
}
SPLIT_FACTS = ((False, False), (True, False), (True, True))
MIRRORED_FACTS = ((True, False), (True, True))


@pytest.mark.parametrize("stage", STAGES)
def test_who_answers_for_a_row_in_a_split_migration(stage: Stage) -> None:
    for (in_old, gray), side in zip(SPLIT_FACTS, SPLIT[stage].split(), strict=True):
        assert authority(stage, "split", in_old=in_old, gray=gray) == side


@pytest.mark.parametrize("stage", STAGES)
def test_who_answers_for_a_row_in_a_mirrored_migration(stage: Stage) -> None:
    for (in_old, gray), side in zip(MIRRORED_FACTS, MIRRORED[stage].split(), strict=True):
        assert authority(stage, "mirrored", in_old=in_old, gray=gray) == side


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE])
@pytest.mark.parametrize("gray", [False, True])
def test_the_second_rule_a_row_that_the_old_store_lacks_is_the_new_ones(stage: Stage, gray: bool) -> None:
    assert authority(stage, "split", in_old=False, gray=gray) is NEW


@pytest.mark.parametrize("stage", STAGES)
def test_where_updates_go(stage: Stage) -> None:
    for (in_old, gray), told in zip(SPLIT_FACTS, SPLIT_UPDATES[stage].split(), strict=True):
        side, mirror = told.split("/")
        alone = stage in {Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE} and not in_old
        expected = Writing(Side(side), Mirror(mirror), absent_from_old=alone)
        assert writing("update", stage, "split", in_old=in_old, gray=gray) == expected
    for (in_old, gray), told in zip(MIRRORED_FACTS, MIRRORED_WRITES[stage].split(), strict=True):
        side, mirror = told.split("/")
        assert writing("update", stage, "mirrored", in_old=in_old, gray=gray) == Writing(Side(side), Mirror(mirror))


@pytest.mark.parametrize("stage", STAGES)
def test_where_inserts_go(stage: Stage) -> None:
    split = {Stage.OFF: Writing(OLD), Stage.COMPLETE: Writing(NEW)}.get(stage, Writing(NEW, absent_from_old=True))
    for (in_old, gray), told in zip(MIRRORED_FACTS, MIRRORED_WRITES[stage].split(), strict=True):
        side, mirror = told.split("/")
        assert writing("insert", stage, "split", in_old=in_old, gray=gray) == split
        assert writing("insert", stage, "mirrored", in_old=in_old, gray=gray) == Writing(Side(side), Mirror(mirror))


@pytest.mark.parametrize("stage", STAGES)
def test_where_lists_and_deletes_go(stage: Stage) -> None:
    split, mirrored = LISTS[stage].split(" | ")
    assert lists_from(stage, "split") == tuple(split.split())
    assert lists_from(stage, "mirrored") == tuple(mirrored.split())
    assert deletes_from(stage) == tuple(DELETES[stage].split())


def test_reads_are_compared_while_both_stores_have_the_row_and_the_stage_asks_for_it() -> None:
    compared = {
        (stage, profile, in_old)
        for stage, profile, in_old in itertools.product(STAGES, ("split", "mirrored"), (False, True))
        if reading(stage, profile, in_old=in_old, gray=False).compare
    }

    assert compared == {
        *((stage, "mirrored", in_old) for stage in (Stage.SHADOW, Stage.LIVE) for in_old in (False, True)),
        *((stage, "split", True) for stage in (Stage.SHADOW, Stage.LIVE)),
    }
    assert reading(Stage.LIVE, "split", in_old=True, gray=True) == Reading(NEW, compare=True)


def test_stages_lead_to_their_neighbours_and_nothing_leads_back_from_the_last() -> None:
    assert [stage.next for stage in STAGES] == [*STAGES[1:], None]
    assert [stage.previous for stage in STAGES] == [None, *STAGES[:4], None]
    assert [stage.rank for stage in STAGES] == list(range(6))


def test_a_flag_that_is_switched_off_takes_reads_one_step_back() -> None:
    back = {stage: stage.switched_off for stage in STAGES if stage.switched_off is not stage}

    assert back == {Stage.LIVE: Stage.SHADOW, Stage.RAMPDOWN: Stage.LIVE}


facts = st.tuples(st.sampled_from(STAGES), st.sampled_from(["split", "mirrored"]), st.booleans(), st.booleans())


@given(facts)
def test_every_operation_agrees_with_the_authority(given_: tuple[Stage, str, bool, bool]) -> None:
    stage, profile, in_old, gray = given_
    side = authority(stage, profile, in_old=in_old, gray=gray)

    assert reading(stage, profile, in_old=in_old, gray=gray).side is side
    assert writing("update", stage, profile, in_old=in_old, gray=gray).side is side
    assert side in lists_from(stage, profile)
    assert side in deletes_from(stage)


@given(facts)
def test_facts_that_are_not_asked_for_change_nothing(given_: tuple[Stage, str, bool, bool]) -> None:
    stage, profile, in_old, gray = given_
    side = authority(stage, profile, in_old=in_old, gray=gray)

    if not needs_probe(stage, profile):
        assert authority(stage, profile, in_old=not in_old, gray=gray) is side
        for operation in ("insert", "update"):
            plans = {repr(writing(operation, stage, profile, in_old=one, gray=gray)) for one in (False, True)}
            assert len(plans) == 1
    if not needs_gray(stage):
        assert authority(stage, profile, in_old=in_old, gray=not gray) is side


@given(facts)
def test_a_write_reaches_every_store_that_a_neighbouring_stage_reads_the_row_from(
    given_: tuple[Stage, str, bool, bool],
) -> None:
    """While a stage change spreads two stages are in force: from `dualwrite` on neither may miss the other's writes."""
    stage, profile, in_old, gray = given_
    beside = (stage.next, stage.previous)
    if stage in {Stage.OFF, Stage.COMPLETE} or not in_old:
        return
    plan = writing("update", stage, profile, in_old=in_old, gray=gray)
    reached = {plan.side} | ({plan.side.other} if plan.mirror is not Mirror.NONE else set())

    for neighbour in beside:
        assert neighbour is None or authority(neighbour, profile, in_old=in_old, gray=gray) in reached
