"""
What keeps a replica from its store, in words: once in the log per event, and in health for as long as it lasts.

The words say what is true now and which command helps; the store's own errors already say what was refused.
"""

import logging

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
        f"wrong server or one that was emptied. If it is right, run: grayflow init --replace --namespace {namespace}"
    )


class Troubles:
    """
    The errors that last, by where they arose: `link` (following) and `store` (asking).

    Args:
        place: The store's.
        namespace: The store's.
    """

    def __init__(self, place: str, namespace: str) -> None:
        self._place, self._namespace = place, namespace
        self._lasting: dict[str, StoreError] = {}
        self._texts: dict[str, str] = {}

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
        return self._texts.get("store") or self._texts.get("link")

    def report(self, source: str, error: StoreError, held: Position | None) -> None:
        """Remember an error; it is logged unless one of its kind lasts already."""
        told = any(type(other) is type(error) for other in self._lasting.values())
        self._lasting[source] = error
        self._texts[source] = text = self._worded(error, held)
        if not told:
            helpless = isinstance(error, StoreAccessError | StoreFormatError) or (
                held is not None and isinstance(error, NotInitializedError)
            )
            log.log(logging.ERROR if helpless else logging.WARNING, "%s", text)

    def clear(self, source: str, held: Position | None) -> None:
        """Forget what was wrong with that source."""
        self._texts.pop(source, None)
        if self._lasting.pop(source, None) is not None and not self._lasting:
            revision = "nothing yet" if held is None else f"revision {held.revision}"
            log.info("namespace %r at %s is well again; holding %s", self._namespace, self._place, revision)

    def _worded(self, error: StoreError, held: Position | None) -> str:
        text = str(error)
        if isinstance(error, NotInitializedError) and held is not None:
            text += (
                f", then bring the flags back with grayflow import, and only then, as processes that are running drop "
                f"their last copy for what the store holds, run: grayflow init --replace --namespace {self._namespace}"
            )
        elif isinstance(error, StoreFormatError) and not ("grayflow init" in text or "pip install" in text):
            text += (
                ". If a newer grayflow wrote it, run: pip install -U grayflow. If it is damaged, restore it from a "
                f"backup and run: grayflow init --replace --namespace {self._namespace}"
            )
        if held is None:
            return f"{text} (no flags yet: callers get their defaults)"
        return f"{text} (still serving revision {held.revision})"
