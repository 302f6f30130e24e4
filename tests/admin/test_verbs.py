"""What the verbs do to a document."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from grayflow.admin import verbs
from grayflow.core.codec import decode_flag, encode
from grayflow.core.flag import Flag, Split
from grayflow.core.ids import id_text
from grayflow.core.snapshot import Snapshot
from grayflow.errors import InvalidFlagError
from grayflow.testing.builders import flag, segment
from grayflow.testing.strategies import flags, segments

PERCENTS = st.integers(0, 100_000).map(lambda slots: slots / 1000)
IDS = st.lists(st.sampled_from(["u-1", "u-2", "42", 42, "", 7]), max_size=4)


def served(one: Flag, user: str = "u-1") -> object:
    return Snapshot.build([one]).evaluate(one.key, {"user_id": user}, now=0).variant


def living(one: Flag) -> Flag:
    return structs.replace(one, archived=False)


# Properties


@given(flags())
def test_each_switch_does_the_same_twice(one: Flag):
    for verb in (verbs.switch_on, verbs.switch_off, verbs.archive):
        once = verb(living(one))

        assert verb(once) == once


@given(flags())
def test_on_after_off_restores_the_document(one: Flag):
    enabled = verbs.switch_on(living(one))

    assert encode(verbs.switch_on(verbs.switch_off(enabled))) == encode(enabled)


@given(flags())
def test_switches_change_nothing_but_enabled(one: Flag):
    for changed in (verbs.switch_on(living(one)), verbs.switch_off(living(one))):
        assert structs.replace(changed, enabled=one.enabled) == living(one)


@given(flags(), IDS, st.data())
def test_an_included_id_is_on_one_list_only(one: Flag, ids: list[str | int], data: st.DataObject):
    variant = data.draw(st.sampled_from(sorted(one.variants)))
    changed = verbs.include(one, variant, ids)
    wanted = set(map(id_text, ids))

    for name, listed in changed.targets.items():
        held = set(map(id_text, listed)) & wanted
        assert held == (wanted if name == variant else set())
    assert decode_flag(encode(changed)) == changed
    assert verbs.include(changed, variant, ids) == changed


@given(flags(), IDS)
def test_an_excluded_id_is_on_no_list_and_the_others_stay(one: Flag, ids: list[str | int]):
    changed = verbs.exclude(one, ids)
    unwanted = set(map(id_text, ids))

    before = {id_text(unit) for listed in one.targets.values() for unit in listed}
    after = {id_text(unit) for listed in changed.targets.values() for unit in listed}
    assert after == before - unwanted
    assert verbs.exclude(changed, ids) == changed


@given(flags(), PERCENTS)
def test_a_percentage_that_is_accepted_is_the_same_twice_and_valid(one: Flag, percent: float):
    try:
        changed = verbs.set_percent(living(one), percent)
    except InvalidFlagError:
        return

    assert changed.enabled
    assert decode_flag(encode(changed)) == changed
    assert verbs.set_percent(changed, percent) == changed


@given(flags(), PERCENTS)
def test_an_added_percentage_is_added_once(one: Flag, percent: float):
    try:
        changed = verbs.set_percent(living(one), percent, add=True)
    except InvalidFlagError:
        return

    assert verbs.set_percent(changed, percent, add=True) == changed


@given(segments(), IDS)
def test_ids_of_a_segment_are_in_or_out_and_never_both(one, ids: list[str | int]):
    wanted = set(map(id_text, ids))
    inside, outside = verbs.include_in_segment(one, ids), verbs.exclude_from_segment(one, ids)

    assert wanted <= set(map(id_text, inside.include)) - set(map(id_text, inside.exclude))
    assert wanted <= set(map(id_text, outside.exclude)) - set(map(id_text, outside.include))
    assert verbs.include_in_segment(inside, ids) == inside


# Percentages


def test_a_percentage_of_a_flag_without_rules_serves_the_rest_off():
    changed = verbs.set_percent(flag("x"), 10)

    assert changed.enabled
    assert [(rule.percent, rule.serve) for rule in changed.rules] == [(10.0, "on")]
    assert changed.otherwise == "off"
    assert {served(changed, f"u-{n}") for n in range(200)} == {"on", "off"}


def test_raising_a_percentage_changes_the_rule_that_is_there():
    changed = verbs.set_percent(verbs.set_percent(flag("x"), 10), 50)

    assert [rule.percent for rule in changed.rules] == [50.0]


def test_a_percentage_releases_a_flag_that_was_switched_off():
    assert verbs.set_percent(verbs.switch_off(verbs.set_percent(flag("x"), 10)), 5).enabled


@pytest.mark.parametrize(("percent", "variant"), [(0, "off"), (100, "on")])
def test_the_ends_of_the_scale_keep_flag_and_rule(percent: float, variant: str):
    changed = verbs.set_percent(flag("x"), percent)

    assert changed.enabled
    assert [rule.percent for rule in changed.rules] == [percent]
    assert served(changed) == variant


def test_the_only_rule_with_a_percentage_is_meant():
    one = flag("x", rules=[{"name": "staff", "when": [{"type": "segment", "key": "s"}]}, {"percent": 10}])

    assert [rule.percent for rule in verbs.set_percent(one, 20).rules] == [None, 20.0]


def test_the_only_rule_for_everybody_is_meant_if_none_has_a_percentage():
    one = flag("x", rules=[{"when": [{"type": "segment", "key": "s"}]}, {"serve": "on"}], otherwise="off")

    assert [rule.percent for rule in verbs.set_percent(one, 20).rules] == [None, 20.0]


def test_the_rest_is_not_served_the_same_variant():
    """`{"percent": 10}` on a flag whose `otherwise` is `on` serves `on` to everybody."""
    one = flag("x", rules=[{"percent": 10}])

    assert verbs.set_percent(one, 20).otherwise == "off"


def test_the_rest_keeps_another_variant():
    one = flag("x", kind="string", variants={"old": "bm25", "new": "neural"}, otherwise="old")
    changed = verbs.set_percent(one, 20, "new")

    assert (changed.otherwise, changed.rules[0].serve) == ("old", "new")


def test_the_percentage_of_some_leaves_the_others_as_they_are():
    one = flag("x", rules=[{"when": [{"type": "segment", "key": "s"}], "percent": 10}])

    assert verbs.set_percent(one, 20).otherwise == one.otherwise


def test_a_rule_is_named_by_name_or_index():
    one = flag("x", rules=[{"name": "a", "percent": 1}, {"name": "b", "percent": 1}, {"name": "2"}, {"name": "c"}])

    for rule, index in (("b", 1), (0, 0), ("0", 0), ("2", 2), (3, 3)):
        changed = verbs.set_percent(one, 30, rule=rule)
        assert [i for i, rule in enumerate(changed.rules) if rule.percent == 30] == [index]


def test_a_rule_can_be_added_for_everybody():
    one = flag("x", rules=[{"name": "staff", "when": [{"type": "segment", "key": "s"}]}], otherwise="off")
    changed = verbs.set_percent(one, 20, add=True)

    assert [rule.percent for rule in changed.rules] == [None, 20.0]
    assert changed.rules[0] == one.rules[0]


TWO = [{"name": "a", "percent": 1}, {"name": "b", "percent": 2.5, "serve": "off"}]


@pytest.mark.parametrize(
    ("one", "arguments", "words"),
    [
        (flag("x", rules=TWO), {}, ["several rules have a percentage", "rule 0 'a': 1 % of", "rule 1 'b': 2.5 % of"]),
        (
            flag("x", rules=[{"name": "s", "when": [{"type": "all", "of": []}]}]),
            {},
            ["no rule has a percentage", "'s'"],
        ),
        (flag("x", rules=TWO), {"rule": "c"}, ["no rule is called 'c'", "rule 0 'a'"]),
        (flag("x", rules=TWO), {"rule": 2}, ["no rule is called 2"]),
        (flag("x", rules=[TWO[0], TWO[0]]), {"rule": "a"}, ["more than one rule is called 'a'"]),
        (flag("x", rules=TWO), {"rule": "b", "variant": "on"}, ["serves 'off', not 'on'"]),
        (flag("x"), {"variant": "onn"}, ["no variant 'onn'", "'on', 'off'"]),
        (flag("x", kind="integer", variants={"a": 1, "b": 2, "c": 3}), {}, ["say which variant", "'a', 'b', 'c'"]),
        (flag("x", archived=True), {}, ["archived"]),
        (flag("x", off="on"), {"variant": "on"}, ["both serve 'on'"]),
        (flag("x", rules=[{"serve": "on"}]), {"add": True}, ["answers for everybody"]),
    ],
)
def test_what_could_mean_two_things_is_refused_with_the_choices(one: Flag, arguments: dict, words: list[str]):
    with pytest.raises(InvalidFlagError) as caught:
        verbs.set_percent(one, 10, **arguments)

    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("percent", [-1, 100.5, float("nan"), float("inf"), True, "10", None])
def test_what_is_no_percentage_is_refused(percent):
    with pytest.raises(InvalidFlagError, match="no percentage"):
        verbs.set_percent(flag("x"), percent)


# Lists


def test_including_moves_an_id_between_variants():
    one = flag("x", targets={"on": ["u-1", "42"], "off": ["u-2"]})
    changed = verbs.include(one, "off", [42, "u-2", "u-3"])

    assert changed.targets == {"on": ("u-1",), "off": ("u-2", 42, "u-3")}


def test_a_list_that_is_emptied_is_dropped():
    assert verbs.include(flag("x", targets={"on": ["u-1"]}), "off", "u-1").targets == {"off": ("u-1",)}
    assert verbs.exclude(flag("x", targets={"on": ["u-1"]}), "u-1").targets == {}


def test_one_id_may_be_given_without_a_list():
    assert verbs.include(flag("x"), "on", "u-17").targets == {"on": ("u-17",)}


def test_excluding_from_one_variant_leaves_the_other_lists():
    one = flag("x", targets={"on": ["u-1"], "off": ["u-2"]})

    assert verbs.exclude(one, ["u-1", "u-2"], "on").targets == {"off": ("u-2",)}


@pytest.mark.parametrize("unit", [True, 1.5, None, "\ud800"])
def test_what_cannot_be_an_id_is_refused(unit):
    for verb in (
        lambda: verbs.include(flag("x"), "on", [unit]),
        lambda: verbs.exclude(flag("x"), [unit]),
        lambda: verbs.include_in_segment(segment("s"), [unit]),
    ):
        with pytest.raises(InvalidFlagError, match="cannot be an id"):
            verb()


def test_lists_of_variants_that_do_not_exist_are_refused():
    for verb in (lambda: verbs.include(flag("x"), "onn", "u"), lambda: verbs.exclude(flag("x"), "u", "onn")):
        with pytest.raises(InvalidFlagError, match="no variant 'onn'"):
            verb()


def test_a_split_is_said_in_the_list_of_rules():
    one = flag("x", rules=[{"percent": 5, "serve": {"weights": [["on", 30_000], ["off", 70_000]]}}, {"percent": 1}])

    assert isinstance(one.rules[0].serve, Split)
    with pytest.raises(InvalidFlagError, match=r"a split \(30 % 'on', 70 % 'off'\)"):
        verbs.set_percent(one, 3)
