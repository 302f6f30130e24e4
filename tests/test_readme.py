"""The README is executed: its Python blocks as programs of their own, its shell lines against a real server."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PROGRAMS = [block for block in PYTHON if "def test_" not in block]
TESTS = [block for block in PYTHON if "def test_" in block]
SHELL = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
SERVER = "redis://localhost:6379/0"


def run(command: list[str], cwd: Path, **environment: str) -> str:
    """Run a program in an empty folder; return what it printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(  # noqa: PLW1510 - looked at below, with what it said
        command, cwd=cwd, env={**os.environ, **environment, "PATH": path}, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "block", PROGRAMS, ids=["twelve lines", "with Redis", "cleanup", "two implementations", "atom", "migration"]
)
def test_a_python_block_runs_as_printed(block: str, tmp_path: Path, redis_url: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(block.replace(SERVER, redis_url))

    printed = run([sys.executable, str(program)], tmp_path)

    assert "True" in printed


@pytest.mark.parametrize("block", TESTS, ids=["pytest"])
def test_a_block_of_tests_passes_as_printed(block: str, tmp_path: Path) -> None:
    (tmp_path / "test_block.py").write_text(block)
    plugins = ["-p", "no:valkey", "-p", "no:cacheprovider"]

    printed = run([sys.executable, "-m", "pytest", "-q", "--asyncio-mode=auto", *plugins], tmp_path)

    assert "5 passed" in printed


def test_the_first_program_is_twelve_lines() -> None:
    assert len([line for line in PYTHON[0].splitlines() if line]) <= 12


def test_the_shell_lines_run_as_printed(tmp_path: Path, redis_url: str) -> None:
    lines = SHELL[2].replace(SERVER, redis_url).replace("GRAYFLOW_NAMESPACE=shop", "GRAYFLOW_NAMESPACE=readme")
    kept = "\n".join(line for line in lines.splitlines() if not line.startswith("grayflow watch"))

    printed = run(["bash", "-euc", f"{kept}\ngrayflow show payment_v2 --json"], tmp_path)

    assert '"enabled":false' in printed.replace(" ", "")


INTEGRATIONS = sorted(path.stem for path in (ROOT / "grayflow" / "integrations").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_an_integration_has_a_row_an_extra_and_an_example_that_a_test_runs(name: str) -> None:
    (row,) = [
        line for line in README.splitlines() if line.startswith("|") and line.split("|")[2].strip() == f"`{name}`"
    ]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    examples = re.findall(r"`(\w+)\.py`", row.split("|")[4])
    tests = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]

    assert name in extras
    assert examples
    for example in examples:
        assert (ROOT / "tests" / "examples" / f"{example}.py").exists()
        assert any(f"examples.{example}" in text for text in tests)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", README))
def test_a_link_leads_somewhere(target: str) -> None:
    assert (Path(__file__).parent.parent / target).exists()


def test_every_public_name_in_the_readme_exists() -> None:
    """What the tables name with a leading module path can be imported."""
    for dotted in set(re.findall(r"`(grayflow(?:\.\w+)+)`", README)):
        program = f"import pkgutil; pkgutil.resolve_name({dotted!r})"
        assert run([sys.executable, "-c", program], Path.cwd()) == ""
