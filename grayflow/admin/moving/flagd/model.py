"""What flagd's flag definitions are made of."""

from typing import Any

import msgspec

from grayflow.admin.moving.source import Model

__all__ = ["ASIDE", "Definition"]

ASIDE = frozenset(("key", "source", "selector", "flagSetId", "name", "description"))
"""Fields of a flag that have no say in decisions."""


class Definition(Model, frozen=True):
    """A flag."""

    variants: dict[str, Any]
    state: str = "ENABLED"
    default_variant: str | bool | None = None
    targeting: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what flagd refuses."""
        if self.state not in {"ENABLED", "DISABLED"}:
            raise msgspec.ValidationError(f"the state is {self.state!r}; ENABLED and DISABLED are known")

    @property
    def default(self) -> str | None:
        """The variant where targeting names none, `None` for the caller's default."""
        if isinstance(self.default_variant, bool):
            return "true" if self.default_variant else "false"
        return self.default_variant or None
