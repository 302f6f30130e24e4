"""
Helps that read alike, in 80 columns.

Typer 0.29.2 writes a type behind everything: `<bool>` behind a flag, which takes no value, and `<str>` behind an
argument whose name says more than that. Here an option shows its placeholder if it takes a value, and nothing else.
"""

from typing import Any

from typer.core import TyperCommand, TyperGroup

__all__ = ["Command", "Group"]


class Command(TyperCommand):
    """A command with such a help."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return options and arguments, the one that prints the help included."""
        return _plain(super().get_params(ctx))


class Group(TyperGroup):
    """All commands, with such a help."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return options and arguments, the one that prints the help included."""
        return _plain(super().get_params(ctx))


def _plain(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = _no_type
        elif parameter.is_flag:
            parameter.metavar = ""
    return parameters


def _no_type(ctx: Any) -> None:  # noqa: ARG001 - the shape of what it stands for
    return None
