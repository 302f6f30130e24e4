"""What is refused when an implementation is registered, and what is not."""

import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Protocol, Self
from unittest.mock import AsyncMock

import pytest

from grayflow import Client, ConfigurationError
from grayflow.release import ImplementationSwitch, SelectionReason
from grayflow.release.switch.interface import read_interface

pytestmark = pytest.mark.anyio


class Cache(Protocol):
    async def get(self, key: str, default: str = "") -> str: ...

    def scan(self, prefix: str) -> AsyncIterator[str]: ...


class Good:
    async def get(self, key: str, default: str = "", *, ttl: float = 0) -> str:
        return default

    async def scan(self, prefix: str) -> AsyncIterator[str]:
        yield prefix

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        yield cls()


class Synchronous(Good):
    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
        return default


class Renamed(Good):
    async def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        return default


class Demanding(Good):
    async def get(self, key: str, default: str) -> str:  # type: ignore[override]
        return default


class Awaited(Good):
    async def scan(self, prefix: str) -> list[str]:  # type: ignore[override]
        return []


class Lacking:
    async def get(self, key: str, default: str = "") -> str:
        return default


class Attribute(Good):
    scan = "no method at all"  # type: ignore[assignment]


def switch_to(given: Any) -> ImplementationSwitch[Cache]:
    return ImplementationSwitch(Cache, flag="cache", variants={"off": Good.open, "on": given}, default="off")


def unsaid(kind: type) -> Callable[[], Any]:
    """Return a factory that does not say what it opens."""

    def make():  # type: ignore[no-untyped-def]
        return kind()

    return make


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Synchronous, "'get' is an async method in the interface, and here a method that is neither `async def` nor"),
        (Renamed, "'get' takes no argument 'key' by name"),
        (Demanding, "'get' needs an argument 'default'"),
        (Awaited, "'scan' is an async iterator in the interface, and here an async method"),
        (Lacking, "it has no async iterator 'scan'"),
        (Attribute, "'scan' is an async iterator in the interface, and here an attribute"),
    ],
)
@pytest.mark.parametrize(
    "way", ["class", "classmethod", "function", "partial", "context manager", "object", "awaitable"]
)
def test_what_cannot_take_the_place_of_the_interface_is_refused_at_registration(
    kind: type, words: str, way: str
) -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[kind]:  # type: ignore[valid-type]
        yield kind()

    def entered() -> AbstractAsyncContextManager[kind]:  # type: ignore[valid-type]
        raise AssertionError

    async def made() -> kind:  # type: ignore[valid-type]
        raise AssertionError

    ways: dict[str, Callable[[], Any]] = {
        "class": lambda: kind,
        "classmethod": lambda: kind.open if hasattr(kind, "open") else kind,
        "function": lambda: opened,
        "partial": lambda: partial(opened),
        "context manager": lambda: entered,
        "object": kind,
        "awaitable": lambda: made,
    }

    with pytest.raises(ConfigurationError) as caught:
        switch_to(ways[way]())

    assert f"variant 'on': {kind.__qualname__} does not implement Cache" in str(caught.value)
    assert words in str(caught.value)


async def test_what_a_factory_does_not_say_is_looked_at_when_it_is_opened(
    flags: Client, caplog: pytest.LogCaptureFixture
) -> None:
    switch = switch_to(unsaid(Synchronous))
    async with switch.running(flags):
        with flags.override(cache=True):
            assert await switch.proxy().get("k", "answer") == "answer"
            assert switch.choose().reason is SelectionReason.FACTORY_FAILED

    assert "Synchronous does not implement Cache: 'get' is an async method" in caplog.text


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


class Decorated(Good):
    @traced
    async def get(self, key: str, default: str = "") -> str:
        return default

    @traced
    async def scan(self, prefix: str) -> AsyncIterator[str]:
        yield prefix


class Delegating(Good):
    def __init__(self) -> None:
        self.inner = Good()

    def get(self, key: str, default: str = "") -> Awaitable[str]:  # type: ignore[override]
        return self.inner.get(key, default)

    def scan(self, prefix):  # type: ignore[no-untyped-def]
        return self.inner.scan(prefix)


class Forwarding:
    """Answers for whatever it is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(Good(), name)


class Static(Good):
    @staticmethod
    async def get(key: str, default: str = "") -> str:  # type: ignore[override]
        return default

    @classmethod
    async def scan(cls, prefix: str) -> AsyncIterator[str]:
        yield prefix


class Loose:
    async def get(self, *args: Any, **kwargs: Any) -> str:
        return str(kwargs.get("default", args[1]))

    async def scan(self, *args: Any, **kwargs: Any) -> AsyncIterator[str]:
        yield args[0]


@pytest.mark.parametrize("kind", [Good, Decorated, Delegating, Forwarding, Static, Loose])
async def test_what_behaves_like_the_interface_is_taken_however_it_is_written(flags: Client, kind: type) -> None:
    for given in (kind, kind(), unsaid(kind)):
        switch = switch_to(given)
        async with switch.running(flags):
            with flags.override(cache=True):
                assert await switch.proxy().get("k", "answer") == "answer"
                assert [each async for each in switch.proxy().scan("p")] == ["p"]
                assert switch.choose().reason is SelectionReason.DECIDED


async def test_a_mock_is_taken(flags: Client) -> None:
    mock = AsyncMock(Good)
    mock.get.return_value = "mocked"
    switch = switch_to(mock)
    async with switch.running(flags):
        with flags.override(cache=True):
            assert await switch.proxy().get("k") == "mocked"


async def test_an_object_that_is_open_already_is_never_closed(flags: Client) -> None:
    class Entered(Good):
        closed = False

        async def __aenter__(self) -> Self:
            raise AssertionError

        async def __aexit__(self, *exc: object) -> None:
            raise AssertionError

    given = Entered()
    switch = switch_to(given)
    async with switch.running(flags):
        with flags.override(cache=True):
            assert await switch.proxy().get("k", "answer") == "answer"


async def test_a_class_that_can_be_entered_is_entered_and_left(flags: Client) -> None:
    done = []

    class Entered(Good):
        async def __aenter__(self) -> Self:
            done.append("entered")
            return self

        async def __aexit__(self, *exc: object) -> None:
            done.append("left")

    switch = switch_to(Entered)
    async with switch.running(flags):
        with flags.override(cache=True):
            await switch.proxy().get("k")
        assert done == ["entered"]

    assert done == ["entered", "left"]


class Nothing(Protocol):
    pass


@pytest.mark.parametrize(
    ("interface", "words"),
    [
        (Good, "interface is the class Good; give a typing.Protocol or an abstract base class"),
        (len, "give a typing.Protocol"),
        (Nothing, "Nothing declares nothing"),
    ],
)
def test_what_is_no_interface_is_refused(interface: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ImplementationSwitch(interface, flag="cache", variants={"off": Good}, default="off")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"flag": "no spaces"}, "flag is 'no spaces'"),
        ({"default": "third"}, "default is 'third'; name one of the variants: 'off', 'on'"),
        ({"variants": {}}, "variants is empty; give a factory for each variant"),
        ({"variants": [Good]}, "variants is a list; give a mapping"),
        ({"variants": {"off": Good, 1: Good}}, "1 names no variant"),
        ({"variants": {"off": 1}}, "int does not implement Cache"),
        ({"pin": "user"}, "pin is 'user'; give 'scope' or 'call'"),
        ({"by": 3}, "by is 3"),
        ({"drain_timeout": -1}, "drain_timeout is -1"),
        ({"open_timeout": "soon"}, "open_timeout is 'soon'"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_remedy(options: dict[str, Any], words: str) -> None:
    given = {"flag": "cache", "variants": {"off": Good, "on": Good}, "default": "off", **options}
    with pytest.raises(ConfigurationError) as caught:
        ImplementationSwitch(Cache, **given)

    assert words in str(caught.value)


class Addressed(Good):
    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    @asynccontextmanager
    async def open_at(cls, url: str) -> AsyncIterator[Self]:
        yield cls(url)


@asynccontextmanager
async def open_at(url: str) -> AsyncIterator[Good]:
    yield Addressed(url)


@pytest.mark.parametrize(
    "factory", [Addressed, Addressed.open_at, open_at, lambda url, port=1: Addressed(f"{url}:{port}")]
)
def test_a_factory_that_needs_arguments_is_refused(factory: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        switch_to(factory)

    assert str(caught.value) == (
        "the factory of variant 'on' is called without arguments, and takes some: missing a required argument: 'url'; "
        "give lambda: factory(...), or functools.partial"
    )


@functools.wraps(open_at)
def injected() -> AbstractAsyncContextManager[Good]:
    return open_at("memory://")


class Unsigned:
    __signature__ = "nobody can read this"

    def __call__(self) -> AbstractAsyncContextManager[Good]:
        return open_at("memory://")


@pytest.mark.parametrize("factory", [partial(open_at, "memory://"), lambda: Addressed("u"), injected, Unsigned()])
async def test_a_factory_that_can_be_called_without_arguments_is_taken(flags: Client, factory: Any) -> None:
    switch = switch_to(factory)
    async with switch.running(flags):
        assert await switch.proxy_of("on").get("k", "default") == "default"
        assert switch.status.variants["on"].open


def test_only_a_client_decides() -> None:
    with pytest.raises(ConfigurationError, match=r"give the grayflow\.Client"):
        switch_to(Good).running("redis://localhost")  # type: ignore[arg-type]


class Parent(Protocol):
    async def inherited(self) -> None: ...


class Child(Parent, Protocol):
    limit: int

    class Inner:
        """No member."""

    async def own(self) -> None: ...

    def _private(self) -> None: ...

    def __iter__(self) -> Iterator[str]: ...


class Abstract(ABC):
    @property
    @abstractmethod
    def label(self) -> str: ...

    @abstractmethod
    def __len__(self) -> int: ...

    def __repr__(self) -> str:
        return "abstract"

    def _private(self) -> str:
        return "no member"


def test_the_members_of_an_interface_are_what_is_public_or_abstract_in_it() -> None:
    child, abstract = read_interface(Child), read_interface(Abstract)

    assert {name: str(one.kind) for name, one in child.members.items()} == {
        "inherited": "async method",
        "limit": "attribute",
        "own": "async method",
        "__iter__": "iterator",
    }
    assert {name: str(one.kind) for name, one in abstract.members.items()} == {
        "label": "attribute",
        "__len__": "method",
    }
