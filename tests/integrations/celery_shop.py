"""The Celery application of the tests; what its tasks do is written into a list in Redis."""

import os
from typing import Any

import redis
from celery import Celery

from grayflow import Client
from grayflow.integrations.celery import setup

URL = os.environ["SHOP_URL"]
NAMESPACE = "shop"

app = Celery("tests.integrations.celery_shop", broker=URL, backend=URL)
flags = Client(URL, namespace=NAMESPACE, name="worker", on_failure="last_known")
setup(app, flags, dead_letter="dead")

app.conf.worker_proc_alive_timeout = 60.0  # a busy machine is slow to fork, and Celery kills what has not begun by then
app.conf.beat_schedule = {
    "gated": {"task": "shop.gated", "schedule": 0.2, "args": ["gated"], "options": {"queue": "beat-gated"}},
    "bound": {"task": "shop.bound", "schedule": 0.2, "args": ["bound"], "options": {"queue": "beat-bound"}},
    "free": {"task": "shop.free", "schedule": 0.2, "args": ["free"], "options": {"queue": "beat-free"}},
    "lasting": {"task": "shop.delayed", "schedule": 0.2, "args": ["delayed"], "options": {"queue": "beat-delayed"}},
}
app.conf.beat_max_loop_interval = 0.2

connection = redis.Redis.from_url(URL)


def ran(what: str) -> str:
    connection.rpush("ran", what)
    return what


def anybody(*_: Any) -> dict[str, str]:
    return {"user_id": "u"}


@app.task(name="shop.gated")
@flags.gate("payment_v2")
def gated(what: str) -> str:
    return ran(what)


@app.task(name="shop.bound", bind=True)
@flags.gate("payment_v2", context=anybody)
def bound(self: Any, what: str) -> str:
    return ran(what)


@app.task(name="shop.free")
def free(what: str) -> str:
    return ran(what)


@app.task(name="shop.delayed", bind=True)
@flags.gate("payment_v2", otherwise="delay", delay=0.2)
def delayed(self: Any, what: str) -> list[Any]:
    return [ran(what), self.request.retries]


@app.task(name="shop.kept")
@flags.gate("payment_v2", otherwise="dead-letter")
def kept(what: str) -> str:
    return ran(what)


@app.task(name="shop.decided")
def decided() -> dict[str, Any]:
    """Tell by which flags and for whom it is decided here."""
    decision = flags.peek_decision("payment_v2", default=False)
    return {"on": decision.value, "stale": decision.stale, "for_anna": flags.peek("anna")}


@app.task(name="shop.helped")
def helped(what: str) -> list[Any]:
    """Call a gated function, and a gated task, within a task of its own."""

    @flags.gate("payment_v2")
    def helper() -> str:
        return "helper"

    return [helper(), gated(what), ran(what)]


@app.task(name="shop.busy", autoretry_for=(Exception,), retry_backoff=False)
@flags.gate("payment_v2")
def busy(what: str) -> str:
    """Take a moment."""
    connection.blpop(["nobody"], timeout=0.05)
    return ran(what)
