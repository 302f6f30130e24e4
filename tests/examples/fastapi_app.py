"""
A FastAPI service whose endpoints ask for the flags as they ask for anything else.

    GRAYFLOW_URL=redis://localhost:6379/0 uvicorn tests.examples.fastapi_app:app
"""

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.requests import HTTPConnection

from grayflow import Client
from grayflow.integrations.starlette import FlagsMiddleware, flags_of, health_endpoint, lifespan, request_context

Flags = Annotated[Client, Depends(flags_of)]

flags = Client(
    os.environ.get("GRAYFLOW_URL", "sqlite:///flags.db"),
    namespace=os.environ.get("GRAYFLOW_NAMESPACE", "default"),
    on_failure="last_known",
)


def who(connection: HTTPConnection) -> dict[str, Any]:
    """Say for whom this request is, beside what it says of itself."""
    return {**request_context(connection), "user_id": connection.query_params.get("user")}


app = FastAPI(lifespan=lifespan(flags))
app.add_middleware(FlagsMiddleware, flags=flags, context=who)
app.add_route("/health", health_endpoint(flags))


@app.get("/pay")
async def pay(flags: Flags) -> str:
    """Choose the payment code for this user; both checks see the same snapshot."""
    new = await flags.is_enabled("payment_v2")
    again = await flags.is_enabled("payment_v2")
    return f"{'new' if new else 'old'} {new is again}"
