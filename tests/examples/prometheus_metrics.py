"""
Flags measured by Prometheus, through OpenTelemetry's exporter.

    GRAYFLOW_URL=redis://localhost:6379/0 python -m tests.examples.prometheus_metrics 9464
"""

import os
import sys

import anyio
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import start_http_server

from grayflow import Client, Context
from grayflow.integrations.opentelemetry import FlagsTelemetry


async def main(port: int) -> None:
    """Serve /metrics, and decide a flag once, so that there is something to see."""
    start_http_server(port, addr="127.0.0.1")
    telemetry = FlagsTelemetry(meter_provider=MeterProvider([PrometheusMetricReader()]))
    url = os.environ.get("GRAYFLOW_URL", "sqlite:///flags.db")
    namespace = os.environ.get("GRAYFLOW_NAMESPACE", "default")
    async with Client(url, namespace=namespace, hooks=[telemetry], name="example") as flags:
        telemetry.watch(flags)
        await flags.is_enabled("payment_v2", Context(user_id="u1"))
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]))
