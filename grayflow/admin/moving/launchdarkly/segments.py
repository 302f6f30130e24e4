"""LaunchDarkly's segments as segments."""

from collections.abc import Iterable

from grayflow.admin.moving.launchdarkly.clauses import Clauses
from grayflow.admin.moving.launchdarkly.model import Group, GroupRule, Target
from grayflow.admin.moving.launchdarkly.serving import WHOLE, bucket_by
from grayflow.admin.moving.launchdarkly.subjects import USER, BadReferenceError, Subjects
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.wording import NEVER, attribute, either, every, flat, opposite
from grayflow.core.flag import Bucket, Condition, Segment
from grayflow.core.foreign.launchdarkly import HASH

__all__ = ["Groups"]


class Groups:
    """
    Translates segments.

    Args:
        clauses: Translates clauses.
        subjects: Where contexts are found.
        ledger: For remarks.
    """

    def __init__(self, clauses: Clauses, subjects: Subjects, ledger: Ledger) -> None:
        self._clauses, self._subjects, self._ledger = clauses, subjects, ledger

    def document(self, group: Group, key: str) -> Segment:
        """Return a segment."""
        self._ledger.about("segment", group.key)
        if group.unbounded:
            self._ledger.left_out(
                "unbounded",
                "the members of a big segment are kept in a store of their own, not in flag data",
                "only its rules decide; put its members on the list with `grayflow target --segment`",
            )
        told = [part for part in (group.name, group.description) if part and part != key]
        rules = [self._rule(rule, group, f"rules[{place}]") for place, rule in enumerate(group.rules or ())]
        include, exclude = (
            _users(group.included, group.included_contexts),
            _users(group.excluded, group.excluded_contexts),
        )
        inside = self._lists(group.included_contexts)
        outside = self._lists(group.excluded_contexts)
        rest = every([opposite(either(outside)), either(rules)]) if outside else either(rules)
        beaten = set(map(str, include))
        plain = Segment(
            key=key,
            include=tuple(include),
            # On LaunchDarkly, who is included stays so although excluded too.
            exclude=tuple(one for one in exclude if str(one) not in beaten),
            when=flat([either([*inside, rest])]) if inside or rules else None,
            by=None if (by := self._subjects.key(USER)) == "user_id" else by,
            description=": ".join(told) or None,
            tags=tuple(group.tags or ()),
        )
        return plain if not (inside and plain.exclude) else self._by_conditions(plain, inside, rest)

    def _by_conditions(self, plain: Segment, inside: list[Condition], rest: Condition) -> Segment:
        """Say it all in conditions: a list of another kind takes in who is excluded as a user."""
        key = self._subjects.key(USER)
        included = attribute(key, "in", *map(str, plain.include), coerce="text")
        excluded = attribute(key, "in", *map(str, plain.exclude), coerce="text")
        when = either([included, *inside, every([opposite(excluded), rest])])
        return Segment(key=plain.key, when=flat([when]), by=plain.by, description=plain.description, tags=plain.tags)

    def _lists(self, targets: Iterable[Target] | None) -> list[Condition]:
        """Return the lists of other kinds than users."""
        return [
            attribute(self._subjects.key(one.context_kind), "in", *map(str, one.values), coerce="text")
            for one in _others(targets or ())
            if one.values
        ]

    def _rule(self, rule: GroupRule, group: Group, path: str) -> Condition:
        found = [
            self._clauses.condition(clause, f"{path}.clauses[{place}]") for place, clause in enumerate(rule.clauses)
        ]
        if rule.weight is not None:
            found.append(self._share(rule, rule.weight, group, path))
        return every(found)

    def _share(self, rule: GroupRule, weight: int, group: Group, path: str) -> Condition:
        kind = rule.rollout_context_kind
        try:
            steps = bucket_by(kind, rule.bucket_by)
        except BadReferenceError as error:
            self._ledger.left_out(path, str(error), "the rule never matches")
            return NEVER
        if weight <= 0:
            # A missing context counts as below every share, even of nobody.
            return opposite(self._subjects.present(kind))
        return Bucket(
            ranges=((0, min(weight, WHOLE)),),
            by=self._subjects.path(kind, steps),
            salt=f"{group.key}.{group.salt or ''}",
            hash=HASH,
            absent=True,
        )


def _others(targets: Iterable[Target]) -> list[Target]:
    return [one for one in targets if one.context_kind not in {None, "", USER}]


def _users(keys: Iterable[str | int] | None, targets: Iterable[Target] | None) -> list[str | int]:
    several = [keys or (), *(one.values for one in targets or () if one not in _others([one]))]
    return list(dict.fromkeys(key for keys in several for key in keys))
