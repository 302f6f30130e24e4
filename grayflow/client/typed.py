"""
Flags as objects with a type: a mistyped name is an AttributeError that mypy sees, and a default of the wrong kind too.

`grayflow codegen` writes a class of them from a flag set; they are short enough to write by hand as well.
"""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from grayflow.client.client import Client
from grayflow.core.context import Context
from grayflow.core.decision import Decision

__all__ = ["BooleanFlag", "TypedFlag"]

T = TypeVar("T")

AnyContext = Context | Mapping[str, Any] | None


class TypedFlag(Generic[T]):
    """
    One flag of a client.

    Args:
        client: The client.
        key: The flag.
        default: The answer where there is none; its type is what is asked for.
    """

    __slots__ = ("client", "default", "key")

    def __init__(self, client: Client, key: str, *, default: T) -> None:
        self.client, self.key, self.default = client, key, default

    async def value(self, context: AnyContext = None) -> T:
        """See `Client.value`."""
        return await self.client.value(self.key, context, default=self.default)

    async def evaluate(self, context: AnyContext = None) -> Decision:
        """See `Client.evaluate`."""
        return await self.client.evaluate(self.key, context, default=self.default)

    def peek_value(self, context: AnyContext = None) -> T:
        """See `Client.peek_value`."""
        return self.client.peek_value(self.key, context, default=self.default)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r}, default={self.default!r})"


class BooleanFlag(TypedFlag[bool]):
    """A flag that is on or off; see `TypedFlag`."""

    __slots__ = ()

    async def is_enabled(self, context: AnyContext = None) -> bool:
        """See `Client.is_enabled`."""
        return await self.client.is_enabled(self.key, context, default=self.default)

    def peek(self, context: AnyContext = None) -> bool:
        """See `Client.peek`."""
        return self.client.peek(self.key, context, default=self.default)
