"""What LaunchDarkly's flag data is made of: the form in which its clients get it, to which others are brought."""

from typing import Any, ClassVar

from grayflow.admin.moving.remarks import Subject
from grayflow.admin.moving.source import Model

__all__ = [
    "FLAG_ASIDE",
    "SEGMENT_ASIDE",
    "Choice",
    "Clause",
    "Group",
    "GroupRule",
    "Prerequisite",
    "Rollout",
    "Rule",
    "Switch",
    "Target",
    "Weighted",
]

FLAG_ASIDE = frozenset(
    (
        *("version", "deleted", "trackEvents", "trackEventsFallthrough", "debugEventsUntilDate", "samplingRatio"),
        *(
            "clientSide",
            "clientSideAvailability",
            "excludeFromSummaries",
            "sel",
            "kind",
            "creationDate",
            "lastModified",
        ),
        *("includeInSnippet", "variationJsonSchema", "maintainerId", "goalIds", "experiments", "customProperties"),
        *("defaults", "name", "environments", "site", "access", "environmentName", "_links", "_maintainer", "_version"),
        *("_site", "_environmentName", "_summary", "_access", "_id", "evaluation", "migrationSettings", "deprecated"),
    )
)
"""Fields of a flag that have no say in decisions."""

SEGMENT_ASIDE = frozenset(
    (
        *("version", "deleted", "generation", "unboundedContextKind", "creationDate", "lastModifiedDate", "_links"),
        *("_flags", "_version", "_access", "_unboundedMetadata", "_external", "_externalLink", "_importInProgress"),
    )
)


class Clause(Model, frozen=True):
    """A comparison of one attribute of one kind of context."""

    op: str
    attribute: str = ""
    values: tuple[Any, ...] = ()
    negate: bool | None = None
    context_kind: str | None = None


class Weighted(Model, frozen=True):
    """A variation and its share, in thousandths of a per cent."""

    variation: int
    weight: int = 0


class Rollout(Model, frozen=True):
    """Shares of ids."""

    variations: list[Weighted]
    bucket_by: str | None = None
    context_kind: str | None = None
    seed: int | None = None
    kind: str | None = None


class Choice(Model, frozen=True):
    """What is served: one variation, or shares."""

    variation: int | None = None
    rollout: Rollout | None = None


class Rule(Choice, frozen=True):
    """Clauses that must all match, and what is served then."""

    clauses: tuple[Clause, ...] = ()
    id: str | None = None
    description: str | None = None


class Target(Model, frozen=True):
    """Keys that get a variation whatever the rules say; the keys of a segment have none."""

    values: tuple[str | int, ...] = ()
    variation: int = 0
    context_kind: str | None = None


class Prerequisite(Model, frozen=True):
    """Another flag, and the variation that it must serve."""

    key: str
    variation: int


class Switch(Model, frozen=True):
    """A flag in one environment."""

    key: str
    on: bool | None = None
    salt: str | None = None
    variations: list[Any] | None = None
    off_variation: int | None = None
    fallthrough: Choice | None = None
    targets: list[Target] | None = None
    context_targets: list[Target] | None = None
    rules: list[Rule] | None = None
    prerequisites: list[Prerequisite] | None = None
    migration: dict[str, Any] | None = None
    archived: bool | None = None
    description: str | None = None
    tags: list[str] | None = None
    temporary: bool | None = None
    names: list[str | None] | None = None
    """Of the variations, as the dashboard shows them; only some forms have them."""


class GroupRule(Model, frozen=True):
    """Clauses that make a context a member of a segment, perhaps only a share of them."""

    clauses: tuple[Clause, ...] = ()
    weight: int | None = None
    bucket_by: str | None = None
    rollout_context_kind: str | None = None


class Group(Model, frozen=True):
    """A segment."""

    subject: ClassVar[Subject] = "segment"

    key: str
    included: list[str | int] | None = None
    excluded: list[str | int] | None = None
    included_contexts: list[Target] | None = None
    excluded_contexts: list[Target] | None = None
    rules: list[GroupRule] | None = None
    salt: str | None = None
    unbounded: bool | None = None
    name: str | None = None
    description: str | None = None
    tags: list[str] | None = None
