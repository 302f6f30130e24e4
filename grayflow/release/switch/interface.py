"""
What an interface asks of its implementations: its members, what kind each is, and which calls it takes.

`isinstance` with a `runtime_checkable` protocol looks at names only. A synchronous method where an asynchronous one is
called, or one argument less, would be found by the first user who is switched to the new side; here it is found when
the implementation is registered. Types of arguments are mypy's business.

Pure: looks at classes and functions, calls none of them.
"""

import inspect
from abc import ABCMeta
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Generic, Protocol, get_origin

import msgspec

from grayflow.errors import ConfigurationError
from grayflow.release.switch.signatures import refusals
from grayflow.store.given import refused

__all__ = ["Interface", "Kind", "Member", "function_kind", "read_interface"]


class Kind(StrEnum):
    """How a member is used."""

    ASYNC = "async method"
    """Called and awaited."""
    SYNC = "method"
    """Called."""
    STREAM = "async iterator"
    """Called, and iterated by `async for`."""
    ITERATOR = "iterator"
    """Called, and iterated by `for`."""
    ASYNC_BLOCK = "async context manager"
    """Called, and entered by `async with`."""
    BLOCK = "context manager"
    """Called, and entered by `with`."""
    ATTRIBUTE = "attribute"
    """Read."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One member of an interface."""

    name: str
    kind: Kind
    signature: inspect.Signature | None = None
    """Without `self`; `None` for attributes and what Python cannot look into."""
    function: Any = None
    """As the interface declares it."""
    gives: Kind | None = None
    """How the result of an async method is used, if it is used after the method returned."""


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A `Protocol` or ABC with all that its implementations must have."""

    declared: type
    members: Mapping[str, Member]

    @property
    def name(self) -> str:
        """For messages."""
        return self.declared.__qualname__

    @property
    def synchronous(self) -> bool:
        """Whether something in it is used without an await, so that nothing can be opened at that moment."""
        return any(member.kind in _AT_ONCE for member in self.members.values())

    def refusals(self, kind: type) -> tuple[str, ...]:
        """Return why a class is no implementation, as sentences; what it sets only in `__init__` is not seen."""
        return tuple(_of_class(self.members.values(), kind))

    def lacks(self, implementation: object) -> tuple[str, ...]:
        """Return the same for an object."""
        missing = [
            f"it has no {member.name!r}"
            for member in self.members.values()
            if member.kind is Kind.ATTRIBUTE and not hasattr(implementation, member.name)
        ]
        return (*_of_class(self.members.values(), type(implementation)), *missing)


_AT_ONCE = {Kind.SYNC, Kind.ITERATOR, Kind.BLOCK, Kind.ATTRIBUTE}

_KINDS = {
    "Awaitable": Kind.ASYNC,
    "Coroutine": Kind.ASYNC,
    "Future": Kind.ASYNC,
    "Task": Kind.ASYNC,
    "AsyncIterator": Kind.STREAM,
    "AsyncIterable": Kind.STREAM,
    "AsyncGenerator": Kind.STREAM,
    "Iterator": Kind.ITERATOR,
    "Generator": Kind.ITERATOR,
    "AbstractAsyncContextManager": Kind.ASYNC_BLOCK,
    "AsyncContextManager": Kind.ASYNC_BLOCK,
    "AbstractContextManager": Kind.BLOCK,
    "ContextManager": Kind.BLOCK,
}
"""What a function that is not `async def` returns, by the name of its annotation."""


def read_interface(declared: Any) -> Interface:
    """
    Look at an interface.

    Raises:
        ConfigurationError: it is neither a `Protocol` nor an ABC, or asks for nothing.
    """
    if not isinstance(declared, ABCMeta):  # the class of protocols is derived from it
        raise refused("interface", declared, "give a typing.Protocol or an abstract base class")
    found = {name: _member(declared, name) for name in _names(declared)}
    if not found:
        raise ConfigurationError(f"{declared.__qualname__} declares nothing that an implementation must have")
    return Interface(declared=declared, members=found)


def _names(declared: type) -> Iterator[str]:
    """Yield what is public in the interface and in those that it is made from, and what is abstract."""
    abstract: frozenset[str] = getattr(declared, "__abstractmethods__", frozenset())
    seen: set[str] = set()
    for base in declared.__mro__:
        if base in (object, Generic, Protocol):
            continue
        special = _SPECIAL if getattr(base, "_is_protocol", False) else set()
        for name in (*vars(base), *vars(base).get("__annotations__", {})):
            wanted = not name.startswith("_") or name in abstract or name in special
            if wanted and name not in seen and not isinstance(vars(base).get(name), type):
                seen.add(name)
                yield name


_SPECIAL = {
    *("__aiter__", "__anext__", "__iter__", "__next__", "__len__", "__contains__", "__bool__"),
    *("__getitem__", "__setitem__", "__delitem__", "__call__", "__await__"),
    *("__aenter__", "__aexit__", "__enter__", "__exit__"),
}
"""What a protocol can ask for under a name of Python's. Of an ABC these count where they are abstract."""


def _member(declared: type, name: str) -> Member:
    raw = inspect.getattr_static(declared, name, None)
    function = _function(raw)
    if function is None:
        return Member(name=name, kind=Kind.ATTRIBUTE)
    kind = function_kind(function) or Kind.SYNC
    gives = _KINDS.get(_head(_returned(function))) if kind is Kind.ASYNC else None
    return Member(
        name=name,
        kind=kind,
        signature=_signature(raw),
        function=function,
        gives=gives if gives in (Kind.STREAM, Kind.ASYNC_BLOCK) else None,
    )


def _function(raw: Any) -> Callable[..., Any] | None:
    """Return what is called, `None` for an attribute."""
    if isinstance(raw, staticmethod | classmethod):
        raw = raw.__func__
    return raw if callable(raw) and not isinstance(raw, type) else None


def _signature(raw: Any) -> inspect.Signature | None:
    """Return how a member is called through an object: without `self`."""
    bound = not isinstance(raw, staticmethod)
    function = _function(raw)
    try:
        found = inspect.signature(function) if function is not None else None
    except (TypeError, ValueError):  # built in
        return None
    if found is None or not (bound and hasattr(function, "__get__")):
        return found
    first, *rest = found.parameters.values() or (None,)
    if first is None or first.kind in (first.VAR_POSITIONAL, first.KEYWORD_ONLY, first.VAR_KEYWORD):
        return found
    return found.replace(parameters=rest)


def function_kind(function: Any) -> Kind | None:
    """Return how a function is used, `None` where nothing says it: an ordinary function of unknown result."""
    if inspect.iscoroutinefunction(function):
        return Kind.ASYNC
    if inspect.isasyncgenfunction(function):
        return Kind.STREAM
    if inspect.isgeneratorfunction(function):
        return Kind.ITERATOR
    inner = inspect.unwrap(function)
    if inner is not function:
        # `functools.wraps` takes the annotations along: those of `@asynccontextmanager` say what is inside.
        made = {Kind.STREAM: Kind.ASYNC_BLOCK, Kind.ITERATOR: Kind.BLOCK}
        kind = function_kind(inner)
        in_contextlib = getattr(getattr(function, "__code__", None), "co_filename", "").endswith("contextlib.py")
        return made.get(kind, kind) if kind is not None and in_contextlib else kind
    return _KINDS.get(_head(_returned(function)))


def _returned(function: Any) -> Any:
    return getattr(function, "__annotations__", {}).get("return")


def _head(annotation: Any) -> str:
    """Return the name of an annotation without its parameters, also of one that is text."""
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2].strip()
    return str(getattr(get_origin(annotation) or annotation, "__name__", ""))


def _of_class(members: Any, kind: type) -> Iterator[str]:
    for member in members:
        raw = inspect.getattr_static(kind, member.name, None)
        if raw is None and not hasattr(kind, member.name):
            if member.kind is not Kind.ATTRIBUTE and not hasattr(kind, "__getattr__"):
                yield f"it has no {member.kind} {member.name!r}"
        elif member.kind is not Kind.ATTRIBUTE:
            yield from _of_member(member, raw)


def _of_member(member: Member, raw: Any) -> Iterator[str]:
    function = _function(raw)
    if function is None and hasattr(raw, "__get__"):  # a property may well return a function
        return
    found = Kind.ATTRIBUTE if function is None else function_kind(function)
    if _differs(member.kind, found):
        what = found or "method that is neither `async def` nor says that it returns an awaitable"
        yield f"{member.name!r} is {_a(member.kind)} in the interface, and here {_a(what)}"
        return
    if member.signature is not None and (signature := _signature(raw)) is not None:
        yield from (f"{member.name!r} {text}" for text in refusals(member.signature, signature))


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _differs(wanted: Kind, found: Kind | None) -> bool:
    if found is None:
        return wanted is Kind.ASYNC
    if wanted is Kind.SYNC:
        # What the interface says nothing of may be an iterator or a block as well, but nothing that has to be awaited.
        return found in (Kind.ASYNC, Kind.STREAM, Kind.ASYNC_BLOCK, Kind.ATTRIBUTE)
    return wanted is not found
