"""The command line against real servers: two processes, rights, and servers that are gone."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from grayflow.store.redis.acl import acl_rules
from tests.cli.kit import Cli, Watching, run
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
