"""What the port itself checks and computes."""

from collections.abc import Sequence

import pytest

from grayflow.errors import ConfigurationError, ConflictError, HistoryGoneError, InvalidFlagError, NotInitializedError
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Change, Edit, Store, check_namespace
from grayflow.testing.contract.kit import edit, put


def made(**facts) -> Edit:
    return Edit(
        **{
            "kind": "flag",
            "key": "a",
            "document": b"",
            "action": "",
            "actor": "",
            "reason": "",
            "at": 0,
            "request_id": "",
            **facts,
        }
    )


@pytest.mark.parametrize("key", ["", "a b", "ä", "a\n", "k" * 201, "a{b}", "a\x00"])
@pytest.mark.parametrize("kind", ["flag", "segment"])
def test_an_edit_of_a_key_that_no_document_can_have_is_refused(kind: str, key: str) -> None:
    with pytest.raises(InvalidFlagError) as caught:
        made(kind=kind, key=key)

    (problem,) = caught.value.problems
    assert (problem.kind, problem.key, problem.path) == (kind, key, "key")
    assert repr(key) in str(caught.value)


@pytest.mark.parametrize("name", ["action", "actor", "reason", "request_id"])
def test_an_edit_with_half_a_character_is_refused(name: str) -> None:
    with pytest.raises(InvalidFlagError) as caught:
        made(**{name: "a\ud800"})

    assert caught.value.problems[0].path == name


@pytest.mark.parametrize("at", [2**63, -(2**63) - 1])
def test_an_edit_beyond_time_is_refused(at: int) -> None:
    with pytest.raises(InvalidFlagError) as caught:
        made(at=at)

    assert caught.value.problems[0].path == "at"


@pytest.mark.parametrize("namespace", ["a", "Shop.eu-1_x", "0" * 64])
def test_a_namespace_is_plain(namespace: str) -> None:
    assert check_namespace(namespace) == namespace


@pytest.mark.parametrize("namespace", ["", "0" * 65, "a b", "a/b", "{a}", "a\n", "ä", None])
def test_anything_else_names_no_namespace(namespace: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_namespace(namespace)

    assert repr(namespace) in str(caught.value)


class Forgetful(MemoryStore):
    """Loses one revision of its history, as a server does that is cut in the middle."""

    lost = 0

    async def history(self, *args, **kwargs) -> Sequence[Change]:
        return [change for change in await super().history(*args, **kwargs) if change.revision != self.lost]


@pytest.mark.anyio
@pytest.mark.parametrize("lost", [2, 3, 4])
async def test_an_earlier_state_is_not_made_up_where_history_has_a_hole(lost: int) -> None:
    async with Forgetful() as store:
        await store.init()
        await put(store, *(edit("a", b"%d" % number) for number in range(1, 5)))
        store.lost = lost

        with pytest.raises(HistoryGoneError):
            await store.at(1)


@pytest.mark.anyio
async def test_an_earlier_state_is_found_over_many_pages() -> None:
    async with MemoryStore() as store:
        await store.init()
        await put(store, *(edit("a", b"%d" % number) for number in range(1, 1200)))

        for revision in (1, 198, 199, 200, 698, 699, 700, 1199):
            assert (await store.at(revision)).flags["a"].data == b"%d" % revision


@pytest.mark.anyio
async def test_one_document_comes_from_load_unless_a_store_knows_better() -> None:
    async with MemoryStore() as store:
        await store.init()
        await put(store, edit("a"), edit("a", b"s", kind="segment"))

        for kind in ("flag", "segment"):
            for key in ("a", "b"):
                assert await Store.get(store, kind, key) == await store.get(kind, key)


def test_no_data_is_said_with_place_and_remedy() -> None:
    told = str(NotInitializedError("/data/flags.db", namespace="shop"))

    assert "no data at /data/flags.db" in told
    assert "grayflow init --namespace shop" in told


def test_deleting_what_is_not_there_is_said_so() -> None:
    assert "was not deleted: it does not exist" in str(ConflictError("a", expected=0, actual=0))
