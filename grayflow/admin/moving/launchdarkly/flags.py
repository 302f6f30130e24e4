"""LaunchDarkly's flags as flags."""

from collections.abc import Iterator, Mapping

from grayflow.admin.moving.launchdarkly.clauses import Clauses
from grayflow.admin.moving.launchdarkly.model import Choice, Prerequisite, Switch
from grayflow.admin.moving.launchdarkly.serving import Serving
from grayflow.admin.moving.launchdarkly.subjects import USER, Subjects
from grayflow.admin.moving.naming import Variants, legal_keys, short
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.wording import NEVER, attribute, every, flat, in_order, opposite
from grayflow.core import flag as model
from grayflow.core.flag import Condition, Flag, FlagIs, Segment, SegmentIs

__all__ = ["Switches"]

Listed = tuple[str, int, tuple[str | int, ...]]
"""Kind of context, variation and keys."""

_MANY = 500
"""Longer lists of keys that are no users' become segments: conditions are limited to 64 KiB, id lists are not."""


class Switches:
    """
    Translates flags.

    Args:
        switches: All that can be read, by key.
        clauses: Translates clauses.
        subjects: Where contexts are found.
        ledger: For remarks.
    """

    def __init__(self, switches: Mapping[str, Switch], clauses: Clauses, subjects: Subjects, ledger: Ledger) -> None:
        self._switches, self._clauses, self._subjects, self._ledger = switches, clauses, subjects, ledger
        self.keys = legal_keys(switches)
        self.lists: list[Segment] = []
        """Made of lists that are too long for a condition."""
        self._variants = {key: _variants(one) for key, one in switches.items()}
        self._wanted = {(one.key, one.variation) for switch in switches.values() for one in switch.prerequisites or ()}

    def documents(self) -> Iterator[Flag]:
        """Yield the flags."""
        for key, switch in self._switches.items():
            self._ledger.about("flag", key)
            yield self._flag(switch, self.keys[key], *self._variants[key])

    def _flag(self, switch: Switch, key: str, variants: Variants, names: Mapping[int, str]) -> Flag:
        self._tell(switch, key)
        serving = Serving(switch, names, self._subjects, self._ledger)
        off = None if switch.off_variation is None else serving.name(switch.off_variation, "offVariation")
        needs = [self._need(one, f"prerequisites[{place}]") for place, one in enumerate(switch.prerequisites or ())]
        # Here, a flag that lacks something is off for those that need it; there, it serves them its off variation.
        as_rule = bool(needs) and (switch.key, switch.off_variation) in self._wanted
        listed = _listed(switch)
        on_list = not as_rule and all(kind == USER and variation in names for kind, variation, _ in listed)
        rules = [model.Rule(name="prerequisites", when=(opposite(every(needs)),), serve=off)] if as_rule else []
        rules += [] if on_list else [self._target(one, place, serving, key) for place, one in enumerate(listed)]
        rules += self._rules(switch, serving)
        kept, otherwise = in_order(rules, None)
        by = self._subjects.key(USER)
        return Flag(
            key=key,
            kind=variants.kind,
            enabled=bool(switch.on) and not switch.archived,
            archived=bool(switch.archived),
            variants=variants.values,
            off=off,
            otherwise=otherwise,
            requires=() if as_rule else tuple(needs),
            targets=_gray_list(listed, names) if on_list else {},
            rules=kept,
            by=None if by == "user_id" else by,
            description=switch.description or None,
            tags=tuple(switch.tags or ()),
            lifetime=None if switch.temporary is None else "temporary" if switch.temporary else "permanent",
        )

    def _tell(self, switch: Switch, key: str) -> None:
        if key != switch.key:
            self._ledger.changed("key", "a key may not hold all of these characters", f"the key is {key!r}")
        if switch.migration is not None:
            what = "a migration flag also says how often old and new are compared"
            self._ledger.note("migration", what, "the stage is served as text; the ratio was left behind")

    def _need(self, one: Prerequisite, path: str) -> Condition:
        if one.key not in self._switches:
            what = f"the data does not hold the flag {one.key!r}"
            self._ledger.changed(
                path, what, "the flag serves its off variation, as in LaunchDarkly, until there is one"
            )
            return FlagIs(key=legal_keys([one.key])[one.key])
        _, names = self._variants[one.key]
        return FlagIs(key=self.keys[one.key], variants=(names[one.variation],)) if one.variation in names else NEVER

    def _target(self, one: Listed, place: int, serving: Serving, key: str) -> model.Rule:
        kind, variation, ids = one
        where, texts = self._subjects.key(kind), tuple(map(str, ids))
        when: Condition = attribute(where, "in", *texts, coerce="text") if texts else NEVER
        if len(texts) > _MANY:
            segment = Segment(key=f"{key[:180]}.targets.{place}", include=tuple(dict.fromkeys(texts)), by=where)
            self.lists.append(segment)
            what = f"{len(texts)} keys of the kind {kind!r} are too many for a condition"
            self._ledger.note("contextTargets", what, f"they are the segment {segment.key!r}")
            when = SegmentIs(key=segment.key)
        return model.Rule(name="targets", when=(when,), serve=serving.name(variation, "targets"))

    def _rules(self, switch: Switch, serving: Serving) -> Iterator[model.Rule]:
        for place, rule in enumerate(switch.rules or ()):
            path = f"rules[{place}]"
            when = flat(
                self._clauses.condition(clause, f"{path}.clauses[{at}]") for at, clause in enumerate(rule.clauses)
            )
            name = short(rule.description or rule.id)
            for more, serve in serving.of(rule, path):
                yield model.Rule(name=name, when=(*when, *more), serve=serve)
        for more, serve in serving.of(switch.fallthrough or Choice(), "fallthrough"):
            yield model.Rule(name="fallthrough", when=more, serve=serve)


def _variants(switch: Switch) -> tuple[Variants, dict[int, str]]:
    """Name the variations: as the dashboard does, else after their values."""
    found, names = Variants(), switch.names or []
    shown = (names[place] if place < len(names) else None for place in range(len(switch.variations or ())))
    return found, {
        place: found.add(value, name)
        for place, (value, name) in enumerate(zip(switch.variations or (), shown, strict=True))
    }


def _listed(switch: Switch) -> list[Listed]:
    """Return the lists of targets in the order in which they are looked at."""
    users = [(USER, one.variation, one.values) for one in switch.targets or ()]
    if not switch.context_targets:
        return users
    found = []
    for one in switch.context_targets:
        kind, ids = one.context_kind or USER, one.values
        if kind == USER:
            # These stand for the list of users with the same variation.
            ids = next((mine for _, variation, mine in users if variation == one.variation), ())
        found.append((kind, one.variation, ids))
    return found


def _gray_list(listed: list[Listed], names: Mapping[int, str]) -> dict[str, tuple[str | int, ...]]:
    """Return variant -> ids. Who is on several lists is on the first."""
    seen: set[str] = set()
    found: dict[str, list[str | int]] = {}
    for _, variation, ids in listed:
        for one in ids:
            if str(one) not in seen:
                seen.add(str(one))
                found.setdefault(names[variation], []).append(one)
    return {name: tuple(ids) for name, ids in found.items()}
