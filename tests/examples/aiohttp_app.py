"""
An aiohttp service: one client for the process, one scope for each request.

    GRAYFLOW_URL=redis://localhost:6379/0 python -m tests.examples.aiohttp_app 8080
"""

import os
import sys
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from grayflow import Client, Context

FLAGS = web.AppKey("flags", Client)


async def client(app: web.Application) -> AsyncIterator[None]:
    """Open the client with the service and close it with it."""
    url = os.environ.get("GRAYFLOW_URL", "sqlite:///flags.db")
    async with Client(url, namespace=os.environ.get("GRAYFLOW_NAMESPACE", "default"), on_failure="last_known") as flags:
        app[FLAGS] = flags
        yield


async def pay(request: web.Request) -> web.Response:
    """Choose the payment code for this user; both checks see the same snapshot."""
    flags = request.app[FLAGS]
    with flags.scope(Context(user_id=request.query.get("user"), path=request.path)):
        new = await flags.is_enabled("payment_v2")
        again = await flags.is_enabled("payment_v2")
    return web.Response(text=f"{'new' if new else 'old'} {new is again}")


async def health(request: web.Request) -> web.Response:
    """Tell a load balancer how fresh the flags are."""
    return web.Response(body=msgspec.json.encode(request.app[FLAGS].health), content_type="application/json")


def build() -> web.Application:
    """Return the application."""
    app = web.Application()
    app.cleanup_ctx.append(client)
    app.add_routes([web.get("/pay", pay), web.get("/health", health)])
    return app


if __name__ == "__main__":
    web.run_app(build(), host="127.0.0.1", port=int(sys.argv[1]))
