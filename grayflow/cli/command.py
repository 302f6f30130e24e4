"""
From an async function to a command of Typer.

Each command is written as `async def command(session, ...)`; here it gets `--url` and `--namespace`, a loop, and an
end without tracebacks: expected errors become a sentence on stderr and an exit code.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Annotated, Any, Concatenate, ParamSpec

import anyio
import typer

from grayflow.cli.exits import Exit, exit_of
from grayflow.cli.session import Session
from grayflow.errors import GrayflowError

__all__ = ["Before", "Namespace", "Url", "command", "ended", "unless_more"]

P = ParamSpec("P")

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="redis://… or sqlite:///… (env: GRAYFLOW_URL)"),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAME", help="The environment. (env: GRAYFLOW_NAMESPACE)"),
]

_COMMON = (
    inspect.Parameter("url", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Url),
    inspect.Parameter("namespace", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Namespace),
    inspect.Parameter("typer_context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
)


class Before:
    """What was given before the command's name."""

    def __init__(self, url: str | None = None, namespace: str | None = None) -> None:
        self.url, self.namespace = url, namespace


def command(function: Callable[Concatenate[Session, P], Awaitable[Exit | None]]) -> Callable[..., None]:
    """Return the function as Typer wants it: synchronous, with the common options in its signature."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]

    def run(*, typer_context: typer.Context, url: str | None, namespace: str | None, **given: Any) -> None:
        before = typer_context.obj if isinstance(typer_context.obj, Before) else Before()
        session = Session.resolved((url, before.url), (namespace, before.namespace))
        raise typer.Exit(ended(session, partial(function, session, **given)))

    run.__name__, run.__doc__ = function.__name__, _unwrapped(function.__doc__ or "")
    run.__signature__ = inspect.Signature([*own, *_COMMON])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *_COMMON)}
    return run


def unless_more(alone: Any) -> Any:
    """Return a callback that runs a command where no other follows; else it only passes the store's name on."""

    def run(*, typer_context: typer.Context, url: str | None, namespace: str | None, **given: Any) -> None:
        if typer_context.invoked_subcommand is None:
            alone(typer_context=typer_context, url=url, namespace=namespace, **given)
        _refuse_to_drop(typer_context, given)
        before = typer_context.obj if isinstance(typer_context.obj, Before) else Before()
        typer_context.obj = Before(url or before.url, namespace or before.namespace)

    run.__doc__, run.__annotations__ = alone.__doc__, alone.__annotations__
    run.__signature__ = alone.__signature__  # type: ignore[attr-defined]
    return run


def _refuse_to_drop(context: typer.Context, names: Iterable[str]) -> None:
    """Refuse options that stand before a command's name, which takes them behind it and would not see them."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            words = f"{parameter.opts[0]} has to stand behind {context.invoked_subcommand!r}"
            raise typer.BadParameter(words, ctx=context)


def _unwrapped(text: str) -> str:
    """Return a docstring with each paragraph on one line: Typer wraps to the terminal, but keeps breaks in between."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def ended(session: Session, work: Callable[[], Awaitable[Exit | None]]) -> Exit:
    """Run a command to its end and return its exit code."""
    try:
        return anyio.run(work) or Exit.OK
    except GrayflowError as error:
        session.note(str(error), "error")
        return exit_of(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
