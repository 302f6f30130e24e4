from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from grayflow import Client, ConfigurationError, Extensions, Hash, MemoryStore, ServeOnFailure
from grayflow.client.options import seconds
from grayflow.testing import FakeClock


class Watching:
    """A hook."""

    def before(self, details: Any) -> None: ...


class Awaiting:
    """A hook that nobody would await."""

    async def after(self, details: Any, decision: Any) -> None: ...


async def awaited(*_: object) -> Any:
    """Would have to be awaited."""


class Hostile:
    """What cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("given", [10, 10.0, timedelta(seconds=10)])
def test_durations_are_seconds_or_timedeltas(given: Any):
    assert seconds("ttl", given) == 10.0


@pytest.mark.parametrize("given", [True, "10", None, float("nan"), -1, 0, timedelta(seconds=-1), float("inf")])
def test_what_is_no_duration_is_refused_by_name(given: Any):
    with pytest.raises(ConfigurationError, match="ttl is "):
        seconds("ttl", given)


@pytest.mark.parametrize(
    ("option", "given", "says"),
    [
        ("ttl", 0, "at least 0.01 s"),
        ("ttl", "10s", "seconds or a datetime.timedelta"),
        ("max_staleness", -5, "max_staleness"),
        ("start_timeout", None, "start_timeout"),
        ("start_timeout", float("inf"), "finite"),
        ("resolver_timeout", 0, "resolver_timeout"),
        ("confirm_timeout", 0, "confirm_timeout"),
        ("last_good_max_age", 0, "last_good_max_age"),
        ("on_failure", "off", "'caller_default', 'last_known'"),
        ("context_type", dict, "subclass of grayflow.Context"),
        ("extensions", {"hashes": {}}, "grayflow.Extensions"),
        (
            "extensions",
            Extensions(operators={"geo": awaited}),
            "operator 'geo' is async; give",
        ),
        (
            "extensions",
            Extensions(hashes={"sha1": Hash(9, awaited)}),
            "hash 'sha1' is async; give",
        ),
        ("resolvers", [1], "mapping from attribute names"),
        ("hooks", [object()], "before, after and error"),
        ("last_good", 7, "path of a file"),
        ("name", "my service", "1 to 64 of"),
        ("last_good", b"/flags", "path of a file"),
        ("last_good", "a\0b", "path of a file"),
        ("namespace", "a b", "namespace"),
        ("namespace", 5, "namespace"),
        ("require_ready", "no", "True or False"),
        ("hooks", Watching(), "list of objects"),
        ("hooks", None, "hooks is None; give a list of objects"),
        ("hooks", [Watching], "the class Watching; give an object"),
        ("hooks", [Awaiting()], "after of a hook is async; give a function that is not async"),
        ("resolvers", {1: print}, "name as text"),
        ("resolvers", {"plan": "gold"}, "resolver 'plan' is 'gold'; give an async function"),
        ("clock", 5, "now, monotonic and sleep"),
        ("clock", FakeClock, "the class FakeClock"),
        ("random", 0.5, "a function"),
        ("random", Random, "the class Random"),
        ("ttl", 10**400, "a float can hold"),
        ("context_type", Hostile(), "a Python object of type Hostile"),
    ],
)
def test_a_bad_option_is_refused_at_once_and_the_remedy_named(option: str, given: Any, says: str):
    with pytest.raises(ConfigurationError) as caught:
        Client("memory://", **{option: given})

    assert says in str(caught.value)


def test_a_bad_url_is_refused_at_once():
    with pytest.raises(ConfigurationError, match="redsi"):
        Client("redsi://localhost")


@pytest.mark.parametrize("given", [None, 5, b"redis://anna:secret@localhost", MemoryStore, Hostile()])
def test_what_is_no_store_is_refused_and_not_shown(given: Any):
    with pytest.raises(ConfigurationError, match="give a URL as text") as caught:
        Client(given)

    assert "secret" not in str(caught.value)


def test_the_namespace_of_a_store_is_its_own():
    assert Client(MemoryStore("shop")).namespace == "shop"
    assert Client(MemoryStore("shop"), namespace="shop").namespace == "shop"
    assert Client("memory://").namespace == "default"
    with pytest.raises(ConfigurationError, match="made for 'shop'"):
        Client(MemoryStore("shop"), namespace="other")


def test_a_short_bound_shortens_the_polling():
    client = Client("memory://", max_staleness=3, ttl=10)

    assert client._options.ttl_s == 1.0


@pytest.mark.parametrize("given", [{"variant": "off"}, ServeOnFailure(variant="off")])
def test_a_variant_may_be_named_for_failures(given: Any):
    assert Client("memory://", on_failure=given)._options.on_failure == ServeOnFailure(variant="off")


def test_extensions_are_taken_as_they_are():
    extensions = Extensions(operators={"geo": lambda attribute, values: True})

    assert Client("memory://", extensions=extensions)._options.extensions is extensions


def test_the_directory_of_the_file_does_not_change_with_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)

    assert Client("memory://", last_good="flags")._options.last_good == tmp_path / "flags"


def test_bounds_may_be_endless():
    client = Client("memory://", max_staleness=float("inf"), last_good_max_age=timedelta(days=3))

    assert client._options.max_staleness_s == float("inf")


def test_a_path_may_be_text_or_a_path(tmp_path: Path):
    assert Client("memory://", last_good=str(tmp_path / "f"))._options.last_good == tmp_path / "f"
    assert Client("memory://", last_good=tmp_path / "f")._options.last_good == tmp_path / "f"


def test_the_repr_names_store_and_state_and_no_secret():
    text = repr(Client("redis://anna:secret@localhost:6379/0", namespace="shop"))

    assert "shop" in text
    assert "starting" in text
    assert "secret" not in text
