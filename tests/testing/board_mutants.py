"""
Boards with one fault each; `test_board_contract.py` sees the contract find all of them.

Not collected by itself: no file of this name is a test module.
"""

import msgspec
import pytest
from anyio.lowlevel import checkpoint

from grayflow.errors import UnacknowledgedError
from grayflow.store.board import Lease, Record, Records
from grayflow.store.lifetime import Lifetime
from grayflow.store.memory import MemoryStore
from grayflow.store.memory_board import MemoryBoard
from grayflow.store.wrapped_board import WrappedBoard
from grayflow.testing import BoardContract, FakeClock

replace = msgspec.structs.replace


class Contract(BoardContract):
    board: type[MemoryBoard] = MemoryBoard
    __test__ = False

    @pytest.fixture
    def clock(self):
        return FakeClock()

    @pytest.fixture
    def open_store(self, clock):
        store = MemoryStore(clock=clock)
        store.board = self.board(store._lifetime, clock)
        return lambda: store

    @pytest.fixture
    def pass_time(self, clock):
        return clock.advance


def mutant(board: type[MemoryBoard]) -> type[Contract]:
    return type(f"Test{board.__name__}", (Contract,), {"board": board, "__test__": True})


class Raw(MemoryBoard):
    """Lets faults reach behind the verbs."""

    def write(self, collection, name, record):
        if record is None:
            self._shelf.drop(collection, name)
        else:
            self._shelf.keep(collection, name, record)
        return record

    def change(self, collection, name, record, **fields):
        return self.write(collection, name, replace(record, **fields)) if record is not None else None


# Values


class LastWriterWins(MemoryBoard):
    async def put(self, collection, name, value, *, expected=None, **rest):
        return await super().put(collection, name, value, **rest)


class RefusesRepetitions(MemoryBoard):
    async def put(self, collection, name, value, *, expected=None, **rest):
        held = await self.get(collection, name)
        if expected is not None and expected != (held.version if held else 0):
            return None
        return await super().put(collection, name, value, expected=expected, **rest)


class WritesRepetitionsAgain(MemoryBoard):
    async def put(self, collection, name, value, *, expected=None, **rest):
        held = await self.get(collection, name)
        if held and held.version - 1 == expected and held.value == value:
            expected += 1
        return await super().put(collection, name, value, expected=expected, **rest)


class TakesAnyValueForARepetition(MemoryBoard):
    async def put(self, collection, name, value, *, expected=None, **rest):
        held = await self.get(collection, name)
        if held and held.version - 1 == expected:
            return held
        return await super().put(collection, name, value, expected=expected, **rest)


class PutsAwayTheLease(Raw):
    async def put(self, collection, name, value, **rest):
        return self.change(collection, name, await super().put(collection, name, value, **rest), lease=None)


class StaysForEver(MemoryBoard):
    async def put(self, collection, name, value, *, ttl=None, **rest):
        return await super().put(collection, name, value, **rest)


class KeepsTheOldEnd(Raw):
    async def put(self, collection, name, value, *, ttl=None, **rest):
        held = await self.get(collection, name)
        record = await super().put(collection, name, value, ttl=ttl, **rest)
        return self.change(collection, name, record, expires=held.expires) if held and ttl is None else record


class ListsWhatIsOver(MemoryBoard):
    async def list(self, collection):
        return await self.run(
            lambda shelf, now: Records(now=now, records=dict(shelf.records(collection))), writing=False
        )


class ListsNothing(MemoryBoard):
    async def list(self, collection):
        return replace(await super().list(collection), records={})


class IsNotSureOfWhatIsGone(MemoryBoard):
    async def delete(self, collection, name, **rest):
        return await self.get(collection, name) is not None and await super().delete(collection, name, **rest)


class DeletesAnyVersion(MemoryBoard):
    async def delete(self, collection, name, *, expected=None, fence=None):
        return await super().delete(collection, name, fence=fence)


class DeletesUnderAnyFence(MemoryBoard):
    async def delete(self, collection, name, *, expected=None, fence=None):
        return await super().delete(collection, name, expected=expected)


class GoesOnCounting(Raw):
    def __init__(self, lifetime: Lifetime, clock: FakeClock) -> None:
        super().__init__(lifetime, clock)
        self.last = {}

    async def put(self, collection, name, value, **rest):
        held = await self.get(collection, name)
        record = await super().put(collection, name, value, **rest)
        if held is None and record is not None and (collection, name) in self.last:
            record = self.change(collection, name, record, version=self.last[collection, name] + 1)
        if record is not None:
            self.last[collection, name] = record.version
        return record


class CutsNames(MemoryBoard):
    async def get(self, collection, name):
        return await super().get(collection, name.split("\0")[0] or name)

    async def put(self, collection, name, value, **rest):
        return await super().put(collection, name.split("\0")[0] or name, value, **rest)


class ForgetsTheCase(MemoryBoard):
    async def put(self, collection, name, value, **rest):
        return await super().put(collection, name.lower(), value, **rest)


class OneShelfForAll(MemoryBoard):
    async def put(self, collection, name, value, **rest):
        return await super().put("jobs", name, value, **rest)

    async def get(self, collection, name):
        return await super().get("jobs", name)


# Leases


class Steals(Raw):
    async def claim(self, collection, name, owner, **rest):
        self.change(collection, name, await self.get(collection, name), lease=None)
        return await super().claim(collection, name, owner, **rest)


class NeverEnds(MemoryBoard):
    async def claim(self, collection, name, owner, **rest):
        held = await self.get(collection, name)
        if held and held.lease and held.lease.owner != owner:
            return None
        return await super().claim(collection, name, owner, **rest)


class FencesTheHolderAnew(Raw):
    async def claim(self, collection, name, owner, **rest):
        held = await self.get(collection, name)
        if held and held.lease and held.lease.owner == owner:
            self.change(collection, name, held, lease=None)
        return await super().claim(collection, name, owner, **rest)


class GivesTheOldFenceToTheLate(Raw):
    async def claim(self, collection, name, owner, **rest):
        held = await self.get(collection, name)
        record = await super().claim(collection, name, owner, **rest)
        if record and held and held.lease and held.lease.owner == owner:
            return self.change(collection, name, record, lease=replace(record.lease, fence=held.lease.fence))
        return record


class DoesNotProlong(Raw):
    async def claim(self, collection, name, owner, **rest):
        held = await self.get(collection, name)
        record = await super().claim(collection, name, owner, **rest)
        if record and held and held.lease and held.lease.fence == record.lease.fence:
            return self.change(collection, name, record, lease=held.lease)
        return record


class ClaimsAnyVersion(MemoryBoard):
    async def claim(self, collection, name, owner, *, span, expected=None):
        return await super().claim(collection, name, owner, span=span)


class ClaimsOnlyWhatIsThere(MemoryBoard):
    async def claim(self, collection, name, owner, **rest):
        if await self.get(collection, name) is None:
            return None
        return await super().claim(collection, name, owner, **rest)


class ClaimsAValue(Raw):
    async def claim(self, collection, name, owner, **rest):
        held = await self.get(collection, name)
        record = await super().claim(collection, name, owner, **rest)
        return self.change(collection, name, record, version=1) if held is None else record


class CountsFencesByRecord(Raw):
    async def claim(self, collection, name, owner, **rest):
        held = await self.get(collection, name)
        record = await super().claim(collection, name, owner, **rest)
        if record is None or (held and held.lease and held.lease.owner == owner):
            return held if record else None
        last = held.lease.fence if held and held.lease else 0
        return self.change(collection, name, record, lease=replace(record.lease, fence=last + 1))


class ProlongsTheRecord(Raw):
    async def renew(self, collection, name, *, fence, span):
        done = await super().renew(collection, name, fence=fence, span=span)
        held = await self.get(collection, name)
        if held and held.expires:
            self.change(collection, name, held, expires=held.expires + 1)
        return done


class RevivesNothing(MemoryBoard):
    async def renew(self, collection, name, *, fence, span):
        held = await self.get(collection, name)
        if held and held.lease and held.lease.until <= await self.now():
            return False
        return await super().renew(collection, name, fence=fence, span=span)


class RenewsForAnybody(MemoryBoard):
    async def renew(self, collection, name, *, fence, span):
        held = await self.get(collection, name)
        return await super().renew(
            collection, name, fence=held.lease.fence if held and held.lease else fence, span=span
        )


class RenewsUpwardsOnly(Raw):
    async def renew(self, collection, name, *, fence, span):
        held = await self.get(collection, name)
        done = await super().renew(collection, name, fence=fence, span=span)
        if done:
            lease = replace(held.lease, until=max(held.lease.until, await self.now() + int(span * 1e9)))
            self.change(collection, name, held, lease=lease)
        return done


class ReleasesForAnybody(MemoryBoard):
    async def release(self, collection, name, *, fence):
        held = await self.get(collection, name)
        return await super().release(collection, name, fence=held.lease.fence if held and held.lease else fence)


class LeavesTheEmpty(Raw):
    async def release(self, collection, name, *, fence):
        done = await super().release(collection, name, fence=fence)
        if done and await self.get(collection, name) is None:
            self.write(collection, name, Record(value=b"", version=0))
        return done


class ReleasesTheValueToo(MemoryBoard):
    async def release(self, collection, name, *, fence):
        done = await super().release(collection, name, fence=fence)
        if done:
            await self.delete(collection, name)
        return done


class WritesUnderAnyFence(MemoryBoard):
    async def put(self, collection, name, value, *, fence=None, **rest):
        return await super().put(collection, name, value, **rest)


class FencesOutTheEnded(MemoryBoard):
    async def put(self, collection, name, value, *, fence=None, **rest):
        held = await self.get(collection, name)
        if fence is not None and held and held.lease and held.lease.until <= await self.now():
            return None
        return await super().put(collection, name, value, fence=fence, **rest)


class RepeatsUnderAnyFence(MemoryBoard):
    async def put(self, collection, name, value, *, expected=None, fence=None, ttl=None):
        held = await self.get(collection, name)
        if held and held.version - 1 == expected and held.value == value:
            return held
        return await super().put(collection, name, value, expected=expected, fence=fence, ttl=ttl)


# Counters


class CountsTwice(MemoryBoard):
    async def count(self, counter, writer, sequence, amounts, *, ttl):
        self._shelf._heap("counter", counter).batches.pop(writer, None)
        return await super().count(counter, writer, sequence, amounts, ttl=ttl)


class OneRowOfNumbers(MemoryBoard):
    async def count(self, counter, writer, sequence, amounts, *, ttl):
        return await super().count(counter, "everybody", sequence, amounts, ttl=ttl)


class RefusedBatchesProlong(MemoryBoard):
    async def count(self, counter, writer, sequence, amounts, *, ttl):
        added = await super().count(counter, writer, sequence, amounts, ttl=ttl)
        self._shelf.set_end("counter", counter, await self.now() + int(ttl * 1e9))
        return added


class CountsInFloats(MemoryBoard):
    async def counts(self, counters):
        return [{field: int(float(n)) for field, n in sums.items()} for sums in await super().counts(counters)]


class DropsZeros(MemoryBoard):
    async def counts(self, counters):
        return [{field: n for field, n in sums.items() if n} for sums in await super().counts(counters)]


class RemembersNumbers(MemoryBoard):
    def __init__(self, lifetime: Lifetime, clock: FakeClock) -> None:
        super().__init__(lifetime, clock)
        self.last = {}

    async def count(self, counter, writer, sequence, amounts, *, ttl):
        if sequence <= self.last.get((counter, writer), 0):
            return False
        self.last[counter, writer] = sequence
        return await super().count(counter, writer, sequence, amounts, ttl=ttl)


class IgnoresEmptyBatches(MemoryBoard):
    async def count(self, counter, writer, sequence, amounts, *, ttl):
        return not amounts or await super().count(counter, writer, sequence, amounts, ttl=ttl)


class CountsOnlyOnce(MemoryBoard):
    async def counts(self, counters):
        return await super().counts(tuple(dict.fromkeys(counters)))


# Sets


class TellsAll(MemoryBoard):
    async def add(self, name, members, *, ttl=None):
        await super().add(name, members, ttl=ttl)
        return frozenset(members)


class RefreshesMembers(MemoryBoard):
    async def add(self, name, members, *, ttl=None):
        held = frozenset(member.text for member in await self.members(name)) & frozenset(members)
        if held:
            await self.remove(name, held)
        return await super().add(name, members, ttl=ttl) - held


class ByText(MemoryBoard):
    async def members(self, name, *, limit=1000, offset=0):
        found = await super().members(name, limit=2000)
        return sorted(found, key=lambda member: member.text)[offset : offset + limit]


class NewestFirst(MemoryBoard):
    async def members(self, name, *, limit=1000, offset=0):
        return (await super().members(name, limit=2000))[::-1][offset : offset + limit]


class NoPages(MemoryBoard):
    async def members(self, name, *, limit=1000, offset=0):
        return await super().members(name, limit=limit)


class FirstEndWins(MemoryBoard):
    async def add(self, name, members, *, ttl=None):
        end = await self.run(lambda shelf, _: shelf.end("set", name), writing=False)
        new = await super().add(name, members, ttl=ttl)
        if end != 0:
            self._shelf.set_end("set", name, end)
        return new


class NothingProlongs(MemoryBoard):
    async def add(self, name, members, *, ttl=None):
        if not members and await self.size(name):
            self._shelf.set_end("set", name, None)
        return await super().add(name, members, ttl=ttl)


class RemovesAll(MemoryBoard):
    async def remove(self, name, members):
        if members:
            await super().remove(name, [member.text for member in await self.members(name)])


class TakesTextsForLists(MemoryBoard):
    async def add(self, name, members, *, ttl=None):
        return await super().add(name, list(members), ttl=ttl)


# Many at once


class TornClaim(MemoryBoard):
    async def claim(self, collection, name, owner, *, span, expected=None):
        held = await self.get(collection, name)
        if held and held.lease and held.lease.until > await self.now() and held.lease.owner != owner:
            return None
        await checkpoint()
        now = await self.now()
        if held and held.lease and held.lease.until > now:
            return await super().claim(collection, name, owner, span=span, expected=expected)
        lease = Lease(owner=owner, fence=self._shelf.next_fence(now), until=now + int(span * 1e9))
        record = replace(held or Record(value=b"", version=0), lease=lease)
        self._shelf.keep(collection, name, record)
        return record


class TornPut(MemoryBoard):
    async def put(self, collection, name, value, *, expected=None, **rest):
        held = await self.get(collection, name)
        if expected is not None and expected != (held.version if held else 0):
            return await super().put(collection, name, value, expected=expected, **rest)
        return await super().put(collection, name, value, **rest)


class TornCount(MemoryBoard):
    async def count(self, counter, writer, sequence, amounts, *, ttl):
        (sums,) = await self.counts([counter])
        added = await super().count(counter, writer, sequence, amounts, ttl=ttl)
        if added:
            numbers = self._shelf._heap("counter", counter).numbers
            numbers.update({field: sums.get(field, 0) + amount for field, amount in amounts.items()})
        return added


class TornAdd(MemoryBoard):
    async def add(self, name, members, *, ttl=None):
        held = frozenset(member.text for member in await self.members(name))
        await super().add(name, members, ttl=ttl)
        return frozenset(members) - held


class TornList(MemoryBoard):
    async def list(self, collection):
        found = await super().list(collection)
        records = {}
        for name in found.records:
            await checkpoint()
            records[name] = await self.get(collection, name)
        return replace(found, records=records)


class HalfABatch(MemoryBoard):
    async def count(self, counter, writer, sequence, amounts, *, ttl):
        added = False
        for field, amount in sorted(amounts.items()):
            added = await super().count(counter, f"{writer} {field}", sequence, {field: amount}, ttl=ttl)
        return added


class AlwaysOpen(MemoryBoard):
    def __init__(self, lifetime: Lifetime, clock: FakeClock) -> None:
        super().__init__(lifetime, clock)
        self._lifetime = type("Open", (), {"check": lambda _: None})()


# Durability


class PromisesAndForgets(MemoryBoard):
    def durable(self, durability):
        return MemoryBoard(self._lifetime, self._clock)


class WaitsForWhatItRefused(MemoryBoard):
    def durable(self, durability):
        return Unheard(self)


class Unheard(WrappedBoard):
    def __init__(self, inner):
        super().__init__(inner, self._hear)

    async def _hear(self, verb, arguments, proceed):
        answer = await proceed()
        if verb in {"put", "claim", "count", "add"}:
            raise UnacknowledgedError("memory", missing="nobody listens", remedy="wait")
        return answer


class LosesItsShelf(MemoryBoard):
    def durable(self, durability):
        safe = MemoryBoard(self._lifetime, self._clock)
        safe._shelf, self._shelf = self._shelf, None
        return safe


FOUND_BY: dict[type[MemoryBoard], str] = {
    LastWriterWins: "test_a_write_of_another_version_is_refused",
    RefusesRepetitions: "test_a_repetition_answers_as_the_first",
    WritesRepetitionsAgain: "test_a_repetition_answers_as_the_first",
    TakesAnyValueForARepetition: "test_another_value_is_no_repetition",
    PutsAwayTheLease: "test_the_holder_writes_and_keeps_its_lease",
    StaysForEver: "test_a_record_says_when_it_is_gone",
    KeepsTheOldEnd: "test_a_put_without_a_time_makes_it_stay",
    ListsWhatIsOver: "test_it_is_gone_then",
    ListsNothing: "test_the_list_is_of_all_records",
    IsNotSureOfWhatIsGone: "test_what_is_not_there_is_gone_already",
    DeletesAnyVersion: "test_only_the_version_that_is_there_is_deleted",
    DeletesUnderAnyFence: "test_who_was_followed_writes_no_more",
    GoesOnCounting: "test_what_is_deleted_begins_again",
    CutsNames: "test_names_that_look_alike_are_different",
    ForgetsTheCase: "test_names_that_look_alike_are_different",
    OneShelfForAll: "test_collections_know_nothing_of_each_other",
    Steals: "test_nobody_else_gets_it_meanwhile",
    NeverEnds: "test_after_its_end_somebody_else_gets_it",
    FencesTheHolderAnew: "test_a_holder_that_claims_again_keeps_its_fence",
    GivesTheOldFenceToTheLate: "test_who_claims_again_too_late_is_a_new_holder",
    DoesNotProlong: "test_a_holder_that_claims_again_keeps_its_fence",
    ClaimsAnyVersion: "test_a_claim_of_another_version_is_refused",
    ClaimsOnlyWhatIsThere: "test_a_claim_makes_a_record_without_a_value",
    ClaimsAValue: "test_what_was_only_claimed_has_version_0",
    CountsFencesByRecord: "test_fences_grow_whatever_happens",
    ProlongsTheRecord: "test_leasing_does_not_change_it",
    RevivesNothing: "test_a_lease_that_ended_is_revived",
    RenewsForAnybody: "test_a_lease_that_was_taken_over_is_not_renewed",
    RenewsUpwardsOnly: "test_a_renewal_may_shorten",
    ReleasesForAnybody: "test_a_release_does_not_touch_the_next_holder",
    LeavesTheEmpty: "test_a_released_record_without_a_value_is_removed",
    ReleasesTheValueToo: "test_a_released_lease_is_anybodys",
    WritesUnderAnyFence: "test_who_was_followed_writes_no_more",
    FencesOutTheEnded: "test_who_ended_and_was_not_followed_still_writes",
    RepeatsUnderAnyFence: "test_who_was_followed_is_told_in_a_repetition",
    CountsTwice: "test_a_batch_is_added_once",
    OneRowOfNumbers: "test_every_writer_has_numbers_of_its_own",
    RefusedBatchesProlong: "test_a_batch_that_was_added_before_does_not",
    CountsInFloats: "test_sums_are_exact",
    DropsZeros: "test_sums_are_exact",
    RemembersNumbers: "test_a_counter_is_gone_after_its_time",
    IgnoresEmptyBatches: "test_a_batch_of_nothing_takes_its_number",
    CountsOnlyOnce: "test_counters_come_in_the_order_asked",
    TellsAll: "test_only_what_was_not_there_is_told",
    RefreshesMembers: "test_what_is_there_keeps_its_time",
    ByText: "test_the_oldest_comes_first",
    NewestFirst: "test_the_oldest_comes_first",
    NoPages: "test_a_part_can_be_asked_for",
    FirstEndWins: "test_every_add_counts_the_time_anew",
    NothingProlongs: "test_nothing_is_nothing_to_do",
    RemovesAll: "test_what_was_removed_is_gone",
    TakesTextsForLists: "test_one_text_is_not_taken_for_its_letters",
    TornClaim: "test_of_many_that_claim_one_gets_it",
    TornPut: "test_of_many_that_put_from_one_version_one_does",
    TornCount: "test_all_batches_are_added",
    TornAdd: "test_of_many_that_add_a_member_one_is_told",
    TornList: "test_a_list_is_read_together",
    HalfABatch: "test_a_batch_of_nothing_takes_its_number",
    AlwaysOpen: "test_the_board_of_a_closed_store_is_refused",
    PromisesAndForgets: "test_a_write_that_has_to_be_safe_is_made_or_never_promised",
    WaitsForWhatItRefused: "test_reading_and_what_is_refused_need_no_acknowledgement",
    LosesItsShelf: "test_asking_for_it_changes_nothing_for_others",
}
"""Fault -> one test that must find it."""

for found in FOUND_BY:
    globals()[f"Test{found.__name__}"] = mutant(found)
