"""What `doctor` makes of stores that are not as they should be."""

import pytest

from grayflow.cli import examination
from grayflow.cli.examination import Check, examine
from grayflow.cli.exits import Exit
from grayflow.errors import StoreAccessError, StoreFormatError, StoreUnavailableError
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Change, Edit
from grayflow.store.wrappers import ReadOnly, Wrapper
from grayflow.testing import Faulty
from grayflow.testing.contract.kit import edit

pytestmark = pytest.mark.anyio


def named(checks: tuple[Check, ...]) -> dict[str, Check]:
    return {check.name: check for check in checks}


@pytest.fixture
async def store() -> MemoryStore:
    made = MemoryStore()
    async with made:
        await made.init()
    return made


class Elsewhere(Wrapper):
    offset = 0.0

    async def clock_offset(self) -> float | None:
        return self.offset


@pytest.mark.parametrize(
    ("offset", "status", "words"),
    [(0.4, "ok", "0.400 s ahead"), (-1.5, "warning", "1.500 s behind"), (2.0, "warning", "2.000 s ahead")],
)
async def test_clocks_that_are_apart_are_told(store: MemoryStore, offset: float, status: str, words: str):
    elsewhere = Elsewhere(store)
    elsewhere.offset = offset
    check = named(await examine(elsewhere, None))["clock"]

    assert (check.status, words in check.found) == (status, True)
    assert ("NTP" in check.remedy) == (status == "warning")


async def test_many_flags_are_told(store: MemoryStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(examination, "MANY_FLAGS", 1)
    async with store:
        for key in ("a", "b"):
            await store.commit(edit(key, b'{"key":"%s"}' % key.encode()), expected=0)

    assert named(await examine(store, None))["documents"].status == "warning"


async def test_of_many_problems_twenty_are_shown(store: MemoryStore):
    async with store:
        for number in range(25):
            await store.commit(edit(f"f-{number}", b"{}"), expected=0)
    checks = [check for check in await examine(store, None) if check.name == "soundness"]

    assert len(checks) == 21
    assert checks[-1].found == "5 more problems"


@pytest.mark.parametrize("verb", ["load", "oldest", "follow", "clock_offset", "checkup"])
async def test_each_thing_that_cannot_be_looked_at_is_an_error(store: MemoryStore, verb: str):
    faulty = Faulty(store)
    faulty.errors[verb] = StoreUnavailableError("gone")
    checks = await examine(faulty, None)

    assert (checks[-1].status, checks[-1].found, checks[-1].exit) == ("error", "gone", Exit.STORE)


@pytest.mark.parametrize("verb", ["position", "load"])
async def test_data_that_must_not_be_used_has_a_line_of_its_own_and_its_remedy(store: MemoryStore, verb: str):
    faulty = Faulty(store)
    faulty.errors[verb] = StoreFormatError("schema 2 is newer than 1", remedy="Install a newer grayflow")
    checks = named(await examine(faulty, None))
    check = checks["data" if verb == "position" else "documents"]

    assert checks["connection"].status == "ok"
    assert (check.status, check.exit) == ("error", Exit.STORE)
    assert (check.found, check.remedy) == ("schema 2 is newer than 1", "Install a newer grayflow")


async def test_a_namespace_without_data_was_reached_all_the_same():
    connection, check = await examine(MemoryStore(), None)

    assert (connection.name, connection.status) == ("connection", "ok")
    assert (check.name, check.status, check.exit) == ("initialised", "error", Exit.STORE)
    assert "grayflow export --last-good" in check.remedy


async def test_a_user_who_hears_nothing_is_told(store: MemoryStore):
    faulty = Faulty(store)
    faulty.errors["follow"] = StoreAccessError("no right to the channel")
    checks = named(await examine(faulty, None))

    assert (checks["link"].status, checks["link"].exit) == ("error", Exit.NO)
    assert "grayflow acl" in checks["link"].remedy
    assert checks["rights"].status == "ok"


async def test_a_clock_that_may_not_be_asked_is_unknown(store: MemoryStore):
    faulty = Faulty(store)
    faulty.errors["clock_offset"] = StoreAccessError("no right to TIME")

    assert named(await examine(faulty, None))["clock"].found == "unknown (no right to ask)"
    assert named(await examine(store, None))["clock"].found == "the store has no clock of its own"


async def test_a_store_for_reading_is_told(store: MemoryStore):
    check = named(await examine(ReadOnly(store), None))["rights"]

    assert (check.status, check.exit) == ("error", Exit.REFUSED)
    assert "reading only" in check.found


async def test_a_store_that_deletes_what_is_not_there_is_broken(store: MemoryStore):
    class Careless(Wrapper):
        async def commit(self, edit: Edit, *, expected: int) -> Change:
            return await self.inner.commit(_harmless(edit), expected=0)

    assert named(await examine(Careless(store), None))["rights"].status == "error"


def _harmless(probe: Edit) -> Edit:
    return edit(probe.key, b"{}", kind=probe.kind)
