"""The Starlette example, as workers of uvicorn and gunicorn run it: the lifespan starts its client, after the fork."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tests.examples import starlette_app

__all__ = ["app"]

Message = MutableMapping[str, Any]


async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Any]) -> None:
    """Pass everything on, and add a header."""

    async def numbered(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"x-pid", b"%d" % os.getpid())]
        await send(message)

    await starlette_app.app(scope, receive, numbered)
