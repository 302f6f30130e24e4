"""
A taskiq worker whose tasks are guarded by a flag.

    export GRAYFLOW_URL=redis://localhost:6379/0 TASKIQ_URL=redis://localhost:6379/1
    taskiq worker tests.examples.taskiq_app:broker
    taskiq scheduler tests.examples.taskiq_app:scheduler
"""

import os
from typing import Any

from taskiq import TaskiqScheduler
from taskiq_redis import ListQueueBroker, ListRedisScheduleSource, RedisAsyncResultBackend

from grayflow import Client, SwitchOff
from grayflow.integrations.taskiq import FlagsMiddleware, GatedSource, delete_schedules

URL = os.environ.get("TASKIQ_URL", "redis://localhost:6379/1")

flags = Client(
    os.environ.get("GRAYFLOW_URL", "redis://localhost:6379/0"),
    namespace=os.environ.get("GRAYFLOW_NAMESPACE", "default"),
    name="worker",
    on_failure="last_known",
)
source = ListRedisScheduleSource(URL)
dead_letter = ListQueueBroker(URL, queue_name="dead")
broker = (
    # redis-py 8.1.0 gives up after 5 s without an answer, and taskiq-redis 1.2.4 waits for messages longer than that.
    ListQueueBroker(URL, socket_timeout=None)
    .with_result_backend(RedisAsyncResultBackend(URL))
    .with_middlewares(FlagsMiddleware(flags, carry=True, source=source, dead_letter=dead_letter))
)
scheduler = TaskiqScheduler(broker, [GatedSource(source, broker)])


@broker.task
@flags.gate("payment_v2", context=lambda order: {"user_id": order["user"]})
async def charge(order: dict[str, Any]) -> str:
    """Charge an order; not while the new payment code is switched off."""
    return f"charged {order['amount']}"


@broker.task
@flags.gate("payment_v2", otherwise="dead-letter", context=lambda order: {"user_id": order["user"]})
def refund(order: dict[str, Any]) -> str:
    """Pay an order back; kept while the new payment code is switched off."""
    return f"paid {order['amount']} back"


@flags.on_switch_off("payment_v2", scope="fleet", name="unschedule-charges")
async def unschedule(_: SwitchOff) -> None:
    """Take back what is scheduled."""
    await delete_schedules(source, charge)
