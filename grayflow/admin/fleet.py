"""The part of `Admin` that knows which processes serve flags, and waits until they have seen a change."""

import math

import msgspec

from grayflow.admin.desk import Desk
from grayflow.core.position import Position
from grayflow.errors import ConfigurationError, StoreAccessError, StoreError
from grayflow.store.board import Board
from grayflow.store.fleet import Fleet, Process, read_fleet
from grayflow.store.given import refused, seconds

__all__ = ["FleetVerbs", "Seen"]

_FIRST_LOOK_S, _LAST_LOOK_S = 0.01, 0.25
_ASK_S = 1.0
"""Between two requests for reports: one who did not hear the first, because its link was down, hears another."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """How far a change has come."""

    position: Position
    """The change, or one after it."""
    processes: int
    """How many processes report."""
    behind: tuple[Process, ...]
    """Those that may still decide by older flags: they have not heard of it, or a scope from before is open."""
    took_s: float
    """How long was waited."""

    @property
    def complete(self) -> bool:
        """Whether every process that reports has seen it."""
        return not self.behind


class FleetVerbs(Desk):
    """Reads what processes report of themselves; see `Desk` for how it is opened."""

    async def fleet(self) -> Fleet:
        """
        Return the processes that serve these flags now.

        Clients report themselves if they may write to the board; those that only may read (`gf-reader` of Redis) are
        not there. One that died is there for 15 s more.

        Raises:
            ConfigurationError: the store has no board.
        """
        return await read_fleet(self._board())

    async def wait_until_seen(self, change: Position | str | int, *, timeout: float = 30.0) -> Seen:  # noqa: ASYNC109
        """
        Wait until no reporting process decides by flags from before a change any more.

        Processes are asked to report at once. Whom nobody may ask (on Redis that takes the right to publish, which
        `gf-writer` has) reports within 6 s; a switch-off is always reported at once.

        Args:
            change: A position, its token (`Saved.token`), or a revision of the present epoch.
            timeout: Seconds to wait at most; 0 looks once.

        Returns:
            How far it came: being late is no error, see `Seen.complete`.

        Raises:
            ConfigurationError: an argument cannot be used, there is no such revision yet, or the store has no board.
        """
        timeout = seconds("timeout", timeout, least=0.0, endless=True)
        board, position = self._board(), await self._wanted(change)
        began = self._clock.monotonic()
        look_s, ask_at = _FIRST_LOOK_S, 0.0
        while True:
            fleet = await read_fleet(board)
            behind, took_s = fleet.behind(position), self._clock.monotonic() - began
            if not behind or took_s >= timeout:
                return Seen(position=position, processes=len(fleet.processes), behind=behind, took_s=took_s)
            if took_s >= ask_at:
                ask_at = took_s + _ASK_S if await self._ask_for_reports(position) else math.inf
            await self._clock.sleep(min(look_s, timeout - took_s))
            look_s = min(look_s * 1.5, _LAST_LOOK_S)

    async def _ask_for_reports(self, position: Position) -> bool:
        """Let processes report at once; tell whether asking again may help."""
        try:
            await self.store.request_reports(position)
        except StoreAccessError:
            return False
        except StoreError:
            return True  # the next look tells
        return self.store.reports_on_request

    def _board(self) -> Board:
        board = self.store.board
        if board is None:
            raise ConfigurationError(f"{self.store.no_board}; so nobody knows which processes serve these flags")
        return board

    async def _wanted(self, change: Position | str | int) -> Position:
        if isinstance(change, Position):
            return change
        if isinstance(change, str):
            return Position.from_token(change)
        if type(change) is not int:
            raise refused("change", change, "give a position, its token (Saved.token), or a revision")
        now = await self.store.position()
        if not 0 <= change <= now.revision:
            raise ConfigurationError(f"there is no revision {change} yet; the newest is {now.revision}")
        return Position(epoch=now.epoch, revision=change, nonce="")
