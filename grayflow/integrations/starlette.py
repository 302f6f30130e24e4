"""
Starlette and FastAPI: one scope per request, the client's life in the application's, and an answer for load balancers.

    flags = Client(os.environ["GRAYFLOW_URL"], namespace="shop", on_failure="last_known")

    app = Starlette(
        routes=[Route("/pay", pay), Route("/ready", health_endpoint(flags))],
        middleware=[Middleware(FlagsMiddleware, flags=flags, context=who)],
        lifespan=lifespan(flags),
    )

A client lives once. An application that starts more than once in a process, as with a `TestClient` in each test, gives
`lifespan` a function that makes one, and leaves `flags` out elsewhere: what runs is taken from the application's state.

    app = Starlette(
        routes=[Route("/pay", pay), Route("/ready", health_endpoint())],
        middleware=[Middleware(FlagsMiddleware, context=who)],
        lifespan=lifespan(lambda: Client(os.environ["GRAYFLOW_URL"], namespace="shop")),
    )

Plain ASGI inside: bodies are streamed as they come, and nothing is buffered.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from grayflow.client.client import Client
from grayflow.core.context import Context
from grayflow.errors import LifetimeError

__all__ = ["ContextOf", "FlagsMiddleware", "flags_of", "health_endpoint", "lifespan", "request_context"]

AnyContext = Context | Mapping[str, Any]

ContextOf = Callable[[HTTPConnection], AnyContext | Awaitable[AnyContext]]
"""Makes the context of a request, or of a WebSocket when it connects; may be async."""

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def request_context(connection: HTTPConnection) -> dict[str, Any]:
    """
    Return what a connection says of itself: `path`, `ip`, `user_agent`. Who the user is, only the application knows.

    `ip` is the peer's, or what the server takes for it (uvicorn's `--forwarded-allow-ips`); headers that anybody can
    send are not believed here.
    """
    return {
        "path": connection.url.path,
        "ip": None if connection.client is None else connection.client.host,
        "user_agent": connection.headers.get("user-agent"),
    }


class FlagsMiddleware:
    """
    Opens one scope for each request: everything that it does decides by one snapshot and one context.

    The scope lasts until the whole response is sent: streaming bodies and background tasks are in it, exception
    handlers inside the middleware too. A WebSocket lives longer than a snapshot should: its context is bound, and
    nothing pinned; open `with flags.scope():` for each message.

    Put it behind the middleware that finds out who the user is.

    Args:
        app: The application.
        flags: The client; left out, the one that `lifespan` opened.
        context: Makes the context. What it raises is the request's error.
    """

    def __init__(self, app: ASGIApp, flags: Client | None = None, context: ContextOf = request_context) -> None:
        self._app, self._flags, self._context = app, flags, context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if self._flags is not None:
            connection.state.flags = self._flags
        flags = flags_of(connection)
        made = self._context(connection)
        context = await made if inspect.isawaitable(made) else made
        with flags.scope(context, pin=scope["type"] == "http"):
            await self._app(scope, receive, send)


def flags_of(connection: HTTPConnection) -> Client:
    """
    Return the client that `FlagsMiddleware` or `lifespan` gave to the application: `Depends(flags_of)` in FastAPI.

    Raises:
        LifetimeError: the application has neither, or its lifespan did not run.
    """
    found = getattr(connection.state, "flags", None)
    if not isinstance(found, Client):
        raise LifetimeError(
            "this application has no flags: add FlagsMiddleware(flags=flags), or lifespan=lifespan(flags), which has "
            "to run: with TestClient(app) as client"
        )
    return found


def lifespan(flags: Client | Callable[[], Client], inner: Lifespan | None = None) -> Lifespan:
    """
    Return a lifespan that opens the client with the application and closes it with it, in each worker process.

    Args:
        flags: The client, or a function that makes one for each start. It is in `request.state.flags`, too.
        inner: The application's own lifespan; it runs while the flags are there.
    """

    @asynccontextmanager
    async def both(app: Any) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(flags if isinstance(flags, Client) else flags())
            state = await stack.enter_async_context(inner(app)) if inner is not None else None
            yield {**(state or {}), "flags": opened}

    return both


def health_endpoint(flags: Client | None = None) -> Callable[[Request], Awaitable[Response]]:
    """
    Return an endpoint for load balancers, to be put into a `Route`.

    It answers 200 while requests should come here, and 503 before the first flags and after a defect; the body is
    `Readiness` as JSON.

    Args:
        flags: The client; left out, the application's.
    """

    async def ready(request: Request) -> Response:
        found = (flags_of(request) if flags is None else flags).health.readiness
        return Response(msgspec.json.encode(found), 200 if found.ready else 503, media_type="application/json")

    return ready
