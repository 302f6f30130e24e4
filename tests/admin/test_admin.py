"""Every verb on real stores: what is written, what is audited, what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grayflow.admin import Admin
from grayflow.core.extensions import Extensions, Hash
from grayflow.core.flag import Flag, Segment
from grayflow.errors import (
    ConfigurationError,
    ConflictError,
    InvalidFlagError,
    LifetimeError,
    NotInitializedError,
    ReadOnlyError,
    StoreUnavailableError,
    UnknownFlagError,
)
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Store
from grayflow.store.wrappers import ReadOnly, Recording
from grayflow.testing import FakeClock, Faulty
from grayflow.testing.builders import flag, segment

pytestmark = pytest.mark.anyio

OpenStore = Callable[[], Store]

UNREADABLE = b'{"key": "x", "enabled": true, "from_the_future": 1}'


async def write_raw(store: Store, data: bytes, *, key: str = "x", expected: int = 0) -> None:
    from grayflow.testing.contract.kit import edit

    await store.commit(edit(key, data), expected=expected)


# Verbs


async def test_a_flag_goes_through_its_life(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create({"key": "x"}, reason="new")
        await admin.set_percent("x", 10, reason="canary")
        await admin.include("x", "on", ["u-17"], reason="tester")
        await admin.exclude("x", ["u-17"], reason="done")
        await admin.switch_off("x", reason="errors")
        await admin.switch_on("x", reason="fixed")
        await admin.archive("x", reason="removed from the code")
        await admin.delete("x", reason="clean")

        history = await admin.history("x")
    told = [(change.action, change.actor, change.reason, change.revision) for change in reversed(history)]
    assert told == [
        ("create", "ann", "new", 1),
        ("set_percent", "ann", "canary", 2),
        ("include", "ann", "tester", 3),
        ("exclude", "ann", "done", 4),
        ("switch_off", "ann", "errors", 5),
        ("switch_on", "ann", "fixed", 6),
        ("archive", "ann", "removed from the code", 7),
        ("delete", "ann", "clean", 8),
    ]


async def test_a_segment_goes_through_its_life(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create_segment({"key": "s"})
        await admin.include_in_segment("s", ["u-1", "u-2"])
        await admin.exclude_from_segment("s", "u-2")
        held, revision = await admin.get_segment("s")
        await admin.edit_segment({"key": "s", "include": ["u-9"]}, expected=revision)
        await admin.put_segment({"key": "s", "include": ["u-8"]})
        await admin.rollback_segment("s", to=3)
        rolled, _ = await admin.get_segment("s")
        await admin.delete_segment("s")

        history = await admin.history("s", kind="segment")
    assert (held.include, held.exclude) == (("u-1",), ("u-2",)) == (rolled.include, rolled.exclude)
    actions = ["create", "include", "exclude", "edit", "put", "rollback", "delete"]
    assert [change.action for change in reversed(history)] == actions


async def test_a_write_says_what_was_and_what_is(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        created = await admin.create(flag("x"))
        saved = await admin.switch_on("x")

        assert created.before is None
        assert saved.before == created.after
        assert saved.after is not None
        assert saved.after.enabled
        assert saved.position == await admin.store.position()
        assert saved.token == saved.position.token()
        assert (saved.revision, saved.changed) == (2, True)


async def test_a_write_that_would_change_nothing_writes_nothing(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create(flag("x", enabled=True))
        again = [
            await admin.switch_on("x"),
            await admin.put({"enabled": True, "key": "x"}),
            await admin.edit(flag("x", enabled=True)),
            await admin.exclude("x", ["u-1"]),
        ]

        assert {(saved.changed, saved.change, saved.revision) for saved in again} == {(False, None, 1)}
        assert {saved.position for saved in again} == {await admin.store.position()}


async def test_times_come_from_the_clock(open_store: OpenStore):
    clock = FakeClock()
    async with Admin(open_store(), actor="ann", clock=clock) as admin:
        saved = await admin.create({"key": "x"})

    assert saved.change is not None
    assert saved.change.at == clock.now()


async def test_update_applies_any_function(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create({"key": "x"})
        await admin.update("x", lambda one: flag("x", enabled=True, tags=one.tags), action="promote")

        assert (await admin.get("x"))[0].enabled
        assert (await admin.history("x"))[0].action == "promote"


# What is given back to the operator


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (flag("x", expires_at="2020-01-01T00:00:00Z"), "expired at 2020-01-01"),
        (flag("x", effective_at="2999-01-01T00:00:00Z"), "until 2999-01-01"),
        (flag("x", otherwise="off"), "nothing but `off`"),
    ],
)
async def test_switching_on_says_what_keeps_the_flag_off(one: Flag, words: str):
    async with Admin("memory://", actor="ann") as admin:
        await admin.create(one)
        saved = await admin.switch_on("x")

    assert [words in warning.message for warning in saved.warnings] == [True]


async def test_a_flag_that_works_is_switched_on_without_a_word():
    async with Admin("memory://", actor="ann") as admin:
        await admin.create(flag("x"))

        assert (await admin.switch_on("x")).warnings == ()
        assert (await admin.set_percent("x", 5)).warnings == ()
        assert (await admin.set_percent("x", 0)).warnings == ()


async def test_including_in_a_flag_that_is_off_says_so():
    async with Admin("memory://", actor="ann") as admin:
        await admin.create(flag("x"))

        assert "off" in str((await admin.include("x", "on", "u")).warnings[0])


async def test_missing_references_are_warned_of_and_not_refused(open_store: OpenStore):
    needy = flag("x", requires=[{"type": "flag", "key": "wallet"}, {"type": "segment", "key": "staff"}])
    async with Admin(open_store(), actor="ann") as admin:
        saved = await admin.create(needy)

    assert [f"'{name}', which does not exist" in str(saved.warnings) for name in ("wallet", "staff")] == [True, True]


async def test_deleting_and_archiving_what_others_need_is_warned_of(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create_segment(segment("staff"))
        await admin.create(flag("wallet"))
        conditions = [{"type": "flag", "key": "wallet"}, {"type": "segment", "key": "staff"}]
        await admin.create(flag("x", requires=conditions))

        for saved in (
            await admin.archive("wallet"),
            await admin.delete("wallet"),
            await admin.delete_segment("staff"),
        ):
            assert ["flag 'x' still name it" in warning.message for warning in saved.warnings] == [True]


# What is refused


@pytest.mark.parametrize(
    ("document", "path", "words"),
    [
        ({"key": "x", "rules": [{"serve": "onn"}]}, "rules[0].serve", "the variants are"),
        ({"key": "x", "rules": [{"percent": 120}]}, "rules[0].percent", "<= 100"),
        ({"key": "x", "enabeld": True}, "", "unknown field `enabeld`"),
        (
            {"key": "x", "rules": [{"when": [{"type": "attribute", "name": "a", "op": "inn", "values": [1]}]}]},
            "rules[0].when[0].op",
            "inn",
        ),
        (
            {"key": "x", "rules": [{"when": [{"type": "attribute", "name": "a", "op": "matches", "values": ["("]}]}]},
            "rules[0].when[0].values[0]",
            "",
        ),
    ],
)
async def test_bad_documents_are_refused_with_flag_and_path(document: dict, path: str, words: str):
    async with Admin("memory://", actor="ann") as admin:
        for write in (admin.create, admin.put):
            with pytest.raises(InvalidFlagError) as caught:
                await write(document)
            assert [(problem.key, problem.path) for problem in caught.value.problems] == [("x", path)]
            assert words in str(caught.value)

        assert await admin.flags() == {}


async def test_a_segment_is_not_put_as_a_flag_nor_a_flag_as_a_segment():
    async with MemoryStore() as store, Admin(store, actor="ann") as admin:
        with pytest.raises(InvalidFlagError, match=r"this is a Segment, .* verbs of their own: put_segment"):
            await admin.put(Segment(key="staff"))
        with pytest.raises(InvalidFlagError, match="this is a Flag, and what is written is a Segment"):
            await admin.put_segment(Flag(key="staff"))

        assert await admin.history() == []


async def test_an_edit_that_closes_a_circle_is_refused_with_the_circle(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create_segment(segment("s", when=[{"type": "flag", "key": "a"}]))
        await admin.create(flag("b", requires=[{"type": "segment", "key": "s"}]))

        with pytest.raises(InvalidFlagError, match="flag 'a' → flag 'b' → segment 's' → flag 'a'"):
            await admin.create(flag("a", requires=[{"type": "flag", "key": "b"}]))
        with pytest.raises(InvalidFlagError, match="flag 'c' → flag 'c'"):
            await admin.create(flag("c", requires=[{"type": "flag", "key": "c"}]))
        assert sorted(await admin.flags()) == ["b"]


async def test_a_diamond_is_no_circle():
    async with Admin("memory://", actor="ann") as admin:
        await admin.create(flag("bottom"))
        for name in ("left", "right"):
            await admin.create(flag(name, requires=[{"type": "flag", "key": "bottom"}]))
        both = [{"type": "flag", "key": "left"}, {"type": "flag", "key": "right"}]

        assert (await admin.create(flag("top", requires=both))).warnings == ()


async def test_a_flag_in_a_circle_can_still_be_switched():
    store = MemoryStore()
    async with Admin(store, actor="ann") as admin:
        await write_raw(store, b'{"key":"x","enabled":true,"requires":[{"type":"flag","key":"y"}]}')
        await write_raw(store, b'{"key":"y","enabled":true,"requires":[{"type":"flag","key":"x"}]}', key="y")

        assert (await admin.switch_off("x")).changed


async def test_an_edit_that_did_not_close_the_circle_is_let_pass():
    """Whoever finds a flag in a circle must be able to mend it step by step."""
    store = MemoryStore()
    async with Admin(store, actor="ann") as admin:
        await write_raw(store, b'{"key":"x","requires":[{"type":"flag","key":"y"}]}')
        await write_raw(store, b'{"key":"y","requires":[{"type":"flag","key":"x"}]}', key="y")
        more = [{"type": "flag", "key": "y"}, {"type": "segment", "key": "staff"}]

        saved = await admin.put(flag("x", requires=more))

    assert saved.changed
    assert "part of a circle" in str(saved.warnings)


async def test_reaching_a_circle_elsewhere_is_warned_of():
    store = MemoryStore()
    async with Admin(store, actor="ann") as admin:
        await write_raw(store, b'{"key":"x","requires":[{"type":"flag","key":"x"}]}')
        saved = await admin.create(flag("z", requires=[{"type": "flag", "key": "x"}]))

    assert ["part of a circle" in warning.message for warning in saved.warnings] == [True]


HASHED = {"key": "x", "rules": [{"when": [{"type": "bucket", "ranges": [[0, 10]], "hash": "sha1"}]}]}
SHA1 = Extensions(hashes={"sha1": Hash(100, lambda salt, unit: len(salt + unit) % 100)})


async def test_a_foreign_hash_is_refused_where_it_is_not_at_hand_and_welcome_where_it_is():
    store = MemoryStore()
    async with Admin(store, actor="ann") as admin:
        with pytest.raises(InvalidFlagError, match="no hash 'sha1'"):
            await admin.create(HASHED)
    async with Admin(store, actor="ann", extensions=SHA1) as admin:
        await admin.create(HASHED)


async def test_a_flag_with_a_foreign_hash_can_be_switched_without_it():
    store = MemoryStore()
    async with store:
        async with Admin(store, actor="ann", extensions=SHA1) as admin:
            await admin.create(HASHED)
        async with Admin(store, actor="bob") as admin:
            assert (await admin.switch_on("x")).changed
            assert (await admin.include("x", "on", "u")).changed
            assert (await admin.switch_off("x")).changed
            with pytest.raises(InvalidFlagError, match="no hash 'md5'"):
                await admin.put({"key": "x", "rules": [{"when": [{"type": "bucket", "ranges": [], "hash": "md5"}]}]})


async def test_an_unknown_flag_is_refused_with_names_like_it(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create(flag("payment_v2"))

        for verb in (admin.switch_on, admin.switch_off, admin.delete, admin.archive, admin.get, admin.rollback):
            with pytest.raises(UnknownFlagError, match="Did you mean 'payment_v2'"):
                await verb("paymnt_v2")


async def test_creating_what_exists_is_a_conflict(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create(flag("x"))

        with pytest.raises(ConflictError, match="you meant to create it, but the store has revision 1"):
            await admin.create(flag("x"))


async def test_editing_what_does_not_exist_is_refused(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        with pytest.raises(UnknownFlagError):
            await admin.edit(flag("x"))


# Documents that cannot be read


async def test_the_kill_switch_works_on_a_document_that_cannot_be_read(open_store: OpenStore):
    store = open_store()
    async with Admin(store, actor="ann") as admin:
        await admin.create(flag("x", enabled=True, description="good"))
        await write_raw(store, UNREADABLE, expected=1)

        saved = await admin.switch_off("x")

        assert saved.after == flag("x", enabled=False, description="good")
        assert "could not be read" in str(saved.warnings[0])
        assert saved.change is not None
        assert saved.change.generations["on"].off == 2 * saved.revision


async def test_other_verbs_refuse_a_document_that_cannot_be_read_and_say_the_way_out(open_store: OpenStore):
    store = open_store()
    async with Admin(store, actor="ann") as admin:
        await admin.create(flag("x"))
        await write_raw(store, UNREADABLE, expected=1)

        with pytest.raises(InvalidFlagError, match=r"(?s)roll it back.*from_the_future"):
            await admin.switch_on("x")
        assert (await admin.rollback("x", to=1)).after == flag("x")


async def test_a_document_that_never_could_be_read_is_not_guessed_at():
    store = MemoryStore()
    async with Admin(store, actor="ann") as admin:
        await write_raw(store, UNREADABLE)

        with pytest.raises(InvalidFlagError, match="cannot be read"):
            await admin.switch_off("x")


# The lifetime


async def test_a_file_is_made_by_its_first_admin(tmp_path: Path):
    async with Admin(f"sqlite:///{tmp_path}/new.db", actor="ann") as admin:
        assert await admin.flags() == {}


async def test_a_read_only_store_is_not_made_and_not_written(tmp_path: Path):
    from grayflow.store.urls import open_store

    url = f"sqlite:///{tmp_path}/new.db"
    async with Admin(ReadOnly(open_store(url)), actor="ann") as admin:
        with pytest.raises(NotInitializedError):
            await admin.flags()
    assert not (tmp_path / "new.db").exists()
    async with Admin(url, actor="ann") as admin:
        await admin.create(flag("x"))
    async with Admin(ReadOnly(open_store(url)), actor="ann") as admin:
        with pytest.raises(ReadOnlyError):
            await admin.switch_on("x")


async def test_outside_its_block_an_admin_says_how_it_is_used():
    admin = Admin("memory://", actor="ann")
    for verb in (admin.flags, admin.state, admin.init):
        with pytest.raises(LifetimeError, match="async with Admin"):
            await verb()
    with pytest.raises(LifetimeError, match="async with Admin"):
        await admin.switch_off("x")
    async with admin:
        with pytest.raises(LifetimeError, match="open already"):
            await admin.__aenter__()


async def test_a_store_that_was_passed_in_stays_open():
    async with MemoryStore() as store:
        async with Admin(store, actor="ann"):
            pass

        assert (await store.position()).revision == 0


async def test_the_audit_always_has_an_actor():
    assert Admin("memory://").actor


@pytest.mark.parametrize(
    ("option", "given", "says"),
    [
        ("actor", " ", "actor is ' '; say who"),
        ("actor", 5, "actor is 5; say who"),
        ("actor", b"ann", "say who"),
        ("namespace", "a b", "1 to 64 of"),
        ("namespace", 5, "1 to 64 of"),
        ("extensions", {"hashes": {}}, "give grayflow.Extensions"),
        ("context_type", dict, "the class dict; give a subclass of grayflow.Context"),
        ("clock", 5, "now, monotonic and sleep"),
        ("clock", FakeClock, "the class FakeClock"),
    ],
)
def test_a_bad_option_is_refused_at_once_and_the_remedy_named(option: str, given: Any, says: str):
    with pytest.raises(ConfigurationError) as caught:
        Admin("memory://", **{option: given})

    assert says in str(caught.value)


def test_what_is_no_store_is_refused():
    with pytest.raises(ConfigurationError, match="store is 5; give a URL as text"):
        Admin(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", [None, 5, b"why"])
async def test_a_reason_that_is_no_text_is_refused_and_nothing_written(reason: Any):
    async with Admin("memory://", actor="ann") as admin:
        with pytest.raises(ConfigurationError, match=r"reason is .*; give text"):
            await admin.put({"key": "a"}, reason=reason)

        assert not await admin.history()


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda admin: admin.switch_on(None), "key is None; give the key of a flag, a text"),
        (lambda admin: admin.delete_segment(5), "key is 5; give the key of a segment, a text"),
        (lambda admin: admin.stats(None), "key is None; give the key of a flag, a text"),
        (lambda admin: admin.wait_until_seen(None), "change is None; give a position, its token"),
        (lambda admin: admin.update("f", None), "change is None; give a function of the flag"),
        (lambda admin: admin.update("f", admin.get), "change is async; give a function that is not async"),
        (lambda admin: admin.wait_until_seen(0, timeout="soon"), "timeout is 'soon'; give seconds"),
    ],
)
async def test_what_is_no_key_no_change_and_no_time_is_refused_by_name(ask: Any, says: str):
    async with Admin("memory://", actor="ann") as admin:
        with pytest.raises(ConfigurationError, match=says):
            await ask(admin)


async def test_a_namespace_that_is_not_the_stores_own_is_refused():
    with pytest.raises(ConfigurationError, match=r"'shop'.*'default'"):
        Admin(MemoryStore(), namespace="shop")


async def test_init_draws_a_new_epoch_that_replaces_the_old_one(open_store: OpenStore):
    store = open_store()
    async with Admin(store, actor="ann") as admin:
        before = await store.position()

        assert await admin.init() == before
        after = await admin.init(replaces="*")
        assert after.epoch != before.epoch
        assert set(await store.replaced()) == {"*", before.epoch}


# Lost replies


async def test_a_lost_reply_does_not_do_the_edit_twice():
    clock = FakeClock()
    faulty = Faulty(MemoryStore())
    async with Admin(faulty, actor="ann", clock=Hurried(clock)) as admin:
        await admin.create(flag("x"))
        faulty.lost = Once("commit")

        saved = await admin.switch_on("x")

        assert saved.revision == 2
        assert len(await admin.history("x")) == 2


async def test_a_store_that_never_answers_is_reported_after_three_tries():
    recording = Recording(MemoryStore())
    faulty = Faulty(recording)
    async with Admin(faulty, actor="ann", clock=Hurried(FakeClock())) as admin:
        await admin.create(flag("x"))
        recording.calls.clear()
        faulty.lost = {"commit"}

        with pytest.raises(StoreUnavailableError):
            await admin.switch_on("x")

        requests = [call.arguments["edit"].request_id for call in recording.calls if call.verb == "commit"]
        assert len(requests) == 3
        assert len(set(requests)) == 1


class Once(set):
    """Holds a verb until it was asked for."""

    def __init__(self, verb: str):
        super().__init__({verb})

    def __contains__(self, verb: object) -> bool:
        found = super().__contains__(verb)
        self.discard(verb)
        return found


class Hurried:
    """A clock whose sleeps are over at once."""

    def __init__(self, clock: FakeClock):
        self._clock = clock
        self.now, self.monotonic = clock.now, clock.monotonic

    async def sleep(self, seconds: float) -> None:
        self._clock.step(seconds)
