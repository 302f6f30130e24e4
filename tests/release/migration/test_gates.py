"""What a migration has to prove before it goes on."""

from typing import Any

import pytest

from grayflow.release.migration.gates import Facts, unmet
from grayflow.release.migration.ledger import Backfilled, Reconciled
from grayflow.release.migration.rules import Stage
from grayflow.release.migration.setup import Terms

HOUR = 3_600_000_000_000
TERMS = Terms(soak_s=3600, min_compared=10, max_mismatch=0.1)


def clean(at: int = 0, **more: Any) -> Reconciled:
    return Reconciled(**{"began": 1, "at": at, "rows": 9, "differing": 0, **more})


def facts(stage: str, **more: Any) -> Facts:
    """Return facts with which every stage may go on, and changes to them."""
    return Facts(
        **{
            "stage": Stage(stage),
            "terms": TERMS,
            "now": 3 * HOUR,
            "since": HOUR,
            "began": 1,
            "processes": 4,
            "cursor": Backfilled(began=1, done=True),
            "reconciled": (clean(HOUR), clean(2 * HOUR)),
            "compared": 10,
            "mismatched": 1,
            "gray_since": HOUR,
            **more,
        }
    )


@pytest.mark.parametrize("stage", list(Stage))
def test_everything_that_is_needed_is_enough(stage: Stage) -> None:
    assert unmet(facts(stage)) == ()


def test_nothing_has_to_be_proved_to_begin() -> None:
    assert unmet(Facts(stage=Stage.OFF, behind=3, unfinished=2)) == ()


MISSING = [
    ("dualwrite", {"behind": 2}, "2 of 4 processes"),
    ("dualwrite", {"processes": 0}, "no process reports itself"),
    ("dualwrite", {"cursor": None}, "no backfill has run"),
    ("dualwrite", {"cursor": Backfilled(began=0, done=True)}, "no backfill has run since"),
    ("dualwrite", {"cursor": Backfilled(began=1, copied=7)}, "copied 7 rows and is not at its end"),
    ("shadow", {"compared": 9}, "9 reads were compared at this stage, 10 are needed"),
    ("shadow", {"mismatched": 2}, "2 of 10 compared reads differed, at most 10.0000% may"),
    ("shadow", {"reconciled": (clean(),)}, "not found equal twice in a row yet"),
    ("shadow", {"reconciled": (clean(), clean(differing=3), clean())}, "found 3 rows that differed"),
    ("shadow", {"reconciled": (clean(began=0), clean(began=0))}, "not found equal twice"),
    ("shadow", {"unfinished": 1}, "1 writes are in one store"),
    ("shadow", {"dead": 1}, "1 writes could not be repaired"),
    ("live", {"gray_since": None}, "not everybody is on the gray list"),
    ("live", {"gray_since": 2 * HOUR + HOUR // 2}, "for 3600 s; 1800 s are left"),
    ("live", {"since": 3 * HOUR, "gray_since": 0, "reconciled": (clean(3 * HOUR),)}, "3600 s are left"),
    ("live", {"reconciled": (clean(HOUR - 1),)}, "not found equal at this stage yet"),
    ("live", {"reconciled": (clean(2 * HOUR, differing=1, only_old=1),)}, "found 1 rows that differed"),
    ("live", {"unfinished": 1}, "in one store and perhaps not in the other"),
    ("rampdown", {"since": 2 * HOUR + 1, "reconciled": (clean(3 * HOUR),)}, "this stage has to last"),
    ("rampdown", {"old_readers": 2}, "2 processes have read the old store"),
    ("rampdown", {"reconciled": ()}, "not found equal at this stage yet"),
]


def test_rows_that_no_reconciliation_can_bring_together_are_named() -> None:
    found = unmet(facts("rampdown", reconciled=(clean(2 * HOUR, differing=5, conflicts=("a", "b", "c", "d")),)))

    assert (
        found[1]
        == "rows such as 'a', 'b', 'c' hold different things under one version; write them again with a newer one"
    )


@pytest.mark.parametrize(("stage", "change", "told"), MISSING)
def test_whatever_is_missing_is_told(stage: str, change: dict[str, Any], told: str) -> None:
    found = unmet(facts(stage, **change))

    assert len(found) == 1
    assert told in found[0]
