"""Which other systems' hashes and operators are shipped, and how several are put together."""

from collections.abc import Mapping
from importlib import import_module
from typing import Literal, get_args

from grayflow.core.extensions import Extensions, Hash
from grayflow.core.foreign.sized import SizedHashes
from grayflow.errors import ConfigurationError

__all__ = ["SYSTEMS", "System", "foreign_extensions"]

System = Literal["unleash", "launchdarkly", "growthbook", "flagd"]

SYSTEMS: tuple[System, ...] = get_args(System)


def foreign_extensions(*systems: System, also: Extensions | None = None) -> Extensions:
    """
    Return what flags imported from other systems need: `Client(url, extensions=foreign_extensions("unleash"))`.

    Args:
        systems: Where flags came from; all that are known, if none is named.
        also: Hashes and operators of your own. They win where names are equal.

    Raises:
        ConfigurationError: there is no such system.
    """
    found = [_of(system) for system in systems or SYSTEMS]
    found += [also] if also is not None else []
    return Extensions(
        hashes=_joined([one.hashes for one in found]),
        operators={name: fn for one in found for name, fn in one.operators.items()},
    )


def _of(system: str) -> Extensions:
    if system not in SYSTEMS:
        raise ConfigurationError(f"there is no system {system!r}; {', '.join(SYSTEMS)} are known")
    made: Extensions = import_module(f"grayflow.core.foreign.{system}").extensions()
    return made


def _joined(hashes: list[Mapping[str, Hash]]) -> Mapping[str, Hash]:
    fixed = {name: one for several in hashes for name, one in several.items()}
    families = {name: make for one in hashes if isinstance(one, SizedHashes) for name, make in one.families.items()}
    return SizedHashes(fixed, families)
