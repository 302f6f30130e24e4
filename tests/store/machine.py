"""
A store against a model made of dictionaries, whatever is done in whatever order.

Subclass it with an `open` that returns a store on one place, again and again; `tests/store/test_state_machine.py` shows
how. Two instances are used in turn, so that neither may keep for itself what the other has to know.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from grayflow.core.generations import Generation, Generations, Marks
from grayflow.core.position import Document, Position
from grayflow.errors import ConflictError
from grayflow.store.port import Change, DocumentKind, Edit, State, Store

T = TypeVar("T")

KINDS: st.SearchStrategy[DocumentKind] = st.sampled_from(["flag", "segment"])
KEYS = st.sampled_from(["a", "b", "a:b", "A"])
VARIANTS = st.sampled_from(["on", "off", "b:on"])
DOCUMENTS = st.binary(max_size=20)
TEXTS = st.text(max_size=10)


class StoreMachine(RuleBasedStateMachine):
    """Edits, conflicts, repetitions and new epochs; after each step the store equals the model."""

    changes = Bundle("changes")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stores: list[Store] = []
        self.turn = 0
        self.documents: dict[DocumentKind, dict[str, Document]] = {"flag": {}, "segment": {}}
        self.generations: dict[str, Generations] = {}
        self.log: list[Change] = []
        self.states: list[dict[DocumentKind, dict[str, Document]]] = []
        self.requests = 0

    def open(self) -> Store:
        """Return a store on this machine's place, which is empty when the machine begins."""
        raise AssertionError("a subclass opens its store here")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def store(self) -> Store:
        self.turn += 1
        return self.stores[self.turn % 2]

    @initialize()
    def begin(self) -> None:
        self.stores = [self.open(), self.open()]
        for store in self.stores:
            self.run(store.__aenter__())
        self.position = self.run(self.store.init())
        self.start = self.position
        self.states.append(self.copied())

    def teardown(self) -> None:
        for store in self.stores:
            self.run(store.__aexit__(None, None, None))
        self.runner.close()

    @rule(
        target=changes,
        kind=KINDS,
        key=KEYS,
        document=DOCUMENTS,
        texts=st.tuples(TEXTS, TEXTS, TEXTS),
        off=st.sets(VARIANTS),
        armed=st.sets(VARIANTS),
        disarmed=st.sets(VARIANTS),
        passed=st.dictionaries(VARIANTS, st.integers(0, 5)),
    )
    def write(self, kind, key, document, texts, off, armed, disarmed, passed):
        # The clock takes away what an earlier revision armed; a later one would be evidence of a life that was lost.
        passed = {variant: min(number, 2 * self.position.revision + 1) for variant, number in passed.items()}
        marks = Marks(off=tuple(off), armed=tuple(armed), disarmed=tuple(disarmed), passed=passed)
        held = self.documents[kind].get(key)
        asked = self.edit(kind, key, document, texts, marks)

        change = self.run(self.store.commit(asked, expected=held.revision if held is not None else 0))

        self.check(change, asked, held)
        self.documents[kind][key] = Document(change.revision, document)
        self.remember(change)
        return asked, change

    @rule(target=changes, kind=KINDS, key=KEYS, off=st.sets(VARIANTS))
    def delete(self, kind, key, off):
        held = self.documents[kind].get(key)
        asked = self.edit(kind, key, None, ("", "", ""), Marks(off=tuple(off)))
        if held is None:
            self.refused(asked, 0)
            return multiple()

        change = self.run(self.store.commit(asked, expected=held.revision))

        self.check(change, asked, held)
        del self.documents[kind][key]
        self.remember(change)
        return asked, change

    @rule(kind=KINDS, key=KEYS, document=st.none() | DOCUMENTS, by=st.integers(-3, 3).filter(bool))
    def write_from_another_revision(self, kind, key, document, by):
        held = self.documents[kind].get(key)
        expected = (held.revision if held is not None else 0) + by
        if expected >= 0:
            self.refused(self.edit(kind, key, document, ("", "", ""), Marks(off=("on",))), expected)

    @rule(done=changes, expected=st.integers(0, 3))
    def repeat(self, done, expected):
        asked, change = done

        assert self.run(self.store.commit(asked, expected=expected)) == change

    @rule()
    @precondition(lambda self: len(self.states) < 20)
    def begin_a_new_epoch(self) -> None:
        before = self.position

        self.position = self.run(self.store.init(replaces=[]))

        assert self.position.epoch != before.epoch
        assert self.position.revision == before.revision
        assert before.epoch in self.run(self.store.replaced())
        self.start = self.position

    @rule(data=st.data())
    def look_back(self, data):
        revision = data.draw(st.integers(0, len(self.states) - 1))

        state = self.run(self.store.at(revision))

        assert {"flag": state.flags, "segment": state.segments} == self.states[revision]

    @rule(data=st.data())
    def catch_up(self, data):
        made = [change for change in self.log if change.position.epoch == self.position.epoch]
        since = data.draw(st.sampled_from([self.start, *(change.position for change in made)]))

        found = self.run(self.store.changes(since))

        assert found is not None
        assert [bare(change) for change in found] == [
            bare(change) for change in made if change.revision > since.revision
        ]

    @rule(kind=KINDS, key=st.none() | KEYS, limit=st.integers(1, 5), before=st.none() | st.integers(1, 30))
    def remember_what_was(self, kind, key, limit, before):
        found = self.run(self.store.history(key, kind=kind, limit=limit, before=before))

        fits = [
            change
            for change in reversed(self.log)
            if (key is None or (change.kind, change.key) == (kind, key))
            and (before is None or change.revision < before)
        ]
        assert [(change.before, bare(change)) for change in found] == [
            (change.before, bare(change)) for change in fits[:limit]
        ]

    @rule(kind=KINDS, key=KEYS)
    def read_one(self, kind, key):
        held = self.generations.get(key, {}) if kind == "flag" else {}

        assert self.run(self.store.get(kind, key)) == (self.documents[kind].get(key), held)

    @invariant()
    def is_what_the_model_is(self) -> None:
        if self.stores:
            state = self.run(self.store.load())
            assert state == State(
                position=self.position,
                flags=self.documents["flag"],
                segments=self.documents["segment"],
                generations=self.generations,
            )

    def edit(self, kind, key, document, texts, marks) -> Edit:
        self.requests += 1
        action, actor, reason = texts
        return Edit(
            kind=kind,
            key=key,
            document=document,
            action=action,
            actor=actor,
            reason=reason,
            at=self.requests,
            request_id=f"request {self.requests}",
            marks=marks,
        )

    def refused(self, asked: Edit, expected: int) -> None:
        held = self.documents[asked.kind].get(asked.key)

        with pytest.raises(ConflictError) as caught:
            self.run(self.store.commit(asked, expected=expected))

        assert (caught.value.expected, caught.value.actual) == (expected, held.revision if held is not None else 0)

    def check(self, change: Change, asked: Edit, held: Document | None) -> None:
        assert change.previous == self.position.nonce
        assert (change.position.epoch, change.revision) == (self.position.epoch, self.position.revision + 1)
        assert change.before == held
        expected: dict[str, Generation] = {}
        if asked.kind == "flag":
            expected = asked.marks.apply(self.generations.get(asked.key, {}), change.revision)
        assert change.generations == expected

    def remember(self, change: Change) -> None:
        self.position: Position = change.position
        if change.generations:
            self.generations[change.key] = change.generations
        self.log.append(change)
        self.states.append(self.copied())

    def copied(self) -> dict[DocumentKind, dict[str, Document]]:
        return {kind: dict(documents) for kind, documents in self.documents.items()}


def bare(change: Change) -> tuple[object, ...]:
    """Return a change without what `changes` may leave out."""
    return tuple(getattr(change, name) for name in change.__struct_fields__ if name != "before")
