"""Moving in from LaunchDarkly."""

from typing import Any

from grayflow.admin.moving.launchdarkly.clauses import Clauses
from grayflow.admin.moving.launchdarkly.flags import Switches
from grayflow.admin.moving.launchdarkly.forms import client_form
from grayflow.admin.moving.launchdarkly.model import FLAG_ASIDE, SEGMENT_ASIDE, Group, Switch
from grayflow.admin.moving.launchdarkly.segments import Groups
from grayflow.admin.moving.launchdarkly.subjects import Subjects
from grayflow.admin.moving.naming import legal_keys
from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.source import Options, told_apart
from grayflow.core.flag import Flag, Segment

__all__ = ["translate"]


def translate(
    source: dict[str, Any], attributes: Attributes, options: Options, ledger: Ledger
) -> tuple[list[Flag], list[Segment]]:
    """
    Return flag data of LaunchDarkly as flags and segments; see `grayflow.admin.moving.translate`.

    Raises:
        ConfigurationError: it is none, or the environment to take is not clear.
    """
    flags, segments = client_form(source, options.environment, ledger)
    groups = dict(told_apart(Group, segments, ledger, SEGMENT_ASIDE))
    switches = dict(told_apart(Switch, flags, ledger, FLAG_ASIDE))
    keys, subjects = legal_keys(groups), Subjects(attributes)
    clauses = Clauses(subjects, keys, ledger)
    translated = Switches(switches, clauses, subjects, ledger)
    documents = list(translated.documents())
    members = Groups(clauses, subjects, ledger)
    found = [members.document(group, keys[key]) for key, group in groups.items()]
    return documents, [*found, *translated.lists]
