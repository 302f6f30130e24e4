"""What cannot be kept is refused before anything is written."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from grayflow.errors import ConfigurationError
from grayflow.store.board import Board
from grayflow.testing.contract.board.kit import LONG, two_boards
from grayflow.testing.contract.kit import Contract, OpenStore

NAMED: dict[str, Callable[[Board, Any], Awaitable[object]]] = {
    "get": lambda board, name: board.get(name, "a"),
    "list": lambda board, name: board.list(name),
    "put": lambda board, name: board.put(name, "a", b"1"),
    "delete": lambda board, name: board.delete(name, "a"),
    "claim": lambda board, name: board.claim(name, "a", "ada", span=1),
    "renew": lambda board, name: board.renew(name, "a", fence=1, span=1),
    "release": lambda board, name: board.release(name, "a", fence=1),
    "count": lambda board, name: board.count(name, "w", 1, {"on": 1}, ttl=1),
    "counts": lambda board, name: board.counts([name]),
    "add": lambda board, name: board.add(name, ["a"]),
    "remove": lambda board, name: board.remove(name, ["a"]),
    "members": lambda board, name: board.members(name),
    "size": lambda board, name: board.size(name),
}
"""Every verb, by the name of what it works on."""
TEXTED: dict[str, Callable[[Board, Any], Awaitable[object]]] = {
    "get": lambda board, text: board.get("jobs", text),
    "put": lambda board, text: board.put("jobs", text, b"1"),
    "delete": lambda board, text: board.delete("jobs", text),
    "claim": lambda board, text: board.claim("jobs", text, "ada", span=1),
    "claim-owner": lambda board, text: board.claim("jobs", "a", text, span=1),
    "renew": lambda board, text: board.renew("jobs", text, fence=1, span=1),
    "release": lambda board, text: board.release("jobs", text, fence=1),
    "count-writer": lambda board, text: board.count("hits", text, 1, {"on": 1}, ttl=1),
    "count-field": lambda board, text: board.count("hits", "w", 1, {"on": 1, text: 1}, ttl=1),
    "add": lambda board, text: board.add("dirty", ["a", text]),
    "remove": lambda board, text: board.remove("dirty", ["a", text]),
}
SPANNED: dict[str, Callable[[Board, Any], Awaitable[object]]] = {
    "put": lambda board, span: board.put("jobs", "a", b"1", ttl=span),
    "claim": lambda board, span: board.claim("jobs", "a", "ada", span=span),
    "renew": lambda board, span: board.renew("jobs", "a", fence=1, span=span),
    "count": lambda board, span: board.count("hits", "w", 1, {"on": 1}, ttl=span),
    "add": lambda board, span: board.add("dirty", ["a"], ttl=span),
}
NO_NAMES: dict[str, Any] = {
    "empty": "",
    "long": "x" * 201,
    "blank": "a b",
    "line": "a\n",
    "unicode": "灰",
    "nul": "a\x00",
    "pattern": "a*",
    "braces": "{a}",
    "bytes": b"a",
    "none": None,
}
NO_TEXTS: dict[str, Any] = {
    "empty": "",
    "long": "x" * 1001,
    "long-in-bytes": "灰" * 334,
    "surrogate": "a\ud800",
    "bytes": b"a",
    "number": 7,
}
NO_SPANS: list[Any] = [0, -1, 366 * 86_400 + 1, float("nan"), float("inf"), True, "1"]
NO_BATCHES: dict[str, Any] = {
    "sequence-0": (0, {"on": 1}),
    "sequence-below": (-1, {"on": 1}),
    "sequence-beyond": (2**53 + 1, {"on": 1}),
    "sequence-bool": (True, {"on": 1}),
    "amount-beyond": (1, {"off": 1, "on": 2**53 + 1}),
    "amount-below": (1, {"off": 1, "on": -(2**53) - 1}),
    "amount-float": (1, {"off": 1, "on": 1.0}),
    "amount-bool": (1, {"off": 1, "on": True}),
}
NO_VALUES: dict[str, Any] = {"text": "1", "none": None, "bytearray": bytearray(b"1"), "too-long": b"x" * 1_048_577}


async def untouched(board: Board) -> None:
    """Check that nothing was written anywhere."""
    assert (await board.list("jobs")).records == {}
    assert list(await board.counts(["hits"])) == [{}]
    assert await board.size("dirty") == 0


class Limiting(Contract):
    """Names, texts, values, spans and numbers."""

    @pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES)
    async def test_what_is_no_name_is_refused_by_every_verb(self, open_store: OpenStore, name: object) -> None:
        async with two_boards(open_store) as (board, _):
            for verb in NAMED.values():
                with pytest.raises(ConfigurationError):
                    await verb(board, name)

    @pytest.mark.parametrize("text", NO_TEXTS.values(), ids=NO_TEXTS)
    async def test_what_is_no_text_is_refused_by_every_verb(self, open_store: OpenStore, text: object) -> None:
        async with two_boards(open_store) as (board, _):
            for verb in TEXTED.values():
                with pytest.raises(ConfigurationError):
                    await verb(board, text)

            await untouched(board)

    async def test_one_text_is_not_taken_for_its_letters(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            with pytest.raises(ConfigurationError):
                await board.add("dirty", "abc")
            with pytest.raises(ConfigurationError):
                await board.remove("dirty", "abc")

            await untouched(board)

    @pytest.mark.parametrize("value", NO_VALUES.values(), ids=NO_VALUES)
    async def test_what_is_no_value_is_refused(self, open_store: OpenStore, value: Any) -> None:
        async with two_boards(open_store) as (board, _):
            with pytest.raises(ConfigurationError):
                await board.put("jobs", "a", value)

            await untouched(board)

    @pytest.mark.parametrize("span", NO_SPANS)
    async def test_what_is_no_time_is_refused_by_every_verb(self, open_store: OpenStore, span: object) -> None:
        async with two_boards(open_store) as (board, _):
            for verb in SPANNED.values():
                with pytest.raises(ConfigurationError):
                    await verb(board, span)

            await untouched(board)

    @pytest.mark.parametrize("span", [1e-6, 1, 366 * 86_400])
    async def test_short_and_long_times_are_taken_by_every_verb(self, open_store: OpenStore, span: float) -> None:
        async with two_boards(open_store) as (board, _):
            for verb in SPANNED.values():
                await verb(board, span)

    @pytest.mark.parametrize("batch", NO_BATCHES.values(), ids=NO_BATCHES)
    async def test_what_is_no_batch_is_refused(self, open_store: OpenStore, batch: tuple[Any, Any]) -> None:
        async with two_boards(open_store) as (board, _):
            with pytest.raises(ConfigurationError):
                await board.count("hits", "w", *batch, ttl=LONG)

            await untouched(board)
            assert await board.count("hits", "w", 1, {"on": 1}, ttl=LONG)

    @pytest.mark.parametrize(("limit", "offset"), [(0, 0), (-1, 0), (1, -1), (1.5, 0), (None, 0), (True, 0)])
    async def test_what_is_no_page_is_refused(self, open_store: OpenStore, limit: Any, offset: Any) -> None:
        async with two_boards(open_store) as (board, _):
            with pytest.raises(ConfigurationError):
                await board.members("dirty", limit=limit, offset=offset)
