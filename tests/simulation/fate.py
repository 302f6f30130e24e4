"""What can happen to the server, the network and the link; each step at once, chosen by its number alone."""

from collections.abc import Mapping

from grayflow.core.codec import to_bytes
from grayflow.core.generations import Marks
from grayflow.errors import StoreAccessError
from grayflow.store.port import Changed, DocumentKind, Edit, Gap
from tests.simulation.network import Network
from tests.simulation.script import PROCESS, Step
from tests.simulation.server import Node, Server

_FLAGS = ("a", "b", "c", "d")
_SEGMENTS = ("s", "a")
_ON_FAILURE: tuple[Mapping[str, object], ...] = (
    {},
    {"on_failure": "last_known"},
    {"on_failure": "caller_default"},
    {"on_failure": {"variant": "off"}},
)
_SHARES = (0.1, 0.3, 0.6, 1.0)
_SLOW_S = (0.5, 2.0, 8.0)
_AFTER = (Marks(), Marks(off=("on",)), Marks(armed=("on",)), Marks(disarmed=("on",)), Marks(passed={"x": 1}))


class Fate:
    """Does steps to a server and the network before it."""

    def __init__(self, server: Server, network: Network) -> None:
        self._server, self._network = server, network
        self._edits = 0
        self._past: list[Node] = []
        """States that the server left otherwise than by a change."""

    def can(self, step: Step) -> bool:
        """Tell whether that happens without the process taking part."""
        return step.what not in PROCESS

    def do(self, step: Step) -> None:
        """Let a step happen; one that makes no sense now is left out."""
        getattr(self, f"_{step.what}")(step.number)

    # The server

    def _edit(self, number: int) -> None:
        server = self._server
        if server.now is None or server.newer:
            return
        kind: DocumentKind = "segment" if number % 5 == 0 else "flag"
        keys = _FLAGS if kind == "flag" else _SEGMENTS
        key = keys[number // 5 % len(keys)]
        held = server.now.documents[kind].get(key)
        self._edits += 1
        deletes = held is not None and number // 20 % 4 == 0
        edit = Edit(
            kind=kind,
            key=key,
            document=None if deletes else _document(kind, key, str(self._edits), number // 400),
            action="edit",
            actor="ada",
            reason="",
            at=0,
            request_id=str(self._edits),
            marks=_AFTER[number // 80 % len(_AFTER)],
        )
        self._network.push(Changed(server.commit(edit, 0 if held is None else held.revision)))

    def _rewind(self, number: int) -> None:
        """Fail over to a server that never had the newest writes."""
        node = self._server.now
        for _ in range(1 + number % 4):
            node = node and node.before
        if node is not None:
            self._leave_for(node)

    def _return(self, number: int) -> None:
        """Come back to a state of the past, such as a dump that is restored."""
        if self._past:
            self._leave_for(self._past[number % len(self._past)])

    def _empty(self, _: int) -> None:
        self._leave_for(None)

    def _leave_for(self, node: Node | None) -> None:
        if self._server.now is not None:
            self._past.append(self._server.now)
        self._server.become(node)

    def _foreign(self, number: int) -> None:
        """Turn into another life that nobody announced; half of the time with other documents."""
        if self._server.now is None or self._server.newer:
            return
        self._past.append(self._server.now)
        self._server.be_foreign()
        if number % 2:
            self._edit(number)

    def _replace(self, number: int) -> None:
        """Do what the operator does: set the namespace up, fill it, and only then say that it is the truth."""
        if self._server.newer:
            return
        if self._server.init():
            self._network.push(Gap("the namespace was initialised"))
            for nth in range(number % 3):
                self._edit(number // 3 + nth)
        self._server.init(("*",))
        self._network.push(Gap("the namespace was initialised"))

    def _half(self, _: int) -> None:
        self._server.half = True

    def _newer(self, _: int) -> None:
        self._server.newer = not self._server.newer

    def _trim(self, _: int) -> None:
        if self._server.now is not None and not self._server.newer:
            self._server.trim()

    # The network

    def _down(self, number: int) -> None:
        self._network.down = True
        if number % 3:
            self._network.cut()

    def _denied(self, number: int) -> None:
        self._network.denied = True
        if number % 2:
            self._network.cut(StoreAccessError("the server forbids it"))

    def _muted(self, _: int) -> None:
        self._network.muted = True

    def _freeze(self, _: int) -> None:
        self._network.freeze()

    def _slow(self, number: int) -> None:
        self._network.slow_s = _SLOW_S[number % len(_SLOW_S)]

    def _losing(self, number: int) -> None:
        self._network.losing = _share(number)

    def _dropping(self, number: int) -> None:
        self._network.dropping = _share(number)

    def _doubling(self, number: int) -> None:
        self._network.doubling = _share(number)

    def _shuffling(self, number: int) -> None:
        self._network.shuffling = _share(number)

    def _heal(self, _: int) -> None:
        self._network.heal()

    # The link

    def _cut(self, _: int) -> None:
        self._network.cut()

    def _gap(self, _: int) -> None:
        self._network.push(Gap("because"))

    def _replay(self, number: int) -> None:
        """Push a change of the past again, of whichever life."""
        changes = [node.change for node in self._server.known.values() if node.change is not None]
        if changes:
            self._network.push(Changed(changes[-1 - number % min(8, len(changes))]))


def _document(kind: DocumentKind, key: str, mark: str, number: int) -> bytes:
    """Return a document that is told by its mark; a flag serves it, too."""
    if kind == "segment":
        return to_bytes({"key": key, "description": mark})
    fields = {"kind": "string", "enabled": True, "variants": {"on": mark, "off": "off"}, "off": "off"}
    on_failure = _ON_FAILURE[number % len(_ON_FAILURE)]
    return to_bytes({"key": key, "description": mark, "otherwise": "on", **fields, **on_failure})


def _share(number: int) -> float:
    return _SHARES[number % len(_SHARES)]
