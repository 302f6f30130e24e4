"""What a process remembers of its calls until it is told, and what it does not remember."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.release.counters.distinct import Distinct
from grayflow.release.counters.ledger import Ledger, Taken
from grayflow.store.counts import Arm, Tally, unit_digest

ON, OFF = Arm("on", 1), Arm("off", 1)


def call(ledger: Ledger, unit: str | None = "u", arm: Arm = ON, *, failed: bool = False, flag: str = "f") -> None:
    ledger.add(flag, arm, unit=unit, failed=failed, took_s=None)


def only(taken: dict[str, Taken]) -> dict[Arm, Tally]:
    return dict(taken["f"].tallies)


def test_it_is_told_once() -> None:
    ledger = Ledger()
    call(ledger)
    call(ledger, arm=OFF)

    assert ledger.waiting == 2
    assert only(ledger.take(1)) == {ON: Tally(calls=1, units=1), OFF: Tally(calls=1, units=1)}
    assert ledger.waiting == 0
    assert ledger.take(1) == {}


def test_a_unit_counts_once_in_a_minute_and_anew_in_the_next() -> None:
    ledger = Ledger()
    for _ in range(3):
        call(ledger, "anna")
    assert only(ledger.take(1))[ON].units == 1
    call(ledger, "anna")
    call(ledger, "ben")
    assert only(ledger.take(1))[ON].units == 1
    call(ledger, "anna")
    assert only(ledger.take(2))[ON].units == 1


def test_a_call_for_nobody_counts_without_a_unit() -> None:
    ledger = Ledger()
    call(ledger, None, failed=True)
    taken = ledger.take(1)

    assert only(taken)[ON] == Tally(calls=1, failures=1)
    assert taken["f"].failed == ()


def test_a_unit_that_fails_is_told_of_once() -> None:
    ledger = Ledger()
    for _ in range(3):
        call(ledger, "anna", failed=True)
    first = ledger.take(1)["f"]
    call(ledger, "anna", failed=True)
    call(ledger, "ben", failed=True)
    second = ledger.take(1)["f"]

    assert first.failed == ((ON, frozenset({unit_digest("anna")})),)
    assert second.failed == ((ON, frozenset({unit_digest("ben")})),)
    assert dict(second.tallies)[ON].failures == 2


def test_of_an_arm_that_is_full_no_more_failures_are_told() -> None:
    ledger = Ledger()
    call(ledger, "anna", failed=True)
    ledger.take(1)
    ledger.fill("f", ON)
    ledger.fill("f", OFF)
    ledger.fill("g", ON)
    call(ledger, "ben", failed=True)
    taken = ledger.take(1)["f"]

    assert taken.failed == ()
    assert dict(taken.tallies)[ON].failures == 1


def test_memory_is_bounded_however_many_units_fail_before_anybody_is_told() -> None:
    ledger = Ledger()
    for number in range(3000):
        call(ledger, f"u{number}", failed=True)
    taken = ledger.take(1)["f"]

    assert len(taken.failed[0][1]) == 1000
    assert dict(taken.tallies)[ON].failures == 3000
    for number in range(1000, 21_000):
        call(ledger, f"u{number}", failed=True)
        if number % 500 == 0:
            ledger.take(1)
    page = ledger._pages["f"][ON]
    assert len(page.known) < 11_000
    assert page.full


def test_what_nobody_calls_any_more_is_forgotten() -> None:
    ledger = Ledger()
    call(ledger, "anna", failed=True)
    ledger.take(1)
    assert ledger._pages
    ledger.take(2)
    assert ledger._pages
    ledger.take(3)

    assert not ledger._pages
    assert ledger._number == 0


def test_more_arms_than_it_has_pages_for_are_dropped_and_that_is_known() -> None:
    ledger = Ledger()
    for number in range(1010):
        call(ledger, arm=Arm("on", number))
    ledger.mark("f", Arm("on", 5000), "turned_away", 1)

    assert ledger.dropped == 10
    assert ledger.waiting == 1000


def test_flags_may_be_left_as_they_are() -> None:
    ledger = Ledger()
    call(ledger)
    call(ledger, flag="g")

    assert ledger.take(1, but=frozenset({"g"})).keys() == {"f"}
    assert ledger.take(1).keys() == {"g"}


def test_marks_are_counted_without_a_call() -> None:
    ledger = Ledger()
    ledger.mark("f", ON, "turned_away", 2)
    ledger.mark("f", ON, "turned_away", 3)

    assert only(ledger.take(1)) == {ON: Tally(marks={"turned_away": 5})}


def test_no_call_of_any_thread_is_lost() -> None:
    ledger, told = Ledger(), []

    def work(name: int) -> None:
        for number in range(2000):
            call(ledger, f"{name}-{number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        told.append(ledger.take(1))
    told.append(ledger.take(1))

    assert sum(taken["f"].calls for taken in told if taken) == 8000


# Distinct


@given(st.lists(st.integers(-(2**63), 2**63)), st.lists(st.integers(-(2**63), 2**63)))
def test_below_its_limit_it_counts_exactly(one: list[int], other: list[int]) -> None:
    seen, more = Distinct(200), Distinct(200)
    for value in one[:100]:
        seen.add(value)
    for value in other[:100]:
        more.add(value)
    seen.update(more)

    assert seen.size == len({*one[:100], *other[:100]})


@pytest.mark.parametrize("number", [5_000, 50_000, 300_000])
def test_above_its_limit_it_is_close_and_small(number: int) -> None:
    seen = Distinct()
    for value in range(number):
        seen.add(_mixed(value))

    assert len(seen.kept) <= 4096
    assert seen.size == pytest.approx(number, rel=0.07)


def test_what_two_saw_together_is_close_too() -> None:
    one, other = Distinct(), Distinct()
    for value in range(30_000):
        one.add(_mixed(value))
        other.add(_mixed(value + 20_000))
    small = Distinct()
    small.add(_mixed(1))
    small.update(one)
    assert small.size == pytest.approx(30_000, rel=0.07)
    small.update(other)

    assert small.size == pytest.approx(50_000, rel=0.07)


def _mixed(value: int) -> int:
    """Return a fixed hash, so that the test is the same in every process."""
    return int(unit_digest(str(value))[:16], 16)
