"""
A script, and behind it the question who has what it wrote: `WAIT` and `WAITAOF`.

Both are about what their own connection wrote, so they go with the script in one piece: redis-py sends a pipeline at
once on one connection, and a command alone might come to another, where nothing was written and nothing is missing.
They block that connection only, for as long as was asked, and what comes then is a number. A script that finds its work
done already counts as a write of now: who asks again asks about the first time, too.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, NoScriptError

from grayflow.store.durability import Durability
from grayflow.store.redis.acl import ACL_REMEDY
from grayflow.store.redis.heed import heed

__all__ = ["QUESTIONS", "Asked", "run_and_ask"]

QUESTIONS = 2
"""How many are asked at most, one after the other."""

_REPLICAS = "Look at INFO replication; when the replicas are there, doing it again is safe and asks again"
_DISKS = "Look at INFO persistence there; when that works, doing it again is safe and asks again"


class Asked(msgspec.Struct, frozen=True):
    """What a script answered, and who did not acknowledge what it wrote."""

    answer: list[bytes]
    missing: str = ""
    """Empty: all did who were asked for."""
    remedy: str = ""


async def run_and_ask(
    client: Redis, words: Sequence[str | bytes | int], durability: Durability, *, sha: str, text: str
) -> Asked:
    """
    Run a script and ask who has what it wrote.

    Args:
        client: Where.
        words: The number of keys, the keys, the arguments.
        durability: Who has to have it, and how long to wait for each kind of acknowledgement.
        sha: Of the script.
        text: The script, for a server that does not know it.

    Raises:
        Exception: what redis-py raised instead of an answer to the script.
    """
    questions = _questions(durability, round(durability.timeout_s * 1000))
    answer, *told = await _sent(client, [("EVALSHA", sha, *words), *questions])
    if isinstance(answer, NoScriptError):
        answer, *told = await _sent(client, [("EVAL", text, *words), *questions])
    if isinstance(answer, Exception):
        raise answer
    for question, one in zip(questions, told, strict=True):
        if isinstance(one, Exception):
            return _not_asked(answer, one)
        if missing := _missing(question, one):
            return Asked(answer, *missing)
    return Asked(answer)


def _questions(durability: Durability, wait_ms: int) -> list[tuple[str | int, ...]]:
    found: list[tuple[str | int, ...]] = []
    if durability.replicas > durability.synced_replicas:
        found.append(("WAIT", durability.replicas, wait_ms))
    if durability.local or durability.synced_replicas:
        found.append(("WAITAOF", int(durability.local), durability.synced_replicas, wait_ms))
    return found


async def _sent(client: Redis, commands: Sequence[Sequence[str | bytes | int]]) -> list[Any]:
    async with client.pipeline(transaction=False) as pipe:
        for words in commands:
            pipe.execute_command(*words)
        return await heed(pipe.execute(raise_on_error=False))


def _missing(question: tuple[str | int, ...], told: Any) -> tuple[str, str] | None:
    match question:
        case ("WAIT", int(replicas), _):
            if told < replicas:
                return f"{told} of {replicas} replicas acknowledged it in time", _REPLICAS
        case (_, local, int(replicas), _):
            if told[0] < local:
                return "it was not on the server's own disk in time", _DISKS
            if told[1] < replicas:
                return f"{told[1]} of {replicas} replicas had it on their disks in time", _DISKS
    return None


def _not_asked(answer: list[bytes], error: Exception) -> Asked:
    """
    Return what is known where the server refused the question.

    Raises:
        ConnectionError: it became a replica meanwhile, and what was written there may be gone: look who is the master.
    """
    text = str(error)
    if "UNBLOCKED" in text:
        raise RedisConnectionError(text) from error
    if isinstance(error, NoPermissionError):
        remedy = f"{ACL_REMEDY[0].upper()}{ACL_REMEDY[1:]}, for WAITAOF with --waitaof"
    elif "unknown command" in text:
        remedy = "WAITAOF needs Redis 7.2 or Valkey; ask for replicas alone"
    else:
        remedy = "Ask for what the server can say: its disk needs appendonly yes"
    return Asked(answer, f'it cannot say who else has it ("{text[:200]}")', remedy)
