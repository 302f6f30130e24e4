"""
A program that forks while its client and its admin are alive, run by `test_forks.py`: WHEN, URL and NAMESPACE.

The child answers from memory and says so, may start a client of its own, and drops what it inherited; afterwards the
parent has to hear of a change as fast as ever.
"""

import asyncio
import gc
import multiprocessing
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable

import pytest

from grayflow import Admin, Client, LifetimeError

DEAF_S = 1.5
"""Less than any time-out after which a parent that is deaf would notice."""

HELD: dict[str, object] = {}
"""What the child throws away."""


def child(flags: Client, url: str, namespace: str) -> None:
    """Use what was inherited, then a client of one's own."""
    decision = flags.peek_decision("f")
    assert decision.value is True, decision
    assert decision.stale, decision
    assert "Start the client after the fork" in decision.detail, decision
    health = flags.health
    assert (health.state, health.link) == ("stale", "down"), health
    asyncio.run(refused(flags))
    asyncio.run(own(url, namespace))


async def refused(flags: Client) -> None:
    """Only memory is left of it."""
    assert await flags.is_enabled("f") is True
    for verb in (flags.start, lambda: flags.wait_for("e:1:n")):
        with pytest.raises(LifetimeError, match="after the fork"):
            await verb()
    await flags.aclose()


async def own(url: str, namespace: str) -> None:
    """A client that was made here is like any other."""
    async with Client(url, namespace=namespace, ttl=60) as flags:
        decision = await flags.evaluate("f", freshness="confirmed")
        assert (decision.value, decision.stale) == (True, False), decision


def fork(run: Callable[[], None]) -> None:
    """Run in a forked child, and wait for it."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            asyncio._set_running_loop(None)
            run()
            HELD.clear()
            gc.collect()
            status = 0
        except Exception:  # noqa: BLE001 - told; the parent sees the status
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(process, 0)[1] == 0


def fork_in_a_thread(run: Callable[[], None]) -> None:
    """Fork where no loop runs, while one does elsewhere."""
    thread = threading.Thread(target=fork, args=(run,))
    thread.start()
    thread.join()


def fork_by_multiprocessing(run: Callable[[], None]) -> None:
    """Fork as process pools do; such a child ends by `os._exit`, after what was registered for its end."""
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == 0


def main(when: str, url: str, namespace: str) -> None:
    """Start, fork, and see whether the parent still hears."""
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    admin = run(Admin(url, namespace=namespace, actor="ada").__aenter__())
    run(admin.init())
    run(admin.create({"key": "f", "enabled": True}))
    flags = run(Client(url, namespace=namespace, ttl=60, max_staleness=300).start())
    HELD.update(admin=admin, flags=flags, loop=loop)
    in_child = lambda: child(HELD["flags"], url, namespace)  # noqa: E731

    async def while_running() -> None:
        {"inside": fork, "thread": fork_in_a_thread, "multiprocessing": fork_by_multiprocessing}[when](in_child)

    if when == "between":
        del admin, flags, loop, run
        fork(in_child)
        loop, admin, flags = HELD["loop"], HELD["admin"], HELD["flags"]
        run = loop.run_until_complete
    else:
        run(while_running())
    run(unharmed(admin, flags))
    run(flags.aclose())
    run(admin.__aexit__(None, None, None))
    loop.close()
    print("done")


async def unharmed(admin: Admin, flags: Client) -> None:
    """Everything goes on as if nothing had happened."""
    async with asyncio.timeout(DEAF_S):
        saved = await admin.switch_off("f", reason="test")
        await flags.wait_for(saved.token, timeout=DEAF_S)
        decision = await flags.evaluate("f", freshness="confirmed")
        assert (decision.value, decision.stale) == (False, False), decision
    assert (flags.health.link, flags.health.loads, flags.health.last_error) == ("up", 1, None), flags.health


if __name__ == "__main__":
    warnings.simplefilter("error")
    # Python 3.12 and later warn of every fork beside threads; that is what is tried here.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    main(*sys.argv[1:])
