"""What an engine relies on, for both kinds of journal; the boards below have a contract suite of their own."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from grayflow import (
    ConfigurationError,
    MemoryStore,
    ReadOnlyError,
    StoreAccessError,
    StoreFormatError,
    StoreUnavailableError,
)
from grayflow.release.atom import files
from grayflow.release.atom.desk import Desk
from grayflow.release.atom.errors import AtomRefusedError
from grayflow.release.atom.files import FileJournal
from grayflow.release.atom.journal import BoardJournal, Journal
from grayflow.release.atom.record import read_run
from grayflow.store.wrappers import ReadOnly
from grayflow.testing import FakeClock

pytestmark = pytest.mark.anyio

ONE, TWO = b'{"n":1}', b'{"n":2}'


@pytest.fixture(params=["files", "memory"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Any:
    made: Journal = (
        FileJournal(tmp_path / "journal", clock=clock)
        if request.param == "files"
        else BoardJournal(MemoryStore(clock=clock))
    )
    async with made:
        yield made


async def claimed(journal: Journal, owner: str = "a", run_id: str = "r") -> int:
    record = await journal.claim(run_id, owner, span=10)
    assert record is not None
    assert record.lease is not None
    return record.lease.fence


async def test_nothing_is_there_at_first(journal: Journal) -> None:
    assert await journal.get("r") is None
    assert (await journal.list()).records == {}


async def test_a_claim_makes_a_record_without_a_value(journal: Journal, clock: FakeClock) -> None:
    record = await journal.claim("r", "a", span=10)

    assert record is not None
    assert (record.value, record.version) == (b"", 0)
    assert record.lease is not None
    assert (record.lease.owner, record.lease.until) == ("a", clock.now() + 10_000_000_000)
    assert await journal.get("r") == record


async def test_a_record_keeps_its_value_and_counts_its_versions(journal: Journal) -> None:
    fence = await claimed(journal)

    first = await journal.put("r", ONE, expected=0, fence=fence)
    second = await journal.put("r", TWO, expected=1, fence=fence)

    assert first is not None
    assert (first.value, first.version) == (ONE, 1)
    assert second is not None
    assert await journal.get("r") == second


async def test_a_write_from_another_version_is_refused(journal: Journal) -> None:
    fence = await claimed(journal)
    await journal.put("r", ONE, expected=0, fence=fence)

    assert await journal.put("r", TWO, expected=0, fence=fence) is None
    assert await journal.put("r", TWO, expected=2, fence=fence) is None


async def test_repeating_a_write_is_harmless(journal: Journal) -> None:
    fence = await claimed(journal)
    first = await journal.put("r", ONE, expected=0, fence=fence)

    assert await journal.put("r", ONE, expected=0, fence=fence) == first


async def test_who_was_overtaken_can_write_renew_and_release_nothing(journal: Journal, clock: FakeClock) -> None:
    late = await claimed(journal)
    await journal.put("r", ONE, expected=0, fence=late)
    await clock.advance(11)
    fence = await claimed(journal, "b")

    assert fence > late
    assert await journal.put("r", TWO, expected=1, fence=late) is None
    assert not await journal.renew("r", fence=late, span=10)
    assert not await journal.release("r", fence=late)
    assert await journal.put("r", TWO, expected=1, fence=fence) is not None


async def test_a_lease_keeps_others_out_until_it_ends(journal: Journal, clock: FakeClock) -> None:
    await claimed(journal)

    assert await journal.claim("r", "b", span=10) is None
    await clock.advance(9.9)
    assert await journal.claim("r", "b", span=10) is None
    await clock.advance(0.2)
    assert await journal.claim("r", "b", span=10) is not None


async def test_a_lease_that_is_renewed_goes_on(journal: Journal, clock: FakeClock) -> None:
    fence = await claimed(journal)
    await clock.advance(9)

    assert await journal.renew("r", fence=fence, span=10)
    await clock.advance(9)
    assert await journal.claim("r", "b", span=10) is None


async def test_a_lease_that_ended_and_that_nobody_took_is_still_good_for_writing(
    journal: Journal, clock: FakeClock
) -> None:
    fence = await claimed(journal)
    await clock.advance(11)

    assert await journal.put("r", ONE, expected=0, fence=fence) is not None
    assert await journal.renew("r", fence=fence, span=10)


async def test_what_is_given_back_is_free_at_once(journal: Journal) -> None:
    fence = await claimed(journal)
    await journal.put("r", ONE, expected=0, fence=fence)

    assert await journal.release("r", fence=fence)
    assert await claimed(journal, "b") > fence
    assert not await journal.release("r", fence=fence)


async def test_what_nothing_was_written_to_is_gone_when_it_is_given_back(journal: Journal) -> None:
    fence = await claimed(journal)
    await journal.release("r", fence=fence)

    assert await journal.get("r") is None
    assert (await journal.list()).records == {}
    assert await claimed(journal) > 0


async def test_a_fence_grows_even_after_the_record_was_gone(journal: Journal) -> None:
    fences = []
    for _ in range(3):
        fences.append(await claimed(journal))
        await journal.release("r", fence=fences[-1])
        (await journal.list()).records  # noqa: B018 - looking clears away what is gone

    assert fences == sorted(set(fences))


async def test_a_record_goes_away_when_its_time_is_over(journal: Journal, clock: FakeClock) -> None:
    fence = await claimed(journal)
    await journal.put("r", ONE, expected=0, fence=fence, ttl=60)
    await clock.advance(59)
    assert await journal.get("r") is not None

    await clock.advance(2)

    assert await journal.get("r") is None
    assert (await journal.list()).records == {}
    record = await journal.claim("r", "b", span=10)
    assert record is not None
    assert record.version == 0


async def test_somebody_without_the_lease_can_write_from_the_version_that_he_read(journal: Journal) -> None:
    fence = await claimed(journal)
    await journal.put("r", ONE, expected=0, fence=fence)

    written = await journal.put("r", TWO, expected=1)

    assert written is not None
    assert written.lease is not None
    assert written.lease.fence == fence


@pytest.mark.parametrize("run_id", ["r/../x", "..", ".", "ä ö", "a" * 900, "CON", "x\ny", "%2e"])
async def test_a_run_may_have_any_name(journal: Journal, run_id: str) -> None:
    fence = await claimed(journal, run_id=run_id)
    await journal.put(run_id, ONE, expected=0, fence=fence)
    await claimed(journal, run_id="other")

    assert set((await journal.list()).records) == {run_id, "other"}


async def test_of_many_at_once_one_gets_the_lease(journal: Journal) -> None:
    got = []

    async def claim(owner: str) -> None:
        got.append(await journal.claim("r", owner, span=10))

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(claim, f"o{number}")

    assert sum(record is not None for record in got) == 1


# Of files alone


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


async def test_a_file_journal_survives_its_process(folder: Path) -> None:
    async with FileJournal(folder) as journal:
        fence = await claimed(journal)
        await journal.put("r", ONE, expected=0, fence=fence)

    async with FileJournal(folder) as again:
        record = await again.get("r")

    assert record is not None
    assert record.value == ONE


async def test_a_run_can_be_read_by_people(folder: Path) -> None:
    async with FileJournal(folder) as journal:
        fence = await claimed(journal)
        await journal.put("r", ONE, expected=0, fence=fence)

    newest = max((folder / "r").iterdir())
    assert json.loads(newest.read_text())["run"] == {"n": 1}
    assert [path.stat().st_mode & 0o777 for path in (newest, newest.parent.parent)] == [0o600, 0o700]


async def test_only_the_newest_pages_are_kept(folder: Path) -> None:
    async with FileJournal(folder) as journal:
        fence = await claimed(journal)
        for number in range(30):
            await journal.put("r", b"%d" % number, expected=number, fence=fence)

    names = sorted(path.name for path in (folder / "r").iterdir())
    assert len(names) == 8
    assert names[-1] == "00000031.json"


async def test_who_writes_in_the_place_of_a_page_that_was_cleared_away_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was frozen between reading and writing, for longer than pages are kept."""
    async with FileJournal(folder) as journal:
        fence = await claimed(journal)
        await journal.put("r", ONE, expected=0, fence=fence)
        home = folder / "r"
        seen = files._newest(home)
        for number in range(1, 20):
            await journal.put("r", b"%d" % number, expected=number, fence=fence)
        stale = [seen]
        real = files._newest
        monkeypatch.setattr(files, "_newest", lambda place: stale.pop() if stale else real(place))

        assert await journal.put("r", TWO, expected=1, fence=fence) is None

        record = await journal.get("r")
        assert record is not None
        assert record.value == b"19"
        assert len(list(home.iterdir())) == 8


async def test_drafts_of_killed_processes_do_no_harm(folder: Path) -> None:
    async with FileJournal(folder) as journal:
        fence = await claimed(journal)
        await journal.put("r", ONE, expected=0, fence=fence)
        (folder / "r" / "draft-abc").write_text("half a pa")
        (folder / "stranger").write_text("a file")

        assert await journal.put("r", TWO, expected=1, fence=fence) is not None
        assert set((await journal.list()).records) == {"r"}


async def test_a_folder_of_a_run_that_is_gone_is_removed(folder: Path) -> None:
    clock = FakeClock()
    async with FileJournal(folder, clock=clock) as journal:
        fence = await claimed(journal)
        await journal.put("r", ONE, expected=0, fence=fence, ttl=60)
        (folder / "r" / "draft-abc").write_text("half a pa")
        await clock.advance(61)
        assert (await journal.list()).records == {}
        await clock.advance(3600)
        await journal.list()

        assert _names(folder) == []
        assert await claimed(journal) > fence


async def test_a_page_that_is_damaged_is_told_and_left_alone(folder: Path) -> None:
    async with FileJournal(folder) as journal:
        fence = await claimed(journal)
        await journal.put("r", ONE, expected=0, fence=fence)
        (folder / "r" / "00000009.json").write_text("{")

        for verb in (journal.get("r"), journal.put("r", TWO, expected=1, fence=fence)):
            with pytest.raises(StoreFormatError, match=r"00000009\.json.*move the folder away"):
                await verb


async def test_a_page_that_is_damaged_keeps_no_other_run_from_being_gone_on_with(folder: Path) -> None:
    async with FileJournal(folder) as journal:
        await journal.put("good", b"{}", expected=0)
        (folder / "is%2Fbad").mkdir()
        (folder / "is%2Fbad" / "00000001.json").write_text("{")

        found = (await journal.list()).records

    assert set(found) == {"good", "is/bad"}
    assert read_run(found["is/bad"].value) is None


async def test_names_that_the_file_system_does_not_tell_apart_are_refused(folder: Path) -> None:
    async with FileJournal(folder) as journal:
        await claimed(journal, run_id="r")
        (folder / "r").rename(folder / "R")

        with pytest.raises(ConfigurationError, match="have one folder here"):
            await journal.claim("R", "b", span=10)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(PermissionError(13, "denied"), StoreAccessError), (OSError(28, "No space left"), StoreUnavailableError)],
)
async def test_a_disk_that_does_not_do_it_is_a_store_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, kind: type[Exception]
) -> None:
    def link(draft: str, path: Path) -> None:
        raise error

    async with FileJournal(folder) as journal:
        monkeypatch.setattr(files.os, "link", link)
        with pytest.raises(kind, match="did not do it"):
            await journal.claim("r", "a", span=10)
        monkeypatch.undo()

        assert (await journal.list()).records == {}


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


# Of boards alone


async def test_a_run_of_another_release_is_not_said_to_be_missing() -> None:
    async with BoardJournal(MemoryStore()) as journal:
        assert await journal.put("r", b"{", expected=0) is not None

        with pytest.raises(AtomRefusedError, match="run 'r' cannot be read; install the release that wrote it"):
            await Desk(journal, actor="ann").cancel("r")


async def test_a_store_without_a_board_says_so() -> None:
    class Boardless(MemoryStore):
        board = None  # type: ignore[assignment]

        def __init__(self) -> None:
            super().__init__()
            self.board = None  # type: ignore[assignment]

    with pytest.raises(ConfigurationError, match="no place"):
        await BoardJournal(Boardless()).__aenter__()


@pytest.mark.parametrize(
    "verb",
    [
        lambda journal: journal.claim("r", "a", span=10),
        lambda journal: journal.put("r", ONE, expected=0),
        lambda journal: journal.renew("r", fence=1, span=10),
        lambda journal: journal.release("r", fence=1),
    ],
    ids=["claim", "put", "renew", "release"],
)
async def test_a_store_that_is_only_read_refuses(verb: Callable[[Journal], Awaitable[object]]) -> None:
    async with BoardJournal(ReadOnly(MemoryStore())) as journal:
        with pytest.raises(ReadOnlyError, match="opened for reading only"):
            await verb(journal)
