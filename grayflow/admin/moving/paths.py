"""Where another system's attributes are found in a grayflow context."""

from collections.abc import Mapping

from grayflow.core.flag import Path
from grayflow.core.foreign import System
from grayflow.core.foreign.subjects import FIELDS, attribute_name, attribute_path

__all__ = ["Attributes"]


class Attributes:
    """
    Translates names of attributes into paths.

    Args:
        system: Whose names.
        renamed: Their names -> the service's own, as its contexts have them; dots follow into objects. What is not
            in it follows `grayflow.core.foreign.subjects`.
    """

    def __init__(self, system: System, renamed: Mapping[str, str]) -> None:
        self._system, self._renamed = system, renamed

    def path(self, *steps: str) -> Path:
        """Return the path of an attribute, or of what lies inside of it."""
        first, *rest = steps
        if first in self._renamed:
            given = self._renamed[first]
            return (*given.split("."), *rest) if rest else given
        return attribute_path(attribute_name(self._system, first), *rest)

    def is_displaced(self, name: str) -> bool:
        """Tell whether an attribute had to give way to one that has a field of `Context`."""
        return name not in self._renamed and name in FIELDS[self._system].values()
