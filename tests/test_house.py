"""The rules of the house that no linter checks."""

import ast
import copy
import importlib
import pickle
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import grayflow
from grayflow import errors
from grayflow.errors import GrayflowError, Problem

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "grayflow"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FUNCTION = 60
LONGEST_FILE = 600
TOP_LEVEL = {
    *("grayflow", "tests", "benchmarks"),
    *("pyproject.toml", "noxfile.py", "uv.lock", "README.md", "CHANGELOG.md", "LICENSE"),
}
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(PACKAGE)], "grayflow.")
    if not any(part.startswith("_") for part in module.name.split(".")[1:])
)

PARTS = ("grayflow.testing.contract.", "grayflow.cli.")
"""Modules that only their own package uses; it says what is public."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# Size and shape


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_longer_than_600_lines(path: Path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_function_is_longer_than_60_lines(path: Path):
    long = [f"{name} has {lines} lines" for name, lines in _functions(path) if lines > LONGEST_FUNCTION]

    assert not long


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each function with its length in lines, the docstring not counted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            said = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and first.value.value
            spoken = (first.end_lineno or 0) - first.lineno + 1 if isinstance(said, str) else 0
            yield node.name, (node.end_lineno or 0) - node.lineno + 1 - spoken


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_modules_import_from_where_things_live(path: Path):
    """`from grayflow import Client` inside the package would pass the import floors unseen."""
    taken = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and node.module == "grayflow"
        and any(
            not (PACKAGE / alias.name).is_dir() and not (PACKAGE / f"{alias.name}.py").exists() for alias in node.names
        )
    ]

    assert not taken


def test_the_top_level_is_as_drawn():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        names = {path.name for path in ROOT.iterdir() if path.suffix != ".egg-info"} - {"build", "dist"}
    else:
        names = {line.split("/")[0] for line in listed.stdout.splitlines()}

    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


# What is public


@pytest.mark.parametrize("name", MODULES)
def test_all_lists_what_a_module_defines(name: str):
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", None)
    if listed is None:
        assert name.startswith(PARTS) or not _public(module), f"{name} has public names and no __all__"
        return

    assert len(set(listed)) == len(listed)
    assert not [entry for entry in listed if not hasattr(module, entry)]
    assert _public(module) <= set(listed)


def _public(module: ModuleType) -> set[str]:
    """Return the functions and classes that the module's own source defines under a public name."""
    tree = ast.parse(Path(module.__file__ or "").read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    # `pytest_...` are hooks: pytest finds them by their names, and nobody imports them.
    return {node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith(("_", "pytest_"))}


def test_all_of_the_package_can_be_reached():
    assert [name for name in grayflow.__all__ if not hasattr(grayflow, name)] == []
    assert sorted(grayflow.__all__) == sorted(set(grayflow.__all__))


def test_importing_grayflow_is_light():
    heavy = ["redis", "anyio", "asyncio", "typer", "rich", "hypothesis", "pytest", "sqlite3"]
    code = f"import grayflow, sys; print(*[name for name in {heavy!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert loaded.stdout.split() == []


def test_the_public_names_load_nothing_of_redis():
    code = "import grayflow, sys; [getattr(grayflow, name) for name in grayflow.__all__]; print('redis' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert loaded.stdout.strip() == "False"


# Imports


def test_imports_point_downwards():
    """The contracts are in `pyproject.toml`; `lint-imports` prints the chain that broke one."""
    checked = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


# Errors


def _tree(error: type[GrayflowError]) -> Iterator[type[GrayflowError]]:
    yield error
    for child in error.__subclasses__():
        yield from _tree(child)


SAMPLES: dict[type[GrayflowError], GrayflowError] = {
    type(sample): sample
    for sample in [
        GrayflowError("anything"),
        errors.ConfigurationError("ttl is 0 s; the minimum is 0.1 s"),
        errors.MissingExtraError("cli", needed_for="the command line"),
        errors.FlagError("anything"),
        errors.UnknownFlagError("paymnt", similar=("payment",)),
        errors.InvalidFlagError(
            (Problem(key="f", path="rules[0]", message="bad"), Problem(key="f", path="", message="x"))
        ),
        errors.StoreError("anything"),
        errors.StoreUnavailableError("no answer from redis://h within 2 s"),
        errors.StoreAccessError("wrong password"),
        errors.ConflictError("f", expected=3, actual=5),
        errors.NotInitializedError("redis://h", namespace="shop"),
        errors.StoreFormatError("schema 2 is newer than 1"),
        errors.HistoryGoneError(12, oldest=340),
        errors.UnacknowledgedError("redis://h", missing="0 of 1 replicas acknowledged it", remedy="Look at them"),
        errors.ReadOnlyError("opened for reading"),
        errors.ReleaseError("anything"),
        errors.UnopenedError("cache.backend", "file", why="OSError: no such directory"),
        errors.ShadowWriteError("Orders.insert", run="orders"),
        errors.MismatchError("orders", outcomes=(("new", "mismatch", "2"),), control="1"),
        errors.GateClosedError("f", task="shop.charge", otherwise="delay", delay_s=60.0),
        errors.LifetimeError("used after closing"),
    ]
}
ERRORS = [error for error in dict.fromkeys(_tree(GrayflowError)) if error.__module__ == "grayflow.errors"]


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if not kind.__name__.startswith("_")])
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_errors_survive_pickle_and_copy(kind: type[GrayflowError], again: Any):
    sample = SAMPLES[kind]
    restored = again(sample)

    assert type(restored) is kind
    assert str(restored) == str(sample)
    assert restored.__dict__ == sample.__dict__


def test_the_drawing_of_the_error_tree_is_complete():
    drawn = errors.__doc__ or ""

    assert [kind.__name__ for kind in ERRORS if not kind.__name__.startswith("_") and kind.__name__ not in drawn] == []
