"""The work: who asks, what is decided, and how an answer is checked. Standard library only: every peer imports it."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["BOOLEANS", "COUNTRIES", "LISTED", "MODELS", "PLANS", "SHARES", "USERS", "WORKS", "Work", "WrongAnswerError"]

USERS = tuple(f"user-{number}" for number in range(10_000))
LISTED = tuple(f"user-{number}" for number in range(0, 20_000, 2))
"""The long list: 10,000 ids, half of the users among them."""
COUNTRIES, PLANS = ("DE", "FR"), ("pro", "team")
MODELS: Mapping[str, Any] = {name: {"model": name, "limits": [1, 2, 3], "weights": {"a": 0.1}} for name in "abcd"}
"""The values of the JSON flag, a quarter of the users each."""
SHARES = 0.02
"""How far a share may be from what was asked for; 10,000 users put four standard deviations there."""

Stranger = Mapping[str, Any]
"""Another country, plan or age than that of the users, who are all `DE`, `pro` and 34."""


class WrongAnswerError(AssertionError):
    """A peer does not do the work; its figures would mean nothing."""


class Work(NamedTuple):
    """One kind of decision, how the answers of all users are checked, and who must be refused."""

    title: str
    check: Callable[[Sequence[Any]], None]
    refused: tuple[Stranger, ...] = ()
    users: int = 10_000
    """How many answers are checked: some peers take five milliseconds for one."""


def _all(wanted: object) -> Callable[[Sequence[Any]], None]:
    def check(answers: Sequence[Any]) -> None:
        _expect(all(answer is wanted for answer in answers), f"{wanted!r} for everybody", answers)

    return check


def _half(answers: Sequence[Any]) -> None:
    _expect({type(answer) for answer in answers} == {bool}, "booleans", answers)
    _expect(abs(sum(answers) / len(answers) - 0.5) < SHARES, "True for half of the users", answers)


def _listed(answers: Sequence[Any]) -> None:
    listed = frozenset(LISTED)
    _expect(list(answers) == [user in listed for user in USERS[: len(answers)]], "True for those listed", answers)


def _models(answers: Sequence[Any]) -> None:
    counts = Counter(json.dumps(answer, sort_keys=True) for answer in answers)
    _expect(counts.keys() == {json.dumps(value, sort_keys=True) for value in MODELS.values()}, "the models", answers)
    _expect(all(abs(count / len(answers) - 0.25) < SHARES for count in counts.values()), "a quarter each", answers)


def _expect(truth: bool, what: str, answers: Sequence[Any]) -> None:  # noqa: FBT001 - as assert
    if not truth:
        raise WrongAnswerError(f"{what} was expected, and not {list(answers[:5])!r}...")


WORKS: Mapping[str, Work] = {
    "plain": Work("plain on", _all(True)),
    "unknown": Work("unknown flag", _all(False)),
    "half": Work("50 % rollout", _half),
    "three": Work("3 conditions + rollout", _half, ({"country": "US"}, {"plan": "free"}, {"age": 17})),
    "list": Work("10,000-id list", _listed, users=1_000),
    "twenty": Work("20 rules, last matches", _all(True), ({"country": "X3"}, {"country": "US"})),
    "json": Work("JSON variant of 4", _models),
}
BOOLEANS = tuple(work for work in WORKS if work != "json")
"""Those whose answer is yes or no."""
