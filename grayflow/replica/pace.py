"""
How often the store is asked when somebody else sets the occasions.

A message that does not continue the chain is a doubt, and a doubt is a question to the store. Who publishes rubbish, or
edits large flags all day, would make each process of a fleet ask as fast as it can. So questions come out of a purse: a
few doubts in a row are looked into at once, more of them together, a few times a second.

Pure: it is given instants.
"""

__all__ = ["Pace"]

_AT_ONCE = 10


class Pace:
    """
    Tells when the next question is due. `now` is any clock that does not go back, in seconds.

    Args:
        apart_s: Between two questions, when many have been asked.
    """

    def __init__(self, apart_s: float) -> None:
        self._apart_s = apart_s
        self._free_at = float("-inf")
        """When the purse is full again."""

    def wait_s(self, now: float) -> float:
        """Return how long the next question has to wait; 0 if it may be asked now."""
        return max(0.0, self._free_at - now - (_AT_ONCE - 1) * self._apart_s)

    def asked(self, now: float) -> None:
        """Note a question."""
        self._free_at = max(self._free_at, now) + self._apart_s
