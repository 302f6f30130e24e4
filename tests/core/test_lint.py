"""Each check says something where it should, at the right place, and nothing where all is well."""

from datetime import UTC, datetime

import pytest
from hypothesis import given

from grayflow.core.calendar import from_datetime
from grayflow.core.context import Context
from grayflow.core.extensions import Extensions
from grayflow.core.flag import Flag
from grayflow.core.lint import Finding, lint
from grayflow.testing.builders import flag, segment
from grayflow.testing.strategies import EXTENSIONS, FlagSet, flag_sets, instants

NOW = from_datetime(datetime(2027, 6, 1, 12, tzinfo=UTC))
TEXT = {"kind": "string", "variants": {"a": "A", "b": "B"}, "off": "a", "otherwise": "b"}


class ShopContext(Context, frozen=True, kw_only=True):
    store_id: str | None = None
    plan_tier: str | None = None


def found(*documents: object, **options) -> set[tuple[str, str, str]]:
    """Lint and return code, key and path of each finding."""
    return {(each.code, each.key, each.path) for each in _lint(*documents, **options)}


def _lint(*documents, **options) -> tuple[Finding, ...]:
    flags = [each for each in documents if isinstance(each, Flag)]
    return lint(flags, [each for each in documents if not isinstance(each, Flag)], **options)


def attribute(name, op="in", *values, **options):
    return {"type": "attribute", "name": name, "op": op, "values": values or ("x",), **options}


def test_a_tidy_flag_set_has_no_findings():
    staff = segment("staff", include=["u-1"])
    tidy = flag(
        "payment_v2",
        enabled=True,
        otherwise="off",
        targets={"on": ["u-17"], "off": ["u-99"]},
        rules=[
            {"name": "staff", "when": [{"type": "segment", "key": "staff"}], "serve": "on"},
            {
                "name": "canary",
                "when": [attribute("country", "in", "DE")],
                "percent": 10,
                "by": "user_id",
                "serve": "on",
            },
            {"serve": {"weights": [["on", 50_000], ["off", 50_000]]}},
        ],
        on_failure="last_known",
        owner="payments",
        lifetime="release",
        remove_by="2027-08-01",
        expires_at="2027-07-01T00:00:00Z",
    )

    assert _lint(tidy, staff, flag("plain"), now=NOW, context_type=ShopContext) == ()


class TestRules:
    def test_rules_after_an_unconditional_one_are_unreachable(self):
        rules = [{"serve": "on"}, {"percent": 5, "serve": "off"}, {"serve": "off"}]

        assert found(flag("f", rules=rules, on_failure="last_known")) == {
            ("unreachable-rule", "f", "rules[1]"),
            ("unreachable-rule", "f", "rules[2]"),
        }

    def test_a_rule_after_a_split_that_lets_ids_go_on_is_reachable(self):
        rules = [{"serve": {"weights": [["on", 100_000]]}}, {"serve": "off"}]

        assert found(flag("f", rules=rules)) == set()

    @pytest.mark.parametrize(
        "never",
        [
            {"type": "any", "of": []},
            {"type": "bucket", "ranges": []},
            {"type": "bucket", "ranges": [[5, 5]]},
            {"type": "during", "days": []},
            {"type": "during", "from": "2027-01-02T00:00:00Z", "until": "2027-01-01T00:00:00Z"},
            {"type": "flag", "key": "g", "variants": []},
        ],
    )
    def test_conditions_that_are_never_true_are_found_at_any_depth(self, never):
        nested = flag("f", rules=[{"when": [{"type": "not", "of": {"type": "all", "of": [never]}}], "serve": "on"}])

        assert found(nested, flag("g")) == {("never-true", "f", "rules[0].when[0].of.of[0]")}

    def test_a_rule_at_zero_per_cent_is_found(self):
        assert found(flag("f", rules=[{"percent": 0, "serve": "on"}])) == {("zero-percent", "f", "rules[0].percent")}

    def test_serve_may_be_left_out_where_there_is_a_variant_on_and_not_elsewhere(self):
        assert found(flag("f", rules=[{"when": [attribute("country")]}])) == set()
        assert found(flag("f", **TEXT, rules=[{"when": [attribute("country")]}])) == {
            ("serve-omitted", "f", "rules[0].serve")
        }
        assert found(flag("f", **TEXT, rules=[{"when": [attribute("country")], "serve": None}])) == set()

    def test_percentages_that_go_by_different_ids_do_not_nest(self):
        rules = [{"percent": 5, "serve": "on"}, {"percent": 10, "by": "session_id", "serve": "on"}]

        assert found(flag("f", rules=rules, on_failure="last_known")) == {("by-differs", "f", "rules[1].by")}
        assert found(flag("f", rules=rules, by="session_id", on_failure="last_known")) == set()

    def test_percentages_of_different_variants_need_not_nest(self):
        rules = [{"percent": 5, "serve": "a"}, {"percent": 10, "by": "session_id", "serve": "b"}]

        assert found(flag("f", **TEXT, rules=rules, on_failure="last_known")) == set()

    def test_variants_that_nothing_serves_are_unused(self):
        assert found(flag("f", **{**TEXT, "otherwise": None})) == {("unused-variant", "f", "variants.b")}

    def test_variants_that_have_their_turns_are_not_unused(self):
        turns, other = flag("f", **{**TEXT, "otherwise": None}), flag("g", **{**TEXT, "otherwise": None})

        assert found(turns, other, staged={"f"}) == {("unused-variant", "g", "variants.b")}

    @pytest.mark.parametrize(
        "use",
        [
            {"targets": {"b": ["u-1"]}},
            {"rules": [{"when": [attribute("country")], "serve": "b"}]},
            {"otherwise": {"weights": [["a", 0], ["b", 100_000]]}},
            {"otherwise": {"ranges": [["b", 0, 1]]}},
            {"otherwise": {"weights": [["a", 100_000]], "absent": "b"}},
            {"on_failure": {"variant": "b"}},
            {"off": "b", "otherwise": "a"},
        ],
    )
    def test_any_mention_is_a_use(self, use):
        assert found(flag("f", **{**TEXT, "otherwise": "a", **use})) <= {("unused-variant", "f", "variants.a")}

    def test_excluding_ids_from_nothing_is_found(self):
        useless = flag("f", otherwise="off", targets={"off": ["u-99"]})
        useful = flag("g", otherwise="on", targets={"off": ["u-99"]})

        assert found(useless, useful) == {("target-off", "f", "targets.off")}

    def test_a_window_that_ends_before_it_starts_is_an_error(self):
        backwards = flag("f", effective_at="2027-01-02T00:00:00Z", expires_at="2027-01-01T00:00:00Z")

        assert [(each.severity, each.code) for each in _lint(backwards)] == [("error", "empty-window")]

    def test_a_gradual_release_should_say_what_happens_when_the_store_is_lost(self):
        gradual = {"enabled": True, "otherwise": "off", "rules": [{"percent": 10, "serve": "on"}]}

        assert found(flag("f", **gradual)) == {("no-failure-policy", "f", "on_failure")}
        assert found(flag("f", **gradual, on_failure="caller_default")) == set()


class TestReferences:
    def test_references_into_nothing_are_errors(self):
        lost = flag(
            "f",
            requires=[{"type": "flag", "key": "gone"}],
            rules=[{"when": [{"type": "segment", "key": "nowhere"}], "serve": "on"}],
        )

        assert [(each.severity, each.code, each.path) for each in _lint(lost)] == [
            ("error", "unknown-flag", "requires[0].key"),
            ("error", "unknown-segment", "rules[0].when[0].key"),
        ]

    def test_a_variant_that_the_other_flag_lacks_is_an_error(self):
        asks = flag("f", rules=[{"when": [{"type": "flag", "key": "g", "variants": ["on", "b"]}], "serve": "on"}])

        assert found(asks, flag("g")) == {("unknown-variant", "f", "rules[0].when[0].variants[1]")}

    def test_every_member_of_a_circle_is_told_and_whoever_reaches_it(self):
        a = flag("a", rules=[{"when": [{"type": "segment", "key": "s"}], "serve": "on"}])
        s = segment("s", when=[{"type": "flag", "key": "a"}])
        outside = flag("outside", rules=[{"when": [{"type": "flag", "key": "a"}], "serve": "on"}])
        findings = {each.key: each.message for each in _lint(a, outside, s)}

        assert "part of a circle: flag 'a' -> segment 's' -> flag 'a'" in findings["a"]
        assert "part of a circle: segment 's' -> flag 'a' -> segment 's'" in findings["s"]
        assert "reaches a circle: flag 'a' -> segment 's' -> flag 'a'" in findings["outside"]

    def test_a_diamond_is_no_circle(self):
        def on(key, *needs):
            return flag(key, rules=[{"when": [{"type": "flag", "key": need} for need in needs], "serve": "on"}])

        assert found(on("top", "left", "right"), on("left", "low"), on("right", "low"), flag("low")) == set()

    def test_a_requirement_that_can_go_off_is_told(self):
        needs = flag("f", requires=[{"type": "flag", "key": "wallet"}])
        excludes = flag("h", requires=[{"type": "flag", "key": "wallet", "off": True}])

        assert found(needs, excludes, flag("wallet")) == {("prerequisite", "f", "requires[0]")}

    def test_an_archived_flag_is_never_on(self):
        asks = flag("f", rules=[{"when": [{"type": "flag", "key": "old"}], "serve": "on"}])

        assert found(asks, flag("old", archived=True)) == {("archived-flag", "f", "rules[0].when[0].key")}

    def test_segments_that_no_flag_reaches_are_unused(self):
        use = flag("f", rules=[{"when": [{"type": "segment", "key": "outer"}], "serve": "on"}])
        archived = flag("g", archived=True, rules=[{"when": [{"type": "segment", "key": "left"}], "serve": "on"}])
        outer = segment("outer", when=[{"type": "segment", "key": "inner"}])
        people = [segment(key, include=["u-1"]) for key in ("inner", "left", "alone")]

        assert found(use, archived, outer, *people) == {("unused-segment", "left", ""), ("unused-segment", "alone", "")}

    def test_a_segment_that_lists_nobody_is_empty(self):
        use = flag("f", rules=[{"when": [{"type": "segment", "key": "s"}], "serve": "on"}])

        assert found(use, segment("s", exclude=["u-1"])) == {("empty-segment", "s", "")}


class TestNames:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("uid", "user_id"),
            ("userId", "user_id"),
            ("UserID", "user_id"),
            ("user-id", "user_id"),
            ("usr_id", "user_id"),
            ("targetingKey", "user_id"),
            ("contry", "country"),
            ("version", "app_version"),
            ("appVersion.major", "app_version"),
            ("ip_address", "ip"),
            ("storeId", "store_id"),
            ("plan_teir", "plan_tier"),
        ],
    )
    def test_near_misses_of_a_field_are_told(self, name, meant):
        findings = _lint(flag("f", rules=[{"when": [attribute(name)], "serve": "on"}]), context_type=ShopContext)

        assert [(each.code, each.path) for each in findings] == [("near-miss", "rules[0].when[0].name")]
        assert repr(meant) in findings[0].message

    @pytest.mark.parametrize(
        "name",
        ["user_id", "plan", "device_id", "os_version", "tags", "now", "customer_id", "address.country", "paid", "a"],
    )
    def test_other_names_are_attributes(self, name):
        assert found(flag("f", rules=[{"when": [attribute(name)], "serve": "on"}]), context_type=ShopContext) == set()

    def test_fields_of_another_context_are_no_near_misses(self):
        assert found(flag("f", rules=[{"when": [attribute("storeId")], "serve": "on"}])) == set()

    def test_names_are_looked_at_wherever_they_stand(self):
        split = {"weights": [["on", 100_000]], "by": "uid"}
        everywhere = flag(
            "f",
            by="uid",
            rules=[
                {"by": "uid", "when": [{"type": "bucket", "ranges": [[0, 1]], "by": ["uid"]}], "serve": split},
                {"by": {"first": ["plan", "uid"]}, "when": [attribute("country")], "serve": "on"},
            ],
            otherwise=split,
        )

        assert {path for _, _, path in found(everywhere)} == {
            "by",
            "rules[0].by",
            "rules[0].when[0].by",
            "rules[0].serve.by",
            "rules[1].by.first[1]",
            "otherwise.by",
        }


class TestCare:
    def test_a_release_flag_wants_an_owner_and_an_end(self):
        assert found(flag("f", lifetime="release")) == {("no-owner", "f", "owner"), ("no-remove-by", "f", "remove_by")}

    def test_other_lifetimes_want_neither(self):
        assert found(*(flag(word, lifetime=word) for word in ("experiment", "operational", "permission"))) == set()

    def test_an_unknown_lifetime_is_told(self):
        assert found(flag("f", lifetime="forever")) == {("unknown-lifetime", "f", "lifetime")}

    @pytest.mark.parametrize(("day", "expected"), [("2027-05-31", True), ("2027-06-01", False)])
    def test_remove_by_includes_its_day(self, day, expected):
        assert (("past-remove-by", "f", "remove_by") in found(flag("f", remove_by=day), now=NOW)) is expected

    def test_an_expired_flag_is_told_while_it_is_enabled(self):
        over = {"expires_at": "2027-06-01T12:00:00Z"}

        assert found(flag("f", enabled=True, **over), flag("g", **over), now=NOW) == {("expired", "f", "expires_at")}
        assert found(flag("f", enabled=True, **over), now=NOW - 1) == set()

    def test_without_now_dates_are_left_alone(self):
        assert found(flag("f", enabled=True, expires_at="2000-01-01T00:00:00Z", remove_by="2000-01-01")) == set()


def test_degraded_conditions_are_errors_unless_an_extension_knows_them():
    uses = flag(
        "f",
        rules=[
            {"when": [attribute("country", "near")], "serve": "on"},
            {"when": [attribute("path", "matches", "(")], "serve": "on"},
        ],
    )
    codes = [(each.severity, each.code, each.path) for each in _lint(uses)]

    assert codes == [
        ("error", "degraded", "rules[0].when[0].op"),
        ("error", "degraded", "rules[1].when[0].values[0]"),
    ]
    known = Extensions(operators={"near": lambda *_: True})
    assert {path for _, _, path in found(uses, extensions=known)} == {"rules[1].when[0].values[0]"}


def test_archived_flags_are_not_looked_at():
    assert found(flag("f", archived=True, lifetime="release", rules=[{"percent": 0, "serve": "on"}])) == set()


def test_a_finding_reads_as_one_line():
    assert str(_lint(flag("f", lifetime="forever"))[0]) == (
        "warning: flag 'f', lifetime: 'forever' is none of the usual words: "
        "release, experiment, operational, permission [unknown-lifetime]"
    )


@given(documents=flag_sets(), now=instants())
def test_whatever_decodes_can_be_linted(documents: FlagSet, now: int):
    findings = lint(documents.flags, documents.segments, context_type=ShopContext, extensions=EXTENSIONS, now=now)

    keys = {each.key for each in (*documents.flags, *documents.segments)}
    assert all(each.key in keys and each.message for each in findings)
