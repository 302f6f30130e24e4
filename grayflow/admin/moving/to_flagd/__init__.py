"""Moving out to flagd: flags as its flag definitions, as far as it can say them."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from grayflow.admin.moving.flagd.logic import UnsayableError
from grayflow.admin.moving.remarks import Ledger, Remark, is_faithful
from grayflow.admin.moving.to_flagd.expressions import Expressions
from grayflow.core.codec import pretty
from grayflow.core.flag import Flag, Segment, Split

__all__ = ["Exported", "to_flagd"]

_SCHEMA = "https://flagd.dev/schema/v0/flags.json"


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """Flag definitions of another system, and what is to be said about them."""

    document: dict[str, Any]
    remarks: tuple[Remark, ...]
    """The weightiest first."""

    @property
    def faithful(self) -> bool:
        """Whether all of it was carried over and decides the same for everybody."""
        return is_faithful(self.remarks)

    def text(self) -> str:
        """Return the definitions as JSON."""
        return pretty(self.document) + "\n"


def to_flagd(flags: Iterable[Flag], segments: Iterable[Segment]) -> Exported:
    """
    Return flags as flag definitions of flagd.

    The targeting key is our `user_id`; other attributes have the names that they have here. Percentages and splits
    reach as many users as they did, but others: flagd knows one hash, which is not ours. Flags that came from flagd
    keep theirs.

    Args:
        flags: All of them, also those that are only required by others.
        segments: All of them.
    """
    by_key = {one.key: one for one in flags}
    ledger = Ledger()
    expressions = Expressions(by_key, {one.key: one for one in segments}, ledger)
    definitions = {}
    for key, flag in by_key.items():
        ledger.about("flag", key)
        expressions.key = key
        try:
            if not flag.archived:
                definitions[key] = _definition(flag, expressions, ledger)
        except UnsayableError as error:
            ledger.refused("", str(error))
    document: dict[str, Any] = {"$schema": _SCHEMA, "flags": definitions}
    if expressions.evaluators:
        document["$evaluators"] = expressions.evaluators
    return Exported(document=document, remarks=ledger.remarks)


def _definition(flag: Flag, expressions: Expressions, ledger: Ledger) -> dict[str, Any]:
    _tell(flag, ledger)
    found: dict[str, Any] = {"state": "ENABLED", "variants": _variants(flag, ledger)}
    on, off = expressions.is_on(flag), flag.off_variant
    if on is False and off is None:
        # Disabled, flagd leaves the answer to the caller, as this flag does.
        return {**found, "state": "DISABLED", "defaultVariant": None, **_metadata(flag)}
    if on is False:
        ledger.note("enabled", "flagd serves no variant while a flag is disabled", f"it is enabled and serves {off!r}")
    served = off if on is False else expressions.served(flag)
    targeting = served if on is True or on is False else {"if": [on, served, off]}
    if not isinstance(targeting, dict):
        return {**found, "defaultVariant": targeting, **_metadata(flag)}
    # All that targeting names is named outright; what is null is for the caller, so that no default may stand in.
    default = None if _may_be_null(flag) else off or _plain(flag)
    return {**found, "defaultVariant": default, "targeting": targeting, **_metadata(flag)}


def _variants(flag: Flag, ledger: Ledger) -> Mapping[str, Any]:
    for name, value in flag.variants.items():
        if flag.kind == "json" and not isinstance(value, dict):
            what = "flagd knows booleans, text, numbers and objects"
            ledger.changed(f"variants.{name}", what, "it was written as it is, and flagd may refuse it")
    return flag.variants


def _may_be_null(flag: Flag) -> bool:
    serves = [flag.off_variant, flag.otherwise_serves, *(flag.rule_serves(rule) for rule in flag.rules)]
    return None in serves


def _plain(flag: Flag) -> str | None:
    serve = flag.otherwise_serves
    return None if isinstance(serve, Split) else serve


def _metadata(flag: Flag) -> dict[str, Any]:
    told = {"description": flag.description, "owner": flag.owner}
    metadata = {**{name: value for name, value in told.items() if value}, **flag.metadata}
    return {"metadata": metadata} if metadata else {}


def _tell(flag: Flag, ledger: Ledger) -> None:
    named = {
        "on_failure": flag.on_failure is not None,
        "off_checklist": bool(flag.off_checklist),
        "tags": bool(flag.tags),
        "lifetime": flag.lifetime is not None,
        "remove_by": flag.remove_by is not None,
    }
    for name in (name for name, given in named.items() if given):
        ledger.note(name, "flagd has no place for it", "it stays behind")
    if any(True for rule in flag.rules if rule.when):
        what = "flagd compares a list as a whole, and text that is a number as that number"
        ledger.note(
            "rules", what, "where your attributes are lists, or text that looks like a number, decisions differ"
        )
