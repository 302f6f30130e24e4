"""
How a server is set up, as far as it matters for flags and as far as this user may ask.

Each question needs a right of its own, and no role of `acl.py` has any of them: what may not be asked is said to be
unknown. An administrator who runs `grayflow doctor` sees it all.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from grayflow.errors import StoreAccessError, StoreUnavailableError
from grayflow.store.port import Remark
from grayflow.store.redis.session import Session

__all__ = ["checkup", "remarks"]

UNKNOWN = "unknown (no right to ask)"

_LEAST_VERSION = (7, 0)
_LEAST_BUFFER = 1 << 20
"""Bytes: 64 messages of the largest kind. A reader that is slower for a moment should not be cut off at once."""

Settings = Mapping[str, str | None]
"""What CONFIG GET says; `None` for what may not be asked."""

_SETTINGS = ("client-output-buffer-limit", "min-replicas-to-write")


async def checkup(session: Session) -> Sequence[Remark]:
    """
    Ask the server.

    Raises:
        StoreUnavailableError: it did not answer.
    """
    info = await _asked(session, "INFO")
    settings: dict[str, str | None] = {}
    for name in _SETTINGS:
        answer = await _asked(session, "CONFIG", "GET", name)
        settings[name] = answer[1].decode(errors="replace") if answer else None
    return remarks(info, settings)


async def _asked(session: Session, *words: str) -> Any:
    try:
        return (await session.read(words))[0]
    except StoreAccessError:
        return None
    except StoreUnavailableError as error:
        if "unknown command" in str(error):  # where a server is rented, CONFIG is often taken away altogether
            return None
        raise


def remarks(info: Mapping[str, Any] | None, settings: Settings) -> Sequence[Remark]:
    """Return what there is to say. Pure."""
    replicas, buffers = settings["min-replicas-to-write"], settings["client-output-buffer-limit"]
    if info is None:
        return (*(_ok(name, UNKNOWN) for name in ("server", "replicas", "memory")), _buffers(buffers))
    return _server(info), _replicas(info, replicas), _memory(info), _buffers(buffers)


def _ok(name: str, found: str) -> Remark:
    return Remark(name=name, status="ok", found=found)


def _warning(name: str, found: str, remedy: str) -> Remark:
    return Remark(name=name, status="warning", found=found, remedy=remedy)


def _server(info: Mapping[str, Any]) -> Remark:
    if "valkey_version" in info:
        return _ok("server", f"Valkey {info['valkey_version']}")
    version = str(info.get("redis_version", "?"))
    if tuple(map(int, re.findall(r"\d+", version)[:2])) >= _LEAST_VERSION:
        return _ok("server", f"Redis {version}")
    return _warning("server", f"Redis {version}", "take Redis 7.0 or later, or Valkey: older ones are not tested")


def _replicas(info: Mapping[str, Any], needed: str | None) -> Remark:
    if info.get("role") != "master":
        master = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
        remedy = "name its master, or use redis+sentinel://: only there flags are changed, and proved fresh"
        found = f"this is a replica of {master}, which takes no writes"
        if info.get("master_link_status", "up") != "up":
            lost = f"{found} and has lost its master: these flags may be old, and clients take them for fresh"
            return Remark(name="replicas", status="error", found=lost, remedy=remedy)
        return _warning("replicas", found, remedy)
    attached = int(info.get("connected_slaves", 0))
    if not attached:
        return _ok("replicas", "none attached")
    found = f"{attached} attached, min-replicas-to-write {UNKNOWN if needed is None else f'is {needed}'}"
    if needed != "0":
        return _ok("replicas", found)
    told = f"{found}: a master that is cut off goes on taking changes, which the fail-over loses"
    return _warning("replicas", told, "CONFIG SET min-replicas-to-write 1, and CONFIG SET min-replicas-max-lag 5")


def _memory(info: Mapping[str, Any]) -> Remark:
    policy, limit = str(info.get("maxmemory_policy", "?")), int(info.get("maxmemory", 0))
    if not limit:
        return _ok("memory", f"no maxmemory, so nothing is evicted (maxmemory-policy {policy})")
    found = f"maxmemory {_bytes(limit)}, maxmemory-policy {policy}"
    if not policy.startswith("allkeys"):
        return _ok("memory", f"{found}: flags are not evicted")
    remedy = "CONFIG SET maxmemory-policy noeviction, or a volatile one; or give the flags a server of their own"
    return _warning("memory", f"{found}: flags may be evicted, and the namespace with them", remedy)


def _buffers(limits: str | None) -> Remark:
    if limits is None:
        return _ok("buffers", f"client-output-buffer-limit {UNKNOWN}")
    numbers = re.search(r"pubsub (\d+) (\d+) (\d+)", limits)
    if numbers is None:
        return _ok("buffers", f"client-output-buffer-limit is {limits!r}")
    hard, soft, seconds = map(int, numbers.groups())
    told = [f"at {_bytes(hard)}"] if hard else []
    if soft:
        told.append(f"at {_bytes(soft)} for {seconds} s")
    if not told:
        return _ok("buffers", "slow readers are never cut off (client-output-buffer-limit pubsub)")
    found = f"a slow reader is cut off {', or '.join(told)} (client-output-buffer-limit pubsub)"
    if min(limit for limit in (hard, soft) if limit) >= _LEAST_BUFFER:
        return _ok("buffers", found)
    return _warning("buffers", found, "CONFIG SET client-output-buffer-limit 'pubsub 32mb 8mb 60', as by default")


def _bytes(number: int) -> str:
    for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if number >= size:
            return f"{number / size:g} {unit}" if not number % size else f"{number / size:.1f} {unit}"
    return f"{number} bytes"
