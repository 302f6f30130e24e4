"""The compiler answers as the interpreter does: for any flag set, any context, any instant."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from grayflow.core.codec import encode
from grayflow.core.context import Context, as_context
from grayflow.core.decision import Decision
from grayflow.core.extensions import Extensions, Hash
from grayflow.core.needs import NO_INSTANT, AttributeNeeded, Instant, NowNeeded
from grayflow.core.position import Document
from grayflow.core.reference import Reference
from grayflow.core.snapshot import Builder, Links, Snapshot
from grayflow.testing.strategies import contexts, flag_sets, hostile_contexts, instants

# The heart of the library: thousands of examples where other properties look at hundreds.
pytestmark = pytest.mark.timeout(300)  # thousands of examples, on a machine that may be busy

THOROUGH = settings(max_examples=6 * settings().max_examples)
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


@THOROUGH
@given(flag_sets(), st.one_of(contexts(), hostile_contexts(), st.integers(), st.none()), INSTANTS)
def test_every_decodable_flag_compiles_and_no_evaluation_raises(documents: Any, context: Any, now: Instant) -> None:
    snapshot = build(documents)

    for key, entry in snapshot.flags.items():
        found = snapshot.evaluate(key, context, default=False, now=None if now is NO_INSTANT else now)

        assert entry.fault is None
        assert isinstance(found, Decision)
        assert found.value is not UNSET
