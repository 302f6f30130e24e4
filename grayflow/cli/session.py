"""One run of the command line: which store, who acts, where to print."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
from rich.console import Console

from grayflow.admin import Admin
from grayflow.cli.render import PIPE_WIDTH, print_line
from grayflow.core.context import Context
from grayflow.core.extensions import Extensions
from grayflow.errors import ConfigurationError, Problem
from grayflow.store.port import Store
from grayflow.store.urls import open_store
from grayflow.store.wrappers import ReadOnly

__all__ = ["Session"]

_NO_URL = (
    "no store is named. Give --url, or set GRAYFLOW_URL: "
    "redis://localhost:6379/0 for a server, sqlite:///flags.db for a file"
)

_PRIVATE = (
    "memory:// is private to the process that opens it: a command finds nothing there, and what it writes is gone with "
    "it. Name a server or a file that your services open too: redis://localhost:6379/0, sqlite:///flags.db"
)


class Session:
    """
    What every command is given.

    Args:
        url: The store, `None` if neither option nor environment names one.
        namespace: The environment within it.
    """

    def __init__(self, url: str | None, namespace: str) -> None:
        self._url, self.namespace = url, namespace
        self.out = _console(stderr=False)
        self.err = _console(stderr=True)

    @classmethod
    def resolved(cls, urls: tuple[str | None, ...], namespaces: tuple[str | None, ...]) -> "Session":
        """Take the first that is given: by the command, before it, by the environment."""
        url = next((one for one in (*urls, os.environ.get("GRAYFLOW_URL")) if one), None)
        namespace = next((one for one in (*namespaces, os.environ.get("GRAYFLOW_NAMESPACE")) if one), "default")
        return cls(url, namespace)

    @property
    def url(self) -> str:
        """
        The store's URL.

        Raises:
            ConfigurationError: nobody named one, or one that a command cannot share with anybody.
        """
        if self._url is None:
            raise ConfigurationError(_NO_URL)
        if self._url.strip().lower().startswith("memory:"):
            raise ConfigurationError(_PRIVATE)
        return self._url

    def store(self) -> Store:
        """Build the store; a file that does not exist is not made before somebody writes."""
        return open_store(self.url, namespace=self.namespace, client_name="grayflow-cli")

    @asynccontextmanager
    async def reading(
        self, *, extensions: Extensions | None = None, context_type: type[Context] = Context
    ) -> AsyncIterator[Admin]:
        """Open the store for looking only."""
        store = ReadOnly(self.store())
        async with Admin(store, actor="grayflow", extensions=extensions, context_type=context_type) as admin:
            yield admin

    @asynccontextmanager
    async def writing(self, *, extensions: Extensions | None = None) -> AsyncIterator[Admin]:
        """Open the store for a change, in the name of whoever runs the command."""
        actor = os.environ.get("GRAYFLOW_ACTOR", "").strip() or None  # else the login name
        async with Admin(self.store(), actor=actor, extensions=extensions) as admin:
            yield admin

    def json(self, value: Any) -> None:
        """Print a value as JSON, and nothing else on that stream."""
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
        sys.stdout.write(f"{text}\n")

    def line(self, value: Any) -> None:
        """Print a value as one line of JSON, at once."""
        sys.stdout.write(f"{msgspec.json.encode(value).decode()}\n")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Print a sentence. A pipe gets it on one line, a terminal wrapped between words."""
        print_line(self.out, text)

    def note(self, text: str, word: str = "note") -> None:
        """Print a remark beside the answer, on stderr."""
        style = {"error": "bold red", "warning": "yellow"}.get(word, "cyan")
        print_line(self.err, (f"{word}: ", style), text)

    @contextmanager
    def working(self, text: str) -> Iterator[Callable[[str], None]]:
        """
        Show on a terminal, for the length of the block, that something takes its time; a pipe sees nothing of it.

        Yields a function that replaces the text.
        """
        if not self.err.is_terminal:
            yield _unsaid
            return
        with self.err.status(text) as shown:
            yield shown.update

    def warn(self, problems: tuple[Problem, ...]) -> None:
        """Print what is probably not what was meant, on stderr."""
        for problem in problems:
            self.note(str(problem), "warning")


def _unsaid(_: str) -> None:
    return


def _console(*, stderr: bool) -> Console:
    """Return a console that takes text as it is: flags hold brackets and colons that mean nothing to it."""
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPE_WIDTH  # what reads a pipe wants one row on one line, however long
    return made
