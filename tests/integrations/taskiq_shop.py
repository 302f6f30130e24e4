"""The taskiq application of the tests; what its tasks do is written into a list in Redis."""

import os
from typing import Any

import redis
from taskiq import Context, TaskiqDepends, TaskiqScheduler
from taskiq_redis import ListQueueBroker, ListRedisScheduleSource, RedisAsyncResultBackend

from grayflow import Client
from grayflow.integrations.taskiq import FlagsMiddleware, GatedSource

URL = os.environ["SHOP_URL"]

flags = Client(URL, namespace="shop", name="worker", on_failure="last_known")
source = ListRedisScheduleSource(URL)
dead = ListQueueBroker(URL, queue_name="dead")
broker = (
    # redis-py 8.1.0 gives up after 5 s without an answer, and taskiq-redis 1.2.4 waits for messages longer than that.
    ListQueueBroker(URL, socket_timeout=None)
    .with_result_backend(RedisAsyncResultBackend(URL))
    .with_middlewares(FlagsMiddleware(flags, source=source, dead_letter=dead))
)
scheduler = TaskiqScheduler(broker, [GatedSource(source, broker)])

connection = redis.Redis.from_url(URL)


def ran(what: str) -> str:
    connection.rpush("ran", what)
    return what


@broker.task("gated")
@flags.gate("payment_v2", context=lambda what: {"user_id": what})
async def gated(what: str) -> str:
    return ran(what)


@broker.task("plain")
@flags.gate("payment_v2")
def plain(what: str) -> str:
    """Run in a thread."""
    return ran(what)


@broker.task("free")
async def free(what: str) -> str:
    return ran(what)


@broker.task("delayed")
@flags.gate("payment_v2", otherwise="delay", delay=0.1)
async def delayed(what: str, context: Context = TaskiqDepends()) -> list[str]:  # noqa: B008 - as taskiq wants it
    return [ran(what), context.message.task_id]


@broker.task("kept")
@flags.gate("payment_v2", otherwise="dead-letter")
def kept(what: str) -> str:
    return ran(what)


@broker.task("decided")
async def decided() -> dict[str, Any]:
    """Tell by which flags and for whom it is decided here."""
    decision = await flags.evaluate("payment_v2", default=False)
    return {"on": decision.value, "stale": decision.stale, "for_anna": flags.peek("anna")}
