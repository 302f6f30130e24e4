"""
From a URL to a store: the only place that knows which scheme means which adapter.

Adapters are imported when their URL is opened, so a service on one file never loads redis.
"""

from difflib import get_close_matches

from grayflow.clock import Clock
from grayflow.errors import ConfigurationError
from grayflow.store._url import Url, check_options, decoded, seconds, split_url
from grayflow.store.address import SCHEMES, RedisAddress
from grayflow.store.port import Store, check_namespace

__all__ = ["open_store"]


def open_store(
    url: str, *, namespace: str = "default", client_name: str = "grayflow", clock: Clock | None = None
) -> Store:
    """
    Build the store that a URL names, without I/O; use it inside `async with`.

    * `memory://`: in this process, private to the store that is returned.
    * `sqlite:///relative.db`, `sqlite:////absolute.db`, with the option `busy_timeout` (seconds).
    * `redis://`, `rediss://`, `unix://`, `redis+sentinel://`, `redis+cluster://`: see `RedisAddress.from_url`.

    Args:
        url: Which store. Secrets in it never appear in errors, logs or `repr`.
        namespace: The environment within it, 1 to 64 of `A-Za-z0-9._-`.
        client_name: What a server shows for our connections.
        clock: The time by which a store polls; the machine's if left out.

    Raises:
        ConfigurationError: the URL, an option or the namespace is wrong; the text says which part and what is allowed.
    """
    check_namespace(namespace)
    parts = split_url(url)
    match parts.scheme:
        case "memory":
            return _memory(parts, namespace)
        case "sqlite":
            return _sqlite(parts, namespace, clock)
        case scheme if scheme in SCHEMES:
            return _redis(RedisAddress.from_url(url), namespace, client_name, clock)
        case scheme:
            known = ("memory", "sqlite", *SCHEMES)
            near = get_close_matches(scheme, known, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigurationError(f"there is no store for {scheme}://; {hint}Known: {', '.join(known)}")


def _memory(url: Url, namespace: str) -> Store:
    check_options(url, frozenset())
    if url.userinfo is not None or url.place or url.path:
        raise ConfigurationError("memory:// takes nothing behind it: it is private to whoever opens it")
    from grayflow.store.memory import MemoryStore

    return MemoryStore(namespace)


def _sqlite(url: Url, namespace: str, clock: Clock | None) -> Store:
    check_options(url, frozenset({"busy_timeout"}))
    path = decoded(url.path, "the path")
    if url.userinfo is not None or url.place:
        raise ConfigurationError(
            "a sqlite URL has three slashes: sqlite:///relative.db, or four: sqlite:////absolute.db"
        )
    if path in {"", "/"} or path.endswith("/"):
        raise ConfigurationError("a sqlite URL needs the path of a file: sqlite:///flags.db")
    from grayflow.store.sqlite import SQLiteStore

    if "busy_timeout" not in url.options:
        return SQLiteStore(path[1:], namespace, clock=clock)
    busy_timeout = seconds(url.options["busy_timeout"], "option 'busy_timeout'")
    return SQLiteStore(path[1:], namespace, busy_timeout=busy_timeout, clock=clock)


def _redis(address: RedisAddress, namespace: str, client_name: str, clock: Clock | None) -> Store:
    from grayflow.store.redis import RedisStore

    return RedisStore(address, namespace, client_name=client_name, clock=clock)
