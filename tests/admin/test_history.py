"""What was: history, differences between revisions, and the way back."""

from collections.abc import Callable

import pytest

from grayflow.admin import Admin, Difference
from grayflow.admin.past import document_at
from grayflow.core.codec import decode_flag
from grayflow.errors import ConfigurationError, HistoryGoneError, InvalidFlagError, UnknownFlagError
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Store
from grayflow.testing import FakeClock
from grayflow.testing.builders import flag

pytestmark = pytest.mark.anyio

OpenStore = Callable[[], Store]


async def lived(admin: Admin) -> None:
    """Revisions: 1 other, 2 created, 3 on, 4 10 %, 5 other, 6 deleted, 7 created again."""
    await admin.create(flag("other"))
    await admin.create(flag("x"))
    await admin.switch_on("x")
    await admin.set_percent("x", 10)
    await admin.switch_on("other")
    await admin.delete("x")
    await admin.create(flag("x", description="again"))


async def test_a_document_is_found_at_every_revision(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await lived(admin)

        found = [await admin.document_at("x", revision) for revision in range(8)]

    assert [document and document.revision for document in found] == [None, None, 2, 3, 4, 4, None, 7]
    assert decode_flag(found[4].data).rules[0].percent == 10


async def test_a_document_at_a_revision_agrees_with_the_whole_state_then(open_store: OpenStore):
    store = open_store()
    async with Admin(store, actor="ann") as admin:
        await lived(admin)

        for revision in range(8):
            assert (await store.at(revision)).flags.get("x") == await admin.document_at("x", revision)


async def test_a_revision_of_the_future_is_refused(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await lived(admin)

        for ask in (admin.document_at("x", 8), admin.rollback("x", to=8), admin.diff("x", 1, 9)):
            with pytest.raises(ConfigurationError, match="the newest is 7"):
                await ask


async def test_what_never_was_has_no_history(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        for ask in (admin.document_at("x", 0), admin.rollback("x"), admin.diff("x"), admin.explain("x")):
            with pytest.raises(UnknownFlagError):
                await ask


async def test_differences_between_revisions(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await lived(admin)

        assert await admin.diff("x", 2, 3) == (Difference(("enabled",), False, True),)
        assert await admin.diff("x", to=3) == (Difference(("enabled",), False, True),)
        assert {one.place for one in await admin.diff("x", 3, 5)} == {"otherwise", "rules"}
        assert {one.place for one in await admin.diff("x")} >= {"key", "description"}


async def test_differences_follow_a_deletion(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await lived(admin)
        gone = await admin.diff("x", 5, 6)

    assert Difference(("enabled",), before=True) in gone


# Rollback


async def test_a_rollback_is_a_new_revision_with_the_old_document(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await lived(admin)
        saved = await admin.rollback("x", to=4, reason="10 % was fine")

        assert saved.revision == 8
        assert (await admin.get("x"))[0] == decode_flag((await admin.document_at("x", 4)).data)
        assert (await admin.history("x"))[0].reason == "to revision 4: 10 % was fine"
        assert len(await admin.history("x")) == 6


async def test_a_rollback_without_a_revision_takes_back_the_newest_change(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create(flag("x"))
        await admin.switch_on("x")
        await admin.set_percent("x", 10)
        await admin.rollback("x")

        assert (await admin.get("x"))[0] == flag("x", enabled=True)


async def test_a_rollback_brings_back_a_deleted_flag(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create(flag("x", enabled=True))
        await admin.delete("x")
        await admin.rollback("x")

        assert (await admin.get("x"))[0].enabled


async def test_a_rollback_never_deletes(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await lived(admin)

        with pytest.raises(InvalidFlagError, match=r"did not exist at revision 1; delete it, or .*: 2, 3, 4, 7"):
            await admin.rollback("x", to=1)
        await admin.create(flag("y"))
        with pytest.raises(InvalidFlagError, match="no earlier version"):
            await admin.rollback("y")
        assert sorted(await admin.flags()) == ["other", "x", "y"]


async def test_a_rollback_switches_off_what_it_takes_away(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create(flag("x"))
        await admin.switch_on("x")

        saved = await admin.rollback("x", to=1)

        assert saved.change is not None
        assert saved.change.generations["on"].off == 2 * saved.revision
        assert (await admin.state()).generations["x"] == saved.change.generations


async def test_every_way_to_take_a_variant_away_is_a_switch_off(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        for number, take in enumerate(
            (
                admin.switch_off,
                lambda key: admin.set_percent(key, 0),
                admin.archive,
                admin.delete,
                lambda key: admin.edit(flag(key, enabled=True, otherwise="off")),
                lambda key: admin.import_(f'{{"key": "{key}"}}'),
            )
        ):
            await admin.create(flag(f"x{number}", enabled=True))
            await take(f"x{number}")
            newest = (await admin.history(f"x{number}"))[0]

            assert newest.generations["on"].off == 2 * newest.revision, newest.action


async def test_an_edit_that_takes_nothing_away_leaves_the_generations(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create(flag("x", enabled=True))
        before = (await admin.state()).generations["x"]
        await admin.include("x", "on", "u-1")
        await admin.set_percent("x", 10)

        assert (await admin.state()).generations["x"] == before


async def test_a_switch_off_by_the_clock_is_not_lost_by_an_edit_after_it():
    clock = FakeClock()
    async with Admin("memory://", actor="ann", clock=clock) as admin:
        await admin.create(flag("x", enabled=True, expires_at="2026-01-01T01:00:00Z"))
        clock.step(7200)
        saved = await admin.put(flag("x", enabled=True, description="still there", expires_at="2026-01-01T01:00:00Z"))

    assert saved.change is not None
    assert saved.change.generations["on"].off == 2 * 1 + 1


# Stores that forget


async def test_what_the_store_forgot_is_said(open_store: OpenStore):
    store = MemoryStore(history_limit=3)
    async with Admin(store, actor="ann") as admin:
        await admin.create(flag("old"))
        await admin.create(flag("x"))
        for percent in (1, 2, 3, 4):
            await admin.set_percent("x", percent)

        # Kept: 4, 5 and 6; what change 4 replaced is revision 3.
        assert (await admin.document_at("x", 3)).revision == 3
        with pytest.raises(HistoryGoneError, match="revision 2 is older than the oldest kept"):
            await admin.document_at("x", 2)
        assert (await admin.document_at("old", 5)).revision == 1
        with pytest.raises(HistoryGoneError):
            await document_at(store, "flag", "never", 1)
        assert await document_at(store, "flag", "never", 3) is None
        with pytest.raises(HistoryGoneError):
            await admin.rollback("old")
