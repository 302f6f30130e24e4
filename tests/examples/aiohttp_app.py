"""
An aiohttp service: one client for the process, one scope for each request.

    GRAYFLOW_URL=redis://localhost:6379/0 python -m tests.examples.aiohttp_app 8080
"""

import os
import sys
from typing import Any

from aiohttp import web

from grayflow import Client
from grayflow.integrations.aiohttp import FLAGS, request_context, setup


def who(request: web.Request) -> dict[str, Any]:
    """Say for whom this request is, beside what it says of itself."""
    return {**request_context(request), "user_id": request.query.get("user")}


async def pay(request: web.Request) -> web.Response:
    """Choose the payment code for this user; both checks see the same snapshot."""
    flags = request.app[FLAGS]
    new = await flags.is_enabled("payment_v2")
    again = await flags.is_enabled("payment_v2")
    return web.Response(text=f"{'new' if new else 'old'} {new is again}")


def build() -> web.Application:
    """Return the application."""
    flags = Client(
        os.environ.get("GRAYFLOW_URL", "sqlite:///flags.db"),
        namespace=os.environ.get("GRAYFLOW_NAMESPACE", "default"),
        on_failure="last_known",
    )
    app = web.Application()
    setup(app, flags, context=who, health="/health")
    app.add_routes([web.get("/pay", pay)])
    return app


if __name__ == "__main__":
    web.run_app(build(), host="127.0.0.1", port=int(sys.argv[1]))
