"""
A flag that is switched off, on and off again in quick succession, a thousand times.

In virtual time: three processes, delays of 0 to 400 ms, handlers that take as long, fail and are slow to stop, and
units of work that leave keys in a cache, which the handler of the fleet removes.
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from random import Random

import anyio
import pytest

from grayflow import Admin, Client, MemoryStore, Retry, SwitchOff
from grayflow.testing.virtual import VirtualClock, VirtualLoop

SEQUENCES, PLAYS = 250, 4
"""In several plays, since each looks through a history that grows."""
RETRY = Retry(attempts=20, base=0.02, cap=0.2)


class Cache:
    """Keys, each with the revision of the flag by which it was written."""

    def __init__(self) -> None:
        self.keys: dict[int, int] = {}
        self.written = self.removed = 0

    def write(self, revision: int) -> None:
        self.written += 1
        self.keys[self.written] = revision

    def remove_one(self) -> int | None:
        """Return by which revision it was written."""
        if not self.keys:
            return None
        self.removed += 1
        return self.keys.pop(next(iter(self.keys)))


class Log:
    """What one handler did, in order; a handler of an older generation must not end after a newer began."""

    def __init__(self, clock: VirtualClock, random: Random, cache: Cache | None = None) -> None:
        self._clock, self._random, self._cache = clock, random, cache
        self.wrongs: list[str] = []
        """Not raised: what a handler raises is tried again, and forgotten when that goes well."""
        self.newest = 0
        self.running = 0
        self.ended: list[int] = []
        self.stopped = 0

    async def __call__(self, off: SwitchOff) -> None:
        self._note(off, "two at once", wrong=self.running > 0)
        self._note(off, "an older generation began after a newer", wrong=off.generation < self.newest)
        self.newest = off.generation
        self.running += 1
        try:
            for _ in range(self._random.randrange(5)):
                await self._clock.sleep(self._random.choice([0, 0.01, 0.1]))
                self._remove_one(off)
            if self._random.random() < 0.2:
                raise RuntimeError("not now")
        except anyio.get_cancelled_exc_class():
            self.stopped += 1
            with anyio.CancelScope(shield=True):
                await self._clock.sleep(self._random.choice([0, 0.02]))
            raise
        finally:
            self.running -= 1
        self._note(off, "an older generation ended after a newer began", wrong=off.generation < self.newest)
        while self._remove_one(off):
            pass
        self.ended.append(off.generation)

    def _remove_one(self, off: SwitchOff) -> bool:
        """Ask first, as handlers are told to: the cancellation comes a moment after the switch."""
        revision = self._cache.remove_one() if self._cache is not None and off.still_off() else None
        if revision is not None:
            self._note(off, "removed a key of the live generation", wrong=2 * revision > off.generation)
        return revision is not None

    def _note(self, off: SwitchOff, what: str, *, wrong: bool) -> None:
        if wrong:
            self.wrongs.append(f"{what}: {off!r}, newest {self.newest}")


async def play(loop: VirtualLoop, seed: int) -> dict[str, int]:
    """Play all sequences, checking the end of each, and return what happened how often."""
    random, clock = Random(seed), VirtualClock(loop)
    cache = Cache()
    once, each = Log(clock, random, cache), [Log(clock, random) for _ in range(3)]
    offs = 0
    async with (
        MemoryStore(clock=clock) as store,
        Admin(store, actor="ann", clock=clock) as admin,
        anyio.create_task_group() as tasks,
        AsyncExitStack() as stack,
    ):
        await admin.put({"key": "f", "enabled": True})
        clients = [Client(store, clock=clock, random=random.random, name=f"p{number}") for number in range(3)]
        for flags, log in zip(clients, each, strict=True):
            flags.on_switch_off("f", scope="fleet", name="once", retry=RETRY)(once)
            flags.on_switch_off("f", name="each", retry=RETRY)(log)
            await stack.enter_async_context(flags)
            tasks.start_soon(work, flags, cache, clock, random)
        for _ in range(SEQUENCES):
            for _ in range(random.choice([1, 2, 3, 3, 5])):
                offs, last = await switch(admin, offs)
                await clock.sleep(random.choice([0, 0.01, 0.1, 0.4]) * random.random())
            await clock.sleep(2.5)
            assert once.running == sum(log.running for log in each) == 0
            jobs = await admin.jobs()
            if last is not None:
                assert [(job.state, job.done) for job in jobs] == [("done", last)]
                assert [log.ended[-1] for log in (once, *each)] == [last] * 4
                assert not cache.keys
            else:
                assert not any(job.unfinished for job in jobs)
        tasks.cancel_scope.cancel()
    assert [log.wrongs for log in (once, *each)] == [[]] * 4
    (job,) = jobs
    # What came to its end in the very moment of the next switch is recorded as superseded.
    assert job.completed <= len(once.ended) == len(set(once.ended))
    assert cache.written == cache.removed + len(cache.keys) > offs
    return {"offs": offs, "completed": job.completed, "stopped": once.stopped, "superseded": job.superseded}


async def work(flags: Client, cache: Cache, clock: VirtualClock, random: Random) -> None:
    """Decide once for each unit of work, and write a moment later, however the flag is switched meanwhile."""
    while True:
        with flags.scope():
            decision = flags.peek_decision("f", default=False)
            if decision.value:
                await clock.sleep(0.1 * random.random())
                cache.write(decision.revision)
        await clock.sleep(0.5 * random.random())


async def switch(admin: Admin, offs: int) -> tuple[int, int | None]:
    """Switch the flag the other way; return how often it was off, and the generation if it is now."""
    flag, _ = await admin.get("f")
    if flag.enabled:
        saved = await admin.switch_off("f")
        return offs + 1, 2 * saved.change.revision
    await admin.switch_on("f")
    return offs, None


@pytest.mark.timeout(600)  # some seconds of work, which a busy machine may take its time for
@pytest.mark.parametrize("seed", range(1, PLAYS + 1))
def test_the_last_switch_wins_a_thousand_times(seed: int, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.CRITICAL, "grayflow.cleanup")  # hundreds of failures are meant
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        happened = runner.run(play(loop, seed))

    # What was tried is what was meant: many were done, many overtaken before or while they ran.
    assert happened["completed"] > 75
    assert happened["superseded"] > 25
    assert happened["stopped"] > 0
