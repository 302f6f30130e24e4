"""The simulation is worth what it finds: replicas that were broken in one line each, and none gets through."""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent
from typing import Any
from unittest.mock import patch

import pytest

from grayflow.replica.holder import Held, Holder
from grayflow.replica.replica import Replica
from grayflow.replica.sync import Sync
from grayflow.replica.trail import Trail
from tests.simulation.play import play, report
from tests.simulation.script import draw

WITHIN = 2000

FAULTS = {
    "skips the nonce of a change": (Trail.judge, " and change.previous == end.nonce", ""),
    "skips the nonce of a position": (Trail.includes, "self._nonces.get(position.revision) == position.nonce", "True"),
    "applies out of order": (
        Trail.judge,
        "position.revision == end.revision + 1 and change.previous == end.nonce",
        "position.revision > end.revision",
    ),
    "takes lower revisions for old": (Trail.judge, "self.includes(position)", "position.revision <= end.revision"),
    "forgets what it applied": (Trail.extend, "self._nonces[position.revision] = position.nonce", "pass"),
    "forgets switch-offs that are pushed": (Held.apply, "if change.generations:", "if False:"),
    "counts freshness from the last change": (
        Holder.apply,
        "if step ==",
        "self._note(self._clock.monotonic())\n    if step ==",
    ),
    "counts freshness from the answer": (
        Holder._note,
        "planned_s =",
        "asked_at = self._clock.monotonic(); planned_s =",
    ),
    "calls flags from the disk fresh": (Holder.recall, "_NEVER_FRESH", "3600.0"),
    "calls no load a break": (Holder.replace, "(not continued)", "0"),
    "shows a load before its changes": (Sync._load, "self._meanwhile, added)", "deque(), added)"),
    "loses what is pushed during a load": (Sync.hear, "self._meanwhile.append(change)", "pass"),
    "ignores doubts": (Sync.hear, "self.request()", "pass"),
    "ignores gaps": (Replica._hear, "self.sync.request()", "pass"),
    "does not ask when it follows": (Replica._linked, "self.sync.request(herd=again)", "pass"),
    "does not poll": (
        Replica._poll,
        "while True:\n        self.sync.request()",
        "self.sync.request()\n    while True:",
    ),
    "does not look at the age": (Replica._age, "self.holder.tick()", "pass"),
    "does not follow again": (Replica._follow, "await self._clock.sleep(wait_s)", "await anyio.sleep_forever()"),
    "does not try again": (Sync._attempt, "self._retry_s = self._wait_s(error)", "self._retry_s = None"),
    "waits for ever": (Sync._answer, "anyio.fail_after(limit_s)", "anyio.fail_after(None)"),
    "takes any life": (Sync._check_replaced, "if not ", "if False and "),
    "takes a position that it had left for a proof": (Sync._is_held, "found.revision >= before.revision and ", ""),
    "catches up by loading everything": (Sync._catch_up, "if changes is None:", "if True:"),
    "confirms by a round that runs already": (
        Sync.request,
        "waiting = self._waiting = self._waiting or Round()",
        "waiting = self._waiting = self._running or self._waiting or Round()",
    ),
    "stays in trouble": (Sync._attempt, 'self._troubles.clear("store")', "pass"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_replica_is_found(fault: str):
    with broken(*FAULTS[fault]):
        found = next((violation for seed in range(WITHIN) if (violation := play(seed).violation)), None)

    assert found is not None


def test_a_failing_schedule_is_reported_short_and_with_the_command_that_repeats_it():
    with broken(*FAULTS["ignores gaps"]):
        seed = next(seed for seed in range(WITHIN) if len(draw(seed).steps) > 10 and play(seed).violation is not None)

        told = report(seed).splitlines()

    assert len([line for line in told if " STEP " in line]) <= 3
    assert "nobody asks, although a gap was heard" in told[-2]
    assert told[-1] == f"python -m tests.simulation --seed {seed}"


@contextmanager
def broken(method: Any, old: str, new: str) -> Iterator[None]:
    """Let a method be its own source with a piece replaced."""
    source = dedent(inspect.getsource(method))
    assert source.count(old) == 1, f"the fault has to be written anew for:\n{source}"
    module = sys.modules[method.__module__]
    defined: dict[str, Any] = {}
    exec(source.replace(old, new), vars(module), defined)
    owner_name, _, name = method.__qualname__.rpartition(".")
    with patch.object(getattr(module, owner_name), name, defined[name]):
        yield
