"""The compiler answers as the interpreter does: for any flag set, any context, any instant."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from grayflow.core.codec import encode
from grayflow.core.context import Context, as_context
from grayflow.core.decision import Decision
from grayflow.core.extensions import Extensions, Hash
from grayflow.core.flag import All, AnyOf, Attribute, Condition, Flag, Rule, Split
from grayflow.core.needs import NO_INSTANT, AttributeNeeded, Instant, NowNeeded
from grayflow.core.position import Document
from grayflow.core.reference import Reference
from grayflow.core.snapshot import Builder, Links, Snapshot
from grayflow.testing.strategies import contexts, flag_sets, hostile_contexts, instants

# The heart of the library: thousands of examples where other properties look at hundreds.
pytestmark = pytest.mark.timeout(300)  # thousands of examples, on a machine that may be busy

THOROUGH = settings(max_examples=6 * settings().max_examples)
LESS = settings(max_examples=2 * settings().max_examples)
INSTANTS = st.just(NO_INSTANT) | instants()
EXTENSIONS = Extensions(
    hashes={"foreign": Hash(1000, lambda salt, unit: len(salt) * 31 + len(unit) * 97)},
    operators={"foreign": lambda value, values: value in values if isinstance(value, str) else None},
)
RESOLVABLE = st.frozensets(st.sampled_from(["plan", "role", "country", "user_id", "company"]))


def outcome(decide: Any) -> Any:
    """Return what came of it, in a form that compares."""
    try:
        return decide()
    except (AttributeNeeded, NowNeeded) as need:
        return type(need), need.args
    except Exception as error:  # noqa: BLE001 - a hostile value raised; both must let it through alike
        return type(error)


def both(snapshot: Snapshot, key: str, context: Any, now: Instant, resolved: dict[str, Any] | None) -> tuple[Any, Any]:
    compiled = snapshot.compiled(key)
    assert compiled is not None
    links = Links(snapshot, resolved) if compiled.linked else None
    return (
        outcome(lambda: compiled.evaluate(context, now if compiled.timed else NO_INSTANT, links)),
        outcome(lambda: Reference(snapshot, context, now, resolved).decide(key)),
    )


def build(documents: Any, resolvable: frozenset[str] = frozenset()) -> Snapshot:
    flags, segments = documents
    builder = Builder(extensions=EXTENSIONS, resolvable=resolvable)
    for segment in segments:
        builder.add_segment(segment.key, Document(1, encode(segment)))
    for flag in flags:
        builder.add_flag(flag.key, Document(1, encode(flag)))
    return builder.build(None)


@THOROUGH
@given(flag_sets(), contexts(), INSTANTS)
def test_compiled_equals_reference(documents: Any, context: Any, now: Instant) -> None:
    snapshot = build(documents)
    context = as_context(context, Context)

    for key in snapshot.flags:
        compiled, reference = both(snapshot, key, context, now, None)

        assert compiled == reference


@THOROUGH
@given(flag_sets(), hostile_contexts(), INSTANTS)
def test_compiled_equals_reference_for_hostile_contexts(documents: Any, context: Any, now: Instant) -> None:
    snapshot = build(documents)
    context = outcome(lambda: as_context(context, snapshot.context_type))
    assume(isinstance(context, Context))  # what is no context at all is the last test's business

    for key in snapshot.flags:
        compiled, reference = both(snapshot, key, context, now, None)

        assert compiled == reference


@THOROUGH
@given(flag_sets(), contexts(), INSTANTS, RESOLVABLE, st.dictionaries(st.sampled_from(["plan", "role"]), st.text()))
def test_compiled_equals_reference_where_attributes_are_fetched(
    documents: Any, context: Any, now: Instant, resolvable: frozenset[str], resolved: dict[str, Any]
) -> None:
    snapshot = build(documents, resolvable)
    context = as_context(context, Context)

    for key in snapshot.flags:
        compiled, reference = both(snapshot, key, context, now, resolved)

        assert compiled == reference


LOOKED_UP = st.sampled_from(["DE", "FR", "", "1", "u-1", 1, 2, 1.0, 0.5, 42, True, False, None, ["DE"], {"a": 1}])
LOOK_UPS = st.builds(
    Attribute,
    name=st.sampled_from([*["country"] * 18, "plan", ("address", "country")]),
    op=st.sampled_from(["in", "in", "in", "equals"]),
    values=st.lists(LOOKED_UP, max_size=4).map(tuple),
    absent=st.sampled_from([False, False, False, True]),
    unreadable=st.sampled_from([False, False, False, True]),
    coerce=st.sampled_from([*[None] * 9, "text"]),
    negate=st.sampled_from([*[False] * 19, True]),
)
HALF_AND_HALF = Split(weights=(("on", 50_000), ("off", 50_000)))
LOOKING_UP = st.builds(
    Rule,
    when=LOOK_UPS.map(lambda one: (one,)),
    percent=st.sampled_from([*[None] * 9, 50]),
    serve=st.sampled_from(["on", "on", "on", "off", "off", "off", None, UNSET, HALF_AND_HALF]),
)
LOOKERS = st.builds(
    Flag,
    key=st.just("f"),
    enabled=st.just(True),
    otherwise=st.none(),
    rules=st.lists(LOOKING_UP, min_size=4, max_size=12).map(tuple),
)
ATTRIBUTES = LOOKED_UP | st.lists(LOOKED_UP, max_size=2)
LOOKED_AT = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["u-1", "u-2", None]),
        "country": ATTRIBUTES,
        "plan": ATTRIBUTES,
        "address": st.just({"country": 1}),
    }
)


@LESS
@given(LOOKERS, LOOKED_AT)
def test_rules_that_look_the_same_attribute_up_answer_in_their_order(flag: Flag, context: Any) -> None:
    snapshot = build(([flag], []))

    compiled, reference = both(snapshot, "f", as_context(context, Context), NO_INSTANT, None)

    assert compiled == reference


@LESS
@given(LOOKERS, hostile_contexts())
def test_rules_that_look_the_same_attribute_up_bear_hostile_contexts(flag: Flag, context: Any) -> None:
    snapshot = build(([flag], []))
    context = outcome(lambda: as_context(context, snapshot.context_type))
    assume(isinstance(context, Context))

    compiled, reference = both(snapshot, "f", context, NO_INSTANT, None)

    assert compiled == reference


def lengthened(documents: Any) -> Any:
    """Make each document too large to be compiled in one piece, and leave what it means as it is."""
    flags, segments = documents
    never: tuple[Condition, ...] = (AnyOf(of=()),) * 101
    flags = [replace(flag, rules=(*flag.rules, Rule(when=never, serve=None))) for flag in flags]
    segments = [
        replace(segment, when=None if segment.when is None else (*segment.when, AnyOf(of=(*never, All(of=())))))
        for segment in segments
    ]
    return flags, segments


@LESS
@given(flag_sets(), st.one_of(contexts(), hostile_contexts()), INSTANTS, RESOLVABLE)
def test_large_documents_answer_as_small_ones(
    documents: Any, context: Any, now: Instant, resolvable: frozenset[str]
) -> None:
    snapshot = build(lengthened(documents), resolvable)
    context = outcome(lambda: as_context(context, snapshot.context_type))
    assume(isinstance(context, Context))

    for key in snapshot.flags:
        compiled, reference = both(snapshot, key, context, now, {"plan": "pro"})

        assert compiled == reference


@THOROUGH
@given(flag_sets(), st.one_of(contexts(), hostile_contexts(), st.integers(), st.none()), INSTANTS)
def test_every_decodable_flag_compiles_and_no_evaluation_raises(documents: Any, context: Any, now: Instant) -> None:
    snapshot = build(documents)

    for key, entry in snapshot.flags.items():
        found = snapshot.evaluate(key, context, default=False, now=None if now is NO_INSTANT else now)

        assert entry.fault is None
        assert isinstance(found, Decision)
        assert found.value is not UNSET
