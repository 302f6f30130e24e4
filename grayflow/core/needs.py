"""
How an evaluation says that it was not given enough.

Both are raised from deep inside a decision and caught where it was asked for, so that the functions in between, above
all the compiled ones, need not look for them.
"""

from typing import NoReturn

__all__ = ["NO_INSTANT", "AttributeNeeded", "Instant", "NoInstant", "NowNeeded"]


class AttributeNeeded(Exception):  # noqa: N818 - a request, not an error
    """A rule asked for an attribute that is not there and that somebody can fetch."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class NowNeeded(Exception):  # noqa: N818 - a request, not an error
    """The decision depends on the time, and no time was given."""


class NoInstant:
    """
    Stands for an instant that was not given: whoever looks at it raises `NowNeeded`.

    So a flag that does not depend on the time is evaluated without one, and no function asks whether it has one.
    """

    def _needed(self, _: object) -> NoReturn:
        raise NowNeeded

    __lt__ = __le__ = __gt__ = __ge__ = __floordiv__ = __mod__ = __divmod__ = __add__ = __sub__ = _needed


NO_INSTANT = NoInstant()

Instant = int | NoInstant
"""Nanoseconds since the epoch, or their absence."""
