"""
Where LaunchDarkly's contexts are found in grayflow's.

The kind `user` is the grayflow context itself, its key the `user_id`. Every other kind is an object under its name,
with its key as `key` inside.
"""

import re

from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.wording import exists, is_kind
from grayflow.core.flag import Condition, Path

__all__ = ["USER", "BadReferenceError", "Subjects", "steps_of"]

USER = "user"

_BAD_ESCAPE = re.compile("~([^01]|$)")


class BadReferenceError(ValueError):
    """A reference to an attribute that no client of LaunchDarkly could follow."""


class Subjects:
    """
    Translates kinds and references to attributes.

    Args:
        attributes: Where the attributes of users are found.
    """

    def __init__(self, attributes: Attributes) -> None:
        self._attributes = attributes

    def key(self, kind: str | None) -> Path:
        """Return where the key of a kind is found."""
        return self.path(kind, ("key",))

    def present(self, kind: str | None) -> Condition:
        """Return the condition that there is a context of a kind."""
        return exists(self.key(kind))

    def path(self, kind: str | None, steps: tuple[str, ...]) -> Path:
        """Return where something of a kind is found."""
        return self._attributes.path(*steps) if kind in {None, "", USER} else (kind or "", *steps)

    def guards(self, kind: str | None, steps: tuple[str, ...]) -> list[Condition]:
        """Return what must be an object on the way: LaunchDarkly does not step into lists, and we do."""
        return [
            is_kind(self.path(kind, steps[:depth]), "object")
            for depth in range(1, len(steps))
            if steps[depth].isdigit()
        ]

    def displaced(self, kind: str | None, steps: tuple[str, ...]) -> bool:
        """Tell whether a user's attribute had to give way to one with a field of `Context`."""
        return kind in {None, "", USER} and self._attributes.is_displaced(steps[0])


def steps_of(reference: str, kind: str | None) -> tuple[str, ...]:
    """
    Return the steps of a reference: a plain name, or a path that begins with `/` where a kind is given.

    Raises:
        BadReferenceError: it is empty, or badly written.
    """
    is_path = bool(kind) and reference.startswith("/")
    steps = tuple(reference[1:].split("/")) if is_path else (reference,)
    if "" in steps or (is_path and any(map(_BAD_ESCAPE.search, steps))):
        raise BadReferenceError(f"{reference!r} refers to no attribute")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps) if is_path else steps
