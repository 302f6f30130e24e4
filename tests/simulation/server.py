"""
The server of the simulation: its memory, and what happens to it.

Every state that it ever had is kept as a node that knows the one before. So the truth of any position can be looked
up, and a failover that loses writes, a restored dump and an emptied server are each one assignment.
"""

from collections.abc import Mapping, Sequence

import msgspec

from grayflow.core.generations import Generations
from grayflow.core.position import Document, Position
from grayflow.errors import ConflictError, NotInitializedError, StoreFormatError
from grayflow.store.port import Change, DocumentKind, Edit, State

PLACE = "simulation://"

Documents = Mapping[DocumentKind, Mapping[str, Document]]


class Node:
    """The whole state at one position; `before` is the state that `change` was made to."""

    __slots__ = ("before", "change", "documents", "generations", "position", "replaced")

    def __init__(
        self,
        position: Position,
        documents: Documents,
        generations: Mapping[str, Generations],
        replaced: tuple[str, ...] = (),
        before: "Node | None" = None,
        change: Change | None = None,
    ) -> None:
        self.position, self.documents, self.generations = position, documents, generations
        self.replaced, self.before, self.change = replaced, before, change

    def state(self) -> State:
        return State(
            position=self.position,
            flags=self.documents["flag"],
            segments=self.documents["segment"],
            generations=self.generations,
        )

    def takes_over(self, other: "Node") -> bool:
        """Tell whether who holds the other state may believe this one."""
        epoch = other.position.epoch
        return epoch == self.position.epoch or not {epoch, "*"}.isdisjoint(self.replaced)

    def marks(self, kind: DocumentKind) -> dict[str, tuple[int, str]]:
        """Return revision and description of each document, as a snapshot has them."""
        return {key: (held.revision, _description(held.data)) for key, held in self.documents[kind].items()}

    def after(self, change: Change) -> "Node":
        held = dict(self.documents[change.kind])
        if change.document is None:
            del held[change.key]
        else:
            held[change.key] = Document(change.revision, change.document)
        generations = self.generations
        if change.generations:
            generations = {**generations, change.key: change.generations}
        return Node(change.position, {**self.documents, change.kind: held}, generations, self.replaced, self, change)


class Server:
    """One namespace. Its verbs are at once; the link and the network stand before it."""

    def __init__(self, namespace: str = "default") -> None:
        self.namespace = namespace
        self.now: Node | None = None
        self.known: dict[Position, Node] = {}
        """Every state that ever was."""
        self.kept_from = 0
        """The log holds the changes after this revision."""
        self.half = False
        """Documents are missing: what is there does not fit its count."""
        self.newer = False
        """A newer release wrote the data."""
        self.steady = True
        """It has one life without a step back, and the whole log of it."""
        self._results: dict[str, Change] = {}
        self._drawn = 0

    # What a store can do

    def current(self) -> Node:
        if self.now is None:
            raise NotInitializedError(PLACE, namespace=self.namespace)
        if self.newer:
            raise StoreFormatError(f"the data at {PLACE} has schema 2; this release reads 1")
        return self.now

    def whole(self) -> Node:
        if self.half:
            raise StoreFormatError(f"{PLACE} says that it holds more documents than there are")
        return self.current()

    def init(self, replaces: Sequence[str] | None = None) -> bool:
        """Set the namespace up, or anew; false if it is as it was."""
        if self.now is None:
            position = Position(epoch=self._draw("epoch"), revision=0, nonce=self._draw("nonce"))
            self._become(Node(position, {"flag": {}, "segment": {}}, {}, tuple(replaces or ())))
            return True
        held = self.current()
        if replaces is not None:
            named = tuple(dict.fromkeys((*replaces, held.position.epoch, *held.replaced)))
            self._become(self._life_of(held, named))
            self.half = False
        return replaces is not None

    def commit(self, edit: Edit, expected: int) -> Change:
        held = self.current()
        if edit.request_id in self._results:
            return self._results[edit.request_id]
        before = held.documents[edit.kind].get(edit.key)
        actual = 0 if before is None else before.revision
        if actual != expected or (edit.document is None and before is None):
            raise ConflictError(edit.key, expected=expected, actual=actual, kind=edit.kind)
        generations = held.generations.get(edit.key, {})
        change = edit.committed(held.position, before, generations, nonce=self._draw("nonce"))
        self._results[edit.request_id] = change
        self._become(held.after(change))
        return change

    def changes(self, since: Position) -> Sequence[Change] | None:
        found: list[Change] = []
        node = self.current()
        while node.position != since:
            if node.change is None or node.before is None or node.change.revision <= self.kept_from:
                return None
            found.append(node.change)
            node = node.before
        return found[::-1]

    def log(self) -> list[Change]:
        """Return the changes that are kept, newest first."""
        found: list[Change] = []
        node: Node | None = self.current()
        while node is not None and node.position.revision > self.kept_from:
            if node.change is not None:
                found.append(node.change)
            node = node.before
        return found

    # What happens to it

    def become(self, node: Node | None) -> None:
        """Be in a state of the past, as after a failover or a restore; or lose everything, as after a restart."""
        self.now, self.half, self.kept_from = node, False, 0
        self._results.clear()
        self.steady = False

    def be_foreign(self) -> None:
        """Hold the same documents as another life of the namespace that nobody announced."""
        self._become(self._life_of(self.current(), ()))

    def trim(self) -> None:
        """Forget the log."""
        self.kept_from = self.current().position.revision
        self.steady = False

    def _life_of(self, held: Node, replaced: tuple[str, ...]) -> Node:
        self.steady = False
        position = Position(epoch=self._draw("epoch"), revision=held.position.revision, nonce=self._draw("nonce"))
        return Node(position, held.documents, held.generations, replaced, held)

    def _become(self, node: Node) -> None:
        self.now = self.known[node.position] = node

    def _draw(self, what: str) -> str:
        self._drawn += 1
        return f"{what[0]}{self._drawn}"


def _description(data: bytes) -> str:
    return msgspec.json.decode(data)["description"]
