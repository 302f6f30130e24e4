"""`grayflow acl`: lines that a server takes, and no password in them."""

import shlex
from pathlib import Path

import pytest
import redis

from tests.cli.kit import Cli
from tests.servers import RedisServer


def test_the_lines_of_all_users_are_printed_without_a_store_and_without_secrets(cli: Cli):
    told = cli("acl", "-n", "shop", GRAYFLOW_URL="")

    lines = told.out.splitlines()
    assert [line.split()[2] for line in lines] == ["gf-reader", "gf-worker", "gf-writer"]
    assert all("#SHA256-OF-ITS-PASSWORD" in line and "{gf:shop}:*" in line for line in lines)
    assert "--password-from FILE" in told.err


def test_a_line_with_a_password_makes_the_user(tmp_path: Path):
    with RedisServer() as server:
        cli = Cli(server.url, tmp_path)
        cli("init")
        for role in ("reader", "writer"):
            name = cli.file(role, f"{role} s3cret\n")
            told = cli("acl", "--role", role, "--password-from", name)
            assert "s3cret" not in told.out + told.err
            server.ask(*shlex.split(told.out))
        writer = Cli(f"redis://gf-writer:writer%20s3cret@127.0.0.1:{server.port}/0", tmp_path)
        reader = Cli(f"redis://gf-reader:reader%20s3cret@127.0.0.1:{server.port}/0", tmp_path)
        writer.put({"key": "x"})

        assert [one["key"] for one in reader.json("list")] == ["x"]
        assert "`grayflow acl`" in " ".join(reader("on", "x", code=3).err.split())


@pytest.mark.parametrize("role", ["reader", "worker", "writer"])
def test_a_line_without_a_password_is_refused_by_the_server(cli: Cli, redis_server: RedisServer, role: str):
    with pytest.raises(redis.ResponseError, match="hash"):
        redis_server.ask(*shlex.split(cli("acl", "--role", role).out))


def test_a_password_comes_from_standard_input_or_is_missing(cli: Cli):
    assert "#" in cli("acl", "--role", "reader", "--password-from", "-", input="pw").out
    assert "holds no password" in cli("acl", "--role", "reader", "--password-from", "-", input="\n", code=2).err


def test_the_nodes_of_a_cluster_are_asked_for_their_slots(cli: Cli):
    assert "+cluster|slots" in cli("acl", "--role", "reader", "--cluster").out
    assert "+cluster|slots" not in cli("acl", "--role", "reader").out


def test_who_writes_may_wait_for_replicas_and_for_disks_where_the_server_knows_them(cli: Cli):
    for role in ("worker", "writer"):
        assert " +wait)" in cli("acl", "--role", role).out
        assert " +wait +waitaof)" in cli("acl", "--role", role, "--waitaof").out
    assert "+wait" not in cli("acl", "--role", "reader", "--waitaof").out
