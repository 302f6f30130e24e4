"""
What the answers of a namespace mean, and when the namespace is refused as a whole.

Bytes in, values of the port out; no I/O but a pause now and then, so that ten thousand flags do not stop the loop.
"""

from collections.abc import Mapping, Sequence

from anyio.lowlevel import checkpoint

from grayflow.core.generations import Generations
from grayflow.core.position import Document, Position
from grayflow.errors import NotInitializedError, StoreAccessError, StoreError, StoreFormatError
from grayflow.store.port import SCHEMA, Change, State
from grayflow.store.redis.acl import ACL_REMEDY
from grayflow.store.redis.keys import is_revision
from grayflow.store.redis.wire import UnreadableError, read_change, read_document, read_generations, unpack

__all__ = ["META", "Entry", "Layout", "Meta"]

META = ("schema", "ready", "epoch", "rev", "nonce", "count", "base", "replaces")
"""The fields of the meta hash that reading needs, in the order in which they are asked for."""

Meta = Mapping[str, bytes]
"""Those of them that are there."""

Entry = tuple[bytes, Mapping[bytes, bytes]]
"""Id and fields of one entry of a stream."""

_AT_ONCE = 500
"""Values that are read before other tasks run: half a millisecond or so."""


class Layout:
    """
    Reads one namespace's answers, and says which namespace it is when they are refused.

    Args:
        place: The URL without secrets.
        namespace: Its name.
    """

    def __init__(self, place: str, namespace: str) -> None:
        self._place = place
        self._namespace = namespace

    def meta(self, values: Sequence[bytes | None]) -> tuple[Position, Meta]:
        """
        Read what HMGET of `META` answered.

        Raises:
            NotInitializedError: nothing is there, or it is not marked as ready.
            StoreFormatError: a newer schema, or a value that is none.
        """
        meta = {name: value for name, value in zip(META, values, strict=True) if value is not None}
        schema = meta.get("schema", b"0")
        if not is_revision(schema):
            raise self.damaged("its schema is no number")
        if int(schema) > SCHEMA:
            raise self.newer(schema)
        if not ("schema" in meta and "ready" in meta and "epoch" in meta):
            raise self.missing()
        revision, nonce = meta.get("rev", b""), meta.get("nonce", b"")
        if not (is_revision(revision) and nonce):
            raise self.damaged("its position is not there or cannot be read")
        position = Position(
            epoch=meta["epoch"].decode(errors="replace"), revision=int(revision), nonce=nonce.decode(errors="replace")
        )
        return position, meta

    async def state(
        self,
        values: Sequence[bytes | None],
        flags: Mapping[bytes, bytes],
        segments: Mapping[bytes, bytes],
        offs: Mapping[bytes, bytes],
    ) -> State:
        """
        Read a whole namespace.

        Raises:
            NotInitializedError: as `meta`.
            StoreFormatError: as `meta`, and if there are more or fewer documents than `meta` counts.
        """
        position, meta = self.meta(values)
        count, found = meta.get("count", b"?"), len(flags) + len(segments)
        if count != b"%d" % found:
            raise self.damaged(f"it counts {count.decode(errors='replace')} flags and segments and holds {found}")
        return State(
            position=position,
            flags=await self._documents(flags),
            segments=await self._documents(segments),
            generations=await self._generations(offs),
        )

    async def _documents(self, values: Mapping[bytes, bytes]) -> dict[str, Document]:
        documents = {}
        for number, (key, value) in enumerate(values.items(), 1):
            documents[key.decode(errors="replace")] = read_document(value)
            if number % _AT_ONCE == 0:
                await checkpoint()
        return documents

    async def _generations(self, values: Mapping[bytes, bytes]) -> dict[str, Generations]:
        generations = {}
        for number, (key, value) in enumerate(values.items(), 1):
            generations[key.decode(errors="replace")] = self.generations(value)
            if number % _AT_ONCE == 0:
                await checkpoint()
        return generations

    def generations(self, value: bytes | None) -> Generations:
        """
        Read one flag's generations.

        Raises:
            StoreFormatError: they are damaged. That is not isolated: a forgotten switch-off is never cleaned up.
        """
        try:
            return read_generations(value or b"")
        except UnreadableError as error:
            raise self.damaged(f"the generations of a flag cannot be read ({error})") from error

    def change(self, entry: Entry) -> Change:
        """
        Read one entry of the log.

        Raises:
            StoreFormatError: it is damaged.
        """
        try:
            return read_change(entry[1])
        except UnreadableError as error:
            raise self.damaged(f"entry {entry[0].decode(errors='replace')} of its log is unreadable") from error

    def base(self, meta: Meta) -> int:
        """
        Return the revision after which the log has no hole.

        Raises:
            StoreFormatError: it is damaged.
        """
        base = meta.get("base", b"0")
        if not is_revision(base):
            raise self.damaged("its base is no revision")
        return int(base)

    def epochs(self, value: bytes | None) -> list[str]:
        """Read the list of epochs that this one replaces; one that cannot be read replaces none."""
        try:
            return [epoch.decode(errors="replace") for epoch in unpack(value or b"")]
        except UnreadableError:
            return []

    def missing(self) -> StoreError:
        """Return the error for a namespace that is not there."""
        return NotInitializedError(self._place, namespace=self._namespace)

    def newer(self, schema: bytes) -> StoreError:
        """Return the error for data of a release to come."""
        found = schema.decode(errors="replace")
        return StoreFormatError(
            f"{self._place} holds namespace {self._namespace!r} in schema {found}, and this release knows up to "
            f"{SCHEMA}. Nothing was changed",
            remedy="Install a newer grayflow: pip install -U grayflow",
        )

    def denied(self, command: bytes) -> StoreError:
        """Return the error for a right that the script found missing."""
        words = command.decode(errors="replace")
        return StoreAccessError(
            f"{self._place} forbids it: the user has no right to {words}. Nothing was changed; {ACL_REMEDY}."
        )

    def damaged(self, what: str) -> StoreError:
        """Return the error for data that does not fit together."""
        return StoreFormatError(
            f"namespace {self._namespace!r} at {self._place} is damaged: {what}. Nothing was changed",
            remedy=f"If what is there is the truth, run: grayflow init --replace --namespace {self._namespace}",
        )
