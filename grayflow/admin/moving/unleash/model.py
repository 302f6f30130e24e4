"""What Unleash's exports are made of: the client API's form, to which all others are brought."""

from typing import Any, ClassVar

from grayflow.admin.moving.remarks import Subject
from grayflow.admin.moving.source import Model

__all__ = [
    "ASIDE",
    "GROUP_ASIDE",
    "Constraint",
    "Dependency",
    "Feature",
    "Group",
    "Override",
    "Payload",
    "Strategy",
    "Variant",
]

ASIDE = frozenset(
    (
        "archivedAt",
        "createdAt",
        "createdBy",
        "createdByUserId",
        "environment",
        "environments",
        "favorite",
        "id",
        "impressionData",
        "lastSeenAt",
        "lastSeenAtEnv",
        "links",
        "url",
        "collaborators",
        "lifecycle",
        "children",
        "naming",
    )
)
"""Fields of a feature that have no say in decisions."""

GROUP_ASIDE = frozenset(("createdAt", "createdBy", "description", "project", "usedInFeatures", "usedInProjects"))
"""The same of a segment."""


class Constraint(Model, frozen=True):
    """A comparison of one context field."""

    context_name: str
    operator: str
    values: list[Any] | None = None
    value: Any = None
    inverted: bool | None = None
    case_insensitive: bool | None = None


class Override(Model, frozen=True):
    """Who gets a variant whatever their bucket."""

    context_name: str
    values: list[Any] | None = None


class Payload(Model, frozen=True):
    """What a variant hands out: text, of which `type` says how to read it."""

    type: str = "string"
    value: Any = None


class Variant(Model, frozen=True):
    """One of the answers of a feature or strategy that is on."""

    name: str
    weight: int = 0
    payload: Payload | None = None
    stickiness: str | None = None
    overrides: list[Override] | None = None


class Strategy(Model, frozen=True):
    """A way for a feature to be on; one that matches is enough."""

    name: str
    title: str | None = None
    parameters: dict[str, Any] | None = None
    constraints: list[Constraint] | None = None
    segments: list[int] | None = None
    variants: list[Variant] | None = None
    disabled: bool | None = None


class Dependency(Model, frozen=True):
    """A parent feature, and how it must be."""

    feature: str
    enabled: bool | None = None
    variants: list[str] | None = None


class Feature(Model, frozen=True):
    """A flag in one environment."""

    name: str
    enabled: bool | None = None
    strategies: list[Strategy] | None = None
    variants: list[Variant] | None = None
    dependencies: list[Dependency] | None = None
    description: str | None = None
    type: str | None = None
    project: str | None = None
    stale: bool | None = None
    archived: bool | None = None
    tags: list[dict[str, Any]] | None = None

    @property
    def active(self) -> list[tuple[int, Strategy]]:
        """The strategies that are not disabled, with their places."""
        return [(place, one) for place, one in enumerate(self.strategies or ()) if not one.disabled]


class Group(Model, frozen=True):
    """A segment: constraints that several strategies share."""

    subject: ClassVar[Subject] = "segment"

    id: int
    name: str | None = None
    constraints: list[Constraint] | None = None
    """`None`: the export holds the segment's name only."""
