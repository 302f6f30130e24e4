"""
Stores with one fault each; `test_contract.py` sees the contract find all of them.

Not collected by itself: no file of this name is a test module.
"""

from collections import deque

import msgspec
import pytest
from anyio.lowlevel import checkpoint

from grayflow.core.position import Document, Position
from grayflow.errors import ConflictError, NotInitializedError
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Marks
from grayflow.testing import StoreContract
from grayflow.testing.contract import following, kit


class Contract(StoreContract):
    store: type[MemoryStore] = MemoryStore
    __test__ = False

    @pytest.fixture
    def open_store(self, monkeypatch):
        for module in (kit, following):
            monkeypatch.setattr(module, "PATIENCE_S", 0.1)
        store = self.store()
        return lambda: store


def mutant(store: type[MemoryStore]) -> type[Contract]:
    return type(f"Test{store.__name__}", (Contract,), {"store": store, "__test__": True})


class LastWriterWins(MemoryStore):
    async def commit(self, edit, *, expected):
        held, _ = await self.get(edit.kind, edit.key)
        return await super().commit(edit, expected=held.revision if held else 0)


class ForgetsRequests(MemoryStore):
    async def commit(self, edit, *, expected):
        self._results.clear()
        return await super().commit(edit, expected=expected)


class RemembersRefusals(MemoryStore):
    async def commit(self, edit, *, expected):
        try:
            return await super().commit(edit, expected=expected)
        except ConflictError:
            if self._log:
                self._results[edit.request_id] = self._log[-1]
            raise


class InitialisedByCommit(MemoryStore):
    async def commit(self, edit, *, expected):
        await self.init()
        return await super().commit(edit, expected=expected)


class DeletesNothing(MemoryStore):
    async def commit(self, edit, *, expected):
        held, _ = await self.get(edit.kind, edit.key)
        if edit.document is None and held is None:
            edit = msgspec.structs.replace(edit, document=b"")
        return await super().commit(edit, expected=expected)


class GenerationsDieWithTheFlag(MemoryStore):
    def _keep(self, change):
        super()._keep(change)
        if change.document is None:
            self._generations.pop(change.key, None)


class GenerationsFall(MemoryStore):
    def _change(self, edit, before, position):
        change = super()._change(edit, before, position)
        fresh = edit.marks.apply({}, change.revision)
        return msgspec.structs.replace(change, generations={**change.generations, **fresh})


class SegmentsHaveGenerations(MemoryStore):
    def _change(self, edit, before, position):
        change = super()._change(edit, before, position)
        return msgspec.structs.replace(change, generations=edit.marks.apply({}, change.revision))


class MarksCountFromTheRevisionBefore(MemoryStore):
    def _change(self, edit, before, position):
        change = super()._change(edit, before, position)
        marks = Marks(off=edit.marks.off, armed=edit.marks.armed)
        return msgspec.structs.replace(change, generations=marks.apply(change.generations, position.revision))


class OneNamespaceOfKeys(MemoryStore):
    def __init__(self):
        super().__init__()
        self._documents["segment"] = self._documents["flag"]


class BelievesAnyNonce(MemoryStore):
    async def changes(self, since):
        return [change for change in self._log if change.revision > since.revision]


class SaysNothingChanged(MemoryStore):
    async def changes(self, since):
        return await super().changes(since) or ()


class OldestFirst(MemoryStore):
    async def history(self, *args, **kwargs):
        return list(await super().history(*args, **kwargs))[::-1]


class PagesOverlap(MemoryStore):
    async def history(self, key=None, *, kind="flag", before=None, limit=50):
        return await super().history(key, kind=kind, before=before and before + 1, limit=limit)


class PagesWithoutEnd(MemoryStore):
    async def history(self, key=None, *, kind="flag", before=None, limit=50):
        return await super().history(key, kind=kind, before=before, limit=1000)


class MixesKinds(MemoryStore):
    async def history(self, key=None, *, kind="flag", before=None, limit=50):
        found = await super().history(before=before, limit=1000)
        return [change for change in found if key in {None, change.key}][:limit]


class OnlyToday(MemoryStore):
    async def at(self, revision):
        state = await self.load()
        return msgspec.structs.replace(
            state, position=msgspec.structs.replace(state.position, nonce=""), generations={}
        )


class EmptyAgainAfterInit(MemoryStore):
    async def init(self, *, replaces=None):
        if replaces is not None:
            self._documents = {"flag": {}, "segment": {}}
        return await super().init(replaces=replaces)


class SameEpochForEver(MemoryStore):
    async def init(self, *, replaces=None):
        return await super().init(replaces=None if self._position else replaces)


class ForgetsReplaced(MemoryStore):
    async def init(self, *, replaces=None):
        self._replaced = ()
        return await super().init(replaces=replaces)


class BeginsAnew(MemoryStore):
    async def init(self, *, replaces=None):
        position = await super().init(replaces=replaces)
        if replaces is not None:
            self._position = position = Position(epoch=position.epoch, revision=0, nonce=position.nonce)
        return position


class SilentInit(MemoryStore):
    def _tell(self, event):
        if type(event).__name__ != "Gap":
            super()._tell(event)


class Mute(MemoryStore):
    def _tell(self, event):
        pass


class Trims(MemoryStore):
    async def commit(self, edit, *, expected):
        document = edit.document.strip() if edit.document else edit.document
        return await super().commit(msgspec.structs.replace(edit, document=document), expected=expected)


class EmptyMeansDeleted(MemoryStore):
    async def commit(self, edit, *, expected):
        return await super().commit(msgspec.structs.replace(edit, document=edit.document or None), expected=expected)


class CountsMicroseconds(MemoryStore):
    async def commit(self, edit, *, expected):
        return await super().commit(msgspec.structs.replace(edit, at=edit.at // 1000 * 1000), expected=expected)


class ShortMemory(MemoryStore):
    def __init__(self):
        super().__init__()
        self._log = deque(maxlen=50)


class NoLifetime(MemoryStore):
    async def _turn(self):
        await checkpoint()


class ClosedByTheFirstToLeave(MemoryStore):
    async def __aexit__(self, *exc):
        while self._lifetime._blocks:
            await super().__aexit__(*exc)


class LosesItAllOnClosing(MemoryStore):
    async def __aexit__(self, *exc):
        await super().__aexit__(*exc)
        if not self._lifetime._blocks:
            self._position = None


class HalfACommit(MemoryStore):
    """Awaits between its two steps, so it can be given up in the middle."""

    async def commit(self, edit, *, expected):
        position, documents = await self.position(), self._documents[edit.kind]
        held = documents.get(edit.key)
        if held is None and edit.document is not None and edit.request_id not in self._results:
            documents[edit.key] = Document(position.revision + 1, edit.document)
            for _ in range(100):
                await checkpoint()
            del documents[edit.key]
        return await super().commit(edit, expected=expected)


class TornLoad(MemoryStore):
    async def load(self):
        flags = dict(self._documents["flag"])
        for _ in range(20):
            await self._turn()
        return msgspec.structs.replace(await super().load(), flags=flags)


class KeepsQuietAboutConflicts(MemoryStore):
    async def commit(self, edit, *, expected):
        try:
            return await super().commit(edit, expected=expected)
        except ConflictError as error:
            raise ConflictError(error.key, expected=error.expected, actual=0, kind=error.kind) from None


class Nameless(MemoryStore):
    async def _current(self):
        try:
            return await super()._current()
        except NotInitializedError:
            raise NotInitializedError("somewhere", namespace=self.namespace) from None


FOUND_BY: dict[type[MemoryStore], str] = {
    LastWriterWins: "test_an_edit_of_another_revision_is_refused",
    ForgetsRequests: "test_a_repeated_request_answers_with_the_first_result",
    RemembersRefusals: "test_a_refused_request_is_not_remembered",
    InitialisedByCommit: "test_the_first_write_does_not_initialise",
    DeletesNothing: "test_what_is_not_there_cannot_be_deleted",
    GenerationsDieWithTheFlag: "test_generations_survive_deletion_and_creation",
    GenerationsFall: "test_the_sums_are_those_of_marks_apply",
    SegmentsHaveGenerations: "test_a_segment_has_none",
    MarksCountFromTheRevisionBefore: "test_marks_are_counted_from_the_revision_of_the_commit",
    OneNamespaceOfKeys: "test_a_flag_and_a_segment_of_one_key_are_two_documents",
    BelievesAnyNonce: "test_no_change_follows_a_position_that_never_was",
    SaysNothingChanged: "test_no_change_follows_another_state_of_the_current_revision",
    OldestFirst: "test_history_is_newest_first",
    PagesOverlap: "test_pages_hold_every_change_once",
    PagesWithoutEnd: "test_pages_hold_every_change_once",
    MixesKinds: "test_history_of_one_document_is_its_own",
    OnlyToday: "test_every_earlier_state_can_be_shown",
    EmptyAgainAfterInit: "test_init_with_replaces_draws_a_new_epoch_and_keeps_what_is_there",
    SameEpochForEver: "test_no_change_continues_across_a_new_epoch",
    ForgetsReplaced: "test_init_with_replaces_hands_on_all_that_went_before",
    BeginsAnew: "test_generations_do_not_fall_in_a_new_epoch",
    SilentInit: "test_followers_hear_of_a_new_epoch",
    Mute: "test_nothing_falls_between_entering_and_loading",
    Trims: "test_any_bytes_survive",
    EmptyMeansDeleted: "test_any_bytes_survive",
    CountsMicroseconds: "test_the_instant_survives_to_the_nanosecond",
    ShortMemory: "test_all_history_is_kept_where_that_is_promised",
    NoLifetime: "test_a_forked_child_is_refused",
    ClosedByTheFirstToLeave: "test_blocks_are_counted",
    LosesItAllOnClosing: "test_a_store_may_be_opened_again",
    HalfACommit: "test_a_cancelled_commit_was_made_or_was_not",
    TornLoad: "test_a_load_is_of_one_position",
    KeepsQuietAboutConflicts: "test_what_exists_is_not_created_again",
    Nameless: "test_an_uninitialised_namespace_is_refused",
}
"""Fault -> one test that must find it."""

for found in FOUND_BY:
    globals()[f"Test{found.__name__}"] = mutant(found)
