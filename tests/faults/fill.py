"""Ten thousand flags in a second: the store's own script, many edits at once."""

from collections.abc import Iterator
from importlib.resources import files
from itertools import islice
from uuid import uuid4

from grayflow.core.codec import to_bytes
from grayflow.core.generations import Marks
from grayflow.store.port import Edit
from grayflow.store.redis.commit import commit_arguments, commit_keys, init_arguments, init_keys
from grayflow.store.redis.keys import Keys
from tests.servers import RedisServer

__all__ = ["ROCK", "fill", "flag_keys", "flood"]

ROCK = "rock"
"""A flag that is on and is never edited: whoever asks for it has to hear so, whatever happens."""

_SCRIPT = files("grayflow.store.redis").joinpath("scripts.lua").read_text(encoding="utf-8")
_AT_ONCE = 500


def flag_keys(number: int) -> list[str]:
    """Return the keys of the flags that are edited."""
    return [f"flag-{index:05d}" for index in range(number)]


def fill(server: RedisServer, namespace: str, number: int) -> None:
    """Initialise the namespace and give it so many flags, all of them on."""
    keys = Keys(namespace)
    words = init_arguments(keys, None, 0)
    with server.connect() as client:
        client.eval(_SCRIPT, len(init_keys(keys)), *init_keys(keys), *words)
    _commit(server, keys, (_edit(key) for key in (ROCK, *flag_keys(number))))


def flood(server: RedisServer, namespace: str, number: int, size: int) -> None:
    """Write so many big flags in one go: the server sends nothing to anybody meanwhile."""
    _commit(server, Keys(namespace), (_edit(f"big-{uuid4().hex}", size) for _ in range(number)), atomic=True)


def _edit(key: str, size: int = 150) -> Edit:
    document = {"key": key, "enabled": True, "owner": "payments", "description": "x" * size}
    return Edit(
        kind="flag",
        key=key,
        document=to_bytes(document),
        action="create",
        actor="ada",
        reason="filling",
        at=1,
        request_id=uuid4().hex,
        marks=Marks(armed=("on",)),
    )


def _commit(server: RedisServer, keys: Keys, edits: Iterator[Edit], *, atomic: bool = False) -> None:
    with server.connect() as client:
        script = client.script_load(_SCRIPT)
        while batch := list(islice(edits, _AT_ONCE)):
            pipe = client.pipeline(transaction=atomic)
            for edit in batch:
                words = commit_arguments(keys, edit, expected=0, log_limit=10_000, history_limit=100)
                names = commit_keys(keys, edit)
                pipe.evalsha(script, len(names), *names, *words)
            answers = pipe.execute()
            assert all(answer[0] == b"done" for answer in answers), answers[0]
