"""Moving in from flagd."""

from collections.abc import Mapping
from typing import Any

from grayflow.admin.moving.flagd.conditions import Conditions
from grayflow.admin.moving.flagd.logic import Resolver, UnsayableError
from grayflow.admin.moving.flagd.model import ASIDE, Definition
from grayflow.admin.moving.flagd.targeting import Targeting
from grayflow.admin.moving.naming import Variants, legal_keys
from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.source import Options, told_apart
from grayflow.admin.moving.wording import in_order
from grayflow.core.flag import Flag, Rule, Segment
from grayflow.core.validate import foreign_hashes
from grayflow.errors import ConfigurationError

__all__ = ["translate"]


def translate(
    source: dict[str, Any], attributes: Attributes, options: Options, ledger: Ledger
) -> tuple[list[Flag], list[Segment]]:
    """
    Return flag definitions of flagd as flags; see `grayflow.admin.moving.translate`.

    Raises:
        ConfigurationError: they are none.
    """
    readable = dict(told_apart(Definition, _definitions(source), ledger, ASIDE))
    keys = legal_keys(readable)
    mover = _Mover(source, attributes, options, ledger)
    flags = [mover.flag(key, one, keys[key]) for key, one in readable.items()]
    if any(True for flag in flags for _ in foreign_hashes(flag)):
        taken = f"ids are hashed in the way that flagd numbers {options.fractional}"
        ledger.about("file").note("", "flagd has had three ways to hash ids; ask which one your clients have", taken)
    return flags, []


def _definitions(source: dict[str, Any]) -> list[dict[str, Any]]:
    flags = source.get("flags")
    if isinstance(flags, list):
        return [one for one in flags if isinstance(one, dict)]
    if not isinstance(flags, dict):
        raise ConfigurationError("these are no flag definitions of flagd: there is no object `flags`")
    return [{**one, "key": key} if isinstance(one, dict) else {"key": key} for key, one in flags.items()]


class _Mover:
    """Translates the flags of one file."""

    def __init__(self, source: dict[str, Any], attributes: Attributes, options: Options, ledger: Ledger) -> None:
        self._attributes, self._options, self._ledger = attributes, options, ledger
        self._evaluators = source["$evaluators"] if isinstance(source.get("$evaluators"), dict) else {}
        self._metadata = source["metadata"] if isinstance(source.get("metadata"), dict) else {}

    def flag(self, name: str, definition: Definition, key: str) -> Flag:
        """Return a flag."""
        self._ledger.about("flag", name)
        if key != name:
            self._ledger.changed("key", "a key may not hold all of these characters", f"the key is {key!r}")
        default = definition.default
        if default is not None and default not in definition.variants:
            what = f"there is no variant {default!r}"
            self._ledger.changed("defaultVariant", what, "the caller's default is the answer, as in flagd")
            default = None
        rules, otherwise = in_order(self._rules(name, definition, default), default)
        return Flag(
            key=key,
            kind=_kind(definition.variants),
            enabled=definition.state == "ENABLED",
            variants=definition.variants,
            off=None,
            otherwise=otherwise,
            rules=rules,
            metadata=self._known({**self._metadata, **(definition.metadata or {})}),
        )

    def _rules(self, name: str, definition: Definition, default: str | None) -> list[Rule]:
        if not definition.targeting:
            return []
        conditions = Conditions(self._attributes, name, self._options.fractional)
        targeting = Targeting(definition.variants, default, conditions, self._ledger)
        try:
            expression = Resolver(self._evaluators, name).resolved(definition.targeting)
        except UnsayableError as error:
            self._ledger.left_out("targeting", str(error), "the caller's default is the answer, as in flagd")
            return [Rule(serve=None)]
        return list(targeting.rules(expression))

    def _known(self, metadata: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
        known = {
            name: value for name, value in metadata.items() if name and isinstance(value, bool | int | float | str)
        }
        for name in metadata.keys() - known.keys():
            self._ledger.left_out(f"metadata.{name}", "metadata are booleans, numbers and text", "it was passed over")
        return known


def _kind(variants: Mapping[str, Any]) -> Any:
    found = Variants()
    for name, value in variants.items():
        found.add(value, name)
    return found.kind
