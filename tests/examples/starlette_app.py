"""
A Starlette service: one client for the process, one scope for each request.

    GRAYFLOW_URL=redis://localhost:6379/0 uvicorn tests.examples.starlette_app:app
"""

import contextlib
import os
from collections.abc import AsyncIterator

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from grayflow import Client, Context

flags = Client(
    os.environ.get("GRAYFLOW_URL", "sqlite:///flags.db"),
    namespace=os.environ.get("GRAYFLOW_NAMESPACE", "default"),
    on_failure="last_known",
)


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Open the client with the service, after any fork, and close it with it."""
    async with flags:
        yield


async def pay(request: Request) -> PlainTextResponse:
    """Choose the payment code for this user; both checks see the same snapshot."""
    with flags.scope(Context(user_id=request.query_params.get("user"), path=request.url.path)):
        new = await flags.is_enabled("payment_v2")
        again = await flags.is_enabled("payment_v2")
    return PlainTextResponse(f"{'new' if new else 'old'} {new is again}")


async def health(_: Request) -> Response:
    """Tell a load balancer how fresh the flags are."""
    return Response(msgspec.json.encode(flags.health), media_type="application/json")


app = Starlette(routes=[Route("/pay", pay), Route("/health", health)], lifespan=lifespan)
