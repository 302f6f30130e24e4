"""The bytes on the wire are a contract with other processes and releases: changing an expectation here breaks them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.core.generations import Generation
from grayflow.core.position import Document, Position
from grayflow.store.port import Awaited, Change, Changed, Gap
from grayflow.store.redis.wire import (
    UnreadableError,
    pack,
    pairs,
    read_change,
    read_document,
    read_generations,
    read_message,
    unpack,
    write_request,
)

MESSAGE = (
    b"gf1"
    b"5:epoch2:e1"
    b"3:rev1:7"
    b"5:nonce2:n7"
    b"4:prev2:n6"
    b"4:kind4:flag"
    b"3:key8:checkout"
    b"4:live1:1"
    b'3:doc18:{"key":"checkout"}'
    b"4:gens11:2:on2:141:7"
    b"6:action10:switch_off"
    b"5:actor3:ada"
    b"6:reason5:Gr\xc3\xbcn"
    b"2:at19:1767225600123456789"
    b"7:request2:r1"
)
CHANGE = Change(
    position=Position(epoch="e1", revision=7, nonce="n7"),
    previous="n6",
    kind="flag",
    key="checkout",
    document=b'{"key":"checkout"}',
    before=None,
    generations={"on": Generation(off=14, armed=7)},
    action="switch_off",
    actor="ada",
    reason="Grün",
    at=1_767_225_600_123_456_789,
    request_id="r1",
)


def test_a_message_is_read_as_it_was_pinned() -> None:
    assert read_message(MESSAGE) == Changed(CHANGE)


def test_a_log_entry_is_a_message_with_the_document_before() -> None:
    fields = pairs(unpack(MESSAGE[3:])) | {b"was": b"6", b"before": b"{}"}

    assert read_change(fields).before == Document(6, b"{}")


def test_a_deletion_has_no_document() -> None:
    fields = pairs(unpack(MESSAGE[3:])) | {b"live": b"0", b"doc": b""}

    assert read_change(fields).document is None


def test_fields_of_later_releases_are_skipped() -> None:
    assert read_message(MESSAGE + pack([b"mood", b"good"])) == Changed(CHANGE)


def test_a_message_may_say_only_that_there_is_something() -> None:
    assert read_message(b"gf1" + pack([b"epoch", b"e1", b"gap", b"too large"])) == Gap("too large")


def test_a_request_for_reports_is_pinned_and_a_gap_to_releases_that_do_not_know_it() -> None:
    position = Position(epoch="e1", revision=7, nonce="")
    message = write_request(position)

    assert message == b"gf15:epoch2:e13:rev1:75:nonce0:3:gap37:somebody waits until all have seen it7:awaited1:1"
    assert read_message(message) == Awaited(position)
    assert pairs(unpack(message[3:]))[b"gap"]


def test_a_request_without_a_position_is_a_gap() -> None:
    assert isinstance(read_message(b"gf1" + pack([b"gap", b"?", b"awaited", b"1"])), Gap)


@pytest.mark.parametrize("data", [b"", b"{}", b"gf2" + MESSAGE[3:], b"gf1", b"\xff" * 100, b"gf13:", b"gf1-1:x"])
def test_a_foreign_message_is_a_gap(data: bytes) -> None:
    assert isinstance(read_message(data), Gap)


@given(end=st.integers(0, len(MESSAGE) - 1))
def test_a_message_that_was_cut_is_a_gap(end: int) -> None:
    assert isinstance(read_message(MESSAGE[:end]), Gap)


@given(at=st.integers(0, len(MESSAGE) - 1), byte=st.integers(0, 255))
def test_a_damaged_message_is_a_change_or_a_gap(at: int, byte: int) -> None:
    assert isinstance(read_message(MESSAGE[:at] + bytes([byte]) + MESSAGE[at + 1 :]), Changed | Gap)


@given(st.binary())
def test_any_bytes_are_a_change_or_a_gap(data: bytes) -> None:
    assert isinstance(read_message(b"gf1" + data), Changed | Gap | Awaited)


@pytest.mark.parametrize(
    "change",
    [
        {b"rev": b"-1"},
        {b"rev": b"1e3"},
        {b"rev": b"9" * 16},
        {b"kind": b"board"},
        {b"at": b"soon"},
        {b"key": b"\xff"},
        {b"gens": b"2:on"},
        {b"epoch": b"\xff"},
    ],
    ids=str,
)
def test_a_field_that_cannot_be_is_unreadable(change: dict[bytes, bytes]) -> None:
    with pytest.raises(UnreadableError):
        read_change(pairs(unpack(MESSAGE[3:])) | change)


@pytest.mark.parametrize("name", ["epoch", "rev", "nonce", "prev", "kind", "key", "live", "doc", "gens", "at"])
def test_a_field_that_is_missing_is_unreadable(name: str) -> None:
    fields = pairs(unpack(MESSAGE[3:]))
    del fields[name.encode()]

    with pytest.raises(UnreadableError):
        read_change(fields)


@given(st.lists(st.binary()))
def test_parts_survive_packing(parts: list[bytes]) -> None:
    assert unpack(pack(parts)) == parts


def test_packing_is_pinned() -> None:
    assert pack([b"", b"a", b"1:b", b"\x00\r\n"]) == b"0:1:a3:1:b3:\x00\r\n"


@pytest.mark.parametrize("data", [b"1", b":", b"x:y", b"2:a", b"-1:", b"1:ab", b" 1:a", b"99999999999:a"])
def test_what_was_not_packed_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        unpack(data)


def test_a_document_carries_its_revision() -> None:
    assert read_document(b'12:{"a":1}') == Document(12, b'{"a":1}')
    assert read_document(b"3:") == Document(3, b"")


@pytest.mark.parametrize("value", [b"", b"{}", b'{"a":1}', b"x:1", b"-1:{}", b"9999999999999999:{}"])
def test_a_document_put_there_by_hand_counts_as_revision_0(value: bytes) -> None:
    assert read_document(value) == Document(0, value)


@pytest.mark.parametrize("value", [b"1:a", b"1:a1:b1:c", b"1:\xff1:11:2"])
def test_damaged_generations_are_unreadable(value: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_generations(value)
