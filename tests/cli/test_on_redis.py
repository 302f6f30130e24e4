"""The command line against real servers: two processes, rights, and servers that are gone."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from grayflow.store.redis.acl import acl_rules
from tests.cli.kit import Cli, Watching, run, until
from tests.servers import RedisServer


@pytest.fixture
def on_redis(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("GRAYFLOW_NAMESPACE", f"t-{uuid4().hex[:12]}")
    return Cli(redis_url, tmp_path)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


def test_a_server_is_initialised_on_purpose(on_redis: Cli):
    assert "grayflow init" in on_redis("list", code=3).err
    assert "grayflow init" in on_redis("put", "-", input='{"key": "x"}', code=3).err
    assert "is ready: epoch" in on_redis("init").out
    assert on_redis("put", "-", input='{"key": "x"}').out == "flag 'x' is created, revision 1\n"


def test_a_slip_in_the_namespace_does_not_look_like_one_where_nothing_was_ever_done(on_redis: Cli):
    assert "was never initialised" in on_redis("jobs", code=3, COLUMNS="200").err
    runs = on_redis("atoms", COLUMNS="200")

    assert runs.out == "no run is recorded\n"
    assert "was never initialised" in runs.err


def test_doctor_finds_a_sound_server_sound_and_its_clock_near(on_redis: Cli):
    on_redis("init")
    checks = {one["check"]: one for one in on_redis.json("doctor")}

    assert {one["status"] for one in checks.values()} == {"ok"}
    assert "s ahead" in checks["clock"]["found"] or "s behind" in checks["clock"]["found"]


def test_a_reader_may_look_and_is_told_that_it_may_not_change(server: RedisServer, tmp_path: Path):
    for role in ("reader", "writer"):
        server.ask("ACL", "SETUSER", f"gf-{role}", *acl_rules(role, "default", "pw"))
    writer = Cli(f"redis://gf-writer:pw@127.0.0.1:{server.port}/0", tmp_path)
    reader = Cli(f"redis://gf-reader:pw@127.0.0.1:{server.port}/0", tmp_path)
    writer("init")
    writer.put({"key": "x"})

    assert [one["key"] for one in reader.json("list")] == ["x"]
    refused = reader("on", "x", code=3).err
    assert refused.startswith("error: ")
    assert "pw" not in refused
    rights = {one["check"]: one for one in reader.json("doctor")}["rights"]
    assert (rights["status"], "writer" in rights["remedy"]) == ("warning", True)


def test_a_wrong_password_is_told_with_its_remedy(server: RedisServer, tmp_path: Path):
    cli = Cli(f"redis://nobody:hunter2@127.0.0.1:{server.port}/0", tmp_path)
    told = cli("doctor", code=3).out

    assert "error" in told
    assert "check user name and password" in " ".join(told.split())
    assert "hunter2" not in told


def checks(cli: Cli, code: int = 0) -> dict[str, dict[str, str]]:
    return {one["check"]: one for one in cli.json("doctor", code=code)}


def test_doctor_says_what_a_reader_may_not_ask(server: RedisServer, tmp_path: Path):
    for role in ("reader", "writer"):
        server.ask("ACL", "SETUSER", f"gf-{role}", *acl_rules(role, "default", "pw"))
    Cli(f"redis://gf-writer:pw@127.0.0.1:{server.port}/0", tmp_path)("init")
    found = checks(Cli(f"redis://gf-reader:pw@127.0.0.1:{server.port}/0", tmp_path))

    for name in ("server", "replicas", "memory", "buffers"):
        assert "unknown (no right to ask)" in found[name]["found"]
        assert found[name]["status"] == "ok"
    assert "s ahead" in found["clock"]["found"] or "s behind" in found["clock"]["found"]
    assert found["link"] == {"check": "link", "status": "ok", "found": "changes are pushed to this user", "remedy": ""}


def test_doctor_says_how_the_server_is_set_up(server: RedisServer, tmp_path: Path):
    cli = Cli(server.url, tmp_path)
    cli("init")
    server.ask("CONFIG", "SET", "maxmemory", "100mb")
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    server.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32768 8192 60")
    found = checks(cli)

    assert re.match(r"(Redis|Valkey) \d+\.\d+", found["server"]["found"])
    assert found["replicas"]["found"] == "none attached"
    assert "maxmemory 100 MiB, maxmemory-policy allkeys-lru: flags may be evicted" in found["memory"]["found"]
    assert "at 32 KiB, or at 8 KiB for 60 s" in found["buffers"]["found"]
    for name in ("memory", "buffers"):
        assert (found[name]["status"], found[name]["remedy"][:10]) == ("warning", "CONFIG SET")


def test_doctor_tells_a_user_without_the_channel_that_it_hears_nothing(server: RedisServer, tmp_path: Path):
    rules = acl_rules("writer", "default", "pw")
    server.ask("ACL", "SETUSER", "gf-writer", *rules)
    cli = Cli(f"redis://gf-writer:pw@127.0.0.1:{server.port}/0", tmp_path)
    cli("init")
    server.ask("ACL", "SETUSER", "gf-writer", "resetchannels")
    found = checks(cli, code=1)

    assert found["link"]["status"] == "error"
    assert "channel" in found["link"]["found"]
    assert "grayflow acl" in found["link"]["remedy"]


def test_doctor_on_a_replica_does_not_say_that_flags_may_be_changed(server: RedisServer, tmp_path: Path):
    Cli(server.url, tmp_path)("init")
    with RedisServer() as replica:
        replica.ask("REPLICAOF", "127.0.0.1", server.port)
        until(lambda: replica.ask("EXISTS", "{gf:default}:meta"))
        found = checks(Cli(replica.url, tmp_path), code=3)

        assert found["rights"]["status"] == "error"
        assert "is a replica, which takes no writes; name the master" in found["rights"]["found"]
        assert f"this is a replica of 127.0.0.1:{server.port}" in found["replicas"]["found"]

        master = checks(Cli(server.url, tmp_path))["replicas"]
        assert master["status"] == "warning"
        assert "1 attached, min-replicas-to-write is 0" in master["found"]
        server.ask("CONFIG", "SET", "min-replicas-to-write", 1)
        assert checks(Cli(server.url, tmp_path))["replicas"]["status"] == "ok"


def test_doctor_on_a_master_without_its_replicas_does_not_say_so_either(server: RedisServer, tmp_path: Path):
    cli = Cli(server.url, tmp_path)
    cli("init")
    server.ask("CONFIG", "SET", "min-replicas-to-write", 1)

    assert "too few replicas" in checks(cli, code=3)["rights"]["found"]


def test_doctor_on_a_server_that_is_full_does_not_say_so_either(server: RedisServer, tmp_path: Path):
    cli = Cli(server.url, tmp_path)
    cli("init")
    server.ask("CONFIG", "SET", "maxmemory", 1)

    assert "out of memory" in checks(cli, code=3)["rights"]["found"]


@pytest.mark.parametrize(
    ("spoil", "found", "remedy"),
    [
        (("HSET", "{gf:default}:meta", "schema", "2"), "in schema 2", "pip install -U grayflow"),
        (("SET", "{gf:default}:meta", "mine"), "holds a string under '{gf:default}:meta'", "another namespace"),
        (("HSET", "{gf:default}:meta", "rev", "x"), "is damaged", "grayflow init --replace"),
    ],
)
def test_doctor_tells_data_that_must_not_be_used_with_its_remedy(
    server: RedisServer, tmp_path: Path, spoil: tuple[str, ...], found: str, remedy: str
):
    cli = Cli(server.url, tmp_path)
    cli("init")
    server.ask(*spoil)
    told = checks(cli, code=3)

    assert told["connection"]["status"] == "ok"
    assert found in told["data"]["found"]
    assert remedy in told["data"]["remedy"]
    assert ("init" in told["data"]["remedy"]) == ("damaged" in found)
    printed = " ".join(cli("doctor", code=3).out.split())
    assert "→" in printed


def test_foreign_data_is_told_by_every_command_with_its_key(server: RedisServer, tmp_path: Path):
    server.ask("RPUSH", "{gf:default}:flags", "mine")
    cli = Cli(server.url, tmp_path)
    server.ask("HSET", "{gf:default}:meta", "schema", 1, "ready", 1, "epoch", "e", "rev", 1, "nonce", "n", "count", 0)

    for arguments in (["list"], ["on", "x"], ["put", "-"], ["init", "--replace"]):
        told = " ".join(cli(*arguments, code=3, input='{"key": "x"}').err.split())

        assert "holds a list under '{gf:default}:flags'" in told
        assert "redis-cli DEL '{gf:default}:flags'" in told
        assert "Command #" not in told


def test_an_emptied_server_is_told_as_such(server: RedisServer, tmp_path: Path):
    cli = Cli(server.url, tmp_path)
    cli("init")
    cli.put({"key": "x"})
    server.ask("FLUSHALL")

    assert "has been emptied" in cli("off", "x", code=3).err
    assert "has been emptied" in cli("doctor", code=3).out


def test_watch_takes_up_a_lost_link_and_prints_what_it_missed(
    server: RedisServer,
    environment: dict[str, str],
    watching: list[Watching],
):
    environment["GRAYFLOW_URL"] = server.url
    run(environment, "init")
    run(environment, "put", "-", text='{"key": "x"}')
    watch = Watching(environment, "--json")
    watching.append(watch)
    assert "watching" in watch.line("err")
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    run(environment, "on", "x")

    told = json.loads(watch.line())
    assert (told["revision"], told["action"]) == (2, "switch_on")
    assert watch.interrupt() == 130
    assert "Traceback" not in watch.rest()
