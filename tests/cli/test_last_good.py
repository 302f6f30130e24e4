"""What a process keeps on its disk becomes a text again, from which a lost store is set up anew."""

import json
from pathlib import Path

import pytest
from anyio import to_thread

from grayflow.client.client import Client
from grayflow.core.position import Document, Position
from grayflow.replica.last_good import Kept, write
from grayflow.store.port import State
from tests.cli.kit import Cli, run
from tests.replica.kit import until
from tests.servers import RedisServer


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    state = State(
        position=Position(epoch="e", revision=7, nonce="n"),
        flags={"a": Document(6, b'{"key":"a","enabled":true}')},
        segments={"staff": Document(7, b'{"key":"staff","include":["u-1"]}')},
        generations={},
    )
    path = tmp_path / "kept"
    write(path, Kept(namespace="shop", saved_at=1_800_000_000_000_000_000, state=state))
    return path


def test_a_last_good_file_is_exported_without_any_store(cli: Cli, kept: Path):
    told = cli("export", "--last-good", str(kept), GRAYFLOW_URL="")

    document = json.loads(told.out)
    assert document["flags"]["a"]["enabled"] is True
    assert document["segments"]["staff"]["include"] == ["u-1"]
    assert "namespace 'shop', revision 7, last known to be the store's at 2027-01-15T08:00:00Z" in " ".join(
        told.err.split()
    )


@pytest.mark.parametrize("name", ["flags.json", "flags.jsonl", "flags.yaml"])
def test_what_was_exported_is_imported(cli: Cli, kept: Path, name: str):
    out = str(cli.folder / name)
    cli("export", "--last-good", str(kept), out)

    assert cli("import", out).out == "2 created\n"
    assert cli.json("show", "a")["document"]["enabled"] is True


@pytest.mark.parametrize("arguments", [["import"], ["put"], ["lint"]])
def test_a_last_good_file_itself_is_no_text_and_says_what_to_do(cli: Cli, kept: Path, arguments: list[str]):
    told = " ".join(cli(*arguments, str(kept), code=2).err.split())

    assert f"grayflow export --last-good {kept} flags.json" in told


def test_a_file_that_is_none_is_refused(cli: Cli, kept: Path):
    kept.write_bytes(kept.read_bytes()[:-1])

    assert "damaged" in cli("export", "--last-good", str(kept), code=2).err
    assert "No such file" in cli("export", "--last-good", "missing", code=2).err
    assert "not written by this release" in cli("export", "--last-good", cli.file("x", "{}"), code=2).err


@pytest.mark.anyio
async def test_a_lost_store_is_set_up_again_from_what_a_process_kept(environment: dict[str, str], tmp_path: Path):
    async def grayflow(*arguments: str, text: str | None = None) -> str:
        done = await to_thread.run_sync(lambda: run(environment, *arguments, text=text))
        assert done.returncode == 0, done.stderr
        return done.stdout

    with RedisServer() as server:
        environment["GRAYFLOW_URL"] = server.url
        await grayflow("init")
        await grayflow("put", "-", text='{"key": "a", "enabled": true}')
        async with Client(server.url, ttl=0.2, last_good=tmp_path / "kept") as flags:
            await until((tmp_path / "kept").exists)
            server.ask("FLUSHALL")
            await until(lambda: "grayflow export --last-good FILE" in (flags.health.last_error or ""))

            await grayflow("init")
            await grayflow("export", "--last-good", str(tmp_path / "kept"), str(tmp_path / "flags.json"))
            await grayflow("import", str(tmp_path / "flags.json"))
            assert await flags.is_enabled("a")
            await grayflow("init", "--replace")
            await until(lambda: flags.health.state == "fresh")

            assert await flags.is_enabled("a")
            await grayflow("off", "a")
            await until(lambda: not flags.peek("a"))
