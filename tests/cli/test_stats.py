"""`grayflow stats`: what services counted, for people and for programs."""

import re
from collections.abc import Callable, Sequence

import anyio
import pytest

from grayflow import Admin, Client, Context
from grayflow.cli.stats import sparkline
from grayflow.release import Counters
from tests.cli.kit import Cli

Work = Callable[[Client, Counters], None]


def count(cli: Cli, work: Work) -> None:
    """Do something in a service that counts."""

    async def serve() -> None:
        counters = Counters()
        async with Client(cli.url) as flags, counters.running(flags):
            work(flags, counters)

    anyio.run(serve)


def some(flags: Client, counters: Counters) -> None:
    for number in range(200):
        context = Context(user_id=f"u{number % 50}")
        decision = flags.peek_decision("payment_v2", context)
        failed = decision.variant == "on" and number < 50
        counters.record(decision, context, failed=failed, took=0.012)
    counters.mark(flags.peek_decision("payment_v2", {"user_id": "anna"}), "turned_away", 1234)


@pytest.fixture
def counted(cli: Cli) -> Cli:
    split = {"weights": [["on", 30_000], ["off", 70_000]]}
    cli.put({"key": "payment_v2", "enabled": True, "otherwise": split})
    count(cli, some)
    return cli


def test_it_shows_each_variant_with_what_failed_and_how_long_it_took(counted: Cli):
    out = counted("stats", "payment_v2").out
    rows = {line.split()[0]: line for line in out.splitlines()}

    assert out.splitlines()[1].split() == "VARIANT CALLS FAILED UNITS/MIN FAILED UNITS P50 P90 P99".split()  # noqa: SIM905
    on, off = rows["on"], rows["off"]
    assert re.fullmatch(r"on +\d+ +\d+ \(25 %\) +\d+ +\d+ +1[0-4] ms +1[0-4] ms +1[0-4] ms *", on), on
    assert re.fullmatch(r"off +\d+ +0 +\d+ +0 +1[0-4] ms +1[0-4] ms +1[0-4] ms *", off), off
    assert int(on.split()[1]) + int(off.split()[1]) == 200
    assert "also counted of" in out
    assert "turned_away 1,234" in out


def test_it_draws_calls_and_failures_within_80_columns(counted: Cli):
    lines = counted("stats", "payment_v2", COLUMNS="80").out.splitlines()
    drawn = [line for line in lines if line.startswith(("calls", "failed"))]

    assert [line.split()[:2] for line in drawn] == [["calls", "off"], ["calls", "on"], ["failed", "on"]]
    assert all(re.search(r"·{28,29}[▁-█·]+ ", line) for line in drawn)
    assert "25 %" in drawn[2]
    assert all(len(line) <= 80 for line in lines)
    assert "PER 2 MIN" in "".join(lines)


def test_names_that_are_long_are_cut_in_the_drawing(cli: Cli):
    name = "a very long name of a variant that goes on and on"
    cli.put({"key": "payment_v2", "kind": "string", "enabled": True, "variants": {name: "x"}, "otherwise": name})
    count(cli, some)
    lines = cli("stats", "payment_v2", COLUMNS="80").out.splitlines()

    assert all(len(line) <= 80 for line in lines if not line.startswith("also"))
    assert any(re.match("calls +a very long… ", line) for line in lines)


def test_it_prints_json_with_every_window_and_arm(counted: Cli):
    found = counted.json("stats", "payment_v2", "--since", "10m", "--window", "1m")

    assert found["key"] == "payment_v2"
    assert found["window_s"] == 60
    assert len(found["windows"]) == 10
    assert [one["variant"] for one in found["variants"]] == ["off", "on"]
    assert sum(one["calls"] for one in found["variants"]) == 200
    arms = [arm for window in found["windows"] for arm in window["arms"]]
    assert sum(arm["calls"] for arm in arms) == 200
    assert {arm["chance"] for arm in arms} == {True}
    assert all(0.01 <= arm["p50_s"] <= 0.0143 for arm in arms)
    on = next(one for one in found["variants"] if one["variant"] == "on")
    assert (on["failures"] > 0, on["failed_units"]) == (True, on["failures"])


def test_where_nothing_was_counted_it_says_what_to_do(cli: Cli):
    cli.put({"key": "payment_v2"})
    out = cli("stats", "payment_v2", "--since", "30m").out

    assert "nothing was counted of 'payment_v2' in the last 30m" in out
    assert "counters.measure(await flags.evaluate('payment_v2', ctx), ctx)" in out
    assert cli.json("stats", "payment_v2")["variants"] == []


def test_its_help_says_what_units_per_minute_are_not(cli: Cli):
    told = " ".join(cli("stats", "--help").out.split())

    assert "so units/min cannot be added up, and depends on --window" in told


def test_a_pipe_gets_no_colour_and_each_row_on_one_line(counted: Cli):
    out = counted("stats", "payment_v2", COLUMNS="").out

    assert "\x1b" not in out
    assert len(out.splitlines()) == 9


def test_of_many_windows_the_newest_are_drawn(counted: Cli):
    out = counted("stats", "payment_v2", "--since", "2h", "--window", "1m").out

    assert "drawn are the newest 41 windows of 120; --json has all" in out


@pytest.mark.parametrize(
    ("since", "width"), [("1m", "1 min"), ("30m", "1 min"), ("6h", "10 min"), ("1d", "1 h"), ("3600s", "2 min")]
)
def test_the_drawing_fits_however_far_one_looks(counted: Cli, since: str, width: str):
    out = counted("stats", "payment_v2", "--since", since).out

    assert f"PER {width.upper()}" in out
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--since", "soon"), "--since is 'soon'; give a number and s, m, h or d: 30m, 6h, 1d"),
        (("--window", "1.5h"), "--window is '1.5h'"),
        (("--since", "2d"), "at most a day"),
        (("--since", "30s"), "give at least 60 s"),
        (("--since", "5m", "--window", "10m"), "longer than all that is looked at"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(counted: Cli, arguments: Sequence[str], words: str):
    assert words in counted("stats", "payment_v2", *arguments, code=2).err


def test_a_flag_that_never_was_is_told(cli: Cli):
    cli.put({"key": "payment_v2"})

    assert "there is no flag 'nope'" in cli("stats", "nope", code=1).err


async def _delete(cli: Cli) -> None:
    async with Admin(cli.url, actor="ann") as admin:
        await admin.delete("payment_v2")


def test_a_flag_that_is_gone_still_has_its_counts(counted: Cli):
    anyio.run(_delete, counted)

    assert len(counted.json("stats", "payment_v2")["variants"]) == 2


def test_a_sparkline_shows_one_failure_among_many_and_where_nothing_was():
    assert sparkline([None, 0, 1, 50, 100, None]) == "·▁▂▅█·"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([None]) == "·"
    assert sparkline([]) == ""
    assert sparkline([7]) == "█"
