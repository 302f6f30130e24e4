"""
Where in its life a flag set is, and the bytes of its documents.

Both are pure values that a snapshot carries and a store hands out, so they stand below both.
"""

from typing import Any

import msgspec

from grayflow.core.values import shown
from grayflow.errors import ConfigurationError

__all__ = ["Document", "Position"]


class Position(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    Where in its life a namespace is.

    `epoch` is drawn at random when the namespace is initialised; `revision` counts its changes from 0; `nonce` is
    drawn anew for each change. Two positions are the same state exactly when all three are equal: after a failover
    that lost acknowledged writes, revisions are used a second time, nonces are not. Order (`<` on `revision`) means
    something within one epoch only.
    """

    epoch: str
    revision: int
    nonce: str

    def token(self) -> str:
        """Return `epoch:revision:nonce`, for message headers and `Client.wait_for`."""
        return f"{self.epoch}:{self.revision}:{self.nonce}"

    @classmethod
    def from_token(cls, token: str) -> "Position":
        """
        Read what `token` wrote.

        Raises:
            ConfigurationError: it is not of that form.
        """
        given: Any = token
        parts = given.split(":") if isinstance(given, str) else ()
        if len(parts) != 3 or not (parts[1].isascii() and parts[1].isdigit() and len(parts[1]) <= 18):
            raise ConfigurationError(
                f"{shown(token)} is not a position; give a token, epoch:revision:nonce, such as Saved.token"
            )
        return cls(epoch=parts[0], revision=int(parts[1]), nonce=parts[2])


class Document(msgspec.Struct, frozen=True, gc=False):
    """The bytes of one flag or segment, unchecked, and the revision that wrote them."""

    revision: int
    data: bytes
