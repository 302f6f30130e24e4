"""Moving in from Unleash."""

from typing import Any

from grayflow.admin.moving.naming import legal_keys
from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.source import Options, told_apart
from grayflow.admin.moving.unleash.constraints import Constraints
from grayflow.admin.moving.unleash.flags import Features
from grayflow.admin.moving.unleash.forms import client_form
from grayflow.admin.moving.unleash.model import ASIDE, GROUP_ASIDE, Feature, Group
from grayflow.admin.moving.unleash.strategies import Strategies
from grayflow.core.flag import Flag, Segment

__all__ = ["translate"]


def translate(
    source: dict[str, Any], attributes: Attributes, options: Options, ledger: Ledger
) -> tuple[list[Flag], list[Segment]]:
    """
    Return an export of Unleash as flags and segments; see `grayflow.admin.moving.translate`.

    Raises:
        ConfigurationError: it is none, or the environment to take is not clear.
    """
    features, segments = client_form(source, options.environment, ledger)
    groups = [group for _, group in told_apart(Group, segments, ledger, GROUP_ASIDE, named="name")]
    names = {group.id: group.name or f"segment-{group.id}" for group in groups}
    legal = legal_keys(names.values())
    keys = {group.id: None if group.constraints is None else legal[names[group.id]] for group in groups}
    readable = dict(told_apart(Feature, features, ledger, ASIDE, named="name"))
    flags = list(Features(readable, Strategies(attributes, keys, ledger), ledger).documents())
    return flags, [_segment(group, keys[group.id] or "", attributes, ledger) for group in groups if keys[group.id]]


def _segment(group: Group, key: str, attributes: Attributes, ledger: Ledger) -> Segment:
    ledger.about("segment", group.name or str(group.id))
    constraints = Constraints(attributes, ledger)
    when = tuple(
        constraints.condition(one, f"constraints[{place}]") for place, one in enumerate(group.constraints or ())
    )
    return Segment(key=key, when=when, description=group.name if group.name != key else None)
