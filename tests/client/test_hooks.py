from typing import Any

import pytest

from grayflow import ConfigurationError, Context, Decision, ErrorCode, HookDetails
from grayflow.testing import Faulty
from tests.client.conftest import Make
from tests.replica.kit import ON, put

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("opened")]

ANNA = Context(user_id="anna")


class Watcher:
    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def before(self, details: HookDetails) -> None:
        self.seen.append(("before", details.key, details.context, details.default))

    def after(self, details: HookDetails, decision: Decision) -> None:
        self.seen.append(("after", details.key, decision.value))

    def error(self, details: HookDetails, decision: Decision) -> None:
        self.seen.append(("error", details.key, decision.error))


async def test_every_evaluation_is_seen_whichever_way_it_is_asked(make: Make, store: Faulty):
    await put(store, "f", **ON)
    watcher = Watcher()
    async with make(hooks=[watcher], name="shop") as flags:
        for _ in range(2):
            await flags.is_enabled("f", ANNA)
            flags.peek("f", ANNA)
            await flags.value("f", ANNA, default=True)
            await flags.evaluate("f", ANNA)
            with flags.scope(ANNA):
                flags.peek("f")

    assert [entry[0] for entry in watcher.seen] == ["before", "after"] * 10
    assert watcher.seen[:2] == [("before", "f", ANNA, False), ("after", "f", True)]


async def test_a_decision_with_an_error_goes_to_error(make: Make):
    watcher = Watcher()
    async with make(hooks=[watcher]) as flags:
        flags.peek("missing")
        await flags.is_enabled("f", 42)  # type: ignore[arg-type]

    assert [entry[0] for entry in watcher.seen] == ["before", "error"] * 2
    assert watcher.seen[1] == ("error", "missing", ErrorCode.FLAG_NOT_FOUND)
    assert watcher.seen[2:] == [("before", "f", None, False), ("error", "f", ErrorCode.INVALID_CONTEXT)]


async def test_overrides_are_seen_too(make: Make):
    watcher = Watcher()
    flags = make(hooks=[watcher])

    with flags.override(f=True):
        flags.peek("f")

    assert watcher.seen[-1] == ("after", "f", True)


async def test_what_a_hook_raises_is_counted_logged_once_and_changes_nothing(make: Make, store: Faulty, caplog):
    await put(store, "f", **ON)

    class Broken:
        def after(self, details: HookDetails, decision: Decision) -> None:
            raise RuntimeError("no metrics server")

    async with make(hooks=[Broken()]) as flags:
        for _ in range(3):
            assert await flags.is_enabled("f", ANNA) is True

        assert flags.health.hook_errors == 3
        assert len(caplog.records) == 1


async def test_a_hook_with_one_method_is_enough_and_with_none_is_refused(make: Make):
    class Counting:
        def __init__(self) -> None:
            self.count = 0

        def before(self, details: HookDetails) -> None:
            self.count += 1

    counting = Counting()
    async with make(hooks=[counting]) as flags:
        flags.peek("f")
    assert counting.count == 1

    with pytest.raises(ConfigurationError, match="before, after and error"):
        make(hooks=[object()])
