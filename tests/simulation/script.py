"""
What happens in a schedule, drawn from its seed before it begins.

A step is data and carries its own number to choose by, so a schedule that fails can be tried again with any of its
steps left out. Each seed draws from some kinds of steps only: all of them at once would hide each other.
"""

from random import Random
from typing import NamedTuple

from grayflow.replica.freshness import FRESH_TTLS

SERVER = ("edit", "rewind", "return", "empty", "foreign", "replace", "half", "newer", "trim")
NETWORK = ("down", "denied", "muted", "freeze", "slow", "losing", "dropping", "doubling", "shuffling", "heal")
LINK = ("cut", "gap", "replay")
PROCESS = ("restart", "recall", "stop", "suspend", "confirm", "wait_for")

_KINDS = (*SERVER[1:], *NETWORK[:-1], *LINK, *PROCESS)


class Step(NamedTuple):
    """Something that happens, `after_s` seconds after the step before."""

    after_s: float
    what: str
    number: int


class Settings(NamedTuple):
    """What stays the same for one schedule."""

    ttl_s: float
    max_staleness_s: float
    latency_s: float
    patience_s: float | None
    waiting: int
    work_s: float
    """So long it takes to read one document."""
    filled: bool
    """Whether the server is set up when the process begins."""
    unresolved_s: float
    """So long it takes the operator to see an incident."""


class Script(NamedTuple):
    settings: Settings
    steps: tuple[Step, ...]

    def without(self, start: int, end: int) -> "Script":
        """Leave steps out; the time that they took passes all the same."""
        left_out, after = self.steps[start:end], self.steps[end:]
        if after:
            waited_s = sum(step.after_s for step in left_out)
            after = (after[0]._replace(after_s=after[0].after_s + waited_s), *after[1:])
        return self._replace(steps=(*self.steps[:start], *after))


def draw(seed: int) -> Script:
    """Return the schedule of a seed."""
    random = Random(f"script {seed}")
    ttl_s = random.choice((1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 4.0, 6.0))
    settings = Settings(
        ttl_s=ttl_s,
        max_staleness_s=ttl_s * FRESH_TTLS * random.choice((1.0, 2.0, 3.0)),
        latency_s=random.choice((0.001, 0.02, 0.1)),
        patience_s=random.choice((None, 1.0, 3.0)),
        waiting=random.choice((3, 1000)),
        work_s=random.choice((0.0, 0.0, 0.01)),
        filled=random.random() < 0.8,
        unresolved_s=random.choice((0.0, 0.0, 2 * ttl_s, 10 * ttl_s)),
    )
    kinds = [kind for kind in _KINDS if random.random() < 0.3]
    often = ("edit",) * (len(kinds) + 2) + ("heal",) * (len(kinds) // 3)
    steps = tuple(
        Step(_gap(random, settings), random.choice((*kinds, *often)), random.randrange(1 << 30))
        for _ in range(random.randint(3, 30))
    )
    return Script(settings, steps)


def _gap(random: Random, settings: Settings) -> float:
    """Return a pause that is nothing, about as long as a message takes, or about as long as a poll."""
    scale = random.choice((0.0, settings.latency_s, settings.ttl_s / 2))
    return random.random() * 2 * scale
