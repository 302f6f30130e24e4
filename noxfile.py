"""
The jobs of a developer: `nox` runs the quick ones, `nox -l` lists all.

`.ci/run` does the same on a bare machine with nothing but Python and pip; what is checked is said in `pyproject.toml`.
"""

from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "imports", "tests"]
nox.options.reuse_existing_virtualenvs = True

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group."""
    return list(nox.project.dependency_groups(PROJECT, name))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the suite; arguments after `--` go to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the suite and report the branches that it never took."""
    session.install("-e", ".[test]")
    session.run("pytest", "--cov", "--cov-report=term", *session.posargs)


@nox.session
def minimal(session: nox.Session) -> None:
    """Run the tests of the core without any extra: no RE2, no uvloop, no YAML."""
    session.install("-e", ".", "pytest>=9", "hypothesis", "pytest-asyncio", "pytest-timeout")
    session.run("pytest", "tests/core", *session.posargs)


@nox.session
@nox.parametrize("extra", sorted(set(PROJECT["project"]["optional-dependencies"]) - {"test"}))
def extras(session: nox.Session, extra: str) -> None:
    """Install one extra and nothing else, and use what it brings."""
    session.install(f".[{extra}]")
    session.run("python", "-m", "tests.extras", extra)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format; `nox -s lint -- --fix` mends what can be mended."""
    session.install(*group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]))


@nox.session
def types(session: nox.Session) -> None:
    """Check the package with mypy, and what users see of it with mypy and pyright."""
    session.install("-e", ".[test]", *group("types"))
    session.run("mypy")
    session.run("pyright")
    session.run("python", "tests/typing/completeness.py")


@nox.session
def imports(session: nox.Session) -> None:
    """Check that imports point downwards."""
    session.install("-e", ".", *group("lint"))
    session.run("lint-imports")


@nox.session
def faults(session: nox.Session) -> None:
    """Break real servers and networks under real clients, and print what it did to them; takes a quarter of an hour."""
    session.install("-e", ".[test]")
    for options in [session.posargs] if session.posargs else ([], ["--uvloop"], ["--server", "valkey"]):
        session.run("python", "-m", "tests.faults", *options)
    if not session.posargs:
        session.run("pytest", "-q", "-m", "faults")


@nox.session
def soak(session: nox.Session) -> None:
    """Ten minutes of random faults and edits under twenty clients; the last figures are in `benchmarks/README.md`."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Print how fast things are, as ratios; the figures of one machine are in `benchmarks/README.md`."""
    session.install("-e", ".[test]", *group("benchmark"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def peers(session: nox.Session) -> None:
    """Measure eleven other ways to decide beside ours, on the same work, each in an environment of its own."""
    session.install("-e", ".[test]")
    folder = Path(session.virtualenv.location).parent / "each-peer"
    session.run("python", "-m", "benchmarks.peers", "--environments", str(folder), *session.posargs)


@nox.session(python=PYTHONS[0])
def fuzz(session: nox.Session) -> None:
    """Try a million hostile inputs, and half a million guided by coverage; `nox -s fuzz -- --seed 7` others."""
    session.install("-e", ".[test]", "atheris")
    session.run("python", "-m", "tests.hostile", *session.posargs)
    for entrance in () if session.posargs else ("flag", "segment", "state", "message", "answer"):
        session.run("python", "-m", "tests.hostile.guided", entrance, "-runs=100000", "-verbosity=0")
