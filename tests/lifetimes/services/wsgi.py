"""
A service without a loop, as a gunicorn configuration and its application in one: each worker runs its client in a
portal thread, started after the fork, and its requests peek.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import msgspec
from anyio.from_thread import start_blocking_portal

from grayflow import Client, Context

__all__ = ["app", "post_worker_init", "worker_exit"]

flags = Client(os.environ["GRAYFLOW_URL"], namespace=os.environ["GRAYFLOW_NAMESPACE"], on_failure="last_known")
closing = ExitStack()


def post_worker_init(worker: Any) -> None:
    """Start the client; gunicorn calls this in each worker, when the application is loaded."""
    portal = closing.enter_context(start_blocking_portal())
    portal.call(flags.start)
    closing.callback(portal.call, flags.aclose)


def worker_exit(server: Any, worker: Any) -> None:
    """Close it; gunicorn calls this in a worker that ends."""
    closing.close()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer /pay and /health as the examples do."""
    if environ["PATH_INFO"] == "/health":
        body = msgspec.json.encode(flags.health)
    else:
        body = b"new True" if flags.peek("payment_v2", Context(user_id="u1")) else b"old True"
    start_response("200 OK", [("x-pid", str(os.getpid())), ("content-length", str(len(body)))])
    return [body]
