"""grayflow: awaited, synchronous, inside a scope, and with OpenTelemetry's hook."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from benchmarks.peers.work import BOOLEANS
from benchmarks.peers.worker import Column
from benchmarks.workloads import FLAGS
from grayflow import Admin, Client, Context
from grayflow.integrations.opentelemetry import FlagsTelemetry
from grayflow.store.memory import MemoryStore

__all__ = ["peer"]

CONTEXT = "Context(user_id=user, country=country, attributes={'plan': plan, 'age': age})"


def _asks(boolean: str, value: str) -> dict[str, str]:
    asks = {work: f"answer = {boolean}({work!r}, {{context}})" for work in BOOLEANS}
    return {**asks, "json": f"answer = {value}('json', {{context}}, default=None)"}


def _scoped() -> dict[str, str]:
    asks = {work: f"answer = await is_enabled({work!r})" for work in BOOLEANS}
    asks["json"] = "answer = await value('json', default=None)"
    return {work: f"with scope({{context}}):\n    {ask}" for work, ask in asks.items()}


def _columns(flags: Client, traced: Client, tracer: Tracer) -> Iterator[Column]:
    names = {
        "is_enabled": flags.is_enabled, "value": flags.value, "peek": flags.peek, "peek_value": flags.peek_value,
        "scope": flags.scope, "Context": Context,
    }  # fmt: skip
    hooked = {**names, "is_enabled": traced.is_enabled, "value": traced.value}
    peek, awaited = _asks("peek", "peek_value"), _asks("await is_enabled", "await value")
    yield Column("grayflow peek", peek, CONTEXT, names)
    yield Column("grayflow peek in a scope", peek, CONTEXT, names, around=lambda: flags.scope(Context()))
    yield Column("grayflow await", awaited, CONTEXT, names)
    yield Column("grayflow scope opened, await", _scoped(), CONTEXT, names)
    span = partial(tracer.start_as_current_span, "request")
    yield Column("grayflow await, OpenTelemetry", awaited, CONTEXT, hooked, around=span)


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, Sequence[Column]]]:
    """Yield a client, and another one with the hook."""
    tracer = TracerProvider().get_tracer("peers")

    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(MemoryStore())
        admin = await stack.enter_async_context(Admin(store, actor="benchmark"))
        for flag in FLAGS:
            await admin.create(flag, reason="benchmark")
        flags = await stack.enter_async_context(Client(store))
        telemetry = FlagsTelemetry(meter_provider=NoOpMeterProvider())
        traced = await stack.enter_async_context(Client(store, hooks=[telemetry]))
        yield "grayflow", tuple(_columns(flags, traced, tracer))
