"""
A Starlette service: one client for the process, one scope for each request.

    GRAYFLOW_URL=redis://localhost:6379/0 uvicorn tests.examples.starlette_app:app
"""

import os
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from grayflow import Client
from grayflow.integrations.starlette import FlagsMiddleware, health_endpoint, lifespan, request_context

flags = Client(
    os.environ.get("GRAYFLOW_URL", "sqlite:///flags.db"),
    namespace=os.environ.get("GRAYFLOW_NAMESPACE", "default"),
    on_failure="last_known",
)


def who(connection: HTTPConnection) -> dict[str, Any]:
    """Say for whom this request is, beside what it says of itself."""
    return {**request_context(connection), "user_id": connection.query_params.get("user")}


async def pay(_: Request) -> PlainTextResponse:
    """Choose the payment code for this user; both checks see the same snapshot."""
    new = await flags.is_enabled("payment_v2")
    again = await flags.is_enabled("payment_v2")
    return PlainTextResponse(f"{'new' if new else 'old'} {new is again}")


app = Starlette(
    routes=[Route("/pay", pay), Route("/health", health_endpoint(flags))],
    middleware=[Middleware(FlagsMiddleware, flags=flags, context=who)],
    lifespan=lifespan(flags),  # opens the client after any fork, in each worker
)
