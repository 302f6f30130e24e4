"""Records: a value under a name, its version, and the conditions under which it is written."""

import pytest

from grayflow.store.board import Record, Records
from grayflow.testing.contract.board.kit import LONG, NAMES, SHORT, TEXTS, PassTime, held, passed, two_boards
from grayflow.testing.contract.kit import Contract, OpenStore

VALUES = {
    "empty": b"",
    "nul": b"\x00",
    "not-utf-8": b"\xff\xfe\x00\x80",
    "line-ends": b"\r\n\x00\t\n",
    "a-number": b"7",
    "all-bytes": bytes(range(256)),
    "1-mib": b"x" * 1_048_576,
}
ALIKE = ["a", "A", "a ", "a\x00", "a\x00b", "\u00e9", "e\u0301", "1", "01", "1.0"]


class Keeping(Contract):
    """`put`, `get`, `list` and `delete`, without leases and without end."""

    async def test_what_was_never_put_is_not_there(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            assert await board.get("jobs", "a") is None
            assert (await board.list("jobs")).records == {}

    async def test_the_first_value_has_version_1(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            record = await board.put("jobs", "a", b"1")

            assert record == Record(value=b"1", version=1) == await board.get("jobs", "a")
            assert await other.get("jobs", "a") == record

    async def test_every_put_makes_the_next_version(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            await board.put("jobs", "a", b"1")

            assert await other.put("jobs", "a", b"1") == Record(value=b"1", version=2)
            assert await board.put("jobs", "a", b"3") == Record(value=b"3", version=3) == await other.get("jobs", "a")

    @pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
    async def test_any_bytes_come_back(self, open_store: OpenStore, value: bytes) -> None:
        async with two_boards(open_store) as (board, other):
            record = await board.put("jobs", "a", value)

            assert record == Record(value=value, version=1) == await other.get("jobs", "a")
            assert (await other.list("jobs")).records == {"a": record}

    @pytest.mark.parametrize("name", TEXTS.values(), ids=TEXTS)
    async def test_any_text_names_a_record(self, open_store: OpenStore, name: str) -> None:
        async with two_boards(open_store) as (board, other):
            record = await board.put("jobs", name, b"1")

            assert await other.get("jobs", name) == record
            assert (await other.list("jobs")).records == {name: record}
            assert await board.delete("jobs", name)
            assert await other.get("jobs", name) is None

    @pytest.mark.parametrize("collection", NAMES.values(), ids=NAMES)
    async def test_any_name_names_a_collection(self, open_store: OpenStore, collection: str) -> None:
        async with two_boards(open_store) as (board, other):
            record = await board.put(collection, "a", b"1")

            assert await other.get(collection, "a") == record
            assert (await other.list(collection)).records == {"a": record}

    async def test_names_that_look_alike_are_different(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            for number, name in enumerate(ALIKE):
                await board.put("jobs", name, b"%d" % number)

            assert (await board.list("jobs")).records == {
                name: Record(value=b"%d" % number, version=1) for number, name in enumerate(ALIKE)
            }

    async def test_collections_know_nothing_of_each_other(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            for number, collection in enumerate(["jobs", "Jobs", "jobs:a", "jobs/a", "a"]):
                await board.put(collection, "a", b"%d" % number)
            await board.delete("jobs/a", "a")

            assert (await board.list("jobs")).records == {"a": Record(value=b"0", version=1)}
            assert (await board.list("Jobs")).records == {"a": Record(value=b"1", version=1)}
            assert (await board.list("jobs:a")).records == {"a": Record(value=b"2", version=1)}
            assert (await board.list("jobs/a")).records == {}

    async def test_a_collection_a_counter_and_a_set_may_have_one_name(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            await board.put("x", "a", b"1")
            await board.count("x", "w", 1, {"a": 1}, ttl=LONG)
            await board.add("x", ["a"])
            await board.remove("x", ["a"])

            assert await board.get("x", "a") == Record(value=b"1", version=1)
            assert list(await board.counts(["x"])) == [{"a": 1}]

    async def test_the_list_is_of_all_records(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            await board.put("jobs", "valued", b"1")
            await board.put("jobs", "ending", b"2", ttl=LONG)
            await board.put("jobs", "deleted", b"3")
            await board.delete("jobs", "deleted")
            await held(board, "leased")

            names = ("valued", "ending", "leased")
            assert (await other.list("jobs")).records == {name: await other.get("jobs", name) for name in names}

    async def test_five_hundred_records_are_listed(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            for number in range(500):
                await board.put("jobs", f"{number}", b"%d" % number)

            assert {name: record.value for name, record in (await other.list("jobs")).records.items()} == {
                f"{number}": b"%d" % number for number in range(500)
            }

    async def test_the_list_is_of_one_instant(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            before = await board.now()
            found: Records = await board.list("jobs")

            assert before <= found.now <= await board.now()

    async def test_what_is_deleted_begins_again(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            await board.put("jobs", "a", b"1")
            await board.put("jobs", "a", b"2")

            assert await other.delete("jobs", "a")

            assert await board.get("jobs", "a") is None
            assert await board.put("jobs", "a", b"3") == Record(value=b"3", version=1)

    async def test_what_is_not_there_is_gone_already(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            assert await board.delete("jobs", "a")
            assert await board.delete("jobs", "a", expected=3)
            assert await board.delete("jobs", "a", fence=3)
            assert await board.get("jobs", "a") is None


class Comparing(Contract):
    """`expected`: a write from what was read."""

    async def test_a_write_of_the_version_that_is_there_is_made(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            await board.put("jobs", "a", b"1", expected=0)

            assert await other.put("jobs", "a", b"2", expected=1) == Record(value=b"2", version=2)
            assert await board.put("jobs", "a", b"3", expected=2) == Record(value=b"3", version=3)

    @pytest.mark.parametrize("expected", [0, 1, 3, 99])
    async def test_a_write_of_another_version_is_refused(self, open_store: OpenStore, expected: int) -> None:
        async with two_boards(open_store) as (board, other):
            await board.put("jobs", "a", b"1")
            record = await board.put("jobs", "a", b"2", ttl=LONG)

            assert await other.put("jobs", "a", b"other", expected=expected) is None

            assert await board.get("jobs", "a") == record

    async def test_a_write_of_what_is_not_there_is_refused(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            assert await board.put("jobs", "a", b"1", expected=1) is None

            assert await board.get("jobs", "a") is None

    async def test_what_was_only_claimed_has_version_0(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            lease = await held(board)

            record = await other.put("jobs", "a", b"1", expected=0)

            assert record == Record(value=b"1", version=1, lease=lease)

    async def test_an_empty_value_is_a_value(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            await held(board)

            assert (await board.put("jobs", "a", b"", expected=0)) is not None

            assert await other.put("jobs", "a", b"1", expected=0) is None
            assert await other.put("jobs", "a", b"1", expected=1) is not None

    @pytest.mark.parametrize("version", [0, 1, 4])
    async def test_a_repetition_answers_as_the_first(self, open_store: OpenStore, version: int) -> None:
        async with two_boards(open_store) as (board, other):
            for _ in range(version):
                await board.put("jobs", "a", b"before")
            record = await board.put("jobs", "a", b"1", expected=version, ttl=LONG)

            assert await other.put("jobs", "a", b"1", expected=version, ttl=LONG) == record

            assert record is not None
            assert record.version == version + 1
            assert await board.get("jobs", "a") == record

    async def test_another_value_is_no_repetition(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            record = await board.put("jobs", "a", b"1", expected=0)

            assert await other.put("jobs", "a", b"2", expected=0) is None
            assert await other.put("jobs", "a", b"", expected=0) is None

            assert await board.get("jobs", "a") == record

    async def test_a_repetition_too_late_is_refused(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            await board.put("jobs", "a", b"1", expected=0)
            await board.put("jobs", "a", b"1", expected=1)

            assert await board.put("jobs", "a", b"1", expected=0) is None

    async def test_only_the_version_that_is_there_is_deleted(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            await board.put("jobs", "a", b"1")
            record = await board.put("jobs", "a", b"2")
            for expected in (0, 1, 3):
                assert not await other.delete("jobs", "a", expected=expected)
            assert await board.get("jobs", "a") == record

            assert await other.delete("jobs", "a", expected=2)
            assert await other.delete("jobs", "a", expected=2)

            assert await board.get("jobs", "a") is None

    async def test_what_was_only_claimed_is_deleted_as_version_0(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            await held(board)

            assert await board.delete("jobs", "a", expected=0)

            assert await board.get("jobs", "a") is None


class Expiring(Contract):
    """`ttl` of records."""

    async def test_a_record_says_when_it_is_gone(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            before = await board.now()
            record = await board.put("jobs", "a", b"1", ttl=2.5)
            after = await board.now()

            assert record is not None
            assert record.expires is not None
            assert before + 2_498_000_000 <= record.expires <= after + 2_502_000_000
            assert await other.get("jobs", "a") in (record, None)

    async def test_it_is_gone_then(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            record = await board.put("jobs", "a", b"1", ttl=SHORT)
            stays = await board.put("jobs", "b", b"1")
            assert record is not None
            assert record.expires is not None
            await passed(board, record.expires, pass_time)

            assert await board.get("jobs", "a") is None
            assert (await other.list("jobs")).records == {"b": stays}
            assert await other.delete("jobs", "a", expected=7)
            assert await other.put("jobs", "a", b"2", expected=1) is None
            assert await other.put("jobs", "a", b"3", expected=0) == Record(value=b"3", version=1)

    async def test_it_is_there_until_then(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            record = await board.put("jobs", "a", b"1", ttl=2)
            assert record is not None
            assert record.expires is not None
            await passed(board, record.expires - 1_800_000_000, pass_time)

            found = await other.get("jobs", "a")

            assert found == record or await board.now() >= record.expires

    async def test_the_time_is_counted_anew_with_every_put(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            first = await board.put("jobs", "a", b"1", ttl=LONG)
            short = await board.put("jobs", "b", b"1", ttl=SHORT)
            assert first is not None
            assert short is not None
            assert first.expires is not None
            assert short.expires is not None
            ending = await other.put("jobs", "a", b"2", ttl=SHORT)
            longer = await other.put("jobs", "b", b"2", ttl=LONG)
            assert ending is not None
            assert ending.expires is not None
            await passed(board, max(short.expires, ending.expires), pass_time)

            assert ending.expires < first.expires
            assert (await board.list("jobs")).records == {"b": longer}

    async def test_a_put_without_a_time_makes_it_stay(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            record = await board.put("jobs", "a", b"1", ttl=SHORT)
            assert record is not None
            assert record.expires is not None
            stays = await other.put("jobs", "a", b"2")
            await passed(board, record.expires, pass_time)

            assert stays is not None
            assert stays.expires is None
            assert await board.get("jobs", "a") == stays

    async def test_leasing_does_not_change_it(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            record = await board.put("jobs", "a", b"1", ttl=LONG)
            assert record is not None
            claimed = await other.claim("jobs", "a", "ada", span=2 * LONG)
            assert claimed is not None
            assert claimed.lease is not None
            assert await board.renew("jobs", "a", fence=claimed.lease.fence, span=3 * LONG)
            renewed = await board.get("jobs", "a")
            assert await board.release("jobs", "a", fence=claimed.lease.fence)

            assert renewed is not None
            assert record.expires == claimed.expires == renewed.expires
            assert await other.get("jobs", "a") == record

    async def test_the_lease_is_gone_with_it(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            lease = await held(board, owner="ada")
            record = await board.put("jobs", "a", b"1", ttl=SHORT)
            assert record is not None
            assert record.expires is not None
            assert record.lease == lease
            await passed(board, record.expires, pass_time)

            assert not await board.renew("jobs", "a", fence=lease.fence, span=LONG)
            assert not await board.release("jobs", "a", fence=lease.fence)
            assert await board.put("jobs", "a", b"1", fence=lease.fence) is None
            assert (await held(other, owner="ben")).fence > lease.fence
            assert await other.put("jobs", "a", b"2", expected=0) is not None
