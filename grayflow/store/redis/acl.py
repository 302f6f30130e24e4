"""
The three users that a namespace needs, with no right that they do not use.

* `gf-reader`: a service that evaluates flags. It reads and subscribes; it cannot write, publish or run scripts.
* `gf-worker`: a reader that also writes what running services share, everything under `{gf:NS}:run:*`.
* `gf-writer`: whoever changes flags, people and services alike. It is a worker that also writes the rest of the
  namespace.

The rules are for Redis 7.0 and later, and Valkey: rights bound to keys by selectors need 7.0. Commands inside of a
script are checked against the rights of its caller, so a writer needs them one by one; a right to run this one script
and nothing else does not exist. Whoever may change flags may therefore also damage them: give the writer's password
to few. Taking the channel from a reader that is connected closes its connection.
"""

from hashlib import sha256
from typing import Literal

__all__ = ["ACL_REMEDY", "PLACE_OF_HASH", "WORKER_REMEDY", "Role", "acl_command", "acl_rules"]

Role = Literal["reader", "worker", "writer"]

ACL_REMEDY = "give the user the rules of its role, which `grayflow acl` prints"
"""What errors say to somebody who lacks a right."""

WORKER_REMEDY = "give the user the rules of the role worker, which `grayflow acl` prints"
"""What they say to a reader who writes a board: reports, jobs, counters."""

PLACE_OF_HASH = "SHA256-OF-ITS-PASSWORD"
"""What stands in rules without a password. No server takes it for one, so a line cannot be pasted as it stands."""

_CONNECT = ("+auth", "+hello", "+ping", "+quit", "+select", "+client|setname", "+client|id")
"""Not CLIENT SETINFO: Redis 7.0 does not know it, and would refuse the whole rule for it."""

_TRANSACT = ("+multi", "+exec", "+discard")

_SUBSCRIBE = ("+subscribe", "+unsubscribe", "+ssubscribe", "+sunsubscribe")

_READ = (
    *("+get", "+mget", "+hget", "+hmget", "+hgetall", "+hlen", "+hscan", "+exists", "+type"),
    *("+xrange", "+xrevrange", "+xread", "+xlen", "+xinfo|stream", "+time"),
    *("+zrange", "+zcard"),
)

_SCRIPT = ("+eval", "+evalsha", "+script|load")

_WRITE = ("+hset", "+hdel", "+set", "+del", "+xadd", "+xtrim", "+publish", "+spublish")

_RUN = (
    *("+get", "+set", "+del", "+exists", "+incr", "+pexpire", "+persist", "+time"),
    *("+hget", "+hmget", "+hgetall", "+hset", "+hdel", "+hlen", "+hincrby"),
    *("+zadd", "+zrem", "+zrange", "+zrangebyscore", "+zscore", "+zcard"),
    *("+sadd", "+srem", "+smembers", "+sismember", "+scard"),
)

_WAIT = ("+wait",)

_WAITAOF = ("+waitaof",)
"""Redis 7.0 does not know it, and would refuse the whole rule for it."""

_CLUSTER = ("+cluster|slots",)


def acl_rules(
    role: Role, namespace: str, password: str | None, *, cluster: bool = False, waitaof: bool = False
) -> tuple[str, ...]:
    """
    Return the rules of a user, each one argument of `ACL SETUSER gf-<role>`.

    They begin with `reset`, so the user has these rights and no others afterwards.

    Args:
        role: What the user is for.
        namespace: The environment; users of several take the rules of each but for the first six.
        password: In plain; the rules hold its SHA-256, as the server itself does. `None` leaves a place for that.
        cluster: Whether the server is a node of a cluster, where clients ask which node holds their keys.
        waitaof: Whether who writes may ask for disks (`Durability`). Redis 7.0 does not know the command, and refuses
            rules that name it.
    """
    keys, channel = f"~{{gf:{namespace}}}:*", f"&{{gf:{namespace}}}:ch"
    secret = PLACE_OF_HASH if password is None else sha256(password.encode()).hexdigest()
    start = ("reset", "on", f"#{secret}", "resetkeys", "resetchannels", "-@all")
    rights = (*_CONNECT, *_TRANSACT, *_SUBSCRIBE, *_READ, *(_CLUSTER if cluster else ()))
    asking = (*_WAIT, *(_WAITAOF if waitaof else ()))
    run = f"(%RW~{{gf:{namespace}}}:run:* {' '.join((*_CONNECT, *_TRANSACT, *_SCRIPT, *_RUN, *asking))})"
    match role:
        case "reader":
            return (*start, f"%R{keys}", channel, *rights)
        case "worker":
            return (*start, f"%R{keys}", channel, *rights, run)
        case "writer":
            return (*start, keys, channel, *rights, *_SCRIPT, *_WRITE, run)


def acl_command(
    role: Role, namespace: str, password: str | None, *, cluster: bool = False, waitaof: bool = False
) -> str:
    """Return the whole command as a line for `redis-cli`, quoted where it has to be; see `acl_rules`."""
    words = (_quoted(rule) for rule in acl_rules(role, namespace, password, cluster=cluster, waitaof=waitaof))
    return " ".join(("ACL SETUSER", f"gf-{role}", *words))


def _quoted(word: str) -> str:
    if word.isascii() and word.isprintable() and not set(word) & set(" \"'\\"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
