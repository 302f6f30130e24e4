"""The flags that were asked for and do not exist: each is logged once, so that a typo is heard and does not flood."""

import logging
from typing import Any

from grayflow.core.values import shown

__all__ = ["UnknownKeys", "named"]

log = logging.getLogger("grayflow.client")

_KEPT = 1000
_LONGEST = 200


class UnknownKeys:
    """
    Remembers up to 1,000 names.

    Args:
        namespace: For the message.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._keys: dict[str, None] = {}
        self._told: set[str] = set()
        self.overflow = 0
        """How often other names were asked for when so many were remembered already, or what cannot be a name."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The names, in the order in which they were first asked for."""
        return tuple(self._keys)

    def record(self, key: Any) -> bool:
        """Remember a name; false if it is none, or there is no room for it."""
        if not _is_name(key):
            self._count("%s was asked for, and no flag can have that name: the next are only counted", named(key))
            return False
        if key in self._keys:
            return True
        if len(self._keys) >= _KEPT:
            self._count("more than %d unknown flags were asked for: the others are only counted", _KEPT)
            return False
        self._keys[key] = None
        log.warning(
            "there is no flag %r in namespace %r: callers get their defaults (logged once)", key, self._namespace
        )
        return True

    def _count(self, text: str, fact: object) -> None:
        self.overflow += 1
        if text not in self._told:
            self._told.add(text)
            log.warning(text, fact)


def named(key: Any) -> str:
    """Return what was asked for as messages show it; whole, if a flag could have that name."""
    return repr(key) if _is_name(key) else shown(key)


def _is_name(key: Any) -> bool:
    if not isinstance(key, str) or len(key) > _LONGEST:
        return False
    # Half a character is no text: `health` with one in it could not be written as JSON.
    return key.isascii() or not any("\ud800" <= each <= "\udfff" for each in key)
