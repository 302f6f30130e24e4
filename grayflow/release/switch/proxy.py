"""
Objects that look like an interface and decide with each call who answers it.

The class is made once for an interface and a way of calling: a subclass of the interface, so `isinstance` holds, whose
members are plain functions, so that they cost little and look like the interface's own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import update_wrapper
from types import new_class
from typing import Any

from grayflow.release.switch.instance import Use
from grayflow.release.switch.interface import Interface, Kind, Member
from grayflow.release.switch.streams import AsyncBlock, Block, Items, Leave, Stream

__all__ = ["Calls", "Route", "make_proxy", "started"]


class Route(ABC):
    """Where calls go."""

    @abstractmethod
    def enter(self) -> Use[Any] | None:
        """Begin a call; `None` if something has to be waited for first."""

    @abstractmethod
    async def enter_slowly(self) -> Use[Any]:
        """Begin a call, and wait for what it needs."""

    @abstractmethod
    def enter_now(self) -> Use[Any]:
        """Begin a call of something that cannot wait."""

    @property
    @abstractmethod
    def leave(self) -> Leave:
        """What ends a stream that is dropped."""


class Calls:
    """
    Makes the functions of a proxy: each begins a call, passes everything on, and ends the call whatever happens.

    Args:
        route: Where calls go.
    """

    def __init__(self, route: Route) -> None:
        self.route = route

    def make(self, member: Member) -> Any:
        """Return what stands in the proxy's class for a member."""
        if member.kind is Kind.ATTRIBUTE:
            return property(self.attribute(member), doc=f"Of whoever answers: see {member.name!r} there.")
        makers: dict[Kind, Callable[[Member], Callable[..., Any]]] = {
            Kind.ASYNC: self.asynchronous,
            Kind.SYNC: self.synchronous,
            Kind.STREAM: self.stream,
            Kind.ITERATOR: self.iterator,
            Kind.ASYNC_BLOCK: self.async_block,
            Kind.BLOCK: self.block,
        }
        made = makers[member.kind](member)
        # Not `__dict__` too: it would say that the function is abstract.
        return update_wrapper(made, member.function, updated=())

    def asynchronous(self, member: Member) -> Callable[..., Any]:
        """Make an async method."""
        name, enter, enter_slowly = member.name, self.route.enter, self.route.enter_slowly
        if member.gives is not None:
            return self._asynchronous_giving(member)

        async def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            use = enter() or await enter_slowly()
            try:
                return await getattr(use.value, name)(*args, **kwargs)
            finally:
                use.leave()

        return call

    def _asynchronous_giving(self, member: Member) -> Callable[..., Any]:
        """Make an async method whose result is used after it returned."""
        name, route = member.name, self.route

        async def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            use = route.enter() or await route.enter_slowly()
            passed_on = False
            try:
                inner = await getattr(use.value, name)(*args, **kwargs)
                passed_on = True
            finally:
                if not passed_on:
                    use.leave()

            async def begun() -> tuple[Use[Any], Any]:
                return use, inner

            if member.gives is Kind.ASYNC_BLOCK:
                return AsyncBlock(begun)
            return Stream(begun, route.leave, (use, inner))

        return call

    def synchronous(self, member: Member) -> Callable[..., Any]:
        """Make a method."""
        name, enter_now = member.name, self.route.enter_now

        def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            use = enter_now()
            try:
                return getattr(use.value, name)(*args, **kwargs)
            finally:
                use.leave()

        return call

    def attribute(self, member: Member) -> Callable[[Any], Any]:
        """Make the getter of an attribute."""
        name, enter_now = member.name, self.route.enter_now

        def read(_: Any) -> Any:
            use = enter_now()
            try:
                return getattr(use.value, name)
            finally:
                use.leave()

        return read

    def stream(self, member: Member) -> Callable[..., Any]:
        """Make a method that returns an async iterator."""
        name, route = member.name, self.route

        def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            def begun(use: Use[Any]) -> tuple[Use[Any], Any]:
                return started(use, lambda: aiter(getattr(use.value, name)(*args, **kwargs)))

            async def begin() -> tuple[Use[Any], Any]:
                return begun(await route.enter_slowly())

            use = route.enter()
            return Stream(begin, route.leave, None if use is None else begun(use))

        return call

    def iterator(self, member: Member) -> Callable[..., Any]:
        """Make a method that returns an iterator."""
        name, enter_now = member.name, self.route.enter_now

        def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            use = enter_now()
            return Items(*started(use, lambda: iter(getattr(use.value, name)(*args, **kwargs))))

        return call

    def async_block(self, member: Member) -> Callable[..., Any]:
        """Make a method that returns an async context manager."""
        name, route = member.name, self.route

        def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            async def begin() -> tuple[Use[Any], Any]:
                use = route.enter() or await route.enter_slowly()
                return started(use, lambda: getattr(use.value, name)(*args, **kwargs))

            return AsyncBlock(begin)

        return call

    def block(self, member: Member) -> Callable[..., Any]:
        """Make a method that returns a context manager."""
        name, enter_now = member.name, self.route.enter_now

        def call(_: Any, /, *args: Any, **kwargs: Any) -> Any:
            def begin() -> tuple[Use[Any], Any]:
                use = enter_now()
                return started(use, lambda: getattr(use.value, name)(*args, **kwargs))

            return Block(begin)

        return call


def started(use: Use[Any], start: Callable[[], Any]) -> tuple[Use[Any], Any]:
    """Return the use and what was started in it; the use has ended if that raised."""
    try:
        return use, start()
    except BaseException:
        use.leave()
        raise


def make_proxy(interface: Interface, calls: Calls, told: str) -> Any:
    """
    Return an object of the interface.

    Args:
        interface: What it looks like.
        calls: Makes its members.
        told: What `repr` says.
    """
    body = {name: calls.make(member) for name, member in interface.members.items()}
    body |= {"__init__": _nothing, "__repr__": lambda _: told, "__module__": __name__, "__doc__": None}
    kind = new_class(f"{interface.declared.__name__}Proxy", (interface.declared,), exec_body=lambda it: it.update(body))
    return kind()


def _nothing(_: Any) -> None:
    """Build nothing: the interface may have a constructor, which is for implementations."""
