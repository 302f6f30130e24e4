"""`grayflow codegen` and `grayflow scan`, as commands."""

from pathlib import Path

from tests.cli.kit import Cli

PAYMENT = {"key": "payment_v2", "enabled": True}


def test_a_module_is_written_and_checked(cli: Cli):
    cli.put(PAYMENT)
    path = str(cli.folder / "shop_flags.py")

    assert "is not up to date; run: grayflow codegen" in cli("codegen", path, "--check", code=1).err
    assert not Path(path).exists()
    assert "is written" in cli("codegen", path, "--class", "Shop").err
    assert "class Shop:" in Path(path).read_text()
    assert "is up to date" in cli("codegen", path, "--class", "Shop", "--check").err


def test_a_module_is_printed(cli: Cli):
    cli.put(PAYMENT, {"key": "other"})
    out = cli("codegen", "--only", "pay*").out

    assert "payment_v2" in out
    assert "other" not in out
    assert "name it" in cli("codegen", "--check", code=2).err


def test_code_that_fits_is_no_problem(cli: Cli):
    cli.put(PAYMENT)
    cli.file("app.py", "flags.peek('payment_v2')")

    assert "1 flag asked for in 1 file" in cli("scan", str(cli.folder)).err


def test_a_mistyped_flag_is_a_problem(cli: Cli):
    cli.put(PAYMENT)
    path = cli.file("app.py", "flags.peek('paymet_v2')\nflags.peek(f'{x}')")
    done = cli("scan", path, "--no-unused", code=1)

    assert "paymet_v2" in done.out
    assert "not followed" in done.err
    found = cli.json("scan", path, code=1)
    assert [one["problem"] for one in found["findings"]] == ["unknown", "unused"]
    assert found["unreadable"] == [f"{path}:2"]


def test_typed_flags_of_another_module_are_followed(cli: Cli):
    cli.put(PAYMENT)
    cli("codegen", str(cli.folder / "shop_flags.py"))
    assert cli.json("scan", str(cli.folder), code=1)["findings"][0]["problem"] == "unused"

    cli.file("app.py", "async def f(shop): return await shop.payment_v2.is_enabled()")
    assert cli.json("scan", str(cli.folder))["findings"] == []


def test_environments_and_hidden_folders_are_left_out_and_broken_files_are_told(cli: Cli):
    cli.put(PAYMENT)
    cli.file("app.py", "flags.peek('payment_v2')")
    cli.file("broken.py", "def (")
    for folder in (".git", "node_modules", "venv/lib"):
        (cli.folder / folder).mkdir(parents=True)
        cli.file(f"{folder}/other.py", "flags.peek('nobody')")
    cli.file("venv/pyvenv.cfg", "")

    assert "broken.py is not Python" in " ".join(cli("scan", str(cli.folder)).err.split())


def test_a_path_that_is_not_there_is_refused(cli: Cli):
    cli.put(PAYMENT)
    assert "is neither a file nor a folder" in cli("scan", "/nowhere", code=2).err
