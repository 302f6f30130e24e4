"""
What the verbs do to a document, without store or clock: a document in, the changed document out.

Each may be applied twice, and to a document that somebody else has changed meanwhile: that is why a verb can
re-apply itself after a conflict. None touches what its sentence does not name; `switch_on` after `switch_off`
gives the document that was there before.
"""

from collections.abc import Iterable

from msgspec import structs

from grayflow.admin.wording import rule_lines, serve_text
from grayflow.core.flag import Flag, Rule, Segment
from grayflow.core.ids import id_text
from grayflow.errors import InvalidFlagError, Problem

__all__ = [
    "Ids",
    "archive",
    "exclude",
    "exclude_from_segment",
    "include",
    "include_in_segment",
    "set_percent",
    "several",
    "switch_off",
    "switch_on",
]

Ids = Iterable[str | int] | str | int
"""Several ids, or one."""


def switch_on(flag: Flag) -> Flag:
    """
    Enable the flag; rules, percentages and lists stay as they are and decide again.

    Raises:
        InvalidFlagError: the flag is archived.
    """
    _refuse_archived(flag)
    return structs.replace(flag, enabled=True)


def switch_off(flag: Flag) -> Flag:
    """Disable the flag: everybody is served `off`; rules, percentages and lists are kept for `switch_on`."""
    return structs.replace(flag, enabled=False)


def archive(flag: Flag) -> Flag:
    """Disable the flag for good and leave it out of listings; document and history stay."""
    return structs.replace(flag, enabled=False, archived=True)


def set_percent(
    flag: Flag, percent: float, variant: str | None = None, rule: str | int | None = None, *, add: bool = False
) -> Flag:
    """
    Enable the flag and serve one rule to that share of its users; everybody who was in at a lower share stays in.

    Which rule: the one that `rule` names; else the only one with a percentage; else the only one without
    conditions. A flag without rules gets a rule for everybody, so `set_percent(flag, 10)` on `{"key": "x"}` serves
    `on` to 10 % and `off` to the rest. Where a rule for everybody falls through to an `otherwise` that serves the
    same variant, `otherwise` becomes `off`, since the percentage would mean nothing. At 0 % the flag stays enabled
    and nobody is in; at 100 % the rule stays.

    Args:
        flag: The document.
        percent: 0 to 100, up to three decimals.
        variant: What the rule serves. Chooses among rules, and is needed where a rule is added to a flag with
            several variants besides `off`; what an existing rule serves is never changed.
        rule: Name or index of the rule.
        add: Append a rule for everybody although there are rules, unless there is one that serves `variant`.

    Raises:
        InvalidFlagError: the flag is archived; no rule or more than one could be meant (the text lists them); the
            percentage is not one.
    """
    _refuse_archived(flag)
    if not _is_percentage(percent):
        raise _refusal(flag, "percent", f"{percent!r} is no percentage; 0 to 100 is allowed, with up to three decimals")
    if variant is not None and variant not in flag.variants:
        raise _refusal(flag, "variants", f"there is no variant {variant!r}; the variants are {_names(flag)}")
    index = _named_rule(flag, rule, variant) if rule is not None else _rollout_rule(flag, variant, add=add)
    if index is None:
        return _with_new_rule(flag, float(percent), variant)
    rules = list(flag.rules)
    rules[index] = structs.replace(rules[index], percent=float(percent))
    return _falling_through(structs.replace(flag, enabled=True, rules=tuple(rules)), index)


def include(flag: Flag, variant: str, ids: Ids) -> Flag:
    """
    Put ids on the gray list of a variant, which rules cannot overrule; they leave the lists of other variants.

    Raises:
        InvalidFlagError: there is no such variant, or one of the ids cannot be one.
    """
    if variant not in flag.variants:
        raise _refusal(flag, f"targets.{variant}", f"there is no variant {variant!r}; the variants are {_names(flag)}")
    wanted = _id_texts(flag, ids, f"targets.{variant}")
    targets = {name: _without(held, wanted) if name != variant else held for name, held in flag.targets.items()}
    targets[variant] = _joined(targets.get(variant, ()), wanted)
    return structs.replace(flag, targets=_listed(flag, targets))


def exclude(flag: Flag, ids: Ids, variant: str | None = None) -> Flag:
    """
    Take ids off the gray list of a variant, or of all; rules decide about them again.

    To keep somebody out, include them under the `off` variant. Ids that are on no list are passed over.

    Raises:
        InvalidFlagError: there is no such variant, or one of the ids cannot be one.
    """
    if variant is not None and variant not in flag.variants:
        raise _refusal(flag, f"targets.{variant}", f"there is no variant {variant!r}; the variants are {_names(flag)}")
    unwanted = _id_texts(flag, ids, "targets")
    targets = {
        name: _without(held, unwanted) if variant in {None, name} else held for name, held in flag.targets.items()
    }
    return structs.replace(flag, targets=_listed(flag, targets))


def include_in_segment(segment: Segment, ids: Ids) -> Segment:
    """Put ids on the segment's `include` list and take them off its `exclude` list, which would beat it."""
    wanted = _id_texts(segment, ids, "include")
    return structs.replace(segment, include=_joined(segment.include, wanted), exclude=_without(segment.exclude, wanted))


def exclude_from_segment(segment: Segment, ids: Ids) -> Segment:
    """Put ids on the segment's `exclude` list, which beats all else, and take them off its `include` list."""
    wanted = _id_texts(segment, ids, "exclude")
    return structs.replace(segment, include=_without(segment.include, wanted), exclude=_joined(segment.exclude, wanted))


def several(ids: Ids) -> tuple[str | int, ...]:
    """Return ids as a tuple, which can be read more than once; one id is no row of letters."""
    return (ids,) if isinstance(ids, str | int) else tuple(ids)


def _is_percentage(value: object) -> bool:
    # Not left to decoding: NaN would be written as null, which is no percentage at all and lets everybody in.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100


def _named_rule(flag: Flag, rule: str | int, variant: str | None) -> int:
    found = [index for index, one in enumerate(flag.rules) if one.name == rule]
    if not found and str(rule).isdecimal() and int(rule) < len(flag.rules):
        found = [int(rule)]
    if len(found) != 1:
        how_many = "more than one rule is" if found else "no rule is"
        raise _refusal(
            flag, "rules", f"{how_many} called {rule!r}; name one of these, or give its index:{rule_lines(flag)}"
        )
    serve = flag.rule_serves(flag.rules[found[0]])
    if variant is not None and serve != variant:
        raise _refusal(flag, f"rules[{found[0]}].serve", f"this rule serves {serve_text(serve)}, not {variant!r}")
    return found[0]


def _rollout_rule(flag: Flag, variant: str | None, *, add: bool) -> int | None:
    """Return the rule whose percentage is meant, `None` to add one."""
    if not flag.rules:
        return None
    serving = [index for index, rule in enumerate(flag.rules) if variant is None or flag.rule_serves(rule) == variant]
    shared = [index for index in serving if flag.rules[index].percent is not None]
    for_all = [index for index in serving if not flag.rules[index].when]
    if add:
        return _added_before(flag, [index for index in shared if index in for_all])
    found = shared or for_all
    if len(found) == 1:
        return found[0]
    found_many = "several rules have a percentage" if found else "no rule has a percentage"
    serving_it = "" if variant is None else f" and serves {variant!r}" if not found else f" and serve {variant!r}"
    remedy = "say which rule is meant, or that a rule for everybody is to be added"
    raise _refusal(flag, "rules", f"{found_many}{serving_it}; {remedy}:{rule_lines(flag)}")


def _added_before(flag: Flag, shared_by_all: list[int]) -> int | None:
    if shared_by_all:
        return shared_by_all[-1]
    for index, rule in enumerate(flag.rules):
        if not rule.when and rule.percent is None:
            raise _refusal(
                flag, f"rules[{index}]", "this rule answers for everybody, so one behind it would never be reached"
            )
    return None


def _with_new_rule(flag: Flag, percent: float, variant: str | None) -> Flag:
    serve = _released(flag) if variant is None else variant
    rules = (*flag.rules, Rule(percent=percent, serve=serve))
    return _falling_through(structs.replace(flag, enabled=True, rules=rules), len(rules) - 1)


def _released(flag: Flag) -> str:
    names = [name for name in flag.variants if name != flag.off_variant]
    if len(names) != 1:
        raise _refusal(flag, "variants", f"say which variant the percentage is of; the variants are {_names(flag)}")
    return names[0]


def _falling_through(flag: Flag, index: int) -> Flag:
    """Keep the rest of a percentage of everybody from being served the same variant by `otherwise`."""
    rule, serve = flag.rules[index], flag.rule_serves(flag.rules[index])
    if rule.when or not isinstance(serve, str) or flag.otherwise_serves != serve:
        return flag
    if flag.off_variant == serve:
        message = f"`otherwise` and `off` both serve {serve!r}, so a percentage of it would mean nothing"
        raise _refusal(flag, "otherwise", message)
    return structs.replace(flag, otherwise=flag.off_variant)


def _id_texts(document: Flag | Segment, ids: Ids, path: str) -> dict[str, str | int]:
    """Return the ids by their text form, in which they are compared."""
    found: dict[str, str | int] = {}
    for unit in several(ids):
        text = id_text(unit)
        if text is None:
            raise _refusal(document, path, f"{unit!r} cannot be an id; ids are text or whole numbers")
        found.setdefault(text, unit)
    return found


def _without(held: tuple[str | int, ...], unwanted: dict[str, str | int]) -> tuple[str | int, ...]:
    return tuple(unit for unit in held if id_text(unit) not in unwanted)


def _joined(held: tuple[str | int, ...], wanted: dict[str, str | int]) -> tuple[str | int, ...]:
    there = set(map(id_text, held))
    return (*held, *(unit for text, unit in wanted.items() if text not in there))


def _listed(flag: Flag, targets: dict[str, tuple[str | int, ...]]) -> dict[str, tuple[str | int, ...]]:
    """Leave out lists that were emptied or were never begun."""
    return {name: ids for name, ids in targets.items() if ids or flag.targets.get(name) == ()}


def _names(flag: Flag) -> str:
    return ", ".join(map(repr, flag.variants)) or "none"


def _refuse_archived(flag: Flag) -> None:
    if flag.archived:
        message = "the flag is archived; roll it back to a revision before that, or edit its document"
        raise _refusal(flag, "archived", message)


def _refusal(document: Flag | Segment, path: str, message: str) -> InvalidFlagError:
    kind = "flag" if isinstance(document, Flag) else "segment"
    return InvalidFlagError((Problem(key=document.key, kind=kind, path=path, message=message),))
