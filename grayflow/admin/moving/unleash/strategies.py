"""Unleash's activation strategies as conditions, and its shares as buckets and splits."""

from collections.abc import Callable, Mapping, Sequence

from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.unleash.constraints import Constraints
from grayflow.admin.moving.unleash.model import Strategy, Variant
from grayflow.admin.moving.wording import ALWAYS, NEVER, attribute, flat, without_bad
from grayflow.core.flag import Bucket, By, Condition, First, Path, SegmentIs, Split
from grayflow.core.foreign import unleash

__all__ = ["Strategies"]


class Strategies:
    """
    Translates the strategies of features.

    Args:
        attributes: Where context fields are found.
        segments: Unleash's id of a segment -> our key, `None` if the export does not hold what is in it.
        ledger: For remarks.
    """

    def __init__(self, attributes: Attributes, segments: Mapping[int, str | None], ledger: Ledger) -> None:
        self._attributes, self._segments, self._ledger = attributes, segments, ledger
        self._constraints = Constraints(attributes, ledger)

    def conditions(self, strategy: Strategy, feature: str, path: str) -> tuple[Condition, ...]:
        """Return what must hold for a strategy to match; `NEVER` for one that cannot be translated."""
        found = [
            self._constraints.condition(constraint, f"{path}.constraints[{place}]")
            for place, constraint in enumerate(strategy.constraints or ())
        ]
        found += [self._segment(one, f"{path}.segments[{place}]") for place, one in enumerate(strategy.segments or ())]
        return flat([*found, self._own(strategy, feature, path)])

    def _segment(self, identity: int, path: str) -> Condition:
        key = self._segments.get(identity)
        if key is not None:
            return SegmentIs(key=key)
        why = f"the export does not say what segment {identity} holds"
        remedy = "the strategy never matches. Put the answer of /api/admin/segments into the export as `segments`"
        self._ledger.left_out(path, why, remedy)
        return NEVER

    def _own(self, strategy: Strategy, feature: str, path: str) -> Condition:
        """Return what the strategy itself asks for, besides constraints and segments."""
        given = {name: str(value) for name, value in (strategy.parameters or {}).items() if value is not None}
        asks: dict[str, Callable[[], Condition]] = {
            "default": lambda: ALWAYS,
            "userWithId": lambda: self._listed("userId", "in", given.get("userIds"), path),
            "remoteAddress": lambda: self._listed("remoteAddress", "cidr", given.get("IPs"), path),
            "applicationHostname": lambda: self._hostname(given.get("hostNames", ""), path),
            "flexibleRollout": lambda: self._share(
                given.get("rollout"), self.by(given.get("stickiness"), path), given.get("groupId", feature), path
            ),
            "gradualRolloutUserId": lambda: self._share(
                given.get("percentage"), self.path("userId"), given.get("groupId"), path
            ),
            "gradualRolloutSessionId": lambda: self._share(
                given.get("percentage"), self.path("sessionId"), given.get("groupId"), path
            ),
            "gradualRolloutRandom": lambda: self._share(
                given.get("percentage"), self.by("random", path), given.get("groupId", feature), path
            ),
        }
        if strategy.name in asks:
            return asks[strategy.name]()
        self._ledger.left_out(path, f"{strategy.name!r} is a strategy of your own", "it never matches")
        return NEVER

    def _listed(self, field: str, op: str, texts: str | None, path: str) -> Condition:
        if texts is None:
            self._ledger.left_out(path, "the strategy lists nobody", "it never matches, as in Unleash")
            return NEVER
        options = {"coerce": "text"} if op == "in" else {}
        written = attribute(self.path(field), op, *map(str.strip, texts.split(",")), **options)
        found, why = without_bad(written)
        for message in why:
            self._ledger.left_out(path, message, "it is not on the list")
        return NEVER if found is None else found

    def _hostname(self, texts: str, path: str) -> Condition:
        self._ledger.changed(
            path,
            "Unleash's client asks its machine for the host name; grayflow's contexts hold none",
            "it is compared with an attribute `hostname`, which your contexts must have",
        )
        return attribute("hostname", "in", *map(str.strip, texts.split(",")), fold=True)

    def path(self, field: str) -> Path:
        """Return where a context field is found."""
        return self._attributes.path(field)

    # Shares

    def by(self, stickiness: str | None, path: str) -> By:
        """Return what a share goes by."""
        if stickiness == "random":
            self._ledger.changed(
                path,
                "`random` draws lots at every request",
                "the share is the same, but every id (userId, else sessionId) keeps its side",
            )
        if stickiness in {None, "", "default", "random"}:
            return First(first=(self.path("userId"), self.path("sessionId")))
        return self.path(stickiness or "")

    def _share(self, percentage: str | None, by: By, group: str | None, path: str) -> Condition:
        if percentage is None or not percentage.isdecimal() or group is None:
            self._ledger.left_out(path, "the strategy has no usable percentage or group", "it never matches")
            return NEVER
        share = min(int(percentage), 100)
        if share == 0:
            return NEVER
        if isinstance(by, First):
            if share == 100:
                return ALWAYS
            self._nobody()
        return Bucket(ranges=((0, share),), by=by, salt=group, hash=unleash.ROLLOUT)

    def _nobody(self) -> None:
        self._ledger.note(
            "",
            "Unleash draws lots for requests with neither userId nor sessionId",
            "they are outside of shares, and get the first of several variants",
        )

    def split(self, variants: Sequence[Variant], group: str, by: By, names: Mapping[int, str]) -> str | Split | None:
        """
        Return what shares ids among variants, `None` if none of them has any weight.

        Args:
            variants: In their order.
            group: What ids are hashed with.
            by: What ids are.
            names: Place of a variant -> our name of it.
        """
        weighty = [place for place, one in enumerate(variants) if one.weight > 0]
        if len(weighty) < 2:
            return names[weighty[0]] if weighty else None
        self._nobody()
        total = sum(variants[place].weight for place in weighty)
        return Split(
            weights=tuple((names[place], variants[place].weight) for place in weighty),
            by=by,
            salt=group,
            hash=unleash.variants(total),
            absent=names[weighty[0]],
        )
