"""What LaunchDarkly serves, one variation or shares of ids, as what a rule of ours serves."""

from collections.abc import Iterator, Mapping

from grayflow.admin.moving.launchdarkly.model import Choice, Rollout, Switch
from grayflow.admin.moving.launchdarkly.subjects import BadReferenceError, Subjects, steps_of
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.wording import opposite
from grayflow.core.flag import Condition, Split
from grayflow.core.foreign.launchdarkly import HASH

__all__ = ["WHOLE", "Serving", "bucket_by"]

WHOLE = 100_000
"""What weights add up to."""


def bucket_by(kind: str | None, reference: str | None) -> tuple[str, ...]:
    """Return the steps to what ids are, the key if nothing is said."""
    return steps_of(reference, kind) if reference else ("key",)


class Serving:
    """
    Translates the choices of one flag.

    Args:
        switch: The flag.
        names: The place of a variation -> our name of it.
        subjects: Where contexts are found.
        ledger: For remarks.
    """

    def __init__(self, switch: Switch, names: Mapping[int, str], subjects: Subjects, ledger: Ledger) -> None:
        self._switch, self._names, self._subjects, self._ledger = switch, names, subjects, ledger

    def of(self, choice: Choice, path: str) -> Iterator[tuple[tuple[Condition, ...], str | Split | None]]:
        """Yield what is served, each with what must hold besides; the last answers everybody."""
        if choice.variation is None and choice.rollout is not None and choice.rollout.variations:
            yield from self._shares(choice.rollout, f"{path}.rollout")
        else:
            yield (), self.name(choice.variation, path)

    def name(self, variation: int | None, path: str) -> str | None:
        """Return our name of a variation, `None` if there is none: then the caller's default is the answer."""
        if variation in self._names:
            return self._names[variation]  # type: ignore[index]
        what = "no variation is named" if variation is None else f"there is no variation {variation}"
        self._ledger.changed(path, what, "the caller's default is the answer, as in LaunchDarkly")
        return None

    def _shares(self, rollout: Rollout, path: str) -> Iterator[tuple[tuple[Condition, ...], str | Split | None]]:
        try:
            steps = bucket_by(rollout.context_kind, None if rollout.kind == "experiment" else rollout.bucket_by)
        except BadReferenceError as error:
            self._ledger.left_out(path, str(error), "the caller's default is the answer, as in LaunchDarkly")
            yield (), None
            return
        names = [self.name(one.variation, path) for one in rollout.variations]
        if rollout.kind == "experiment":
            self._ledger.note(
                path, "an experiment reports who took part", "users keep their variations; nothing is reported"
            )
        first = next((name for one, name in zip(rollout.variations, names, strict=True) if one.weight > 0), names[-1])
        if names[0] != first:
            # A missing context counts as below every share, a missing attribute as the lowest of ids.
            yield (opposite(self._subjects.present(rollout.context_kind)),), names[0]
        weights = [(name, one.weight) for one, name in zip(rollout.variations, names, strict=True)]
        yield (), self._split(rollout, steps, weights, first)
        if first is None or any(name is None for name in names):
            yield (), None

    def _split(
        self, rollout: Rollout, steps: tuple[str, ...], weights: list[tuple[str | None, int]], first: str | None
    ) -> Split:
        whole = sum(weight for _, weight in weights) == WHOLE and all(name is not None for name, _ in weights)
        salt = f"{self._switch.key}.{self._switch.salt or ''}" if rollout.seed is None else str(rollout.seed)
        return Split(
            weights=tuple((name or "", weight) for name, weight in weights) if whole else None,
            ranges=None if whole else tuple(_ranges(weights)),
            by=self._subjects.path(rollout.context_kind, steps),
            salt=salt,
            hash=HASH,
            absent=first,
        )


def _ranges(weights: list[tuple[str | None, int]]) -> Iterator[tuple[str, int, int]]:
    """Lay weights end to end; the last takes what is left, and what serves nothing leaves a gap."""
    start = 0
    for place, (name, weight) in enumerate(weights):
        end = WHOLE if place == len(weights) - 1 else min(start + weight, WHOLE)
        if name is not None:
            yield name, start, end
        start = end
