"""Commands about the application's source: codegen, scan."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from grayflow.cli.exits import Exit
from grayflow.cli.given import AsJson
from grayflow.cli.render import print_table
from grayflow.cli.session import Session
from grayflow.cli.source.codegen import module_text
from grayflow.cli.source.findings import Finding, compare
from grayflow.cli.source.scan import Use, find_handles, find_uses
from grayflow.cli.words import counted
from grayflow.clock import SystemClock
from grayflow.errors import ConfigurationError

__all__ = ["codegen", "scan"]

_SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages", "build", "dist"})


async def codegen(
    session: Session,
    output: Annotated[str, typer.Argument(metavar="FILE", help="Where to; `-` prints it.")] = "-",
    *,
    class_name: Annotated[str, typer.Option("--class", metavar="NAME", help="Of the class in it.")] = "Flags",
    pattern: Annotated[str, typer.Option("--only", metavar="PATTERN", help="Only keys like this: 'pay*'.")] = "*",
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if FILE is not up to date.")
    ] = False,
) -> Exit:
    """
    Write a Python module with one typed attribute per flag, so that mypy finds a mistyped flag.

    The text depends on keys, kinds, descriptions and dates only, not on what flags serve.
    """
    async with session.reading() as admin:
        flags = [flag for key, flag in (await admin.flags()).items() if fnmatchcase(key, pattern)]
    text = module_text(flags, class_name=class_name, namespace=session.namespace)
    if output == "-":
        if check:
            raise ConfigurationError("--check compares with a file; name it")
        sys.stdout.write(text)
        return Exit.OK
    return _keep(session, Path(output), text, check=check)


def _keep(session: Session, path: Path, text: str, *, check: bool) -> Exit:
    held = path.read_text(encoding="utf-8") if path.is_file() else None
    if held == text:
        session.note(f"{path} is up to date")
        return Exit.OK
    if check:
        session.note(f"{path} is not up to date; run: grayflow codegen {path}", "error")
        return Exit.NO
    path.write_text(text, encoding="utf-8")
    session.note(f"{path} is written")
    return Exit.OK


async def scan(
    session: Session,
    paths: Annotated[list[str] | None, typer.Argument(metavar="PATH...", help="Files or folders.")] = None,
    *,
    unused: Annotated[bool, typer.Option("--unused/--no-unused", help="Whether unused flags are a problem.")] = True,
    as_json: AsJson = False,
) -> Exit:
    """
    Compare the flags that Python code asks for with those that there are; exits with 1 if anything does not fit.

    Reports flags that do not exist, that nothing asks for, that have expired and that were to be removed. Keys that
    are put together while the program runs are counted, not followed.
    """
    with session.working("reading the source"):
        uses = tuple(_uses(session, paths or ["."]))
    async with session.reading() as admin:
        flags = await admin.flags()
    found = compare(uses, flags, SystemClock().now())
    shown = [one for one in found if unused or one.problem != "unused"]
    unreadable = [use for use in uses if use.kind == "unreadable"]
    if as_json:
        session.json({"findings": [msgspec.to_builtins(one) for one in shown], "unreadable": _places(unreadable)})
    else:
        _print(session, shown, uses, unreadable)
    return Exit.NO if shown else Exit.OK


def _print(session: Session, found: list[Finding], uses: Iterable[Use], unreadable: list[Use]) -> None:
    if found:
        rows = [[Text(one.problem), Text(one.key), Text(one.detail), Text(" ".join(one.places))] for one in found]
        print_table(session.out, ("problem", "flag", "detail", "where"), rows)
    keys = {use.key for use in uses if use.kind == "asked"}
    files = {use.path for use in uses}
    session.note(f"{counted(len(keys), 'flag')} asked for in {counted(len(files), 'file')}")
    if unreadable:
        places = _places(unreadable)
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        session.note(f"keys made up at run time, not followed: {', '.join(places[:3])}{more}", "warning")


def _places(uses: Iterable[Use]) -> list[str]:
    return [f"{use.path}:{use.line}" for use in uses]


def _uses(session: Session, paths: Iterable[str]) -> Iterator[Use]:
    sources = {path: path.read_bytes() for path in _files(paths)}
    handles: dict[str, str] = {}
    for path, source in sources.items():
        with suppress(SyntaxError, ValueError):  # told below
            handles |= find_handles(source, str(path))
    for path, source in sources.items():
        try:
            yield from find_uses(source, str(path), handles)
        except (SyntaxError, ValueError) as error:
            session.note(f"{path} is not Python that this interpreter reads, and was left out: {error}", "warning")


def _files(paths: Iterable[str]) -> Iterator[Path]:
    for name in paths:
        given = Path(name)
        if given.is_file():
            yield given
        elif given.is_dir():
            yield from _below(given)
        else:
            raise ConfigurationError(f"{name!r} is neither a file nor a folder")


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith(".") and one not in _SKIPPED)
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        yield from (Path(place, name) for name in sorted(names) if name.endswith(".py"))
