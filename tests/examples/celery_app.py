"""
A Celery worker whose tasks are guarded by a flag.

    export GRAYFLOW_URL=redis://localhost:6379/0 CELERY_BROKER_URL=redis://localhost:6379/1
    celery -A tests.examples.celery_app worker --concurrency 2
    celery -A tests.examples.celery_app beat --scheduler grayflow.integrations.celery:GatedScheduler
"""

import os
from typing import Any

from celery import Celery

from grayflow import Client
from grayflow.integrations.celery import setup

app = Celery(
    "shop",
    broker=os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/1"),
    backend=os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/1"),
)
flags = Client(
    os.environ.get("GRAYFLOW_URL", "redis://localhost:6379/0"),
    namespace=os.environ.get("GRAYFLOW_NAMESPACE", "default"),
    name="worker",
    on_failure="last_known",
)
setup(app, flags, carry=True)


def who(order: dict[str, Any]) -> dict[str, Any]:
    """Say for whom an order is."""
    return {"user_id": order["user"]}


@app.task
@flags.gate("payment_v2", context=who)
def charge(order: dict[str, Any]) -> str:
    """Charge an order; not while the new payment code is switched off."""
    return f"charged {order['amount']}"


@app.task
@flags.gate("payment_v2", otherwise="delay", delay=30, context=who)
def remind(order: dict[str, Any]) -> str:
    """Send a reminder; later, while the new payment code is switched off."""
    return f"reminded {order['user']}"


app.conf.beat_schedule = {
    "nightly": {"task": charge.name, "schedule": 86_400.0, "args": ({"user": "anna", "amount": 1},)},
}
