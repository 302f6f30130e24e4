"""
The forms in which LaunchDarkly hands out flags, brought to that of its clients, for one environment.

These are read: what clients and file data sources get (`flags`, `segments`, `flagValues`; also inside `data`), and
flags of the REST API with their environments.
"""

from collections.abc import Iterable
from typing import Any

from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.source import chosen_environment, listed
from grayflow.errors import ConfigurationError

__all__ = ["client_form"]

Raw = dict[str, Any]

_NONE = (
    "this is no flag data of LaunchDarkly: it has neither `flags` nor `items`. Take what its clients get, or flags "
    "from the REST API with ?summary=0"
)


def client_form(source: Raw, environment: str | None, ledger: Ledger) -> tuple[list[Raw], list[Raw]]:
    """
    Return flags and segments as clients get them.

    Raises:
        ConfigurationError: there are no flags in it, or several environments of which none is named.
    """
    if isinstance(source.get("data"), dict):
        source = source["data"]
    if "environments" in source and "variations" in source:
        source = {"items": [source]}
    if "items" in source:
        items = [one for one in listed(source["items"]) if isinstance(one, dict)]
        flags = [one for one in items if "variations" in one]
        return _in_environment(flags, environment, ledger), [one for one in items if "variations" not in one]
    if not any(name in source for name in ("flags", "flagValues", "segments")):
        raise ConfigurationError(_NONE)
    if environment is not None:
        ledger.note("", "the data is of one environment and does not name it", "all of it was taken")
    flags = [*_keyed(source.get("flags")), *_fixed(source.get("flagValues"))]
    return flags, list(_keyed(source.get("segments")))


def _keyed(documents: Any) -> Iterable[Raw]:
    """Yield documents with their keys; what was deleted leaves a stone behind, which is passed over."""
    if isinstance(documents, list):
        documents = {str(place): one for place, one in enumerate(documents)}
    for key, one in (documents if isinstance(documents, dict) else {}).items():
        if isinstance(one, dict) and not one.get("deleted"):
            yield {"key": key, **one}


def _fixed(values: Any) -> Iterable[Raw]:
    """Yield flags that serve one value to everybody."""
    for key, value in (values if isinstance(values, dict) else {}).items():
        yield {"key": key, "on": True, "variations": [value], "fallthrough": {"variation": 0}}


def _in_environment(flags: list[Raw], environment: str | None, ledger: Ledger) -> list[Raw]:
    states = [one["environments"] if isinstance(one.get("environments"), dict) else {} for one in flags]
    chosen = chosen_environment([name for one in states for name in one], environment, ledger)
    return [_joined(flag, state.get(chosen)) for flag, state in zip(flags, states, strict=True)]


def _joined(flag: Raw, state: Any) -> Raw:
    variations = [one if isinstance(one, dict) else {} for one in listed(flag.get("variations"))]
    return {
        **flag,
        **(state if isinstance(state, dict) else {}),
        "key": flag.get("key"),
        "variations": [one.get("value") for one in variations],
        "names": [one.get("name") for one in variations],
        "archived": bool(flag.get("archived")),
    }
