"""What is said of how a server is set up, from what it answered."""

from typing import Any

import pytest

from grayflow.store.port import Remark
from grayflow.store.redis.checkup import UNKNOWN, remarks

SOUND: dict[str, Any] = {
    "redis_version": "7.0.15",
    "role": "master",
    "connected_slaves": 0,
    "maxmemory": 0,
    "maxmemory_policy": "noeviction",
}
DEFAULT = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"


def said(name: str, *, replicas: str | None = "0", buffers: str | None = DEFAULT, **info: Any) -> Remark:
    settings = {"min-replicas-to-write": replicas, "client-output-buffer-limit": buffers}
    (found,) = [one for one in remarks({**SOUND, **info}, settings) if one.name == name]
    return found


@pytest.mark.parametrize(
    ("info", "status", "words"),
    [
        ({}, "ok", "Redis 7.0.15"),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "ok", "Valkey 9.1.2"),
        ({"redis_version": "10.0.1"}, "ok", "Redis 10.0.1"),
        ({"redis_version": "6.2.14"}, "warning", "Redis 6.2.14"),
    ],
)
def test_the_version_is_told_and_whether_it_is_old(info: dict[str, Any], status: str, words: str):
    found = said("server", **info)

    assert (found.status, found.found) == (status, words)


@pytest.mark.parametrize(
    ("info", "replicas", "status", "words"),
    [
        ({}, "0", "ok", "none attached"),
        ({"connected_slaves": 2}, "1", "ok", "2 attached, min-replicas-to-write is 1"),
        ({"connected_slaves": 2}, None, "ok", f"2 attached, min-replicas-to-write {UNKNOWN}"),
        ({"connected_slaves": 2}, "0", "warning", "which the fail-over loses"),
        ({"role": "slave", "master_host": "h", "master_port": 1}, "0", "warning", "this is a replica of h:1"),
        ({"role": "slave", "master_link_status": "down"}, "0", "error", "clients take them for fresh"),
    ],
)
def test_replicas_are_told_and_whether_they_are_waited_for(
    info: dict[str, Any], replicas: str | None, status: str, words: str
):
    found = said("replicas", replicas=replicas, **info)

    assert (found.status, words in found.found, bool(found.remedy)) == (status, True, status != "ok")


@pytest.mark.parametrize(
    ("limit", "policy", "status", "words"),
    [
        (0, "allkeys-lru", "ok", "nothing is evicted"),
        (1 << 30, "noeviction", "ok", "maxmemory 1 GiB, maxmemory-policy noeviction: flags are not evicted"),
        (1 << 30, "volatile-lru", "ok", "flags are not evicted"),
        (1_500_000, "allkeys-lfu", "warning", "maxmemory 1.4 MiB, maxmemory-policy allkeys-lfu: flags may be evicted"),
    ],
)
def test_whether_flags_may_be_evicted_is_told(limit: int, policy: str, status: str, words: str):
    found = said("memory", maxmemory=limit, maxmemory_policy=policy)

    assert (found.status, words in found.found, bool(found.remedy)) == (status, True, status == "warning")


@pytest.mark.parametrize(
    ("limits", "status", "words"),
    [
        (DEFAULT, "ok", "at 32 MiB, or at 8 MiB for 60 s"),
        ("pubsub 0 0 0", "ok", "never cut off"),
        ("pubsub 33554432 0 0", "ok", "cut off at 32 MiB ("),
        ("pubsub 0 1000 60", "warning", "cut off at 1000 bytes for 60 s"),
        ("pubsub 65536 0 0", "warning", "cut off at 64 KiB"),
        ("something new", "ok", "'something new'"),
        (None, "ok", UNKNOWN),
    ],
)
def test_how_soon_a_slow_reader_is_cut_off_is_told(limits: str | None, status: str, words: str):
    found = said("buffers", buffers=limits)

    assert (found.status, words in found.found, bool(found.remedy)) == (status, True, status == "warning")


def test_what_may_not_be_asked_is_unknown():
    found = remarks(None, {"min-replicas-to-write": None, "client-output-buffer-limit": None})

    assert [one.name for one in found] == ["server", "replicas", "memory", "buffers"]
    assert all(one.status == "ok" and UNKNOWN in one.found for one in found)
