"""What a check costs, counted instead of timed: the method that was called, the function of the flag, and no more."""

from collections.abc import Callable
from typing import Any

import pytest

from grayflow import Client, Context
from grayflow.testing import Faulty
from tests.client.conftest import Make
from tests.core.counting import calls
from tests.replica.kit import ON, put

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("opened")]

ANNA = Context(user_id="anna")
HALF = {"enabled": True, "otherwise": "off", "rules": [{"percent": 50, "serve": "on"}]}


async def _plan(context: Context) -> str:
    return f"the plan of {context.user_id}"


ASKED: dict[str, tuple[Callable[[Client], Any], int]] = {
    "peek": (lambda flags: flags.peek("f", ANNA), 2),
    "peek_value": (lambda flags: flags.peek_value("f", ANNA, default=False), 3),
    "peek_value of any type": (lambda flags: flags.peek_value("f", ANNA, default=None), 3),
    "peek_decision": (lambda flags: flags.peek_decision("f", ANNA), 3),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("document", [ON, HALF], ids=["on", "half"])
@pytest.mark.parametrize("options", [{}, {"resolvers": {"plan": _plan}}], ids=["plain", "with a resolver"])
async def test_a_check_takes_as_few_functions_as_there_can_be(
    make: Make, store: Faulty, asked: str, document: dict[str, Any], options: dict[str, Any]
):
    await put(store, "f", **document)
    ask, functions = ASKED[asked]  # and the two lambdas
    async with make(**options) as flags:
        ask(flags)

        assert calls(lambda: ask(flags))["call"] == 2 + functions
        with flags.scope(ANNA):
            ask(flags)

            assert calls(lambda: ask(flags))["call"] == 2 + functions
            assert calls(lambda: flags.peek("f"))["call"] == 3


async def test_an_awaited_check_is_a_check_that_never_suspends(make: Make, store: Faulty):
    await put(store, "f", **HALF)
    async with make() as flags:
        await flags.is_enabled("f", ANNA)
        checked = flags.is_enabled("f", ANNA)

        found = calls(lambda: _stopped(checked))

        assert found["call"] == 4


def _stopped(coroutine: Any) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
