"""A flag that is wrong: its last good form stays, the others are untouched, and it is told once for each revision."""

import pytest

from grayflow.core.extensions import Extensions, Hash
from grayflow.replica.replica import Replica
from grayflow.testing import FakeClock
from tests.replica.conftest import Run
from tests.replica.kit import OFF, ON, Rewinding, put, put_bytes

pytestmark = pytest.mark.anyio

NEED = {"type": "flag"}


def wrong(replica: Replica) -> set[str]:
    return {key for found in replica.inspection.degraded.values() for key in found}


async def test_a_broken_change_keeps_the_last_good_form(run: Run, memory: Rewinding, clock: FakeClock, caplog):
    async with run() as replica:
        await put(memory, "a", **ON)
        await put(memory, "b", **ON)
        await put_bytes(memory, "a", b'{"key": "a", "enabled": 7}')
        await clock.advance(0)

        assert replica.view.snapshot is not None
        assert replica.view.snapshot.evaluate("a").value is True
        assert wrong(replica) == {"a"}
        messages = [record.message for record in caplog.records]
        assert len(messages) == 1
        assert "'a'" in messages[0]
        assert "enabled" in messages[0]
        assert "last good form is kept" in messages[0]


async def test_each_broken_revision_is_told_once_and_no_poll_tells_it_again(run: Run, memory, clock, caplog):
    async with run():
        await put_bytes(memory, "a", b"no json")
        await put_bytes(memory, "a", b"still none")

        await clock.advance(120)

        assert len(caplog.records) == 2
        assert "no good form of it is known" in caplog.records[0].message


async def test_a_loaded_broken_flag_is_told_once_however_often_it_is_loaded(run: Run, memory, clock, caplog):
    async with memory:
        await memory.init()
        await put_bytes(memory, "a", b"no json")
        async with run(init=False) as replica:
            assert wrong(replica) == {"a"}
            for epoch in ("e2", "e3"):
                memory.replace_by(epoch)
                memory._replaced = ("*",)
                await clock.advance(13)

            assert replica.sync.loads == 3
            assert len([record for record in caplog.records if "'a'" in record.message]) == 1


async def test_a_load_keeps_the_last_good_form_too(run: Run, memory: Rewinding, faulty, clock: FakeClock):
    async with run() as replica:
        await put(memory, "a", **ON)
        await clock.advance(0)
        faulty.deaf = True
        await put_bytes(memory, "a", b"no json")
        memory._log.clear()

        await clock.advance(13)

        assert replica.sync.loads == 2
        assert replica.view.snapshot is not None
        assert replica.view.snapshot.evaluate("a").value is True
        assert wrong(replica) == {"a"}


async def test_a_mended_flag_is_no_longer_listed(run: Run, memory: Rewinding, clock: FakeClock):
    async with run() as replica:
        await put_bytes(memory, "a", b"no json")
        await put(memory, "a", **OFF)
        await clock.advance(0)

        assert wrong(replica) == set()


async def test_a_deleted_flag_is_no_longer_listed(run: Run, memory: Rewinding, faulty, clock: FakeClock):
    async with run() as replica:
        await put_bytes(memory, "a", b"no json")
        await put_bytes(memory, "b", b"no json")
        await put_bytes(memory, "a", None)
        await clock.advance(0)
        assert wrong(replica) == {"b"}

        faulty.deaf = True
        await put_bytes(memory, "b", None)
        memory._log.clear()
        await clock.advance(13)

        assert wrong(replica) == set()


async def test_an_operator_that_nobody_knows_is_found_after_a_load(run: Run, memory: Rewinding, clock, caplog):
    async with memory:
        await memory.init()
        rule = {"when": [{"type": "attribute", "name": "x", "op": "telepathy", "values": ["1"]}], "serve": "on"}
        for index in range(100):
            await put(memory, f"f{index}", **ON, rules=[rule])
        async with run(init=False) as replica:
            assert len(wrong(replica)) == 100
            assert len(caplog.records) == 21  # so many lines, and the count of the others
            assert "80 more" in caplog.records[-1].message


async def test_all_members_of_a_circle_are_listed_and_leave_the_list_together(run: Run, memory, clock: FakeClock):
    async with run() as replica:
        await put(memory, "a", **ON, requires=[{**NEED, "key": "b"}])
        await put(memory, "b", **ON, requires=[{**NEED, "key": "a"}])
        await clock.advance(0)
        assert wrong(replica) == {"a", "b"}

        await put(memory, "b", **ON)
        await clock.advance(0)

        assert wrong(replica) == set()


async def test_broken_segments_are_listed_too(run: Run, memory: Rewinding, clock: FakeClock):
    async with run() as replica:
        await put_bytes(memory, "staff", b"no json", kind="segment")
        await clock.advance(0)

        assert list(replica.inspection.degraded["segment"]) == ["staff"]


async def test_a_foreign_hash_that_fails_for_an_id_is_found_out(run: Run, memory: Rewinding, clock: FakeClock):
    def broken(salt: str, unit: str) -> int:
        raise RuntimeError

    rule = {"when": [{"type": "bucket", "hash": "old", "ranges": [[0, 5]]}], "serve": "on"}
    async with run(extensions=Extensions(hashes={"old": Hash(10, broken)})) as replica:
        await put(memory, "f", **ON, rules=[rule])
        await clock.advance(0)
        assert wrong(replica) == set()

        assert replica.view.snapshot is not None
        replica.view.snapshot.evaluate("f", {"user_id": "anna"})
        await clock.advance(13)

        assert wrong(replica) == {"f"}
