"""
The numbers that name switch-offs, and how an edit moves them.

They are kept per flag and variant beside the document, survive its deletion and never fall within an epoch, so that
whatever cleans up after a switch-off compares two numbers, and needs neither the message nor the history.
What they should be is decided in `liveness.py`; stores only do the sums in `Marks.apply`.
"""

from collections.abc import Mapping

import msgspec

__all__ = ["Generation", "Generations", "Marks"]


class Generation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What is known of the switch-offs of one variant; lives outside the document and survives its deletion.

    `off` names the newest switch-off, 0 for none: `2·R` if the commit of revision R took the variant away, `2·A+1`
    if the clock did, A being `armed`. `armed` is the revision of the last commit that changed whether or when the
    variant can be served; 0 says that there is nothing that the clock could take away. Within an epoch `off` never
    falls.
    """

    off: int = 0
    armed: int = 0


Generations = Mapping[str, Generation]
"""Variant -> its generation, of one flag."""


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """
    How an edit moves its flag's generations. R is the revision that the commit is given, known to the store only.

    For every variant named anywhere in here the store computes, starting from what it holds (or zeros):
    `off = 2·R` if in `off`, else the larger of the stored `off` and `passed[variant]`;
    `armed = R` if in `armed`, else 0 if in `disarmed`, else as it was.
    """

    off: tuple[str, ...] = ()
    armed: tuple[str, ...] = ()
    disarmed: tuple[str, ...] = ()
    """Variants that the edit leaves without a time to be served, and that were not being served when it was made."""
    passed: Mapping[str, int] = {}
    """Switch-offs by the clock that went by unrecorded before this edit: the value for `off`, as it stands."""

    def apply(self, held: Generations, revision: int) -> dict[str, Generation]:
        """Return all generations of the flag after a commit of `revision`."""
        after = dict(held)
        for variant in {*self.off, *self.armed, *self.disarmed, *self.passed}:
            old = after.get(variant, Generation())
            off = 2 * revision if variant in self.off else max(old.off, self.passed.get(variant, 0))
            armed = revision if variant in self.armed else 0 if variant in self.disarmed else old.armed
            after[variant] = Generation(off=off, armed=armed)
        return after
