"""All commands, under their names and in their groups."""

from functools import partial
from typing import Annotated

import typer

import grayflow
from grayflow.cli import checking, documents, fleet, reading, rights, stats, switching, watching
from grayflow.cli.atoms import atoms_group
from grayflow.cli.command import Before, Namespace, Url, command, ended
from grayflow.cli.exits import EXITS
from grayflow.cli.help import Command, Group
from grayflow.cli.jobs import jobs_group
from grayflow.cli.migration import migration_group
from grayflow.cli.session import Session
from grayflow.cli.source import commands as source

__all__ = ["build"]

_HELP = (
    "Change feature flags, look at them, and go back.\n\n"
    "Name the store once: export GRAYFLOW_URL=redis://localhost:6379/0, or sqlite:///flags.db for a file; and your "
    "name for the audit, if it is not your login: GRAYFLOW_ACTOR."
)

_ON_A_SERVER = "A server instead of a file; the demo takes a namespace of its own and removes it at the end."

_COMMANDS = (
    (
        "Switch",
        (
            ("on", switching.on),
            ("off", switching.off),
            ("percent", switching.percent),
            ("target", switching.target),
            ("rollback", switching.rollback),
        ),
    ),
    (
        "Look",
        (
            ("list", reading.list_),
            ("show", reading.show),
            ("history", reading.history),
            ("diff", reading.diff),
            ("explain", reading.explain),
            ("watch", watching.watch),
            ("fleet", fleet.fleet),
            ("stats", stats.stats),
        ),
    ),
    (
        "Documents",
        (
            ("put", documents.put),
            ("archive", switching.archive),
            ("delete", switching.delete),
            ("export", documents.export),
            ("import", documents.import_),
        ),
    ),
    (
        "Care",
        (
            ("init", documents.init),
            ("doctor", checking.doctor),
            ("lint", checking.lint),
            ("stale", reading.stale),
            ("acl", rights.acl),
        ),
    ),
    (
        "Code",
        (
            ("scan", source.scan),
            ("codegen", source.codegen),
        ),
    ),
)


def build() -> typer.Typer:
    """Return the whole command line."""
    app = typer.Typer(
        name="grayflow",
        cls=Group,
        help=_HELP,
        epilog=EXITS,
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode="rich",
        # A traceback with local variables would print the store's password.
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_before)
    for panel, commands in _COMMANDS:
        for name, function in commands:
            app.command(name, cls=Command, rich_help_panel=panel, epilog=EXITS)(command(function))
    app.add_typer(jobs_group(), name="jobs", rich_help_panel="Look")
    app.add_typer(atoms_group(), name="atoms", rich_help_panel="Look")
    app.add_typer(migration_group(), name="migration", rich_help_panel="Look")
    app.command("demo", cls=Command, rich_help_panel="Care", epilog=EXITS)(_demo)
    return app


def _print_version(asked: bool) -> None:  # noqa: FBT001 - the shape of Typer's callbacks
    if asked:
        typer.echo(f"grayflow {grayflow.__version__}")
        raise typer.Exit


def _before(
    typer_context: typer.Context,
    *,
    url: Url = None,
    namespace: Namespace = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    typer_context.obj = Before(url, namespace)


def _demo(
    *,
    redis: Annotated[str | None, typer.Option("--redis", metavar="URL", help=_ON_A_SERVER)] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines for pipes instead of a live table.")] = False,
) -> None:
    """See the main job live: worker processes, a promotion, an outage, the switch-off. Takes half a minute."""
    from grayflow.cli.demo.run import play

    raise typer.Exit(ended(Session.resolved((), ()), partial(play, redis=redis, plain=plain)))
