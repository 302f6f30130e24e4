"""
What is current for evaluations outside every scope, and what is left of it when nobody keeps it up to date.

Before the start, after the close, after a defect and in a forked child the flags are still answered from memory, marked
stale, with the remedy in the decision. No timer runs then, so the age is looked up at each evaluation.
"""

import logging

from grayflow.client.forks import watch_forks
from grayflow.client.scope import Frame
from grayflow.client.states import States
from grayflow.core.context import Context
from grayflow.replica.holder import Holder
from grayflow.replica.troubles import Troubles
from grayflow.replica.view import View
from grayflow.store.port import Change

__all__ = ["Live"]

log = logging.getLogger("grayflow.client")

_FORKED = (
    "this process was forked from one whose grayflow client was running: its flags do not change any more. "
    "Start the client after the fork (ASGI lifespan, gunicorn post_fork, Celery worker_process_init)"
)


class Live:
    """
    The client's own frame.

    Args:
        context: For evaluations that give none.
        holder: Whose views are shown while the client runs.
        quick: Whether the hot path may answer: nobody watches evaluations.
        why: What to say before the start.
        troubles: Say what keeps the first snapshot away.
    """

    def __init__(self, context: Context, holder: Holder, *, quick: bool, why: str, troubles: Troubles) -> None:
        self.frame = Frame(context, None)
        self.states = States()
        self._holder, self._quick, self._troubles = holder, quick, troubles
        self.forked = False
        """Whether this is a child process, and the client was running in its parent."""
        self._why: str | None = why
        self._warning: str | None = None
        self._owner: object = None

    @property
    def why(self) -> str | None:
        """Why nobody keeps the flags up to date; `None` while somebody does."""
        return self._why

    def attend(self, owner: object) -> None:
        """
        Show the holder's views from now on.

        Args:
            owner: Whoever must stay alive in a forked child, with all that it refers to.
        """
        self._why, self._owner = None, owner
        self._holder.listeners.insert(0, self._see)
        self._holder.listeners.append(self.states.see)
        self._quicken(self._holder.view)
        watch_forks(self)

    def detach(self, why: str) -> None:
        """Answer from memory from now on, and give the reason with every decision."""
        self._why = why
        self.frame.slow()

    def fork(self) -> object:
        """See `Forked.fork`."""
        if self._why is None:
            self.forked = True
            self._warning = _FORKED
            self.detach(_FORKED)
        return self._owner

    def view(self) -> View:
        """Return what is current."""
        view = self._holder.view
        if self._why is None:
            if view.snapshot is None:
                return view.but("expired", self._troubles.text or "no flags have arrived yet")
            return view
        if self._warning is not None:
            log.warning("%s", self._warning)
            self._warning = None
        freshness = self._holder.freshness
        return view.but("stale" if freshness == "fresh" else freshness, self._why)

    def _see(self, _: View, after: View, __: Change | None) -> None:
        if self._why is None:
            self._quicken(after)

    def _quicken(self, view: View) -> None:
        if self._quick and view.snapshot is not None:
            self.frame.quicken(view)
