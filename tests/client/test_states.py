"""What a client tells of the state of its flags, and when."""

import pytest

from grayflow import ConfigurationError
from grayflow.testing import FakeClock, Faulty
from tests.client.conftest import Make
from tests.replica.kit import ON, put

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("opened")]


async def test_states_are_told_as_they_come(make: Make, store: Faulty, clock: FakeClock):
    flags = make()
    seen: list[tuple[str, str]] = []
    flags.on_state(lambda before, after: seen.append((before, after)))
    await put(store, "f", **ON)
    async with flags:
        await clock.advance(1)
        assert seen == [("starting", "fresh")]

        store.down = True
        await clock.advance(400)
        assert seen[1:] == [("fresh", "stale"), ("stale", "expired")]

        store.heal()
        await clock.advance(30)
        assert seen[3:] == [("expired", "fresh")]
    assert seen[4:] == [("fresh", "closed")]


async def test_a_change_of_flags_is_no_change_of_state(make: Make, store: Faulty, clock: FakeClock):
    seen: list[str] = []
    async with make() as flags:
        flags.on_state(lambda _, after: seen.append(after))
        await put(store, "f", **ON)
        await clock.advance(1)

        assert seen == []


async def test_a_handler_that_raises_is_counted_and_the_others_are_called(
    make: Make, store: Faulty, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    flags = make()
    seen: list[str] = []

    @flags.on_state
    def failing(*_: object) -> None:
        raise RuntimeError("no pager")

    flags.on_state(lambda _, after: seen.append(after))
    async with flags:
        await clock.advance(1)

        assert seen == ["fresh"]
        assert flags.health.handler_errors == 1
        assert "went from starting to fresh" in caplog.text


async def test_what_cannot_be_called_is_refused(make: Make):
    with pytest.raises(ConfigurationError, match="give a function of the old and the new state"):
        make().on_state("pager")  # type: ignore[type-var]


async def test_what_would_have_to_be_awaited_is_refused(make: Make):
    async def page(before: str, after: str) -> None: ...

    with pytest.raises(ConfigurationError, match=r"on_state handler is async; give a function that is not async"):
        make().on_state(page)  # type: ignore[type-var]
