"""
Questions to the server and orders to it, each bounded in time and with its errors translated.

Reading asks several questions in one MULTI, so the answers are of one instant. Writing runs a script; when no answer
comes it runs it again with the same arguments, and the script knows a repetition (`script.py`). Where a write has to be
safe, what it wrote is asked after in the same breath (`acknowledged.py`), on connections on which nobody else waits.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import anyio
from msgspec import structs
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from grayflow.clock import Clock
from grayflow.errors import StoreError, StoreUnavailableError, UnacknowledgedError
from grayflow.store.address import RedisAddress
from grayflow.store.durability import Durability
from grayflow.store.redis.acknowledged import QUESTIONS, run_and_ask
from grayflow.store.redis.acl import ACL_REMEDY
from grayflow.store.redis.heed import heed
from grayflow.store.redis.line import Line, Purpose, route_to
from grayflow.store.redis.patience import patiently
from grayflow.store.redis.script import BOARD, CHANGES, Script
from grayflow.store.redis.translate import WRONG_TYPE, foreign, translate

__all__ = ["Command", "Session"]

T = TypeVar("T")

Command = tuple[str | bytes | int, ...]
"""The words of one command."""

_TRIES = 3
_PASSING = (RedisConnectionError, RedisTimeoutError, TimeoutError, ClusterDownError, TryAgainError, ReadOnlyError)
"""What may be over by the next try: lost answers, fail-overs. A refused password is a ConnectionError, but no such."""


class Session:
    """
    The connections of one opened store.

    Args:
        address: Where to.
        key: A key of the namespace, by which a cluster finds the node.
        client_name: The beginning of what CLIENT LIST shows.
        clock: By which it waits between tries.
    """

    def __init__(self, address: RedisAddress, *, key: str, client_name: str, clock: Clock) -> None:
        self._address = address
        self._key = key
        self._client_name = client_name
        self._clock = clock
        self._place = address.safe_url
        self._route = route_to(address, key, client_name=client_name)
        self._read, self._once = self.line("read"), self.line("once")
        self._safe = dict[float, Line]()
        self._scripts = {script: self._once.client.register_script(script.text) for script in (CHANGES, BOARD)}
        # All tries of one command, connecting included: what a caller waits at most for a server that is gone.
        self._within_s = 3 * address.timeout + address.connect_timeout

    def line(self, purpose: Purpose, *, blocked_s: float = 0.0) -> Line:
        """Make another client to the same server, which may be silent for so much longer than it should be."""
        address = structs.replace(self._address, timeout=self._address.timeout + blocked_s)
        return Line(address, purpose, client_name=self._client_name, route=self._route)

    async def aclose(self) -> None:
        """Close all connections; see `Line.aclose`."""
        try:
            await self._read.aclose()
        finally:
            async with anyio.create_task_group() as tasks:
                for line in (self._once, *self._safe.values()):
                    tasks.start_soon(line.aclose)

    async def read(self, *commands: Command) -> list[Any]:
        """
        Return the answers to all commands, of one instant.

        Args:
            commands: The questions. The first is about data, and its answer tells whether that changed meanwhile.

        Raises:
            StoreUnavailableError, StoreAccessError, StoreFormatError: there is none.
        """
        try:
            with anyio.fail_after(self._within_s):
                return await _ask(self._read, commands)
        except Exception as error:
            raise await self._told(error, [words[1] for words in commands if len(words) > 1]) from error

    @asynccontextmanager
    async def at_leisure(self) -> AsyncIterator[Callable[..., Awaitable[list[Any]]]]:
        """
        Yield a `read` for answers of any size: it takes its time as long as the server lives (`patience.py`).

        A hundred changes are whole documents twice over, so this is for them, too. It has a connection of its own,
        which is closed with the block.
        """
        line = self.line("load")

        async def read(*commands: Command) -> list[Any]:
            every_s = self._address.timeout
            try:
                return await patiently(
                    lambda: _ask(line, commands),
                    self._probe,
                    lambda: line.received,
                    every_s=every_s,
                    clock=self._clock,
                )
            except Exception as error:
                raise await self._told(error, [words[1] for words in commands]) from error

        try:
            yield read
        finally:
            await line.aclose()

    async def write(
        self, script: Script, keys: Sequence[str | bytes], arguments: Sequence[str | bytes | int]
    ) -> list[bytes]:
        """
        Run a script and return its answer; without one run it again, three times in all within a few seconds.

        A fail-over takes longer than three quick tries: with Sentinels or a cluster they go on until the time is up.

        Raises:
            StoreUnavailableError: no answer; it may have been done.
            StoreAccessError, StoreFormatError: the server refused it.
        """
        return await self._order(
            self._once, script, keys, lambda: heed(self._scripts[script](keys=keys, args=arguments)), self._within_s
        )

    async def write_safely(
        self,
        script: Script,
        keys: Sequence[str | bytes],
        arguments: Sequence[str | bytes | int],
        durability: Durability,
    ) -> list[bytes]:
        """
        Run a script as `write` does, and return its answer when what it wrote is as safe as that.

        Raises:
            UnacknowledgedError: it was done, and was not as safe when the time was over.
            StoreUnavailableError, StoreAccessError, StoreFormatError: as `write`.
        """
        wait_s = durability.timeout_s
        line = self._safe.get(wait_s)
        if line is None:
            line = self._safe[wait_s] = self.line("once", blocked_s=wait_s)
        words, sha = (len(keys), *keys, *arguments), self._scripts[script].sha
        asked = await self._order(
            line,
            script,
            keys,
            lambda: run_and_ask(line.client, words, durability, sha=sha, text=script.text),
            self._within_s + wait_s * QUESTIONS,
        )
        if asked.missing and asked.answer[0] == b"done":
            raise UnacknowledgedError(self._place, missing=asked.missing, remedy=asked.remedy)
        return asked.answer

    async def _order(
        self,
        line: Line,
        script: Script,
        keys: Sequence[str | bytes],
        send: Callable[[], Awaitable[T]],
        within_s: float,
    ) -> T:
        """Give an order on a line, and return what `send` does; see `write`."""
        tries, arrived, sending = 0, False, False
        failure: Exception = TimeoutError()
        with anyio.move_on_after(within_s):
            while True:
                try:
                    async with line.places:
                        sending = True
                        return await send()
                except AuthenticationError as error:
                    raise translate(error, self._place) from error
                except _PASSING as error:
                    failure, arrived = error, arrived or _may_have_arrived(error)
                except Exception as error:
                    raise await self._told(error, keys, script.denied) from error
                # From here to the next sending the time may run out without anything being under way.
                tries, sending = tries + 1, False
                if tries == _TRIES and self._address.mode == "standalone":
                    break
                await self._clock.sleep(random.uniform(0.5, 1.0) * min(0.1 * 2**tries, 1.0))  # noqa: S311 - jitter
        raise self._given_up(failure, script.unsure if arrived or sending else "Nothing was changed.") from failure

    def _given_up(self, failure: Exception, outcome: str) -> StoreError:
        error = translate(failure, self._place)
        if not isinstance(error, StoreUnavailableError):
            return error
        return StoreUnavailableError(f"{error.message} {outcome}")

    async def _told(self, error: Exception, keys: Sequence[str | bytes | int], denied: str = ACL_REMEDY) -> StoreError:
        """Return the error of ours for `error`; where somebody else uses our names, with the key that it is about."""
        if WRONG_TYPE in str(error):
            names = [key for key in dict.fromkeys(keys) if not isinstance(key, int)]
            with suppress(Exception), anyio.move_on_after(self._address.timeout):  # else it is told without the key
                return foreign(self._place, names, await _ask(self._once, [("TYPE", name) for name in names]))
        return translate(error, self._place, denied=denied)

    async def _probe(self) -> None:
        with anyio.fail_after(self._address.timeout + self._address.connect_timeout):
            await _ask(self._once, [("HGET", self._key, "rev")])


async def _ask(line: Line, commands: Sequence[Command]) -> list[Any]:
    try:
        return await _answers(line, commands, atomic=len(commands) > 1)
    except OutOfMemoryError:
        # A server that is full refuses MULTI, even around questions. The first one is about the position: if that is
        # the same at the end, nothing changed in between.
        for _ in range(_TRIES):
            *answers, again = await _answers(line, (*commands, commands[0]), atomic=False)
            if again == answers[0]:
                return answers
        raise


async def _answers(line: Line, commands: Sequence[Command], *, atomic: bool) -> list[Any]:
    async with line.places, line.client.pipeline(transaction=atomic) as pipe:
        for words in commands:
            pipe.execute_command(*words)
        answers: list[Any] = await heed(pipe.execute())
    return answers


def _may_have_arrived(error: Exception) -> bool:
    """Whether the order may have been carried out although this was the answer."""
    if isinstance(error, (ClusterDownError, TryAgainError, ReadOnlyError, BusyLoadingError, MasterNotFoundError)):
        return False
    # redis-py 8.1.0 has no class for a connection that never came about, only this text.
    return "connecting to" not in str(error)
