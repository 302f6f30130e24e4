"""Reading that thinks: who would change, why a flag answers so, which flags are over."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.admin import Admin, Removal, verbs
from grayflow.admin.stale import overdue, settled
from grayflow.core.checklist import answers_in, reason_with_answers
from grayflow.core.decision import ErrorCode, Reason
from grayflow.core.flag import Flag
from grayflow.errors import HistoryGoneError, InvalidFlagError
from grayflow.testing import FakeClock
from grayflow.testing.builders import flag, segment

pytestmark = pytest.mark.anyio

USERS = [{"user_id": f"u-{number}"} for number in range(100)]


# Preview


async def test_a_preview_counts_who_would_move_and_saves_nothing():
    async with Admin("memory://", actor="ann") as admin:
        await admin.create(verbs.set_percent(flag("x"), 10))
        held, revision = await admin.get("x")
        seen = await admin.preview(verbs.set_percent(held, 50), USERS)

        assert (await admin.get("x"))[1] == revision
    assert seen.contexts == 100
    assert set(seen.counts()) == {("x", "off", "on")}
    assert 20 < len(seen.shifts) < 60
    assert all((shift.before.value, shift.after.value) == (False, True) for shift in seen.shifts)


async def test_a_preview_follows_requirements_and_segments():
    async with Admin("memory://", actor="ann") as admin:
        await admin.create_segment(segment("staff", include=["u-1"]))
        staff = [{"type": "segment", "key": "staff"}]
        await admin.create(flag("wallet", enabled=True, rules=[{"when": staff}], otherwise="off"))
        pay = flag("pay", enabled=True, requires=[{"type": "flag", "key": "wallet", "variants": ["on"]}])
        await admin.create(pay)
        await admin.create(flag("other", enabled=True))

        seen = await admin.preview(segment("staff", include=["u-1", "u-2"]), USERS)

    assert seen.flags == ("pay", "wallet")
    assert [(shift.flag, shift.context) for shift in seen.shifts] == [("pay", 2), ("wallet", 2)]


async def test_several_edits_are_tried_together():
    async with Admin("memory://", actor="ann") as admin:
        await admin.create(flag("a", enabled=True))
        await admin.create(flag("b", enabled=True, requires=[{"type": "flag", "key": "a"}]))
        seen = await admin.preview([{"key": "a"}, Removal("b"), {"key": "new", "enabled": True}], [{"user_id": "u"}])

    assert [(shift.flag, shift.after.variant, shift.after.error) for shift in seen.shifts] == [
        ("a", "off", None),
        ("b", None, ErrorCode.FLAG_NOT_FOUND),
        ("new", "on", None),
    ]


async def test_a_preview_refuses_a_bad_document():
    async with Admin("memory://", actor="ann") as admin:
        with pytest.raises(InvalidFlagError):
            await admin.preview({"key": "x", "rules": [{"serve": "onn"}]}, USERS)


# Explain


async def test_an_explanation_shows_the_way_to_the_decision():
    async with Admin("memory://", actor="ann") as admin:
        staff = [{"type": "attribute", "name": "country", "op": "in", "values": ["DE"]}]
        await admin.create(flag("x", enabled=True, rules=[{"name": "staff", "when": staff}, {"percent": 0}]))
        told = await admin.explain("x", {"country": "FR"})

    assert told.decision.reason is Reason.DEFAULT
    steps = [(step.path, step.passed) for step in told.steps if step.path.startswith("rules")]
    assert steps == [("rules[0].when[0]", False), ("rules[1].percent", False)]


async def test_an_explanation_holds_the_flags_that_were_asked():
    async with Admin("memory://", actor="ann") as admin:
        await admin.create(flag("wallet"))
        await admin.create(flag("x", enabled=True, requires=[{"type": "flag", "key": "wallet", "variants": ["on"]}]))
        told = await admin.explain("x", {})

    assert told.decision.variant == "off"
    assert {key: steps[0].passed for key, steps in told.others.items()} == {"wallet": False}


async def test_a_past_revision_is_explained_as_it_was():
    async with Admin("memory://", actor="ann") as admin:
        await admin.create(flag("x"))
        await admin.switch_on("x")
        await admin.delete("x")

        answers = [(await admin.explain("x", {}, at=revision)).decision for revision in range(4)]
    assert [answer.variant for answer in answers] == [None, "off", "on", None]
    assert answers[0].error is ErrorCode.FLAG_NOT_FOUND


async def test_the_instant_of_an_explanation_can_be_chosen():
    async with Admin("memory://", actor="ann", clock=FakeClock()) as admin:
        await admin.create(flag("x", enabled=True, expires_at="2026-06-01T00:00:00Z"))

        assert (await admin.explain("x")).decision.variant == "on"
        assert (await admin.explain("x", now=1_800_000_000_000_000_000)).decision.reason is Reason.SCHEDULED


async def test_a_past_that_is_forgotten_is_said():
    from grayflow.store.memory import MemoryStore

    async with Admin(MemoryStore(history_limit=1), actor="ann") as admin:
        await admin.create(flag("x"))
        await admin.switch_on("x")
        await admin.switch_off("x")

        with pytest.raises(HistoryGoneError):
            await admin.explain("x", at=1)


# Stale

NOW = FakeClock().now()
DAY = 86_400


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (flag("x", enabled=True, expires_at="2025-12-31T00:00:00Z"), "expired"),
        (flag("x", enabled=True, expires_at="2026-01-01T00:00:00Z"), "expired"),
        (flag("x", enabled=True, expires_at="2026-01-02T00:00:00Z"), None),
        (flag("x", remove_by="2025-12-31"), "past remove_by"),
        (flag("x", remove_by="2026-01-01"), None),
        (flag("x", archived=True, remove_by="2020-01-01"), None),
        (flag("x"), None),
    ],
)
def test_a_flag_is_overdue_by_its_own_dates(one: Flag, why: str | None):
    found = overdue(one, NOW)

    assert (found.why if found else None) == why


@pytest.mark.parametrize(
    ("one", "variant"),
    [
        (flag("x", enabled=True), "on"),
        (verbs.set_percent(flag("x"), 100), "on"),
        (flag("x", enabled=True, targets={"on": ["u"]}), "on"),
        (flag("x", enabled=True, rules=[{"percent": 5}]), "on"),
        (flag("x"), None),
        (verbs.set_percent(flag("x"), 99.999), None),
        (verbs.set_percent(flag("x"), 0), None),
        (flag("x", enabled=True, targets={"off": ["u"]}), None),
        (flag("x", enabled=True, rules=[{"serve": None}]), None),
        (flag("x", enabled=True, expires_at="2027-01-01T00:00:00Z"), None),
        (flag("x", enabled=True, requires=[{"type": "flag", "key": "y"}]), None),
        (flag("x", enabled=True, otherwise={"weights": [["on", 50_000], ["off", 50_000]]}), None),
    ],
)
def test_a_flag_is_settled_when_everybody_is_served_one_variant(one: Flag, variant: str | None):
    assert settled(one, NOW) == variant


async def test_stale_flags_are_listed_after_the_days_that_were_given():
    clock = FakeClock()
    async with Admin("memory://", actor="ann", clock=clock) as admin:
        await admin.create(flag("settled", enabled=True, owner="pay"))
        await admin.create(flag("young"))
        await admin.create(flag("expired", enabled=True, expires_at="2026-01-02T00:00:00Z"))
        clock.step(31 * DAY)
        await admin.switch_on("young")

        found = await admin.stale()
        late = await admin.stale(settled_days=32)
    assert [(one.key, one.why) for one in found] == [("expired", "expired"), ("settled", "settled")]
    assert (found[1].owner, found[1].since.date()) == ("pay", date(2026, 1, 1))
    assert [one.key for one in late] == ["expired"]


# Checklists


async def test_answers_to_the_checklist_are_in_the_audit():
    async with Admin("memory://", actor="ann") as admin:
        await admin.create(flag("x", enabled=True, off_checklist=["address removed", "support told", "cache"]))
        answers = {"address removed": True, "support told": False, "cache": None}
        saved = await admin.switch_off("x", reason="errors", checklist=answers)

    assert saved.change is not None
    assert saved.change.reason == "errors\n[x] address removed\n[ ] support told\n[?] cache"
    assert answers_in(saved.change.reason) == ("errors", answers)


ITEMS = st.text("abc xyz", min_size=1).map(lambda text: " ".join(text.split())).filter(bool)


@given(st.text("ab c"), st.dictionaries(ITEMS, st.sampled_from([True, False, None]), max_size=3))
def test_answers_can_be_read_back(reason: str, answers: dict[str, bool | None]):
    assert answers_in(reason_with_answers(reason, answers)) == (reason, answers)
