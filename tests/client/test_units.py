"""What belongs to one unit of work: everything inside a scope that is answered alike."""

from grayflow import Client, Context
from grayflow.client.scope import Frame


class Lease:
    """Something kept for a unit of work."""

    ended = 0

    def let_go(self) -> None:
        self.ended += 1


def unit(flags: Client) -> Frame | None:
    return flags.frames.get().unit()


def test_nothing_is_a_unit_of_work_outside_of_scopes():
    flags = Client("memory://")

    assert unit(flags) is None
    with flags.scope(Context(user_id="a"), pin=False):
        assert unit(flags) is None


def test_a_scope_inside_of_a_scope_is_the_same_unit():
    flags = Client("memory://")
    with flags.scope(Context(user_id="a")):
        outer = unit(flags)
        with flags.scope(), flags.scope():
            assert unit(flags) is outer


def test_another_context_is_another_unit():
    flags = Client("memory://")
    with flags.scope(Context(user_id="a")):
        outer = unit(flags)
        for pin in (True, False):
            with flags.scope(Context(user_id="b"), pin=pin):
                inner = unit(flags)
                assert inner is not outer
                with flags.scope():
                    assert unit(flags) is inner


def test_an_override_inside_of_a_scope_is_a_unit_of_its_own():
    flags = Client("memory://")
    with flags.scope(Context(user_id="a")):
        outer = unit(flags)
        with flags.override(x=True):
            inner = unit(flags)
            assert inner is not outer
            with flags.scope():
                assert unit(flags) is inner
        assert unit(flags) is outer


def test_what_is_kept_is_let_go_when_the_unit_is_over():
    flags, lease = Client("memory://"), Lease()
    with flags.scope(Context(user_id="a")):
        with flags.scope():
            kept = unit(flags)
            assert kept is not None
            kept.kept["x"] = lease
        assert lease.ended == 0

    assert lease.ended == 1
