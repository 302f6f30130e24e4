"""
Which variants of a flag can still be served, until when, and which edit or hour switches one off.

Read from the flag's own document and the clock alone, and erring towards *live*: whatever depends on a context, on
another flag or on a segment counts as if it could hold. So "not live" is a fact on which data may be deleted, while
"live" is only a possibility.

A *switch-off* is the step of a variant from live to not live. Becoming stale, expired as a snapshot or degraded is
none, nor is anything that happens to the `off` variant. Every edit carries the `Marks` planned here, and stored
generations are the only trigger of cleanup.
"""

from collections.abc import Iterator, Mapping

import msgspec

from grayflow.core.calendar import from_datetime
from grayflow.core.flag import AnyOf, Bucket, Condition, Flag, Rule, Split
from grayflow.core.generations import Generation, Generations, Marks

__all__ = [
    "Window",
    "boundary",
    "ends_search",
    "generation_now",
    "live",
    "marks",
    "matches_nobody",
    "shape",
]


class Window(msgspec.Struct, frozen=True, gc=False):
    """The half-open time `[start, end)` in which a flag is on; nanoseconds since the epoch, `None` for no limit."""

    start: int | None
    end: int | None

    def holds(self, at: int) -> bool:
        """Return whether the instant lies inside."""
        return (self.start is None or self.start <= at) and not self.over(at)

    def over(self, at: int) -> bool:
        """Return whether the window has closed by then."""
        return self.end is not None and self.end <= at


def live(flag: Flag, at: int) -> frozenset[str]:
    """
    Return the variants that somebody could be served at that instant by a target, a rule or `otherwise`.

    Args:
        flag: A checked document.
        at: Nanoseconds since the epoch.
    """
    window = _window(flag)
    if window is None or not window.holds(at):
        return frozenset()
    return frozenset(_served(flag))


def boundary(flag: Flag, after: int) -> int | None:
    """Return the next instant after `after` at which the clock may change what is live, `None` if it never will."""
    window = _window(flag)
    if window is None or not any(_served(flag)):
        return None
    return next((edge for edge in (window.start, window.end) if edge is not None and edge > after), None)


def shape(flag: Flag | None) -> Mapping[str, Window]:
    """
    Return whether and when each variant can be served and then be switched off: those that can, with their window.

    Two documents of equal shape are the same to every cleanup; that is what leaves `armed` alone. The `off` variant
    is not in it, nor is anything of a flag that is disabled, archived, deleted or has an empty window.
    """
    window = None if flag is None else _window(flag)
    if flag is None or window is None:
        return {}
    return {variant: window for variant in dict.fromkeys(_served(flag)) if variant != flag.off_variant}


def generation_now(flag: Flag | None, variant: str, held: Generations, now: int) -> int:
    """
    Return the generation of a variant that is due at `now`: the stored one, or that of the clock if it came since.

    Args:
        flag: The document that `held` belongs to; `None` if there is none.
        variant: Its name; unknown ones have generation 0.
        held: What the store holds for this flag.
        now: Nanoseconds since the epoch, by the clock of whoever asks.
    """
    generation = held.get(variant, Generation())
    window = shape(flag).get(variant)
    if window is None or not window.over(now) or not generation.armed:
        return generation.off
    return max(generation.off, 2 * generation.armed + 1)


def marks(before: Flag | None, after: Flag | None, held: Generations, now: int) -> Marks:
    """
    Plan how an edit moves the generations of its flag.

    `before` is `None` where there is no document, and where there is one that cannot be read (a newer release wrote
    it, somebody damaged it). The two are told apart by `held`: a flag that was deleted has nothing armed that was
    not switched off. What an unreadable document may have served and the new one does not is taken as switched off,
    since processes may hold its last good form: a needless cleanup is better than one that never comes.

    Args:
        before: The document that the edit replaces.
        after: The document that it writes, `None` to delete.
        held: What the store holds for this flag, read together with `before`.
        now: The writer's clock, nanoseconds since the epoch.
    """
    was, will = shape(before), shape(after)
    off = _taken(before, after, held, now)
    changed = [variant for variant in {**was, **will} if was.get(variant) != will.get(variant)]
    armed = {*off, *(variant for variant in changed if variant in will and not will[variant].over(now))}
    # What loses its future without having been live must not keep an old `armed`: were it enabled again later with a
    # window that is already over, `2·armed+1` would announce a switch-off of what nobody was ever served.
    disarmed = {variant for variant in changed if variant not in armed and held.get(variant, Generation()).armed}
    due = {variant: generation_now(before, variant, held, now) for variant in was}
    return Marks(
        off=tuple(sorted(off)),
        armed=tuple(sorted(armed)),
        disarmed=tuple(sorted(disarmed)),
        passed={name: due[name] for name in sorted(due) if due[name] > held.get(name, Generation()).off},
    )


def _taken(before: Flag | None, after: Flag | None, held: Generations, now: int) -> frozenset[str]:
    """Return what is live before the edit and not after it."""
    if before is not None:
        served = live(before, now)
    else:
        # Contract: a variant leaves every shape with `off = 2·armed` or with `armed = 0`; see `marks`.
        served = frozenset(variant for variant, held_of in held.items() if held_of.off < 2 * held_of.armed)
    # The off variant of the document that holds from now on is served on; with the document gone, it was never "on".
    last = before if after is None else after
    spared = None if last is None else last.off_variant
    return served - {spared} - (frozenset() if after is None else live(after, now))


def _window(flag: Flag) -> Window | None:
    """Return when a flag is on, `None` if never."""
    if not flag.enabled or flag.archived:
        return None
    start = None if flag.effective_at is None else from_datetime(flag.effective_at)
    end = None if flag.expires_at is None else from_datetime(flag.expires_at)
    if start is not None and end is not None and start >= end:
        return None
    return Window(start, end)


def _served(flag: Flag) -> Iterator[str]:
    """Yield what a flag serves while it is on, with repetitions."""
    yield from (variant for variant, ids in flag.targets.items() if ids)
    for rule in flag.rules:
        if matches_nobody(rule):
            continue
        yield from _variants(flag.rule_serves(rule))
        if ends_search(flag, rule):
            return
    yield from _variants(flag.otherwise_serves)


def matches_nobody(rule: Rule) -> bool:
    """Return whether nobody can match a rule; only what stands at its top is looked at."""
    return (rule.percent is not None and round(rule.percent * 1000) == 0) or any(map(_impossible, rule.when))


def _impossible(condition: Condition) -> bool:
    if isinstance(condition, AnyOf):
        return not condition.of
    if isinstance(condition, Bucket):
        # With `absent` it holds for whoever has no id, however narrow it is.
        return not condition.absent and all(low >= high for low, high in condition.ranges)
    return False


def ends_search(flag: Flag, rule: Rule) -> bool:
    """Return whether nothing after a rule is reached; a split without `absent`, or with gaps, lets some ids go on."""
    if rule.when or rule.percent is not None:
        return False
    serve = flag.rule_serves(rule)
    if not isinstance(serve, Split):
        return True
    return serve.weights is not None and serve.absent is not None and serve.hash is None


def _variants(serve: str | Split | None) -> Iterator[str]:
    if isinstance(serve, str):
        yield serve
    elif isinstance(serve, Split):
        yield from (variant for variant, weight in serve.weights or () if weight > 0)
        yield from (variant for variant, low, high in serve.ranges or () if low < high)
        if serve.absent is not None:
            yield serve.absent
