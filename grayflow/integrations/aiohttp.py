"""
aiohttp's server: one scope per request, the client's life in the application's, and an answer for load balancers.

    app = web.Application()
    setup(app, Client(os.environ["GRAYFLOW_URL"], namespace="shop"), context=who, health="/ready")
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from grayflow.client.client import Client
from grayflow.core.context import Context

__all__ = ["FLAGS", "ContextOf", "flags_middleware", "health_handler", "request_context", "setup"]

AnyContext = Context | Mapping[str, Any]

ContextOf = Callable[[web.Request], AnyContext | Awaitable[AnyContext]]
"""Makes the context of a request, or of a WebSocket when it connects; may be async."""

FLAGS: web.AppKey[Client] = web.AppKey("grayflow", Client)
"""The client of an application: `request.app[FLAGS]`; `request.config_dict[FLAGS]` in applications inside it."""


def request_context(request: web.Request) -> dict[str, Any]:
    """
    Return what a request says of itself: `path`, `ip`, `user_agent`. Who the user is, only the application knows.

    `ip` is the peer's; headers that anybody can send are not believed here.
    """
    return {"path": request.path, "ip": request.remote, "user_agent": request.headers.get("User-Agent")}


def setup(
    app: web.Application, flags: Client, *, context: ContextOf = request_context, health: str | None = None
) -> None:
    """
    Give an application its flags: open and close the client with it, and open one scope for each request.

    The scope is inside the middlewares that the application has already, such as the one that finds out who the user
    is, and around those that are added later.

    Args:
        app: The application, before it starts.
        flags: The client, not started.
        context: Makes the context. What it raises is the request's error.
        health: The path of `health_handler`, if there is to be one.
    """
    app[FLAGS] = flags
    app.cleanup_ctx.append(_opened)
    app.middlewares.append(flags_middleware(flags, context))
    if health is not None:
        app.router.add_get(health, health_handler)


def flags_middleware(flags: Client, context: ContextOf = request_context) -> Middleware:
    """
    Return a middleware that opens one scope for each request, for the length of the handler.

    A body that is streamed by the handler itself is in the scope; one that aiohttp sends after the handler returned
    is not. A WebSocket lives longer than a snapshot should: its context is bound, and nothing pinned; open
    `with flags.scope():` for each message.
    """

    @web.middleware
    async def scoped(request: web.Request, handler: Handler) -> web.StreamResponse:
        made = context(request)
        subject = await made if inspect.isawaitable(made) else made
        with flags.scope(subject, pin=not _is_websocket(request)):
            return await handler(request)

    return scoped


async def health_handler(request: web.Request) -> web.Response:
    """Answer a load balancer: 200 while requests should come here, else 503; the body is `Readiness` as JSON."""
    found = request.config_dict[FLAGS].health.readiness
    status = 200 if found.ready else 503
    return web.Response(body=msgspec.json.encode(found), status=status, content_type="application/json")


async def _opened(app: web.Application) -> AsyncIterator[None]:
    async with app[FLAGS]:
        yield


def _is_websocket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"
