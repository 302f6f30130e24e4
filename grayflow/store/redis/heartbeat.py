"""
When to ask a silent server whether it is there, and when to stop believing it.

Pure: it is given instants and says what to do. A dead link is found `IDLE_S + ANSWER_S`, 1.5 s, after the last that was
heard of it, which nothing in redis-py or in the kernel's defaults does (45 s at best, then a stopped loop; never, at
worst).
"""

from typing import Literal

__all__ = ["ANSWER_S", "IDLE_S", "LOOK_S", "Heartbeat"]

LOOK_S = 0.25
"""How long one look for a message takes at most. Messages are handed on at once; this is only our pulse."""

IDLE_S = 0.5
"""A link that was silent for so long is asked (PING)."""

ANSWER_S = 1.0
"""A link that has not answered for so long is dead."""

_SHORTEST_S = 0.02
_STALL_S = 0.5
"""A look that comes so much too late was held up by our own process."""


class Heartbeat:
    """The silence of one link. `now` is any clock that does not go back, in seconds."""

    def __init__(self, now: float) -> None:
        self._heard = self._looked = now
        self._asked: float | None = None
        self._spared = False

    def heard(self, now: float) -> None:
        """Note that something came, whatever it was."""
        self._heard = self._looked = now
        self._asked = None
        self._spared = False

    def look_s(self, now: float) -> float:
        """Return how long to look for a message: not beyond the moment at which there is something to do."""
        due = self._heard + IDLE_S if self._asked is None else self._asked + ANSWER_S
        return min(LOOK_S, max(_SHORTEST_S, due - now))

    def silent(self, now: float) -> Literal["wait", "ask", "dead"]:
        """Note that a look found nothing, and say what to do about it."""
        late = now - self._looked > LOOK_S + _STALL_S
        self._looked = now
        if self._asked is None:
            if now - self._heard < IDLE_S:
                return "wait"
            self._asked = now
            return "ask"
        if now - self._asked < ANSWER_S:
            return "wait"
        if late and not self._spared:
            # The silence may have been ours: a busy process did not look while the answer lay there. One more round,
            # and only one, or a process that is always busy would never notice.
            self._spared = True
            self._asked = now
            return "ask"
        return "dead"
