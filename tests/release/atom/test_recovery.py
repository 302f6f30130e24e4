"""Runs whose process is gone, or goes: who takes them over, when, and what becomes of them."""

import asyncio
import gc
import logging
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from grayflow import Admin, Client, ConfigurationError, LifetimeError, MemoryStore, StoreUnavailableError
from grayflow.errors import StoreAccessError, StoreFormatError
from grayflow.release.atom.atoms import Atoms
from grayflow.release.atom.errors import AtomRolledBack
from grayflow.release.atom.files import FileJournal
from grayflow.release.atom.journal import ATOMS, BoardJournal
from grayflow.release.atom.model import Atom
from grayflow.release.atom.record import Run, StepRecord
from grayflow.release.atom.recovery import Registry
from grayflow.testing import FakeClock, Faulty
from tests.lifetimes.census import Census, as_before
from tests.release.atom.bench import Bench, opened
from tests.release.atom.world import NAMES

pytestmark = pytest.mark.anyio

PATIENCE_S = 20


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def leave(store: MemoryStore, atom: Atom, *, done: int, intent: bool = False, **more: Any) -> None:
    """Leave the record of a run whose process died."""
    steps = [
        StepRecord(name=name, state="done", before="old", after="new", attempts=1, fence=1)
        if index < done
        else StepRecord(name=name, state="intent", before="old", attempts=1, fence=1)
        if index == done and intent
        else StepRecord(name=name)
        for index, name in enumerate(atom.names)
    ]
    run = Run(run_id="r", atom=atom.name, version=atom.version, steps=tuple(steps), **more)
    await store.board.put(ATOMS, "r", msgspec.json.encode(run))


async def condition(met: Any) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not met():
            await anyio.lowlevel.checkpoint()


# The table of what is found


@pytest.mark.parametrize("done", range(7))
@pytest.mark.parametrize(("policy", "ends"), [("undo", "before"), ("continue", "after")])
async def test_a_run_that_died_between_two_steps_is_undone_or_continued(
    bench: Bench, done: int, policy: str, ends: str
) -> None:
    async with MemoryStore() as store:
        atom = bench.atom(on_recover=policy)
        bench.states.update(dict.fromkeys(NAMES[:done], "new"))
        await leave(store, atom, done=done)
        async with opened(store, [atom]) as atoms:
            (result,) = await atoms.recover()

    assert bench.state == ends
    assert result.outcome == ("rolled_back" if policy == "undo" else "succeeded")
    assert [bench.count(f"do {name}") for name in NAMES] == [int(policy == "continue" and i >= done) for i in range(6)]


@pytest.mark.parametrize("there", [False, True], ids=["not there", "there"])
@pytest.mark.parametrize("checked", [False, True], ids=["cannot be asked", "can be asked"])
@pytest.mark.parametrize(
    ("policy", "did", "undid"),
    [
        ("undo", {}, {(False, False): 1, (True, False): 1, (False, True): 0, (True, True): 1}),
        ("continue", {(False, False): 1, (True, False): 1, (False, True): 1, (True, True): 0}, {}),
    ],
)
async def test_a_run_that_died_in_a_step_is_asked_how_far_it_came(
    bench: Bench, there: bool, checked: bool, policy: str, did: Any, undid: Any
) -> None:
    async with MemoryStore() as store:
        atom = bench.atom("link", "open", on_recover=policy, step={"check": bench.check if checked else None})
        bench.states.update({"link": "new"}, **({"open": "new"} if there else {}))
        await leave(store, atom, done=1, intent=True)
        async with opened(store, [atom]) as atoms:
            await atoms.recover()

    assert bench.state == ("before" if policy == "undo" else "after")
    assert bench.count("do open") == did.get((there, checked), 0)
    assert bench.count("undo open") == undid.get((there, checked), 0)


async def test_a_run_that_died_in_an_undo_is_undone_again(bench: Bench) -> None:
    async with MemoryStore() as store:
        atom = bench.atom("link")
        run = Run(
            run_id="r",
            atom="deploy",
            version=1,
            direction="back",
            steps=(StepRecord(name="link", state="undoing", before="old", after="new", fence=1, undos=1),),
        )
        await store.board.put(ATOMS, "r", msgspec.json.encode(run))
        async with opened(store, [atom]) as atoms:
            (result,) = await atoms.recover()

    assert (result.outcome, result.step("link").undos, bench.count("undo link")) == ("rolled_back", 2, 1)


async def test_a_cancelled_run_that_died_is_undone_although_it_was_to_be_continued(bench: Bench) -> None:
    async with MemoryStore() as store:
        atom = bench.atom("link", "open", on_recover="continue")
        bench.states["link"] = "new"
        await leave(store, atom, done=1, cancel={"actor": "ann"})
        async with opened(store, [atom]) as atoms:
            (result,) = await atoms.recover()

    assert (result.outcome, bench.state) == ("rolled_back", "before")


# Who, and when


async def test_a_run_is_taken_over_by_itself_when_its_lease_ends(bench: Bench) -> None:
    clock = FakeClock()
    async with MemoryStore(clock=clock) as store:
        atom = bench.atom("link", "open")
        bench.states["link"] = "new"
        await leave(store, atom, done=1)
        await store.board.claim(ATOMS, "r", "somebody who died", span=15)
        async with opened(store, [atom], clock=clock, recover_every=10, random=lambda: 0.5) as atoms:
            await clock.advance(14)
            assert bench.log == []
            await clock.advance(7)
            with anyio.fail_after(PATIENCE_S):
                while (one := (await atoms.runs())[0]).run.outcome is None:
                    await anyio.lowlevel.checkpoint()

    assert (one.run.outcome, bench.state) == ("rolled_back", "before")


async def test_runs_of_atoms_that_are_not_known_here_are_left_alone(bench: Bench) -> None:
    async with MemoryStore() as store:
        await leave(store, bench.atom("link"), done=0)
        async with opened(store, [Atom("other", version=1, steps=bench.atom("link").steps)]) as atoms:
            assert await atoms.recover(wait=True) == ()
            (one,) = await atoms.runs()

    assert one.due


async def test_parked_runs_are_not_taken_up_by_themselves(bench: Bench) -> None:
    async with MemoryStore() as store:
        await leave(store, bench.atom("link"), done=1, outcome="rollback_failed")
        async with opened(store, [bench.atom("link")]) as atoms:
            assert await atoms.recover(wait=True) == ()

    assert bench.log == []


async def test_the_same_run_id_takes_over_the_run_of_a_process_that_is_gone(bench: Bench) -> None:
    async with MemoryStore() as store:
        atom = bench.atom("link", "open", on_recover="continue")
        bench.states["link"] = "new"
        await leave(store, atom, done=1)
        async with opened(store) as atoms:
            result = await atoms.run(atom, run_id="r")

    assert (result.outcome, bench.count("do link"), bench.count("do open")) == ("succeeded", 0, 1)


async def test_the_same_run_id_waits_for_the_run_of_another_process(bench: Bench) -> None:
    store, results = MemoryStore(), []
    atom = bench.atom("link")
    gate = bench.gate("do link")

    async def call(atoms: Atoms) -> None:
        results.append(await atoms.run(atom, run_id="r"))

    async with (
        opened(store, lease=0.3) as one,
        opened(store, lease=0.3) as other,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(call, one)
        await gate.reached.wait()
        tasks.start_soon(call, other)
        asyncio.get_running_loop().call_later(0.2, gate.open.set)

    assert [result.outcome for result in results] == ["succeeded", "succeeded"]
    assert bench.count("do link") == 1


async def test_of_several_that_look_one_takes_the_run_over(bench: Bench) -> None:
    async with MemoryStore() as store:
        atom = bench.atom("link", "open")
        bench.states["link"] = "new"
        await leave(store, atom, done=1)
        async with (
            opened(store, [atom]) as one,
            opened(store, [atom]) as two,
            opened(store, [atom]) as three,
            anyio.create_task_group() as tasks,
        ):
            for atoms in (one, two, three):
                tasks.start_soon(lambda atoms=atoms: atoms.recover(wait=True))

    assert bench.count("undo link") == 1


async def test_what_a_process_claimed_and_never_began_is_cleared_away(bench: Bench) -> None:
    clock = FakeClock()
    async with MemoryStore(clock=clock) as store:
        await store.board.claim(ATOMS, "r", "somebody who died", span=15)
        await clock.advance(16)
        async with opened(store, clock=clock) as atoms:
            assert await atoms.recover() == ()

        assert (await store.board.list(ATOMS)).records == {}


async def test_a_record_that_no_release_can_read_is_told_once_and_keeps_nobody_from_the_others(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async with MemoryStore() as store:
        await leave(store, bench.atom("link"), done=0)
        await store.board.put(ATOMS, "broken", b"{")
        async with opened(store, [bench.atom("link")]) as atoms:
            (result,) = await atoms.recover()
            await atoms.recover()
            with pytest.raises(StoreFormatError, match="cannot be read"):
                await atoms.run(bench.atom("link"), run_id="broken")

    assert result.run_id == "r"
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "run 'broken' in memory:// cannot be read; install the release that wrote it"
    ]


def test_the_code_of_a_run_is_that_of_its_version_else_the_newest(bench: Bench) -> None:
    registry = Registry(bench.atom("link", version=version) for version in (2, 3, 1))

    found = {version: registry.find("deploy", version) for version in (1, 2, 3, 4)}

    assert {version: atom.version for version, atom in found.items() if atom is not None} == {1: 1, 2: 2, 3: 3, 4: 3}
    assert registry.find("another", 1) is None


# Overtaken


async def test_who_was_overtaken_during_a_step_stops_and_gives_the_others_answer(bench: Bench) -> None:
    store, clock = MemoryStore(), FakeClock()
    async with store, opened(store, clock=clock) as frozen, opened(store) as other:
        gate = bench.gate("do open")
        atom, results = bench.atom("link", "open"), []

        async def call() -> None:
            with pytest.raises(AtomRolledBack) as caught:
                await frozen.run(atom, run_id="r")
            results.append(caught.value.result)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await gate.reached.wait()
            (one,) = await frozen.runs()
            assert one.lease is not None
            await store.board.release(ATOMS, "r", fence=one.lease.fence)  # as if it had ended
            other.register(atom)
            del bench.gates["do open"]
            await other.recover()
            gate.open.set()
            await clock.advance(60)

    assert results[0].outcome == "rolled_back"
    assert [bench.count(f"undo {name}") for name in ("open", "link")] == [1, 1]
    assert bench.states["link"] == "old"


async def test_who_was_overtaken_before_a_step_does_not_begin_it(bench: Bench) -> None:
    """The process stands still between the record of its intent and the step, for longer than its lease."""
    clock = FakeClock()
    async with MemoryStore(clock=clock) as store:
        atom = bench.atom("link", "open", on_recover="continue")

        class Frozen(BoardJournal):
            async def put(self, run_id: str, value: bytes, **options: Any) -> Any:
                written = await super().put(run_id, value, **options)
                if b'"open","state":"intent"' in value:
                    clock._move_to(clock._monotonic + 60_000_000_000)  # time passes, and nobody does anything
                    async with opened(store, [atom], clock=clock) as other:
                        await other.recover()
                        bench.log.append("woken")
                return written

        async with Atoms(Frozen(store), recover_every=None, clock=clock) as atoms:
            result = await atoms.run(atom, run_id="r")

    assert result.outcome == "succeeded"
    assert not [entry for entry in bench.log[bench.log.index("woken") :] if entry.startswith(("do", "undo"))]
    assert bench.count("do open") == 1


async def test_who_was_overtaken_by_somebody_who_has_written_nothing_yet_records_nothing_more(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    store, others = MemoryStore(), []

    class Overtaken(BoardJournal):
        async def put(self, run_id: str, value: bytes, **options: Any) -> Any:
            if b'"link","state":"done"' in value and not others:
                held = await self.get(run_id)
                await self.release(run_id, fence=held.lease.fence)  # as if it had ended
                others.append(await self.claim(run_id, "another", span=60))
            return await super().put(run_id, value, **options)

    async with Atoms(Overtaken(store), recover_every=None, lease=1) as atoms, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: atoms.run(bench.atom("link", "open"), run_id="r", raise_=False))
        await condition(lambda: "was taken over by another process" in caplog.text)
        (one,) = await atoms.runs()
        assert [step.state for step in one.run.steps] == ["intent", "pending"]
        await store.board.release(ATOMS, "r", fence=others[0].lease.fence)

    assert bench.count("do open") == 0
    assert bench.state == "before"


# The journal on a bad day


async def test_a_journal_that_is_away_is_waited_for_and_nothing_is_done_meanwhile(bench: Bench) -> None:
    faulty = Faulty(MemoryStore())
    gate = bench.gate("do link")
    async with opened(faulty, random=lambda: 0.01) as atoms, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: atoms.run(bench.atom("link", "open"), run_id="r"))
        await gate.reached.wait()
        faulty.down = True
        gate.open.set()
        await anyio.wait_all_tasks_blocked()
        assert bench.count("capture open") == 0
        faulty.heal()

    assert bench.state == "after"


@pytest.mark.parametrize("verb", ["board.put", "board.claim", "board.release"])
async def test_answers_that_are_lost_do_no_harm(bench: Bench, verb: str) -> None:
    faulty = Faulty(MemoryStore())
    bench.failures["do open"] = [ValueError("boom")]
    async with opened(faulty, random=lambda: 0.001) as atoms:
        gate = bench.gate("do link")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: atoms.run(bench.atom(), run_id="r", raise_=False))
            await gate.reached.wait()
            faulty.lost.add(verb)
            gate.open.set()
            await anyio.wait_all_tasks_blocked()
            faulty.heal()

    assert bench.state == "before"
    assert [bench.count(f"undo {name}") for name in NAMES] == [1] * 6


async def test_a_journal_that_does_not_answer_at_the_start_is_told_and_nothing_is_done(bench: Bench) -> None:
    faulty = Faulty(MemoryStore())
    async with opened(faulty) as atoms:
        faulty.down = True
        with pytest.raises(StoreUnavailableError):
            await atoms.run(bench.atom("link"))

    assert bench.log == []


async def test_a_journal_that_refuses_during_a_run_is_told_and_the_run_is_left(bench: Bench) -> None:
    faulty = Faulty(MemoryStore())
    gate = bench.gate("do link")
    caught = []

    async def call() -> None:
        with pytest.raises(StoreAccessError) as error:
            await atoms.run(bench.atom("link", "open"), run_id="r")
        caught.append(error)

    async with opened(faulty) as atoms, anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await gate.reached.wait()
        faulty.errors["board.put"] = StoreAccessError("rights were taken")
        gate.open.set()
        await condition(lambda: caught)
        faulty.heal()
        (one,) = await atoms.runs()

    assert one.due
    assert bench.count("do open") == 0


async def test_a_record_that_the_journal_lost_is_written_anew(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    async with MemoryStore() as store, opened(store) as atoms:
        gate = bench.gate("do link")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: atoms.run(bench.atom("link", "open"), run_id="r"))
            await gate.reached.wait()
            await store.board.delete(ATOMS, "r")
            gate.open.set()
        (one,) = await atoms.runs()

    assert (one.run.outcome, bench.state) == ("succeeded", "after")
    assert "written anew" in caplog.text


async def test_a_record_that_was_lost_and_begun_anew_by_somebody_else_is_theirs(bench: Bench) -> None:
    async with MemoryStore() as store, opened(store) as atoms:
        gate = bench.gate("do link")
        task = asyncio.get_running_loop().create_task(atoms.run(bench.atom("link", "open"), run_id="r"))
        await gate.reached.wait()
        await store.board.delete(ATOMS, "r")
        claimed = await store.board.claim(ATOMS, "r", "somebody", span=60)
        assert claimed is not None
        gate.open.set()
        await anyio.wait_all_tasks_blocked()
        assert bench.count("do open") == 0
        task.cancel()
        await asyncio.wait({task})

    assert task.cancelled()


# Leaving


async def test_leaving_waits_for_the_step_and_leaves_the_run_for_others(bench: Bench) -> None:
    async with MemoryStore() as store:
        atom = bench.atom()
        gate = bench.gate("do link")
        async with opened(store) as atoms:
            task = asyncio.get_running_loop().create_task(atoms.run(atom, run_id="r"))
            await gate.reached.wait()
            asyncio.get_running_loop().call_later(0.05, gate.open.set)
        with pytest.raises(LifetimeError, match="goes on with it"):
            await task
        assert (bench.count("do link"), bench.count("do start")) == (1, 0)

        async with opened(store, [atom]) as atoms:
            (one,) = await atoms.runs()
            assert one.due
            (result,) = await atoms.recover()

    assert (result.outcome, bench.state) == ("rolled_back", "before")


async def test_leaving_during_the_last_step_still_records_that_it_succeeded(bench: Bench) -> None:
    async with MemoryStore() as store:
        gate = bench.gate("do open")
        async with opened(store) as atoms:
            task = asyncio.get_running_loop().create_task(atoms.run(bench.atom("link", "open"), run_id="r"))
            await gate.reached.wait()
            asyncio.get_running_loop().call_soon(gate.open.set)

        assert (await task).outcome == "succeeded"


async def test_leaving_waits_for_an_undo_to_its_end(bench: Bench) -> None:
    bench.failures["do open"] = [ValueError("boom")]
    gate = bench.gate("undo link")
    async with opened() as atoms:
        task = asyncio.get_running_loop().create_task(atoms.run(bench.atom(), run_id="r", raise_=False))
        await gate.reached.wait()
        asyncio.get_running_loop().call_later(0.05, gate.open.set)

    assert bench.state == "before"
    assert (await task).outcome == "rolled_back"


@pytest.mark.parametrize("what", ["do link", "undo link"])
async def test_what_takes_too_long_is_interrupted_and_left(
    bench: Bench, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench.failures["do open"] = [ValueError("boom")]
    gate = bench.gate(what)
    async with MemoryStore() as store:
        atom = bench.atom()
        async with opened(store, close_timeout=0.05) as atoms:
            task = asyncio.get_running_loop().create_task(atoms.run(atom, run_id="r"))
            await gate.reached.wait()
        with pytest.raises(LifetimeError):
            await task
        assert "did not come to its end within 0.05 s" in caplog.text

        bench.gates.clear()
        async with opened(store, [atom]) as atoms:
            (result,) = await atoms.recover()

    assert (result.outcome, bench.state) == ("rolled_back", "before")


async def test_a_thread_that_is_left_behind_keeps_its_lease(bench: Bench) -> None:
    """Somebody who took over at once would undo beside an effect that is still being made."""
    import threading

    free, begun = threading.Event(), threading.Event()

    def do(call: object) -> None:
        begun.set()
        free.wait(PATIENCE_S)

    async with MemoryStore() as store:
        async with opened(store, close_timeout=0.05) as atoms:
            task = asyncio.get_running_loop().create_task(
                atoms.run(bench.atom("link", steps={"link": {"do": do}}), run_id="r")
            )
            await condition(begun.is_set)
        with pytest.raises(LifetimeError):
            await task
        free.set()
        async with opened(store) as atoms:
            (one,) = await atoms.runs()

    assert one.held


async def test_nothing_is_begun_while_it_is_left(bench: Bench) -> None:
    bench.gate("do link")
    async with opened(close_timeout=0.2) as atoms:
        task = asyncio.get_running_loop().create_task(atoms.run(bench.atom("link"), run_id="r"))
        await bench.gates["do link"].reached.wait()
        late = asyncio.get_running_loop().create_task(_when_closing(atoms, bench))
    await late
    with pytest.raises(LifetimeError):
        await task


async def _when_closing(atoms: Atoms, bench: Bench) -> None:
    with anyio.fail_after(PATIENCE_S):
        while True:
            try:
                await atoms.runs()
            except LifetimeError:
                break
            await anyio.lowlevel.checkpoint()
    with pytest.raises(LifetimeError, match="closed"):
        await atoms.run(bench.atom("link"), run_id="x")


async def test_the_bodys_exception_leaves_the_block_as_it_came() -> None:
    error = KeyError("x")
    with pytest.raises(KeyError) as caught:
        async with opened():
            raise error
    assert caught.value is error


async def test_nothing_is_left_behind(bench: Bench, tmp_path: Path) -> None:
    census = Census()
    async with Atoms(FileJournal(tmp_path / "journal")) as atoms:
        await atoms.run(bench.atom(), run_id="r")
    gc.collect()

    await as_before(census)


async def test_a_journal_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match="did not do it"):
        async with Atoms(FileJournal(tmp_path / "file" / "journal")):
            pass


# With the rest of the house


async def test_atoms_run_beside_a_client_on_its_store_and_see_the_flags_of_their_caller(tmp_path: Path) -> None:
    url, seen = f"sqlite:///{tmp_path}/flags.db", []
    async with Admin(url, actor="ann") as admin:
        await admin.put({"key": "new_host", "enabled": True})
    bench = Bench()
    async with Client(url) as flags, Atoms(flags, actor="ann") as atoms:

        async def do(call: object) -> None:
            seen.append(await flags.is_enabled("new_host"))

        with flags.override(new_host=False):
            await atoms.run(bench.atom("link", steps={"link": {"do": do, "undo": None, "capture": None}}), run_id="r")
        (one,) = await atoms.runs()

    assert seen == [False]
    assert one.run.actor == "ann"


async def test_a_url_is_opened_and_closed_with_them(bench: Bench, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/flags.db"
    async with Admin(url, actor="ann"):
        pass
    for _ in range(2):
        async with Atoms(url) as atoms:
            await atoms.run(bench.atom("link"), run_id="r")

    assert bench.count("do link") == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (object(), "give a Client, a store or its URL, or a Journal"),
        (MemoryStore, "the class MemoryStore"),
        ("redsi://x", "did you mean 'redis'"),
    ],
)
def test_what_is_no_journal_is_refused_at_once(given: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Atoms(given)


@pytest.mark.parametrize(
    "options",
    [{"lease": 0}, {"recover_every": 0}, {"keep": -1}, {"actor": " "}, {"atoms": [object()]}, {"close_timeout": -1}],
)
def test_an_option_that_cannot_be_used_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Atoms(MemoryStore(), **options)


async def test_the_records_of_runs_that_ended_well_go_away_and_parked_ones_stay(bench: Bench) -> None:
    clock = FakeClock()
    async with MemoryStore(clock=clock) as store, opened(store, clock=clock, keep=3600) as atoms:
        bench.always.update({"undo open": ValueError("gone"), "do open": ValueError("boom")})
        await atoms.run(bench.atom("link"), run_id="well")
        bench.always["do stop"] = ValueError("boom")
        await atoms.run(bench.atom("stop"), run_id="back", raise_=False)
        task = asyncio.get_running_loop().create_task(atoms.run(bench.atom("open"), run_id="parked", raise_=False))
        while not task.done():
            await clock.advance(0.01)
        await clock.advance(3601)

        assert [one.run.run_id for one in await atoms.runs()] == ["parked"]
        await atoms.skip("parked", "open", reason="taken down by hand")
        assert [one.run.outcome for one in await atoms.runs()] == ["rolled_back"]
        await clock.advance(3601)
        assert await atoms.runs() == []


async def test_what_matters_is_logged_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="grayflow.release")
    bench.failures["do open"] = [ValueError("boom")]
    async with opened() as atoms:
        await atoms.run(bench.atom("link"), run_id="well")
        await atoms.run(bench.atom("stop", "open"), run_id="back", raise_=False)

    assert [record.getMessage() for record in caplog.records] == [
        "run 'well' of atom 'deploy' succeeded",
        "run 'back' of atom 'deploy' is undone: do of step 'open': ValueError: boom",
        "run 'back' of atom 'deploy' was rolled back",
    ]
