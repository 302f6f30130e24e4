from grayflow.core.position import Position
from grayflow.replica.trail import Trail
from grayflow.store.port import Change


def at(revision: int, nonce: str | None = None, epoch: str = "e") -> Position:
    return Position(epoch=epoch, revision=revision, nonce=nonce or f"n{revision}")


def change(position: Position, previous: str) -> Change:
    return Change(
        position=position,
        previous=previous,
        kind="flag",
        key="a",
        document=b"{}",
        before=None,
        generations={},
        action="edit",
        actor="ada",
        reason="",
        at=1,
        request_id="r",
    )


def walked(start: int, end: int) -> Trail:
    trail = Trail(at(start))
    for revision in range(start + 1, end + 1):
        trail.extend(at(revision))
    return trail


def test_the_change_that_continues_the_end_is_next():
    assert Trail(at(4)).judge(change(at(5), "n4")) == "next"


def test_a_change_that_was_passed_is_old():
    assert walked(4, 6).judge(change(at(5), "n4")) == "old"
    assert walked(4, 6).judge(change(at(6), "n5")) == "old"


def test_a_jump_is_a_doubt():
    assert Trail(at(4)).judge(change(at(6), "n5")) == "doubt"


def test_the_next_number_from_another_past_is_a_doubt():
    assert Trail(at(4)).judge(change(at(5), "other")) == "doubt"


def test_a_number_used_a_second_time_is_a_doubt():
    assert walked(4, 6).judge(change(at(5, "again"), "n4")) == "doubt"


def test_another_epoch_is_a_doubt():
    assert Trail(at(4)).judge(change(at(5, epoch="f"), "n4")) == "doubt"


def test_what_lies_before_the_start_is_a_doubt_as_nothing_is_known_of_it():
    assert Trail(at(4)).judge(change(at(3), "n2")) == "doubt"


def test_a_position_that_was_passed_is_included():
    trail = walked(4, 6)

    assert [trail.includes(at(revision)) for revision in range(3, 8)] == [False, True, True, True, False]
    assert not trail.includes(at(5, "again"))
    assert not trail.includes(at(5, epoch="f"))


def test_a_revision_far_back_is_taken_for_reached():
    trail = walked(4, 2000)

    assert trail.reached(at(4))
    assert trail.reached(at(2000))
    assert not trail.reached(at(2001))


def test_a_change_that_was_lost_is_not_reached():
    assert not walked(4, 6).reached(at(5, "lost"))


def test_another_epoch_is_not_reached():
    assert not walked(4, 6).reached(at(2, epoch="f"))


def test_only_the_newest_part_is_remembered():
    trail = walked(0, 100_000)

    assert len(trail._nonces) < 1000
