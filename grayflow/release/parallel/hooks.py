"""
The functions that an application gives to a parallel run, and what happens when one of them is wrong.

None of them may reach the caller: what they raise is counted under their name and logged once for each kind of error,
without its text, which may quote the very values that nobody wants in a log.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from traceback import walk_tb
from typing import Any

from grayflow.release.parallel.answers import Late, Raised, Returned, asked
from grayflow.release.parallel.tally import Tally

__all__ = ["HookError", "HookRunner", "place_of"]

log = logging.getLogger("grayflow.release")


class HookError(Exception):
    """A function of the application raised or was late; never leaves the parallel run."""

    def __init__(self, hook: str) -> None:
        super().__init__(hook)
        self.hook = hook


class HookRunner:
    """
    Calls these functions.

    Args:
        run: The name of the parallel run, for messages.
        limit_s: How long one may take that is awaited.
        tally: Where errors are counted.
    """

    def __init__(self, run: str, limit_s: float, tally: Tally) -> None:
        self._run, self._limit_s, self._tally = run, limit_s, tally
        self._told: set[tuple[str, str]] = set()

    async def call(self, name: str, hook: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """
        Call one.

        Raises:
            HookError: it raised, or was late; it is counted and logged already.
        """
        heard = await asked(self._limit_s, hook, *args, **kwargs)
        if isinstance(heard, Returned):
            return heard.value
        raise self.failed(name, heard)

    async def holds(self, name: str, hook: Callable[..., Any], *args: Any) -> bool:
        """Do the same with one that says yes or no: in Python even that may raise."""
        found = await self.call(name, hook, *args)
        return bool(await self.call(name, bool, found))

    def call_now(self, name: str, hook: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call one that cannot be waited for, in the caller's own time."""
        try:
            return hook(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - counted and logged; the caller goes on
            raise self.failed(name, Raised(error)) from None

    def misgiven(self, name: str, why: str) -> None:
        """Count and log that something that was given for one call is of no use; `why` quotes no value."""
        self._tally.harness(name)
        if (name, "") not in self._told:
            self._told.add((name, ""))
            text = "%s of parallel run %r cannot be used: %s; callers notice nothing, the next ones are only counted"
            log.warning(text, name, self._run, why)

    def failed(self, name: str, heard: Raised | Late) -> HookError:
        """Count and log an error; return what to raise."""
        self._tally.harness(name)
        kind = type(heard.error).__name__ if isinstance(heard, Raised) else "TimeoutError"
        if (name, kind) not in self._told:
            self._told.add((name, kind))
            place = place_of(heard.error) if isinstance(heard, Raised) else f"not done within {self._limit_s:g} s"
            text = "%s of parallel run %r raised %s (%s); callers notice nothing, the next ones are only counted"
            log.warning(text, name, self._run, kind, place)
        return HookError(name)


def place_of(error: BaseException) -> str:
    """Return where an error was raised; its text is left out, see above."""
    frames = list(walk_tb(error.__traceback__))
    if not frames:
        return "nowhere"
    frame, line = frames[-1]
    return f"{Path(frame.f_code.co_filename).name}:{line}"
