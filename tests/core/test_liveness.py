"""What is live, and the law of generations: they rise when a variant is switched off, and at no other time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from grayflow.core.calendar import from_datetime
from grayflow.core.flag import All, AnyOf, Bucket, Flag, FlagIs, Rule, SegmentIs, Split
from grayflow.core.generations import Generation, Marks
from grayflow.core.liveness import Window, boundary, generation_now, live, marks, shape

START = datetime(2027, 1, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def at(number: int) -> int:
    return from_datetime(day(number))


def on(**fields) -> Flag:
    """An enabled flag of text whose `off` variant is `old`."""
    given = {"kind": "string", "variants": {"old": "o", "new": "n", "next": "x"}, "off": "old", "otherwise": None}
    return Flag(key="f", enabled=True, **{**given, **fields})


def half_and_half() -> Split:
    return Split(weights=(("new", 50_000), ("next", 50_000)))


class TestLive:
    def test_a_disabled_flag_has_nothing_live(self):
        assert live(Flag(key="f"), at(0)) == frozenset()

    def test_an_archived_flag_has_nothing_live(self):
        assert live(Flag(key="f", enabled=True, archived=True), at(0)) == frozenset()

    def test_otherwise_of_a_plain_boolean_flag_is_live(self):
        assert live(Flag(key="f", enabled=True), at(0)) == {"on"}

    @pytest.mark.parametrize(("when", "expected"), [(-1, set()), (0, {"new"}), (6, {"new"}), (7, set())])
    def test_a_window_holds_its_start_and_not_its_end(self, when, expected):
        flag = on(otherwise="new", effective_at=day(0), expires_at=day(7))

        assert live(flag, at(when)) == expected

    def test_a_target_list_makes_its_variant_live_and_an_empty_one_does_not(self):
        assert live(on(targets={"new": ("u-1",), "next": ()}), at(0)) == {"new"}

    def test_weights_of_zero_and_ranges_without_width_serve_nobody(self):
        weights = Split(weights=(("new", 0), ("old", 100_000)))
        ranges = Split(ranges=(("new", 5, 5), ("next", 5, 6)))

        assert live(on(otherwise=weights), at(0)) == {"old"}
        assert live(on(rules=(Rule(serve=ranges),)), at(0)) == {"next"}

    def test_what_a_split_serves_to_absent_ids_is_live(self):
        assert "next" in live(on(otherwise=Split(weights=(("new", 100_000),), absent="next")), at(0))

    @pytest.mark.parametrize(
        "dead",
        [
            Rule(percent=0.0, serve="new"),
            Rule(when=(AnyOf(of=()),), serve="new"),
            Rule(when=(SegmentIs(key="s"), Bucket(ranges=())), serve="new"),
            Rule(when=(Bucket(ranges=((7, 7),)),), serve="new"),
        ],
    )
    def test_a_rule_that_nobody_can_match_serves_nothing(self, dead):
        assert live(on(rules=(dead,), otherwise="next"), at(0)) == {"next"}

    @pytest.mark.parametrize(
        "possible",
        [
            Rule(percent=0.001, serve="new"),
            Rule(when=(FlagIs(key="gone", variants=()),), serve="new"),
            Rule(when=(SegmentIs(key="missing"),), serve="new"),
            Rule(when=(Bucket(ranges=(), absent=True),), serve="new"),
            Rule(when=(All(of=(AnyOf(of=()),)),), serve="new"),
        ],
    )
    def test_what_is_not_plainly_impossible_counts_as_possible(self, possible):
        assert "new" in live(on(rules=(possible,)), at(0))

    @pytest.mark.parametrize("serve", ["old", None, Split(weights=(("old", 100_000),), absent="old")])
    def test_nothing_after_an_unconditional_rule_is_live(self, serve):
        flag = on(rules=(Rule(serve=serve), Rule(serve="new")), otherwise="next")

        assert live(flag, at(0)) <= {"old"}

    @pytest.mark.parametrize(
        "passing",
        [
            Rule(percent=100.0, serve="old"),
            Rule(serve=Split(weights=(("old", 100_000),))),
            Rule(serve=Split(ranges=(("old", 0, 50_000),), absent="old")),
            Rule(serve=Split(weights=(("old", 7),), absent="old", hash="foreign")),
            Rule(when=(SegmentIs(key="s"),), serve="old"),
        ],
    )
    def test_a_rule_that_some_ids_pass_does_not_hide_what_follows(self, passing):
        assert "new" in live(on(rules=(passing,), otherwise="new"), at(0))

    def test_requirements_and_the_failure_policy_do_not_count(self):
        flag = Flag(key="f", enabled=True, requires=(AnyOf(of=()),), otherwise="off")

        assert live(flag, at(0)) == {"off"}


class TestBoundary:
    def test_start_then_end_then_nothing(self):
        flag = on(otherwise="new", effective_at=day(1), expires_at=day(2))

        assert boundary(flag, at(0)) == at(1)
        assert boundary(flag, at(1)) == at(2)
        assert boundary(flag, at(2)) is None

    @pytest.mark.parametrize(
        "flag",
        [
            on(otherwise="new"),
            on(effective_at=day(1)),
            on(otherwise="new", effective_at=day(2), expires_at=day(1)),
            on(otherwise="new", effective_at=day(2), expires_at=day(2)),
            Flag(key="f", effective_at=day(1)),
        ],
    )
    def test_none_where_the_clock_decides_nothing(self, flag):
        assert boundary(flag, at(0)) is None


class TestShape:
    def test_it_leaves_out_the_off_variant_and_whatever_cannot_be_served(self):
        flag = on(otherwise="old", rules=(Rule(percent=10.0, serve="new"),), expires_at=day(3))

        assert shape(flag) == {"new": Window(None, at(3))}

    def test_no_document_has_no_shape(self):
        assert shape(None) == {}


class TestMarks:
    def test_creating_a_flag_arms_what_it_can_serve(self):
        assert marks(None, on(otherwise="new"), {}, at(0)) == Marks(armed=("new",))

    def test_disabling_switches_off_everything_but_the_off_variant(self):
        before = on(otherwise="old", rules=(Rule(percent=50.0, serve=half_and_half()),))
        after = Flag(**{**{f: getattr(before, f) for f in before.__struct_fields__}, "enabled": False})

        assert marks(before, after, {}, at(0)).off == ("new", "next")

    def test_an_edit_that_changes_neither_whether_nor_when_leaves_all_alone(self):
        before = on(otherwise="new", rules=(Rule(percent=10.0, serve="next"),))
        after = on(otherwise="new", rules=(Rule(percent=90.0, serve="next"),), owner="me", salt="other")

        assert marks(before, after, {"new": Generation(off=4, armed=3)}, at(0)) == Marks()

    def test_a_changed_window_arms_without_switching_off(self):
        before, after = on(otherwise="new"), on(otherwise="new", expires_at=day(9))

        assert marks(before, after, {"new": Generation(armed=1)}, at(0)) == Marks(armed=("new",))

    def test_moving_the_start_into_the_future_is_a_switch_off_that_is_armed_again(self):
        before, after = on(otherwise="new"), on(otherwise="new", effective_at=day(1))

        assert marks(before, after, {"new": Generation(armed=1)}, at(0)) == Marks(off=("new",), armed=("new",))

    def test_a_variant_that_leaves_the_document_is_switched_off(self):
        before = on(otherwise=half_and_half())
        after = on(otherwise="new", variants={"old": "o", "new": "n"})

        assert marks(before, after, {}, at(0)).off == ("next",)

    def test_what_was_the_off_variant_and_is_served_no_more_is_switched_off(self):
        before, after = on(otherwise="old"), on(off="new", otherwise="new")

        assert marks(before, after, {}, at(0)).off == ("old",)

    def test_what_becomes_the_off_variant_is_not(self):
        before, after = on(otherwise="new"), on(off="new", otherwise="next")

        assert marks(before, after, {"new": Generation(armed=1)}, at(0)).off == ()

    def test_deleting_spares_the_off_variant(self):
        before = on(otherwise="old", targets={"new": ("u-1",)})

        assert marks(before, None, {}, at(0)).off == ("new",)

    def test_an_expiry_that_nobody_recorded_is_recorded_by_the_next_edit(self):
        flag = on(otherwise="new", expires_at=day(1))

        planned = marks(flag, on(otherwise="new", expires_at=day(1), owner="me"), {"new": Generation(armed=5)}, at(2))

        assert planned == Marks(passed={"new": 11})

    def test_an_expiry_is_recorded_once(self):
        flag = on(otherwise="new", expires_at=day(1))

        assert marks(flag, None, {"new": Generation(off=11, armed=5)}, at(2)).passed == {}

    def test_a_window_that_was_over_when_it_was_written_switches_nothing_off(self):
        past = on(otherwise="new", expires_at=day(1))
        held = marks(Flag(key="f"), past, {}, at(2)).apply({}, 7)

        assert generation_now(past, "new", held, at(3)) == 0

    def test_an_old_arming_does_not_come_back_with_a_window_that_is_over(self):
        planned, disabled = on(otherwise="new", effective_at=day(5), expires_at=day(9)), Flag(key="f")
        held = marks(None, planned, {}, at(0)).apply({}, 1)
        held = marks(planned, disabled, held, at(1)).apply(held, 2)
        past = on(otherwise="new", expires_at=day(9))
        held = marks(disabled, past, held, at(20)).apply(held, 3)

        assert generation_now(past, "new", held, at(21)) == 0

    def test_overwriting_an_unreadable_document_switches_off_what_it_may_have_served(self):
        held = {"new": Generation(off=2, armed=3), "next": Generation(off=8, armed=4), "old": Generation(off=6)}

        assert marks(None, Flag(key="f"), held, at(0)).off == ("new",)
        assert marks(None, on(otherwise="new"), held, at(0)).off == ()


class TestGenerationNow:
    def test_expiry_is_the_odd_number_after_armed(self):
        flag, held = on(otherwise="new", expires_at=day(1)), {"new": Generation(off=2, armed=3)}

        assert generation_now(flag, "new", held, at(1) - 1) == 2
        assert generation_now(flag, "new", held, at(1)) == 7

    def test_a_deleted_flag_keeps_its_stored_generation(self):
        assert generation_now(None, "new", {"new": Generation(off=6, armed=3)}, at(1)) == 6

    def test_the_clock_never_switches_the_off_variant_off(self):
        flag = on(otherwise="old", expires_at=day(1))

        assert generation_now(flag, "old", {"old": Generation(armed=3)}, at(2)) == 0


class TestApply:
    def test_every_mark_moves_its_own_number(self):
        planned = Marks(off=("a",), armed=("b",), disarmed=("c",), passed={"d": 9, "e": 1})
        held = {name: Generation(off=3, armed=2) for name in "abcdef"}

        assert planned.apply(held, 10) == {
            "a": Generation(off=20, armed=2),
            "b": Generation(off=3, armed=10),
            "c": Generation(off=3, armed=0),
            "d": Generation(off=9, armed=2),
            "e": Generation(off=3, armed=2),
            "f": Generation(off=3, armed=2),
        }


NAMES = ("old", "new", "next")
days = st.one_of(st.none(), st.integers(0, 40).map(day))
serves = st.one_of(st.sampled_from((*NAMES, None)), st.permutations(NAMES).map(lambda names: _split(*names)))


def _split(none: str, some: str, most: str) -> Split:
    return Split(weights=((none, 0), (some, 1), (most, 99_999)))


documents = st.builds(
    lambda **fields: Flag(key="f", kind="string", variants=dict.fromkeys(NAMES, "v"), **fields),
    enabled=st.sampled_from([True, True, True, False]),
    archived=st.sampled_from([False, False, False, True]),
    off=st.sampled_from([*NAMES, None]),
    otherwise=serves,
    targets=st.dictionaries(st.sampled_from(NAMES), st.sampled_from([(), ("u-1",)]), max_size=1),
    rules=st.lists(
        st.builds(Rule, percent=st.sampled_from([None, 0.0, 10.0]), serve=serves),
        max_size=2,
    ).map(tuple),
    effective_at=days,
    expires_at=days,
    owner=st.sampled_from([None, "me"]),
)


class Switches(RuleBasedStateMachine):
    """One flag, edited and left to the clock, beside a plain account of what was live when."""

    @initialize(begin=st.integers(0, 30))
    def start(self, begin: int) -> None:
        self.now, self.revision = at(begin), 0
        self.document: Flag | None = None
        self.held: dict[str, Generation] = {}
        self.seen = dict.fromkeys(NAMES, 0)
        self.expected: frozenset[str] = frozenset()

    @rule(document=documents)
    def write(self, document: Flag) -> None:
        self._commit(document)

    @rule()
    def delete(self) -> None:
        if self.document is not None:
            self._commit(None)

    @rule(disabled=st.booleans())
    def switch(self, disabled: bool) -> None:
        if self.document is not None:
            fields = {name: getattr(self.document, name) for name in self.document.__struct_fields__}
            self._commit(Flag(**{**fields, "enabled": not disabled}))

    @rule(owner=st.sampled_from(["you", "them"]), percent=st.sampled_from([10.0, 20.0]))
    def edit_what_does_not_matter(self, owner: str, percent: float) -> None:
        if self.document is None:
            return
        fields = {name: getattr(self.document, name) for name in self.document.__struct_fields__}
        rules = tuple(Rule(serve=r.serve, percent=percent if r.percent else r.percent) for r in self.document.rules)
        armed = {name: generation.armed for name, generation in self.held.items()}
        self._commit(Flag(**{**fields, "owner": owner, "rules": rules}))

        assert {name: generation.armed for name, generation in self.held.items()} == armed

    @rule(days=st.integers(0, 15))
    def let_time_pass(self, days: int) -> None:
        """Walk in hops from boundary to boundary, as the account of a patient observer."""
        until, gone = self.now + at(days) - at(0), frozenset[str]()
        while self.document is not None and (edge := boundary(self.document, self.now)) is not None and edge <= until:
            gone |= live(self.document, self.now) - live(self.document, edge)
            self.now = edge
        self.now = until
        self.expected = gone - ({self.document.off_variant} if self.document is not None else set())

    def _commit(self, document: Flag | None) -> None:
        before, last = self.document, document or self.document
        was = frozenset() if before is None else live(before, self.now)
        will = frozenset() if document is None else live(document, self.now)
        self.expected = was - will - {last.off_variant if last is not None else None}
        self.revision += 1
        self.held = marks(before, document, self.held, self.now).apply(self.held, self.revision)
        self.document = document

    @invariant()
    def generations_rise_exactly_with_switch_offs(self) -> None:
        for name in NAMES:
            due = generation_now(self.document, name, self.held, self.now)

            assert due >= self.seen[name], f"the generation of {name} fell"
            assert (due > self.seen[name]) == (name in self.expected), f"{name}: {self.seen[name]} -> {due}"
            self.seen[name] = due
        self.expected = frozenset()

    @invariant()
    def a_deleted_flag_has_nothing_armed(self) -> None:
        if self.document is None:
            assert all(held.off >= 2 * held.armed for held in self.held.values())


TestSwitches = Switches.TestCase
TestSwitches.settings = settings(stateful_step_count=30)


@given(document=documents, when=st.integers(0, 50))
def test_between_boundaries_nothing_changes(document: Flag, when: int):
    edge = boundary(document, at(when))
    later = at(when) + 10**15 if edge is None else edge - 1

    assert live(document, later) == live(document, at(when))


@given(document=documents, when=st.integers(0, 50))
def test_what_is_live_is_in_the_shape_or_is_the_off_variant(document: Flag, when: int):
    assert live(document, at(when)) <= {*shape(document), document.off_variant}
