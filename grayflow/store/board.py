"""
The port for what running processes write: who is alive, who does what, what is left to do, how often.

Flags are written by people and read by every process; a board is written by the processes themselves, often, and
losing it costs work that is done twice, never a decision. Hence a port of its own, with other rights and without
history. Presence, the jobs of cleanup, counters, the journal of atoms and the dirty records of migrations are all
made from these few verbs. `grayflow.testing.BoardContract` is the same in tests, and every adapter passes it.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

import msgspec

from grayflow.errors import ConfigurationError
from grayflow.store.durability import Durability

__all__ = [
    "Board",
    "Lease",
    "Member",
    "Record",
    "Records",
    "check_batch",
    "check_name",
    "check_page",
    "check_span",
    "check_text",
    "check_texts",
    "check_value",
]


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Who may work on a record, and until when."""

    owner: str
    fence: int
    """Grows with every new holder of any record, whatever happened to the store in between: a later one is higher."""
    until: int
    """When it ends, nanoseconds since the epoch, by the board's clock. From that instant on nobody holds it."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One named value."""

    value: bytes
    version: int
    """1 for the first value, and one more for every `put`; 0 if it was only claimed and has no value yet."""
    lease: Lease | None = None
    """The last that was granted, if it was not given back; over once `until` is reached."""
    expires: int | None = None
    """From when on it is gone, nanoseconds since the epoch by the board's clock."""


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """A collection at one instant."""

    now: int
    """The instant, nanoseconds since the epoch by the board's clock: what leases and expiries are compared with."""
    records: Mapping[str, Record]


class Member(msgspec.Struct, frozen=True):
    """One member of a set, and since when it is in it: nanoseconds since the epoch by the board's clock."""

    text: str
    since: int


class Board(ABC):
    """
    What the running processes of one namespace share.

    Lifetime: a board belongs to its store (`Store.board`) and works inside the store's `async with`. It needs no
    initialised namespace where the place allows it; a place that cannot be written (a file that was never made) says
    so. All methods may be called by several tasks at once, and each verb is atomic among all processes.

    Repeating: no verb knows request ids; each is made so that calling it again after a lost answer or a cancellation
    does no harm, and its docstring says what comes back then.

    Time: spans are seconds, above 0 and up to 366 days. Instants are the board's, not the caller's: processes with
    wrong clocks agree on who holds a lease.

    Names: a collection, counter or set is 1 to 200 of `A-Za-z0-9._:/-`, a record, member, owner or writer is any
    text of 1 to 1,000 bytes. Other names raise `ConfigurationError`.

    Errors: `StoreUnavailableError` (no answer within the time; it may have been done), `StoreAccessError` and
    `ReadOnlyError` (this user may not; a reader reports nothing), `StoreFormatError` (something else lies there).
    """

    def durable(self, durability: Durability) -> "Board":
        """
        Return this board as one whose writes return when they are as safe as that; no I/O.

        What its verbs that write raise besides is `UnacknowledgedError`: the write was made, and is not as safe. That
        something was refused says nothing of what was written before. The default promises nothing.

        Raises:
            ConfigurationError: nothing here could ever be as safe; the text says what can be had.
        """
        raise ConfigurationError(
            f"{type(self).__name__} cannot say whether a write is safe, and {durability} asks for that: leave the "
            "durability out"
        )

    @abstractmethod
    async def now(self) -> int:
        """Return the board's time, nanoseconds since the epoch."""

    # Records: a value with a version, perhaps leased, perhaps going away by itself.

    @abstractmethod
    async def get(self, collection: str, name: str) -> Record | None:
        """Return one record, `None` if there is none or it expired."""

    @abstractmethod
    async def list(self, collection: str) -> Records:
        """Return all records that have not expired, read together."""

    @abstractmethod
    async def put(
        self,
        collection: str,
        name: str,
        value: bytes,
        *,
        expected: int | None = None,
        fence: int | None = None,
        ttl: float | None = None,
    ) -> Record | None:
        """
        Write a value and return the record; `None`, and nothing is written, if a condition does not hold.

        The lease stays as it is.

        Args:
            collection: Where.
            name: Which.
            value: Any bytes, up to 1 MiB.
            expected: Only if the record has this version (0: it has no value). A repetition of the write that made
                it `expected + 1` with the same value answers as that one did, and writes nothing.
            fence: Only if the record's lease has this token: nobody claimed it since, in time or after it ended.
                A repetition needs it as well: who lost the lease has to be told so.
            ttl: Seconds until the record is gone, its lease with it, counted anew with every `put`; `None`: it stays.
        """

    @abstractmethod
    async def delete(
        self, collection: str, name: str, *, expected: int | None = None, fence: int | None = None
    ) -> bool:
        """
        Remove a record and its lease, under the conditions of `put`.

        Returns:
            Whether it is gone: True also if there was none, so a repetition answers as the first call did.
        """

    # Leases.

    @abstractmethod
    async def claim(
        self, collection: str, name: str, owner: str, *, span: float, expected: int | None = None
    ) -> Record | None:
        """
        Take a lease for `span` seconds, if nobody else holds one, and return the record with it.

        A record that does not exist is made, with an empty value and version 0. An owner that already holds the
        lease gets it again, with the same fence and a new end: so a repetition is harmless, and an owner must name
        one holder only (a process and what it does, not a host). A lease that ended is held by nobody: who claims
        then, its last owner too, is a new holder with a higher fence.

        Args:
            collection: Where.
            name: Which.
            owner: Who.
            span: Seconds.
            expected: Only if the record has this version, as planned from; 0 also if there is none.

        Returns:
            `None` if somebody else holds it or it has another version.
        """

    @abstractmethod
    async def renew(self, collection: str, name: str, *, fence: int, span: float) -> bool:
        """
        Let a lease end `span` seconds from now; one that ended and that nobody took is revived.

        Returns:
            Whether the fence is still the record's. False: stop, somebody else may be at work.
        """

    @abstractmethod
    async def release(self, collection: str, name: str, *, fence: int) -> bool:
        """
        Give a lease back: the record has none. A record without a value is removed.

        Returns:
            Whether the fence was still the record's. False also for a repetition, and that is no harm.
        """

    # Counters: sums that several writers add to, each in numbered batches.

    @abstractmethod
    async def count(self, counter: str, writer: str, sequence: int, amounts: Mapping[str, int], *, ttl: float) -> bool:
        """
        Add amounts to the fields of a counter, once per batch.

        Args:
            counter: Which.
            writer: Who counts; its batches have growing numbers.
            sequence: The batch's number, 1 to 2^53. One that is not higher than the writer's last is not added.
            amounts: Field (any text of 1 to 1,000 bytes) to what is added to it, whole numbers within ±2^53. None
                is a batch too: its number is taken.
            ttl: Seconds until the counter is gone, counted anew with every batch that is added.

        Returns:
            Whether it was added now. False: it was before.
        """

    @abstractmethod
    async def counts(self, counters: Sequence[str]) -> Sequence[Mapping[str, int]]:
        """Return the sums of each counter by field, 0 included, in the order asked; one that is gone has none."""

    # Sets: what is left to do, oldest first.

    @abstractmethod
    async def add(self, name: str, members: Collection[str], *, ttl: float | None = None) -> frozenset[str]:
        """
        Put members into a set; one that is there keeps its time.

        Args:
            name: Of the set.
            members: Any texts of 1 to 1,000 bytes; none is nothing to do, and the time of the set stays.
            ttl: Seconds until the whole set is gone, counted anew with every `add`; `None`: it stays.

        Returns:
            Those that were not there: of several processes that add one member, exactly one is told, unless its
            answer was lost.
        """

    @abstractmethod
    async def remove(self, name: str, members: Collection[str]) -> None:
        """Take members out of a set; those that are not there do not matter."""

    @abstractmethod
    async def members(self, name: str, *, limit: int = 1000, offset: int = 0) -> Sequence[Member]:
        """
        Return the members that were there longest, oldest first, those of one instant by their text.

        Args:
            name: Of the set.
            limit: How many at most, 1 or more.
            offset: How many of the oldest to leave out, 0 or more.
        """

    @abstractmethod
    async def size(self, name: str) -> int:
        """Return how many members a set has."""


_VALUE_LIMIT = 1_048_576
_SPAN_LIMIT_S = 366 * 86_400
_NUMBER_LIMIT = 2**53


def check_name(name: object) -> str:
    """
    Return `name` if it can name a collection, a counter or a set.

    Raises:
        ConfigurationError: it cannot.
    """
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9._:/-]{1,200}", name)):
        raise ConfigurationError(f"{name!r:.100} cannot name what a board holds; use 1 to 200 of A-Z a-z 0-9 . _ : / -")
    return name


def check_text(what: str, text: object) -> str:
    """
    Return `text` if it can name a record, a member, an owner, a writer or a field.

    Raises:
        ConfigurationError: it cannot.
    """
    if isinstance(text, str):
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            size = 0
        if 1 <= size <= 1000:
            return text
    raise ConfigurationError(f"{what} {text!r:.100} is not a text of 1 to 1,000 bytes of UTF-8")


def check_texts(what: str, texts: Collection[str]) -> frozenset[str]:
    """
    Return `texts` if each of them can name a member or a field. One text alone would be taken for its letters.

    Raises:
        ConfigurationError: one cannot.
    """
    if isinstance(texts, (str, bytes)):
        raise ConfigurationError(f"{what}s {texts!r:.100} is one text; give a list of them")
    return frozenset(check_text(what, text) for text in texts)


def check_span(what: str, span: object) -> float:
    """
    Return `span` if it is a time in seconds that a board can count.

    Raises:
        ConfigurationError: it is not.
    """
    if isinstance(span, (int, float)) and not isinstance(span, bool) and 0 < span <= _SPAN_LIMIT_S:
        return span
    raise ConfigurationError(f"{what} is {span!r:.100}; give seconds, more than 0 and at most {_SPAN_LIMIT_S}")


def check_value(value: object) -> bytes:
    """
    Return `value` if a record can hold it.

    Raises:
        ConfigurationError: it cannot.
    """
    if not isinstance(value, bytes):
        raise ConfigurationError(f"a record holds bytes, not {type(value).__name__}")
    if len(value) > _VALUE_LIMIT:
        raise ConfigurationError(f"a record holds at most {_VALUE_LIMIT} bytes, and this value has {len(value)}")
    return value


def check_batch(sequence: object, amounts: Mapping[str, int]) -> Mapping[str, int]:
    """
    Return `amounts` if they can be added as the batch of this number.

    Raises:
        ConfigurationError: they cannot.
    """
    _check_number("sequence", sequence, 1, _NUMBER_LIMIT)
    for field, amount in amounts.items():
        check_text("field", field)
        _check_number(f"the amount of {field!r:.100}", amount, -_NUMBER_LIMIT, _NUMBER_LIMIT)
    return amounts


def check_page(limit: object, offset: object) -> None:
    """
    Pass if a part of a set can be asked for so.

    Raises:
        ConfigurationError: it cannot.
    """
    _check_number("limit", limit, 1, _NUMBER_LIMIT)
    _check_number("offset", offset, 0, _NUMBER_LIMIT)


def _check_number(what: str, number: object, least: int, most: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise ConfigurationError(f"{what} is {number!r:.100}; give a whole number from {least} to {most}")
