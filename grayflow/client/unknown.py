"""The flags that were asked for and do not exist: each is logged once, so that a typo is heard and does not flood."""

import logging

__all__ = ["UnknownKeys"]

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
        self.overflow = 0
        """How often other names were asked for when so many were remembered already."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The names, in the order in which they were first asked for."""
        return tuple(self._keys)

    def record(self, key: str) -> bool:
        """Remember a name; false if there is no room for it."""
        if key in self._keys:
            return True
        if len(self._keys) >= _KEPT or len(key) > _LONGEST:  # no flag has a longer name
            self.overflow += 1
            if self.overflow == 1:
                log.warning("more unknown flags were asked for than are remembered; the rest is counted in health")
            return False
        self._keys[key] = None
        log.warning(
            "there is no flag %r in namespace %r: callers get their defaults (logged once)", key, self._namespace
        )
        return True
