"""Leases: one holder at a time, and a fence that tells who came later."""

import pytest

from grayflow.store.board import Record
from grayflow.testing.contract.board.kit import LONG, SHORT, TEXTS, PassTime, held, leased, passed, two_boards
from grayflow.testing.contract.kit import Contract, OpenStore


class Claiming(Contract):
    """`claim`, and what happens when a lease ends."""

    async def test_a_claim_makes_a_record_without_a_value(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            before = await board.now()
            record = await board.claim("jobs", "a", "ada", span=2.5)
            after = await board.now()

            lease = leased(record)
            assert record == Record(value=b"", version=0, lease=lease) == await other.get("jobs", "a")
            assert lease.owner == "ada"
            assert lease.fence > 0
            assert before + 2_498_000_000 <= lease.until <= after + 2_502_000_000

    async def test_a_claim_of_a_value_returns_it(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            await board.put("jobs", "a", b"0")
            await board.put("jobs", "a", b"1")

            record = await other.claim("jobs", "a", "ada", span=LONG)

            assert record == Record(value=b"1", version=2, lease=leased(record)) == await board.get("jobs", "a")

    @pytest.mark.parametrize("owner", TEXTS.values(), ids=TEXTS)
    async def test_any_text_names_an_owner(self, open_store: OpenStore, owner: str) -> None:
        async with two_boards(open_store) as (board, other):
            lease = await held(board, owner=owner)

            assert lease.owner == owner
            assert leased(await other.get("jobs", "a")) == lease
            assert (await held(other, owner=owner)).fence == lease.fence

    async def test_nobody_else_gets_it_meanwhile(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            lease = await held(board, owner="ada")

            assert await other.claim("jobs", "a", "ben", span=LONG) is None
            assert await board.claim("jobs", "a", "Ada", span=LONG) is None

            assert leased(await other.get("jobs", "a")) == lease

    async def test_it_is_held_to_its_end(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            lease = await held(board, owner="ada", span=2)
            await passed(board, lease.until - 1_800_000_000, pass_time)

            taken = await other.claim("jobs", "a", "ben", span=LONG)

            assert taken is None or await board.now() >= lease.until

    async def test_after_its_end_somebody_else_gets_it(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            lease = await held(board, owner="ada", span=SHORT)
            await passed(board, lease.until, pass_time)

            taken = await held(other, owner="ben")

            assert (taken.owner, taken.fence > lease.fence) == ("ben", True)
            assert leased(await board.get("jobs", "a")) == taken
            assert await board.claim("jobs", "a", "ada", span=LONG) is None

    async def test_a_lease_that_ended_can_still_be_read(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            lease = await held(board, span=SHORT)
            await passed(board, lease.until, pass_time)

            found = await other.list("jobs")

            assert found.records == {"a": Record(value=b"", version=0, lease=lease)}
            assert found.now >= lease.until

    @pytest.mark.parametrize("span", [LONG / 2, LONG * 2])
    async def test_a_holder_that_claims_again_keeps_its_fence(self, open_store: OpenStore, span: float) -> None:
        async with two_boards(open_store) as (board, other):
            first = await held(board, owner="ada", span=LONG)

            again = await held(other, owner="ada", span=span)

            assert (again.owner, again.fence) == ("ada", first.fence)
            assert (again.until > first.until) == (span > LONG)
            assert leased(await board.get("jobs", "a")) == again

    async def test_who_claims_again_too_late_is_a_new_holder(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, _):
            first = await held(board, owner="ada", span=SHORT)
            await passed(board, first.until, pass_time)

            assert (await held(board, owner="ada")).fence > first.fence

    async def test_a_claim_of_another_version_is_refused(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            await board.put("jobs", "a", b"1")
            record = await board.put("jobs", "a", b"2")
            for expected in (0, 1, 3):
                assert await other.claim("jobs", "a", "ada", span=LONG, expected=expected) is None
            assert await board.get("jobs", "a") == record

            assert leased(await other.claim("jobs", "a", "ada", span=LONG, expected=2)).owner == "ada"

    async def test_a_holder_is_refused_another_version_too(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            lease = await held(board)
            await board.put("jobs", "a", b"1")

            assert await board.claim("jobs", "a", "ada", span=2 * LONG, expected=0) is None

            assert leased(await board.get("jobs", "a")) == lease

    async def test_what_is_not_there_has_version_0(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            assert await board.claim("jobs", "a", "ada", span=LONG, expected=1) is None
            assert await board.get("jobs", "a") is None

            lease = leased(await board.claim("jobs", "a", "ada", span=LONG, expected=0))

            assert leased(await other.claim("jobs", "a", "ada", span=LONG, expected=0)).fence == lease.fence


class Renewing(Contract):
    """`renew` and `release`."""

    async def test_a_renewed_lease_ends_later(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            first = await held(board, owner="ada", span=SHORT)
            before = await board.now()
            assert await other.renew("jobs", "a", fence=first.fence, span=LONG)
            after = await board.now()
            await passed(board, first.until, pass_time)

            lease = leased(await board.get("jobs", "a"))

            assert (lease.owner, lease.fence) == ("ada", first.fence)
            assert before + (LONG - 0.002) * 1e9 <= lease.until <= after + (LONG + 0.002) * 1e9
            assert await other.claim("jobs", "a", "ben", span=LONG) is None

    async def test_a_renewal_may_shorten(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            first = await held(board, owner="ada")
            assert await board.renew("jobs", "a", fence=first.fence, span=SHORT)
            lease = leased(await board.get("jobs", "a"))
            assert lease.until < first.until
            await passed(board, lease.until, pass_time)

            assert (await held(other, owner="ben")).fence > first.fence

    async def test_a_lease_that_ended_is_revived(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            first = await held(board, owner="ada", span=SHORT)
            await passed(board, first.until, pass_time)

            assert await board.renew("jobs", "a", fence=first.fence, span=LONG)

            assert await other.claim("jobs", "a", "ben", span=LONG) is None
            assert leased(await other.get("jobs", "a")).fence == first.fence

    async def test_a_lease_that_was_taken_over_is_not_renewed(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            first = await held(board, owner="ada", span=SHORT)
            await passed(board, first.until, pass_time)
            taken = await held(other, owner="ben")

            assert not await board.renew("jobs", "a", fence=first.fence, span=2 * LONG)

            assert leased(await board.get("jobs", "a")) == taken

    async def test_what_was_never_claimed_is_not_renewed(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            lease = await held(board, "b")
            record = await board.put("jobs", "c", b"1")

            assert not await other.renew("jobs", "a", fence=lease.fence, span=LONG)
            assert not await other.renew("jobs", "c", fence=lease.fence, span=LONG)

            assert await board.get("jobs", "a") is None
            assert await board.get("jobs", "c") == record

    async def test_a_released_lease_is_anybodys(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            record = await board.put("jobs", "a", b"1")
            lease = await held(board, owner="ada")

            assert await board.release("jobs", "a", fence=lease.fence)

            assert await board.get("jobs", "a") == record
            assert (await held(other, owner="ben")).fence > lease.fence

    async def test_a_released_record_without_a_value_is_removed(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            lease = await held(board)

            assert await board.release("jobs", "a", fence=lease.fence)

            assert await other.get("jobs", "a") is None
            assert (await other.list("jobs")).records == {}

    async def test_a_release_is_told_once(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            await board.put("jobs", "a", b"1")
            for name in ("a", "b"):
                lease = await held(board, name)

                assert await board.release("jobs", name, fence=lease.fence)
                assert not await board.release("jobs", name, fence=lease.fence)

    async def test_a_lease_that_ended_is_released(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, _):
            record = await board.put("jobs", "a", b"1")
            lease = await held(board, span=SHORT)
            await passed(board, lease.until, pass_time)

            assert await board.release("jobs", "a", fence=lease.fence)

            assert await board.get("jobs", "a") == record

    async def test_a_release_does_not_touch_the_next_holder(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            first = await held(board, owner="ada", span=SHORT)
            await passed(board, first.until, pass_time)
            taken = await held(other, owner="ben")

            assert not await board.release("jobs", "a", fence=first.fence)

            assert leased(await board.get("jobs", "a")) == taken

    async def test_a_released_lease_is_not_renewed(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            record = await board.put("jobs", "a", b"1")
            lease = await held(board)
            await board.release("jobs", "a", fence=lease.fence)

            assert not await board.renew("jobs", "a", fence=lease.fence, span=LONG)

            assert await board.get("jobs", "a") == record


class Fencing(Contract):
    """`fence`: only who holds the lease writes."""

    async def test_the_holder_writes_and_keeps_its_lease(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            lease = await held(board)

            record = await other.put("jobs", "a", b"1", fence=lease.fence)

            assert record == Record(value=b"1", version=1, lease=lease) == await board.get("jobs", "a")

    async def test_who_writes_without_a_fence_leaves_the_lease_as_it_is(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            lease = await held(board)

            assert await other.put("jobs", "a", b"1") == Record(value=b"1", version=1, lease=lease)

    async def test_who_was_followed_writes_no_more(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            first = await held(board, owner="ada", span=SHORT)
            await passed(board, first.until, pass_time)
            taken = await held(other, owner="ben")
            record = await other.put("jobs", "a", b"ben", fence=taken.fence)

            assert await board.put("jobs", "a", b"ada", fence=first.fence) is None
            assert not await board.delete("jobs", "a", fence=first.fence)

            assert await board.get("jobs", "a") == record

    async def test_who_was_followed_is_told_in_a_repetition(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            first = await held(board, owner="ada", span=SHORT)
            written = await board.put("jobs", "a", b"1", expected=0, fence=first.fence)
            await passed(board, first.until, pass_time)
            await held(other, owner="ben")

            assert written is not None
            assert await board.put("jobs", "a", b"1", expected=0, fence=first.fence) is None

    async def test_who_ended_and_was_not_followed_still_writes(
        self, open_store: OpenStore, pass_time: PassTime
    ) -> None:
        async with two_boards(open_store) as (board, _):
            lease = await held(board, span=SHORT)
            await passed(board, lease.until, pass_time)

            record = await board.put("jobs", "a", b"1", fence=lease.fence)

            assert record == Record(value=b"1", version=1, lease=lease)
            assert await board.delete("jobs", "a", fence=lease.fence)
            assert await board.get("jobs", "a") is None

    async def test_without_a_lease_no_fence_fits(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            record = await board.put("jobs", "a", b"1")
            lease = await held(board)
            await board.release("jobs", "a", fence=lease.fence)

            assert await board.put("jobs", "a", b"2", fence=lease.fence) is None
            assert not await board.delete("jobs", "a", fence=lease.fence)
            assert await board.put("jobs", "b", b"2", fence=lease.fence) is None

            assert (await board.list("jobs")).records == {"a": record}

    async def test_both_conditions_have_to_hold(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            lease = await held(board)
            await board.put("jobs", "a", b"1")
            for conditions in (
                {"expected": 0, "fence": lease.fence},
                {"expected": 2, "fence": lease.fence},
                {"expected": 1, "fence": lease.fence + 1},
                {"expected": 1, "fence": lease.fence - 1},
            ):
                assert await board.put("jobs", "a", b"2", **conditions) is None
                assert not await board.delete("jobs", "a", **conditions)

            assert await board.put("jobs", "a", b"2", expected=1, fence=lease.fence) is not None
            assert await board.put("jobs", "a", b"2", expected=1, fence=lease.fence) is not None
            assert await board.delete("jobs", "a", expected=2, fence=lease.fence)

    async def test_a_deleted_lease_is_nobodys(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            first = await held(board, owner="ada")
            await other.delete("jobs", "a")

            second = await held(other, owner="ben")

            assert second.fence > first.fence
            assert not await board.renew("jobs", "a", fence=first.fence, span=LONG)
            assert await board.put("jobs", "a", b"1", fence=first.fence) is None

    async def test_fences_grow_whatever_happens(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            fences = [(await held(board)).fence]
            await board.release("jobs", "a", fence=fences[-1])  # which removes it
            fences.append((await held(other)).fence)
            await board.put("jobs", "a", b"1")
            await board.delete("jobs", "a")
            fences.append((await held(board, span=SHORT)).fence)
            await passed(board, leased(await board.get("jobs", "a")).until, pass_time)
            fences.append((await held(other, owner="ben")).fence)
            await board.release("jobs", "a", fence=fences[-1])
            fences.append((await held(other, "b")).fence)
            fences.append((await held(board, "a", collection="others")).fence)
            record = await board.put("others", "a", b"1", ttl=SHORT)
            assert record is not None
            assert record.expires is not None
            await passed(board, record.expires, pass_time)
            fences.append((await held(other, "a", collection="others")).fence)

            assert fences == sorted(set(fences))
