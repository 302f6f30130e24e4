"""
What keeps a replica from its store, in words: once in the log per event, and in health for as long as it lasts.

The words say what is true now and which command helps; the store's own errors already say what was refused.
"""

import logging
from collections.abc import Callable

from grayflow.core.position import Position
from grayflow.errors import NotInitializedError, StoreAccessError, StoreError, StoreFormatError

__all__ = ["ForeignStoreError", "Troubles", "foreign"]

log = logging.getLogger("grayflow.replica")


class ForeignStoreError(StoreFormatError):
    """The store holds another life of the namespace than the one that this process knows."""


def foreign(place: str, namespace: str, *, held: Position, found: Position) -> ForeignStoreError:
    """Return the refusal of a store whose epoch does not replace the held one."""
    return ForeignStoreError(
        f"{place} holds another flag set for namespace {namespace!r} (epoch {found.epoch}, revision {found.revision}) "
        f"than the one this process knows (epoch {held.epoch}, revision {held.revision}): refused, as it may be the "
        "wrong server or one that was emptied",
        remedy=f"If it is right, run: grayflow init --replace --namespace {namespace}",
    )


class Troubles:
    """
    The errors that last, by where they arose: `link` (following) and `store` (asking).

    Args:
        place: The store's.
        namespace: The store's.
        held: Where the snapshot is that is being served, `None` while there is none. Asked whenever somebody reads:
            a trouble may last longer than what was held when it began.
    """

    def __init__(self, place: str, namespace: str, held: Callable[[], Position | None]) -> None:
        self._place, self._namespace, self._held = place, namespace, held
        self._lasting: dict[str, StoreError] = {}

    @property
    def incident(self) -> bool:
        """Whether the store answers, but with something that must not be taken over."""
        return isinstance(self._lasting.get("store"), NotInitializedError | StoreFormatError)

    @property
    def error(self) -> StoreError | None:
        """What is wrong now; what the store says before what the link says."""
        return self._lasting.get("store") or self._lasting.get("link")

    @property
    def text(self) -> str | None:
        """What is wrong now and what to do, `None` if nothing is."""
        error = self.error
        return None if error is None else self._worded(error)

    def report(self, source: str, error: StoreError) -> None:
        """Remember an error; it is logged unless one of its kind lasts already."""
        told = any(type(other) is type(error) for other in self._lasting.values())
        self._lasting[source] = error
        if not told:
            helpless = isinstance(error, StoreAccessError | StoreFormatError) or (
                self._held() is not None and isinstance(error, NotInitializedError)
            )
            log.log(logging.ERROR if helpless else logging.WARNING, "%s", self._worded(error))

    def clear(self, source: str) -> None:
        """Forget what was wrong with that source."""
        if self._lasting.pop(source, None) is not None and not self._lasting:
            held = self._held()
            revision = "nothing yet" if held is None else f"revision {held.revision}"
            log.info("namespace %r at %s is well again; holding %s", self._namespace, self._place, revision)

    def _worded(self, error: StoreError) -> str:
        held, text = self._held(), str(error).rstrip(".")
        if isinstance(error, NotInitializedError) and held is not None:
            text += (
                ", then bring the flags back with grayflow import (a last_good file is made importable by: grayflow "
                "export --last-good FILE), and only then, as processes that are running drop their last copy for what "
                f"the store holds, run: grayflow init --replace --namespace {self._namespace}"
            )
        elif isinstance(error, StoreFormatError) and not error.remedy:
            text += (
                ". If a newer grayflow wrote it, run: pip install -U grayflow. If it is damaged, put a backup in its "
                "place"
            )
        if held is None:
            return f"{text} (no flags yet: callers get their defaults)"
        return f"{text} (still serving revision {held.revision})"
