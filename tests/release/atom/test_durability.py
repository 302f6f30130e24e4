"""
No step begins before its record is where it has to be: on the replica, which may be promoted, or on a disk.

Real servers; a replica that is stopped is one that a network has cut off.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis.exceptions import ResponseError

from grayflow import (
    ConfigurationError,
    Durability,
    LifetimeError,
    MemoryStore,
    StoreUnavailableError,
    SystemClock,
    UnacknowledgedError,
    open_store,
)
from grayflow.release.atom.atoms import Atoms
from grayflow.release.atom.errors import AtomRolledBack
from grayflow.release.atom.files import FileJournal
from grayflow.release.atom.journal import BoardJournal
from grayflow.release.atom.model import Atom
from grayflow.release.atom.record import Run, read_run
from grayflow.store.sqlite import SQLiteStore
from tests.release.atom.bench import Bench
from tests.release.atom.copies import Pair, online, paired
from tests.release.atom.world import NAMES
from tests.servers import RedisServer, bundled_server, find_server

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.timeout(120)]

PATIENT = Durability(replicas=1, timeout=30)
HASTY = Durability(replicas=1, timeout=0.2)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with paired() as started:
        yield started


@pytest.fixture
def bench() -> Bench:
    return Bench()


@asynccontextmanager
async def opened(
    url: str, *atoms: Atom, durability: Durability | None = PATIENT, **options: Any
) -> AsyncIterator[tuple[Atoms, BoardJournal]]:
    journal = BoardJournal(open_store(url), durability=durability)
    async with Atoms(journal, atoms, **{"recover_every": None, "close_timeout": 0, **options}) as made:
        yield made, journal


async def recorded(url: str) -> Run | None:
    """Return what a server knows of the run."""
    async with BoardJournal(open_store(url)) as journal:
        record = await journal.get("r")
    return None if record is None else read_run(record.value)


def begun(bench: Bench) -> list[str]:
    return [what for what in bench.log if what.startswith(("do ", "undo "))]


def at_each_effect(bench: Bench, *names: str, do: Callable[[str], None]) -> Atom:
    """Return an atom that calls `do` with its name as each effect begins."""

    class Watched(Bench):
        async def _act(self, what: str, call: Any, to: str | None) -> None:
            if to is not None:
                do(f"{what} {call.step}")
            await super()._act(what, call, to)

    bench.__class__ = Watched
    return bench.atom(*names)


# Replicas


async def test_when_an_effect_begins_the_replica_has_its_record(pair: Pair, bench: Bench) -> None:
    begun_with: dict[str, bytes] = {}
    key = "{gf:default}:run:records:atoms"

    def look(what: str) -> None:
        begun_with[what] = pair.replica.ask("HGET", key, "r") or b""

    bench.failures["do open"] = [OSError("no route")]
    atom = at_each_effect(bench, do=look)
    async with opened(pair.master.url) as (atoms, _):
        with pytest.raises(AtomRolledBack):
            await atoms.run(atom, run_id="r")

    states = {what: state_of(value, what.split()[1]) for what, value in begun_with.items()}
    assert states == {f"{verb} {name}": state for verb, state in EFFECTS.items() for name in NAMES}
    assert pair.replica.ask("HGET", key, "r") == pair.master.ask("HGET", key, "r")


EFFECTS = {"do": "intent", "undo": "undoing"}


def state_of(value: bytes, name: str) -> str:
    """Return the state of a step in what Redis holds: a header, the lease's owner, and the run as JSON."""
    run = read_run(value[value.index(b'{"') :])
    assert run is not None
    return next(step.state for step in run.steps if step.name == name)


async def test_nothing_is_recorded_or_done_while_the_replica_stands_still(pair: Pair, bench: Bench) -> None:
    pair.replica.freeze()
    async with opened(pair.master.url, durability=HASTY) as (atoms, _):
        with pytest.raises(
            UnacknowledgedError, match=r"0 of 1 replicas acknowledged it in time.*INFO replication"
        ) as told:
            await atoms.run(bench.atom(), run_id="r")
        assert await atoms.runs() == []
    assert "Run 'r' stopped before its next step" in "".join(told.value.__notes__)
    assert begun(bench) == []

    pair.replica.thaw()
    async with opened(pair.master.url) as (atoms, _):
        assert (await atoms.run(bench.atom(), run_id="r")).outcome == "succeeded"
    assert bench.state == "after"


LOSSES: dict[str, tuple[Callable[[Pair], object], Callable[[Pair], object]]] = {
    "frozen": (lambda pair: pair.replica.freeze(), lambda pair: pair.replica.thaw()),
    "killed": (lambda pair: pair.replica.kill(), lambda pair: pair.replica.start()),
    "cut off": (Pair.cut, Pair.mend),
}
"""How a replica gets lost, and comes back."""


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_replica_that_is_lost_in_a_step_stops_the_run_before_the_next(
    pair: Pair, bench: Bench, loss: str
) -> None:
    lose, bring_back = LOSSES[loss]
    gate = bench.gate("do stop")
    async with opened(pair.master.url) as (atoms, journal), anyio.create_task_group() as tasks:
        tasks.start_soon(refused, atoms, bench.atom())
        await gate.reached.wait()
        lose(pair)
        journal._durability = HASTY
        gate.open.set()
    assert begun(bench) == ["do drain", "do unpack", "do stop"]

    bring_back(pair)
    online(pair.master)
    async with opened(pair.master.url, bench.atom()) as (atoms, _):
        (result,) = await atoms.recover(wait=True)

    assert (result.outcome, bench.state) == ("rolled_back", "before")
    assert begun(bench)[3:] == ["undo stop", "undo unpack", "undo drain"]


async def refused(atoms: Atoms, atom: Atom) -> None:
    with pytest.raises(UnacknowledgedError):
        await atoms.run(atom, run_id="r")


async def test_a_replica_that_is_lost_in_the_undo_stops_that_and_it_is_gone_on_with_later(
    pair: Pair, bench: Bench
) -> None:
    bench.failures["do open"] = [OSError("no route")]
    gate = bench.gate("undo link")
    async with opened(pair.master.url) as (atoms, journal), anyio.create_task_group() as tasks:
        tasks.start_soon(refused, atoms, bench.atom())
        await gate.reached.wait()
        pair.replica.freeze()
        journal._durability = HASTY
        gate.open.set()
    assert begun(bench)[-1] == "undo link"

    pair.replica.thaw()
    async with opened(pair.master.url, bench.atom()) as (atoms, _):
        await atoms.recover(wait=True)

    assert bench.state == "before"


async def test_no_lease_is_granted_or_prolonged_that_the_replica_would_not_know(pair: Pair) -> None:
    """An effect may begin on the strength of a lease alone."""
    async with BoardJournal(open_store(pair.master.url), durability=PATIENT) as journal:
        claimed = await journal.claim("held", "a", span=60)
        assert claimed is not None
        assert claimed.lease is not None
        pair.replica.freeze()
        journal._durability = HASTY

        with pytest.raises(UnacknowledgedError):
            await journal.renew("held", fence=claimed.lease.fence, span=60)
        with pytest.raises(UnacknowledgedError):
            await journal.claim("other", "a", span=60)

        assert set((await journal.list()).records) == {"held"}
        assert await journal.release("held", fence=claimed.lease.fence)


@pytest.mark.parametrize("effect", [f"{what} {name}" for what in ("do", "undo") for name in ("drain", "link", "open")])
async def test_a_master_that_dies_as_an_effect_begins_loses_no_intent(pair: Pair, bench: Bench, effect: str) -> None:
    """Its replica is promoted, and whoever opens that one undoes what had begun."""
    dead = anyio.Event()

    def kill(what: str) -> None:
        if what == effect and not dead.is_set():
            pair.fail_over()
            dead.set()

    atom = at_each_effect(bench, do=kill)
    async with opened(pair.master.url, lease=1) as (atoms, _):
        bench.failures["do open"] = [OSError("no route")] if effect.startswith("undo") else []
        running = asyncio.get_running_loop().create_task(atoms.run(atom, run_id="r"))
        await dead.wait()
    with pytest.raises((LifetimeError, StoreUnavailableError)):
        await running
    found = await recorded(pair.replica.url)
    assert found is not None
    what, name = effect.split()
    assert next(step.state for step in found.steps if step.name == name) == EFFECTS[what]

    async with opened(pair.replica.url, atom, durability=None, lease=1) as (others, _):
        (result,) = await others.recover(wait=True)

    assert (result.outcome, bench.state) == ("rolled_back", "before")


async def test_without_it_an_effect_stays_whose_record_died_with_the_master(pair: Pair, bench: Bench) -> None:
    """What a durability is for."""
    gate = bench.gate("do stop")
    async with opened(pair.master.url, durability=None) as (atoms, _):
        pair.cut()  # one that only stands still finds what was sent in its socket
        running = asyncio.get_running_loop().create_task(atoms.run(bench.atom(), run_id="r"))
        await gate.reached.wait()
        pair.fail_over()
    with pytest.raises((LifetimeError, StoreUnavailableError)):
        await running

    assert await recorded(pair.replica.url) is None
    assert bench.states["drain"] == "new"


@pytest.mark.faults
async def test_a_run_goes_on_through_a_fail_over_where_a_second_replica_acknowledges(bench: Bench) -> None:
    """Sentinels promote one replica and let the other follow it; the process that runs the atom only waits."""
    with ExitStack() as stack:
        master = stack.enter_context(RedisServer("--repl-diskless-sync-delay", "0"))
        for _ in range(2):
            stack.enter_context(
                RedisServer("--replicaof", f"127.0.0.1 {master.port}", "--repl-diskless-sync-delay", "0")
            )
        online(master, 2)
        config = (
            f"sentinel monitor shop 127.0.0.1 {master.port} 2\nsentinel down-after-milliseconds shop 1000\n"
            "sentinel failover-timeout shop 10000\n"
        )
        sentinels = [stack.enter_context(RedisServer(config=config, sentinel=True)) for _ in range(3)]
        url = "redis+sentinel://" + ",".join(f"127.0.0.1:{one.port}" for one in sentinels) + "/shop/0"
        await known(sentinels[0])
        gate = bench.gate("do stop")
        durability = Durability(replicas=1, timeout=60)
        async with opened(url, durability=durability, lease=90, close_timeout=30) as (atoms, _):
            running = asyncio.get_running_loop().create_task(atoms.run(bench.atom(), run_id="r"))
            await gate.reached.wait()
            master.kill()
            gate.open.set()
            with anyio.fail_after(100):
                result = await running

    assert (result.outcome, bench.state) == ("succeeded", "after")
    assert begun(bench) == [f"do {name}" for name in NAMES]


async def known(sentinel: RedisServer) -> None:
    """Wait until a Sentinel knows both replicas and the other Sentinels."""
    with anyio.fail_after(30):
        while True:
            told: list[bytes] = sentinel.ask("SENTINEL", "MASTER", "shop")
            facts = dict(zip(told[::2], told[1::2], strict=True))
            if (int(facts[b"num-slaves"]), int(facts[b"num-other-sentinels"])) == (2, 2):
                return
            await SystemClock().sleep(0.05)


# Disks

SYNCED = ("--appendonly", "yes", "--appendfsync", "always")


def modern() -> Path:
    """Return a server that knows WAITAOF."""
    return bundled_server() or find_server()


async def test_a_record_that_is_synced_is_there_after_the_server_was_killed(bench: Bench) -> None:
    gate = bench.gate("do stop")
    with RedisServer(*SYNCED, binary=modern()) as server:
        async with opened(server.url, durability=Durability(local=True, timeout=30), lease=1) as (atoms, _):
            running = asyncio.get_running_loop().create_task(atoms.run(bench.atom(), run_id="r"))
            await gate.reached.wait()
            server.kill()
        with pytest.raises((LifetimeError, StoreUnavailableError)):
            await running
        server.start()

        found = await recorded(server.url)
        gate.open.set()
        async with opened(server.url, bench.atom(), durability=Durability(local=True, timeout=30)) as (others, _):
            await others.recover(wait=True)

    assert found is not None
    assert [step.state for step in found.steps][:3] == ["done", "done", "intent"]
    assert bench.state == "before"


async def test_a_server_that_does_not_sync_is_not_taken_at_its_word(bench: Bench) -> None:
    with RedisServer("--appendonly", "yes", "--appendfsync", "no", binary=modern()) as server:
        async with opened(server.url, durability=Durability(local=True, timeout=0.2)) as (atoms, _):
            with pytest.raises(UnacknowledgedError, match=r"not on the server's own disk in time.*INFO persistence"):
                await atoms.run(bench.atom(), run_id="r")

    assert begun(bench) == []


@pytest.mark.parametrize("syncs", [True, False])
async def test_the_disk_of_a_replica_can_be_asked_for(bench: Bench, *, syncs: bool) -> None:
    options = () if syncs else ("--appendonly", "no")
    durability = Durability(synced_replicas=1, timeout=30 if syncs else 0.2)
    with paired(*SYNCED, replica_options=options, binary=modern()) as pair:
        async with opened(pair.master.url, durability=durability) as (atoms, _):
            if syncs:
                await atoms.run(bench.atom("link"), run_id="r")
            else:
                with pytest.raises(UnacknowledgedError, match="0 of 1 replicas had it on their disks in time"):
                    await atoms.run(bench.atom("link"), run_id="r")

    assert bench.state == ("after" if syncs else "before")


async def test_a_replica_and_the_servers_own_disk_can_be_asked_for_together(bench: Bench) -> None:
    durability = Durability(replicas=1, local=True, timeout=30)
    with paired(*SYNCED, binary=modern()) as pair:
        async with opened(pair.master.url, durability=durability) as (atoms, journal):
            await atoms.run(bench.atom(), run_id="r")
            pair.replica.freeze()
            journal._durability = Durability(replicas=1, local=True, timeout=0.2)

            with pytest.raises(UnacknowledgedError, match="0 of 1 replicas acknowledged"):
                await atoms.run(bench.atom(), run_id="s")

    assert len(begun(bench)) == len(NAMES)


async def test_a_server_without_an_append_only_file_says_so_at_once(bench: Bench) -> None:
    with RedisServer(binary=modern()) as server:
        async with opened(server.url, durability=Durability(local=True, timeout=100)) as (atoms, _):
            with (
                anyio.fail_after(30),
                pytest.raises(UnacknowledgedError, match=r"it cannot say who else.*appendonly yes"),
            ):
                await atoms.run(bench.atom(), run_id="r")
            assert await atoms.runs() == []

    assert begun(bench) == []


async def test_a_server_that_is_too_old_for_disks_says_so_at_once(bench: Bench) -> None:
    with RedisServer(config='rename-command WAITAOF ""\n' if knows_waitaof() else "") as server:
        async with opened(server.url, durability=Durability(local=True, timeout=100)) as (atoms, _):
            with anyio.fail_after(30), pytest.raises(UnacknowledgedError, match=r"WAITAOF needs Redis 7\.2 or Valkey"):
                await atoms.run(bench.atom(), run_id="r")
            assert await atoms.runs() == []

    assert begun(bench) == []


def knows_waitaof() -> bool:
    """Whether the server of these tests is a newer one."""
    with RedisServer() as server, suppress(ResponseError):
        return bool(server.ask("WAITAOF", 0, 0, 1))
    return False


# What can be asked for


async def test_a_file_is_synced_before_an_effect_if_that_is_asked_for(tmp_path: Path, bench: Bench) -> None:
    levels = {}
    async with SQLiteStore(tmp_path / "flags.db") as store:
        await store.init()
        async with Atoms(store, durability=Durability(local=True), recover_every=None) as atoms:
            await atoms.run(bench.atom(), run_id="r")
        for name, board in {"plain": store.board, "safe": store.board.durable(Durability(local=True))}.items():
            levels[name] = await board.run(
                lambda shelf, _: shelf._connection.execute("PRAGMA synchronous").fetchone()[0],  # type: ignore[attr-defined]
                writing=True,
            )

    assert levels == {"plain": 1, "safe": 2}  # NORMAL and FULL
    assert bench.state == "after"


@pytest.mark.parametrize("durability", [Durability(replicas=1), Durability(synced_replicas=1, local=True)])
def test_a_file_has_no_replicas(tmp_path: Path, durability: Durability) -> None:
    with pytest.raises(ConfigurationError, match=r"no replicas.*Durability\(local=True\)"):
        Atoms(SQLiteStore(tmp_path / "flags.db"), durability=durability)


def test_memory_promises_nothing() -> None:
    with pytest.raises(ConfigurationError, match="cannot say whether a write is safe"):
        Atoms(MemoryStore(), durability="wait")


def test_a_journal_has_a_durability_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="FileJournal syncs every write by itself"):
        Atoms(FileJournal(tmp_path), durability="wait")


@pytest.mark.parametrize("given", ["always", 1, True, Durability])
def test_what_is_no_durability_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"durability is .*give 'wait', a Durability"):
        Atoms("redis://localhost", durability=given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"replicas": 0},
        {"replicas": -1},
        {"replicas": True},
        {"replicas": 1.0},
        {"synced_replicas": "1"},
        {"local": 1},
        {"replicas": 1, "timeout": 0},
        {"replicas": 1, "timeout": "5"},
        {"replicas": 1, "timeout": float("nan")},
        {"replicas": 1, "timeout": float("inf")},
    ],
)
def test_a_durability_that_means_nothing_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Durability(**given)


def test_wait_is_one_replica() -> None:
    journal = BoardJournal(open_store("redis://localhost"), durability="wait")

    assert journal._durability == Durability(replicas=1)
    assert repr(journal).endswith("durability=Durability(replicas=1, local=False, synced_replicas=0, timeout=5.0))")
