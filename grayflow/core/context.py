"""The typed subject of a decision: for whom, from where, with what."""

from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["Context", "as_context"]


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who and what a decision is about.

    A service subclasses it with fields of its own and hands the class to the client, so that field names are the
    same across the code base. Values are kept as given and never checked: what an operator cannot read, it says.
    """

    user_id: str | int | None = None
    session_id: str | int | None = None
    tenant_id: str | int | None = None
    device: str | None = None
    platform: str | None = None
    app_version: str | None = None
    user_agent: str | None = None
    country: str | None = None
    region: str | None = None
    ip: str | None = None
    path: str | None = None
    attributes: Mapping[str, Any] = {}  # noqa: RUF012 - msgspec copies mutable defaults


def as_context[C: Context](given: Any, context_type: type[C]) -> C:
    raise NotImplementedError
