"""
What a search may cost a backtracking engine: the steps of the worst one, counted from above.

Every way to match every part is assumed to be tried, except where the next character decides. Three observations keep
the count close enough to the truth that ordinary patterns pass:

* A repeat that is followed by a character it cannot take has one way to end.
* A part that begins with an f and does not go on with one (`foo`) cannot be half found at neighbouring places, so it
  fails at once at most of them.
* Rounds of a repeat, and tries that read on from different places, share the text among them if none can begin inside
  what another has read.

`tests/core/test_pattern_cost.py` holds the count against an engine that counts its steps.
"""

import msgspec

from grayflow.core.pattern.charset import ALL, NONE, Ranges, merged, overlap
from grayflow.core.pattern.tree import Chars, Choice, Commit, Edge, Node, Repeat, Sequence, alphabet, skippable, width

__all__ = ["LONGEST_SUBJECT", "MOST_STEPS", "steps"]

LONGEST_SUBJECT = 512
"""How many characters of text `re` may be given."""

MOST_STEPS = 5_000_000
"""What a search may cost at worst; a step is a few nanoseconds."""

_ENOUGH = 10**15
_CHAIN = 32
_RIVALS = 32


class _Next(msgspec.Struct, frozen=True):
    """What follows a node."""

    first: Ranges = ALL
    """Where the next character is none of these, it fails."""
    failing: int = 0
    """Steps until it fails there."""
    chain: tuple[Ranges, ...] = ()
    """The sets of single characters that it begins with, as far as they are certain."""

    @property
    def spacing(self) -> int:
        """
        How far apart two places are, at least, where it gets as far as the end of this many characters.

        In `foo` an f must not be o, so `fo` cannot begin at two places in a row.
        """
        if not self.chain:
            return 1
        clear = (bool(overlap(self.chain[0], later)) for later in self.chain[1:])
        return 1 + next((at for at, shared in enumerate(clear) if shared), len(self.chain) - 1)


class _Effort(msgspec.Struct, frozen=True):
    """
    Steps from one place on, all ways tried. Two counts, of which the lower one holds.

    `alone` is the count for one try. `rate` for every character read and `fixed` besides is better where tries that
    follow each other do not read the same characters.
    """

    rate: int
    fixed: int
    alone: int
    ways: int = 1
    """How often at most the matcher gets behind the node."""


def steps(node: Node, room: int = LONGEST_SUBJECT) -> int:
    """Count the steps of the worst search of a pattern through a text of `room` characters, from above."""
    beginning = _before(node, _Next())
    looking = (room + 1) * (2 + beginning.failing)
    if _at_text_start(node):
        return looking + _Count(room).all(node)
    starts = room // beginning.spacing + 1
    rough = looking + starts * _Count(room).all(node)
    if rough <= MOST_STEPS:
        return rough
    # A search that begins in the last quarter has a quarter of the text before it.
    quarters = [room * part // 4 for part in (1, 2, 3, 4)]
    return looking + (starts // 4 + 1) * sum(_Count(room).all(node) for room in quarters)


def _at_text_start(node: Node) -> bool:
    match node:
        case Edge(where="text_start"):
            return True
        case Sequence(items=items):
            return bool(items) and _at_text_start(items[0])
        case Choice(options=options):
            return all(map(_at_text_start, options))
        case _:
            return False


def _before(node: Node, after: _Next) -> _Next:
    """Say how a node and what follows it look from before."""
    match node:
        case Chars(ranges=ranges):
            return _Next(ranges, 1, (ranges, *after.chain[: _CHAIN - 1]))
        case Edge(where="text_end"):
            return _Next(NONE, 1 + after.failing)
        case Edge():
            return _Next(after.first, 1 + after.failing, after.chain)
        case Sequence(items=items):
            for item in reversed(items):
                after = _before(item, after)
            return after
        case Choice(options=options):
            ends = [_before(option, after) for option in options]
            chain = tuple(merged(*sets) for sets in zip(*(end.chain for end in ends), strict=False))
            return _Next(merged(*(end.first for end in ends)), 1 + sum(end.failing for end in ends), chain)
        case Repeat(body=body, least=least, most=most):
            once = _before(body, after)
            first = merged(once.first, after.first) if least == 0 or skippable(body) else once.first
            chain = (body.ranges,) * min(least, _CHAIN) if isinstance(body, Chars) else ()
            if chain and least == most:
                chain = (*chain, *after.chain)[:_CHAIN]
            return _Next(first, 2 + once.failing + after.failing, chain)
        case Commit(gap=gap, tail=tail):
            once = _before(tail, after)
            return _Next(merged(gap, once.first), 2 + once.failing)


class _Count:
    """Counts steps with so many characters of text ahead."""

    def __init__(self, room: int) -> None:
        self.room = room

    def all(self, node: Node, after: _Next | None = None) -> int:
        """All steps from one place on."""
        return self.total(self.effort(node, after or _Next()))

    def total(self, effort: _Effort) -> int:
        return min(_ENOUGH, effort.rate * self.room + effort.fixed, effort.alone)

    def effort(self, node: Node, after: _Next) -> _Effort:
        match node:
            case Chars() | Edge():
                return _Effort(0, 1, 1)
            case Sequence(items=items):
                return self.of_sequence(items, after)
            case Choice(options=options):
                return self.of_choice(options, after)
            case Repeat(body=Chars(ranges=ranges), least=least, most=most):
                times = self.room if most is None else min(most, self.room)
                ends = max(0, times - least) + 1
                if not overlap(ranges, after.first):
                    each = 1 + after.failing if ends > 1 else 1
                    return _Effort(each, 1 + after.failing, times + 1 + ends * after.failing)
                cost = (times + 1) + ends * (1 + after.failing)
                return _Effort(0, cost, cost, (ends - 1) // after.spacing + 1)
            case Repeat():
                return self.of_repeat(node, after)
            case Commit(tail=tail):
                begins = _before(tail, _Next())
                tries = self.room // begins.spacing + 1
                cost = (self.room + 1) * (2 + begins.failing) + tries * self.all(tail)
                return _Effort(0, cost, cost)

    def of_sequence(self, items: tuple[Node, ...], after: _Next) -> _Effort:
        rest = _Effort(0, 0, 0)
        read: list[Ranges] = []
        following: Node | None = None
        for item in reversed(items):
            one = self.effort(item, after)
            if one.ways == 1:
                rest = _Effort(max(rest.rate, one.rate), one.fixed + rest.fixed, one.alone + rest.alone, rest.ways)
                read.append(alphabet(item))
            else:
                # Where the rest begins with a character that it does not go on with, no two tries read the same text.
                apart = isinstance(following, Chars) and not overlap(following.ranges, merged(*read[:-1]))
                tries = one.ways * self.total(rest)
                cost = self.total(one) + (min(tries, rest.rate * self.room + one.ways * rest.fixed) if apart else tries)
                rest, read = _Effort(0, min(cost, _ENOUGH), min(cost, _ENOUGH), min(one.ways * rest.ways, _ENOUGH)), []
            after, following = _before(item, after), item
        return rest

    def of_choice(self, options: tuple[Node, ...], after: _Next) -> _Effort:
        efforts = [self.effort(option, after) for option in options]
        ways, costs = [effort.ways for effort in efforts], [self.total(effort) for effort in efforts]
        begins = [_before(option, after) for option in options]
        if _size_of(merged(*(one.first for one in begins))) == sum(_size_of(one.first) for one in begins):
            # The next character leaves one option; the others fail on it.
            cost = 1 + sum(one.failing for one in begins) + max(costs)
            return _Effort(0, cost, cost, max(ways))
        cost = sum(costs) + len(costs)
        return _Effort(0, cost, cost, max(ways) if _rivals(options) else sum(ways))

    def of_repeat(self, node: Repeat, after: _Next) -> _Effort:
        times = self.room // max(1, width(node.body)[0])
        times = times if node.most is None else min(node.most, times)
        begins = _before(node.body, after)
        again = _Next(merged(begins.first, after.first), begins.failing + after.failing)
        once = self.effort(node.body, again)
        if once.ways > 1 or skippable(node.body):
            return self.of_branching(once, node.least, times)
        # One way through each round: the rounds share the text among them, and only the last one reads it in vain.
        each, decided = 1 + after.failing, not overlap(begins.first, after.first)
        fixed = (times + 1) * (once.fixed + each) + once.rate * self.room
        alone = (times + 1) * (self.total(once) + each)
        return _Effort(once.rate, fixed, alone, 1 if decided else max(0, times - node.least) + 1)

    def of_branching(self, once: _Effort, least: int, times: int) -> _Effort:
        paths, cost, ways = 1, 0, 0
        for done in range(times + 1):
            ways += paths if done >= least else 0
            cost += paths * (self.total(once) + 1)
            paths *= max(2, once.ways)
            if cost > _ENOUGH:
                break
        return _Effort(0, min(cost, _ENOUGH), min(cost, _ENOUGH), min(ways, _ENOUGH))


def _size_of(ranges: Ranges) -> int:
    return sum(high - low + 1 for low, high in ranges)


def _rivals(options: tuple[Node, ...]) -> bool:
    """Whether no two options can match at the same place: at some distance they want different characters."""
    if len(options) > _RIVALS:
        return False
    chains = [_before(option, _Next()).chain for option in options]
    return all(
        any(not overlap(mine, other) for mine, other in zip(one, two, strict=False))
        for at, one in enumerate(chains)
        for two in chains[at + 1 :]
    )
