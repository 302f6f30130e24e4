"""The words in which a fault is described."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from tests.faults.stage import Stage

__all__ = ["Fault", "Route"]

Route = Literal["direct", "proxy", "cable", "sentinel", "cluster"]
"""
How the client reaches its server: as it is, through a bad network, on a cable that can be cut (root only), or by asking
who is the master now.
"""


class Fault(ABC):
    """
    One thing that goes wrong, and what becomes of it.

    It is played in this order: `prepare`, `strike`; `meanwhile`, and at least `lasts_s`, and until the client has
    noticed; `heal`. All the time flags are edited and asked for. In the end the client has to hold what the server
    holds. Where `remedy` is set it first has to keep its last good flags, and its health has to name that command.
    """

    name: ClassVar[str]
    route: ClassVar[Route] = "direct"
    options: ClassVar[tuple[str, ...]] = ("--appendonly", "yes", "--appendfsync", "no")
    """Of the server. Everything that it acknowledged survives its process, unless a fault says otherwise."""
    lasts_s: ClassVar[float] = 2.0
    brief_s: ClassVar[float] = 0.0
    """The same in the ordinary suite."""
    heals_itself: ClassVar[bool] = False
    """The servers recover without anybody's help: the time counts from the strike."""
    silent: ClassVar[bool] = False
    """There is nothing to notice for the client."""
    forgets: ClassVar[bool] = False
    """The server itself loses edits that it acknowledged; the client has to notice, and nobody can bring them back."""
    remedy: ClassVar[str] = ""
    writer_on_route: ClassVar[bool] = False
    """The writer suffers too; else it has a way of its own."""
    quick: ClassVar[bool] = True
    """Short enough for the ordinary suite."""

    async def prepare(self, stage: "Stage") -> None:  # noqa: B027 - most faults need nothing here
        """Do what has to be done while all is well."""

    @abstractmethod
    async def strike(self, stage: "Stage") -> None:
        """Break something."""

    async def meanwhile(self, stage: "Stage") -> None:  # noqa: B027 - nor here
        """Look at what still works."""

    async def heal(self, stage: "Stage") -> None:  # noqa: B027 - and some heal by themselves
        """Mend it, as somebody would who runs the service."""
