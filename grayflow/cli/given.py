"""What people hand to commands: files, contexts, instants, names of Python objects. Every misreading is explained."""

import importlib
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from grayflow.cli.completing import complete_key
from grayflow.core.calendar import from_datetime
from grayflow.core.codec import from_json
from grayflow.core.context import Context
from grayflow.core.extensions import Extensions
from grayflow.core.foreign import SYSTEMS, foreign_extensions
from grayflow.errors import ConfigurationError
from grayflow.replica.last_good import is_last_good

__all__ = [
    "AsJson",
    "DryRun",
    "ExtensionsName",
    "FlagKey",
    "IsSegment",
    "Reason",
    "context_type_named",
    "contexts_in",
    "extensions_named",
    "imported",
    "instant",
    "interruptible",
    "one_context",
    "read_bytes",
]

FlagKey = Annotated[str, typer.Argument(metavar="KEY", help="The flag.", autocompletion=complete_key)]
Reason = Annotated[str, typer.Option("--reason", "-r", metavar="TEXT", help="Why, for the audit.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change and write nothing.")]
IsSegment = Annotated[bool, typer.Option("--segment", help="KEY is a segment.")]
ExtensionsName = Annotated[
    str | None,
    typer.Option(
        "--extensions",
        metavar="MODULE:NAME",
        envvar="GRAYFLOW_EXTENSIONS",
        show_envvar=False,
        help=(
            "The Extensions of your service, if flags name foreign hashes or operators; or the systems that they came "
            f"from: {', '.join(SYSTEMS)}. (env: GRAYFLOW_EXTENSIONS)"
        ),
    ),
]


def read_bytes(name: str) -> bytes:
    """
    Read a file, or standard input for `-`.

    Raises:
        ConfigurationError: it cannot be read, or is a file that a process keeps for itself.
        KeyboardInterrupt: Ctrl-C.
    """
    if name == "-":
        with interruptible():
            return sys.stdin.buffer.read()
    try:
        content = Path(name).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {name!r}: {error.strerror or error}") from error
    if is_last_good(content):
        raise ConfigurationError(
            f"{name!r} holds the last good flags of a process, which are no text. Make a text of them first: "
            f"grayflow export --last-good {shlex.quote(name)} flags.json"
        )
    return content


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end what waits for somebody to type."""
    # asyncio turns the first Ctrl-C into a cancellation, which a read that blocks the loop never notices.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def one_context(text: str | None) -> dict[str, Any]:
    """
    Read a context: JSON, or `@FILE` with JSON in it.

    Raises:
        ConfigurationError: it is no JSON object.
    """
    if text is None:
        return {}
    data: str | bytes = read_bytes(text[1:]) if text.startswith("@") else text
    try:
        value = from_json(data)
    except ValueError as error:
        example = '{"user_id": "42", "country": "DE"}'
        raise ConfigurationError(f"the context is not JSON: {error}. Write it like this: '{example}'") from error
    if not isinstance(value, dict):
        raise ConfigurationError("the context must be a JSON object: attribute names and values")
    return value


def contexts_in(name: str) -> list[dict[str, Any]]:
    """
    Read contexts from a file: a JSON list, or one JSON object a line.

    Raises:
        ConfigurationError: the file cannot be read or holds something else.
    """
    data = read_bytes(name)
    try:
        if data.lstrip().startswith(b"["):
            return msgspec.json.decode(data, type=list[dict[str, Any]])
        return [msgspec.json.decode(line, type=dict[str, Any]) for line in data.splitlines() if line.strip()]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{name!r} is no list of contexts and has no context on each line: {error}") from error


def instant(text: str | None) -> int | None:
    """
    Read an instant such as `2027-01-04T00:00:00Z` as nanoseconds.

    Raises:
        ConfigurationError: it is none, or has no time zone.
    """
    if text is None:
        return None
    try:
        return from_datetime(datetime.fromisoformat(text))
    except ValueError:
        raise ConfigurationError(f"{text!r} is no instant with a time zone, such as 2027-01-04T00:00:00Z") from None


def context_type_named(name: str | None) -> type[Context] | None:
    """
    Import a service's context class.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name is None:
        return None
    found = imported(name)
    if not (isinstance(found, type) and issubclass(found, Context)):
        raise ConfigurationError(f"{name!r} is no subclass of grayflow.Context")
    return found


def extensions_named(name: str | None) -> Extensions | None:
    """
    Return a service's extensions: imported by name, or those that grayflow ships for other systems.

    Raises:
        ConfigurationError: there are none of that name.
    """
    if name is None:
        return None
    named = {one.strip() for one in name.split(",")}
    if named <= set(SYSTEMS):
        return foreign_extensions(*(system for system in SYSTEMS if system in named))
    found = imported(name)
    if not isinstance(found, Extensions):
        raise ConfigurationError(f"{name!r} is no grayflow.Extensions")
    return found


def imported(name: str, like: str = "shop.flags:ShopContext") -> object:
    """
    Import a Python object by `MODULE:NAME`, such as `like`.

    Raises:
        ConfigurationError: there is none of that name.
    """
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigurationError(f"{name!r} names nothing; write MODULE:NAME, such as {like}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # an installed script looks beside itself, not where it is called
    try:
        found: object = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # the service's own code; whatever it raises, it cannot be used
        raise ConfigurationError(f"cannot import {name!r}: {type(error).__name__}: {error}") from error
    return found
