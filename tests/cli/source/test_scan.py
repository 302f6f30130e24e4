"""Flag keys found in source, and compared with what there is."""

from datetime import UTC, date, datetime

import pytest

from grayflow import Flag
from grayflow.cli.source.findings import compare
from grayflow.cli.source.scan import find_handles, find_uses
from grayflow.core.calendar import as_instant

NOW = as_instant(datetime(2026, 6, 1, tzinfo=UTC))


def asked(source: str, **handles: str) -> list[str | None]:
    return [use.key for use in find_uses(source, "m.py", handles) if use.kind != "set"]


@pytest.mark.parametrize(
    "source",
    [
        "await flags.is_enabled('a')",
        "await self.client.is_enabled('a', ctx, default=True)",
        "flags.peek(key='a')",
        "flags.peek_value('a', default=1)",
        "flags.peek_decision('a')",
        "await client.value('a', default=1)",
        "await self.flags.evaluate('a')",
        "@flags.on_change('a')\ndef f(old, new): ...",
        "@flags.on_switch_off('a', scope='fleet', name='x')\nasync def f(off): ...",
        "gate(flags, 'a')",
        "gray(flags, 'a', old=f)",
        "@flags.gate('a', otherwise='delay')\nasync def f(): ...",
        "ImplementationSwitch(Cache, flag='a', variants=v, default='off')",
        "ParallelRun('compared', flag='a')",
        "pause_while_off(scheduler, flags, 'a', job)",
        "NEW = BooleanFlag(client, 'a', default=False)",
        "KEY = 'a'\nflags.peek(KEY)",
        "KEY: Final = 'a'\nflags.peek(KEY)",
    ],
)
def test_a_flag_that_is_asked_for_is_found(source: str):
    assert asked(source) == ["a"]


@pytest.mark.parametrize(
    "source",
    [
        "colour.value('a')",
        "model.evaluate('a')",
        "queue.peek",
        "bus.on_change('a')",
        "config.set(a=1)",
        "flags.on_change()",
        "locks.gate('a')",
        "class Migration(migrations.Migration): ...\nMigration('0001', 'shop')",
    ],
)
def test_what_others_call_so_is_left_alone(source: str):
    assert find_uses(source, "m.py") == ()


def test_a_migration_uses_its_flags_and_misses_none_before_it_begins():
    uses = find_uses("Migration('orders', old=a, new=b, row_key=k)\nMigration(f'{x}', row_key=k)", "m.py")

    assert [(use.kind, use.key) for use in uses] == [
        ("moved", "orders"),
        ("moved", "orders.gray"),
        ("unreadable", None),
    ]
    assert compare(uses, {}, NOW) == ()
    assert compare(uses, {key: Flag(key=key) for key in ("orders", "orders.gray")}, NOW) == ()


def test_several_keys_and_both_branches_count():
    assert asked("@flags.on_switch_off(['a', 'b'])\ndef f(off): ...") == ["a", "b"]
    assert asked("flags.peek('a' if x else 'b')") == ["a", "b"]


def test_keys_that_are_made_up_at_run_time_are_counted_with_their_place():
    (use,) = find_uses("\nflags.peek(f'pay_{x}')", "m.py")

    assert (use.kind, use.key, use.path, use.line) == ("unreadable", None, "m.py", 2)


def test_setting_a_flag_in_a_test_is_not_asking_for_it():
    source = "flags.override({'b.c': 1}, a=True)\nflags.set(d=1)\n@pytest.mark.flags(e=1)\ndef test(): ..."
    uses = find_uses(source, "m.py")

    assert [(use.kind, use.key) for use in uses] == [("set", "a"), ("set", "b.c"), ("set", "d"), ("set", "e")]


def test_typed_flags_are_asked_for_where_their_attribute_is_used():
    module = "class F:\n    def __init__(self, c):\n        self.pay = BooleanFlag(c, 'pay.v2', default=False)\n"
    handles = find_handles(module, "flags.py")

    assert handles == {"pay": "pay.v2"}
    assert asked(module, **handles) == []
    assert asked("await shop.pay.is_enabled()", **handles) == ["pay.v2"]


def test_what_is_no_python_is_refused():
    with pytest.raises(SyntaxError):
        find_uses("def (", "m.py")


def test_findings_name_the_problem_the_place_and_a_likely_key():
    flags = {
        "gone": Flag(key="gone", archived=True),
        "late": Flag(key="late", remove_by=date(2026, 1, 1)),
        "old": Flag(key="old", enabled=True, expires_at=datetime(2026, 2, 1, tzinfo=UTC)),
        "fine": Flag(key="fine"),
        "idle": Flag(key="idle"),
        "away": Flag(key="away", archived=True),
    }
    source = "\n".join(f"flags.peek('{key}')" for key in ("gone", "late", "old", "fine", "fein"))
    found = compare(find_uses(source, "m.py"), flags, NOW)

    assert [(one.problem, one.key, one.places) for one in found] == [
        ("unknown", "fein", ("m.py:5",)),
        ("archived", "gone", ("m.py:1",)),
        ("unused", "idle", ()),
        ("past remove_by", "late", ("m.py:2",)),
        ("expired", "old", ("m.py:3",)),
    ]
    assert found[0].detail == "there is no such flag; did you mean 'fine'?"
