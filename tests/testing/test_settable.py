"""The client whose flags a test sets, apart from pytest."""

import pytest

from grayflow import ConfigurationError, Context, InvalidFlagError, Segment
from grayflow.testing import SettableClient


def test_it_decides_by_documents_and_their_segments():
    flags = SettableClient()
    flags.define(
        {
            "key": "f",
            "enabled": True,
            "otherwise": "off",
            "rules": [{"when": [{"type": "segment", "key": "s"}], "serve": "on"}],
        },
        Segment(key="s", include=("anna",)),
    )

    assert flags.peek("f", Context(user_id="anna")) is True
    assert flags.peek("f", Context(user_id="ben")) is False


def test_a_document_that_breaks_the_rules_is_refused():
    with pytest.raises(InvalidFlagError, match="otherwise"):
        SettableClient().define({"key": "f", "otherwise": "nowhere"})


def test_values_that_were_set_beat_documents():
    flags = SettableClient()
    flags.define({"key": "f", "enabled": True})
    flags.set(f=False)

    assert flags.peek("f") is False


@pytest.mark.parametrize(("kind", "value"), [("integer", True), ("integer", 1.5), ("float", "1"), ("boolean", 1)])
def test_a_value_of_another_kind_is_refused(kind: str, value: object):
    flags = SettableClient()
    good = {"integer": 1, "float": 1.5, "boolean": True}[kind]
    flags.define({"key": "f", "kind": kind, "variants": {"on": good}, "off": None, "otherwise": "on"})
    with pytest.raises(ConfigurationError, match=f"is of kind '{kind}'"):
        flags.set(f=value)


def test_a_scope_that_is_open_sees_what_is_set_in_it():
    flags = SettableClient()
    with flags.scope(Context(user_id="anna")):
        flags.set(f=True)

        assert flags.peek("f") is True


def test_names_that_nobody_knows_are_noted_once_with_names_like_them():
    flags = SettableClient()
    flags.set(payment=True)
    flags.peek("paymnt")
    flags.peek("paymnt")

    assert flags.unknown == {"paymnt": "there is no flag 'paymnt'. Did you mean 'payment'?"}


@pytest.mark.anyio
async def test_its_flags_are_the_newest_for_whoever_waits_for_a_change():
    flags = SettableClient()
    flags.define({"key": "f", "enabled": True})
    elsewhere = "another-epoch:7:nonce"

    await flags.wait_for(elsewhere, timeout=None)
    confirmed = await flags.evaluate("f", freshness="confirmed")
    async with flags.carried({"grayflow_at_least": elsewhere}):
        carried = await flags.evaluate("f")

    assert (confirmed.value, confirmed.stale) == (carried.value, carried.stale) == (True, False)
    with pytest.raises(ConfigurationError, match="is not a position"):
        await flags.wait_for("yesterday")
