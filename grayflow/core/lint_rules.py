"""What a document says by itself: rules that cannot be reached, tests that never hold, variants that nobody gets."""

from collections.abc import Iterator

from grayflow.core.findings import Finding, error, warning
from grayflow.core.flag import AnyOf, Bucket, By, Condition, During, Flag, FlagIs, Segment, ServeOnFailure, Split
from grayflow.core.liveness import ends_search, matches_nobody
from grayflow.core.validate import all_conditions

__all__ = ["rules", "tests"]


def tests(document: Flag | Segment) -> Iterator[Finding]:
    """Find conditions that are never true, however deep."""
    for path, condition in all_conditions(document):
        if why := _never(condition):
            yield warning(document, "never-true", path, f"{why}: this is never true")
    if isinstance(document, Segment) and document.when is None and not document.include:
        yield warning(document, "empty-segment", "", "without `when` and with an empty `include`, nobody is in it")


def _never(condition: Condition) -> str:
    match condition:
        case AnyOf(of=()):
            return "an `any` of nothing"
        case Bucket(absent=False, ranges=ranges) if all(low >= high for low, high in ranges):
            return "a bucket without width"
        case During(days=()):
            return "a `during` on no day"
        case During(from_=start, until=end) if start is not None and end is not None and start >= end:
            return "a `during` that ends before it starts"
        case FlagIs(off=False, variants=()):
            return "a flag that serves one of no variants"
    return ""


def rules(flag: Flag, *, staged: bool = False) -> Iterator[Finding]:
    """Find what the rules, targets and dates of one flag do not do; `staged`: each variant has its turn."""
    yield from _unreachable(flag)
    yield from _each_rule(flag)
    yield from _never_nested(flag)
    if not staged:
        yield from _unused_variants(flag)
    yield from _targets(flag)
    start, end = flag.effective_at, flag.expires_at
    if start is not None and end is not None and start >= end:
        yield error(flag, "empty-window", "expires_at", "the flag expires before it takes effect: it is never on")
    if flag.on_failure is None and _is_gradual(flag):
        yield warning(
            flag,
            "no-failure-policy",
            "on_failure",
            "a gradual release without `on_failure`: when the store is lost for long, everybody gets the caller's "
            'default at once; "last_known" keeps each user where they are',
        )


def _unreachable(flag: Flag) -> Iterator[Finding]:
    for index, rule in enumerate(flag.rules[:-1]):
        if ends_search(flag, rule):
            for later in range(index + 1, len(flag.rules)):
                message = f"nobody gets here: rules[{index}] has no conditions and answers everybody before"
                yield warning(flag, "unreachable-rule", f"rules[{later}]", message)
            return


def _each_rule(flag: Flag) -> Iterator[Finding]:
    for index, rule in enumerate(flag.rules):
        path = f"rules[{index}]"
        if rule.percent is not None and round(rule.percent * 1000) == 0:
            yield warning(flag, "zero-percent", f"{path}.percent", "a rule at 0 % matches nobody")
        if flag.rule_serves(rule) is None and rule.serve is not None:
            message = "`serve` is left out: whoever matches gets the caller's default; name a variant, or null if meant"
            yield warning(flag, "serve-omitted", f"{path}.serve", message)


def _never_nested(flag: Flag) -> Iterator[Finding]:
    first: dict[str | None, tuple[int, By]] = {}
    for index, rule in enumerate(flag.rules):
        serve = flag.rule_serves(rule)
        if rule.percent is None or isinstance(serve, Split):
            continue
        by = next(each for each in (rule.by, flag.by, "user_id") if each is not None)
        before, its_by = first.setdefault(serve, (index, by))
        if by != its_by:
            message = (
                f"goes by {_shown(by)}, while rules[{before}] goes by {_shown(its_by)}: their percentages do not nest, "
                "so together they reach more users than the larger of the two"
            )
            yield warning(flag, "by-differs", f"rules[{index}].by", message)


def _shown(by: By) -> str:
    if isinstance(by, str):
        return repr(by)
    return "a path" if isinstance(by, tuple) else "the first of several"


def _unused_variants(flag: Flag) -> Iterator[Finding]:
    mentioned = {flag.off_variant, *flag.targets, *_named(flag.otherwise_serves)}
    for rule in flag.rules:
        mentioned |= _named(flag.rule_serves(rule))
    if isinstance(flag.on_failure, ServeOnFailure):
        mentioned.add(flag.on_failure.variant)
    # The two variants that every boolean flag has need no use: nobody wrote them down.
    usual = {"on": True, "off": False}
    for name in flag.variants:
        if name not in mentioned and flag.variants != usual:
            yield warning(flag, "unused-variant", f"variants.{name}", "no target, rule or default serves this variant")


def _named(serve: str | Split | None) -> set[str | None]:
    if not isinstance(serve, Split):
        return {serve}
    by_weight, by_range = serve.weights or (), serve.ranges or ()
    return {serve.absent, *(name for name, _ in by_weight), *(name for name, _, _ in by_range)}


def _targets(flag: Flag) -> Iterator[Finding]:
    off = flag.off_variant
    if off is None or not flag.targets.get(off):
        return
    served = {name for name, ids in flag.targets.items() if ids} | _named(flag.otherwise_serves)
    for rule in flag.rules:
        if not matches_nobody(rule):
            served |= _named(flag.rule_serves(rule))
    if served <= {off, None} and flag.otherwise_serves is not None:
        message = "these ids get the `off` variant, but so does everybody else: the list changes nothing"
        yield warning(flag, "target-off", f"targets.{off}", message)


def _is_gradual(flag: Flag) -> bool:
    return any(rule.percent is not None and 0 < rule.percent < 100 for rule in flag.rules)
