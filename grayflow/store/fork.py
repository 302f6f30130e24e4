"""
What a forked child must never throw away.

An asyncio transport that is finalised unregisters its socket from the loop's selector. After a fork the child has the
same objects, and behind its copy of the selector is the *parent's* epoll instance: when the child's garbage collector
comes to an inherited connection, the parent stops hearing from its own (measured with redis-py 8.1.0: commands hang
until their time-out, messages never come). And SQLite forbids to carry a connection into a child, closing it included.
So a child keeps for ever what it inherited and never closes it; the two sides share nothing else, and sockets and files
end with the processes.

The two module-level names are the price: only a hook of the interpreter runs in every child, and it takes no
arguments. What is open is held weakly; the list is empty except in a forked child.
"""

import os
from weakref import WeakSet

__all__ = ["remember"]

_open: WeakSet[object] = WeakSet()
_parked: list[object] = []


def remember(holder: object) -> None:
    """See to it that a forked child never finalises what `holder` refers to."""
    _open.add(holder)


def _park() -> None:
    _parked.extend(_open)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_park)
