"""
A job that is paused while a flag is off.

    GRAYFLOW_URL=redis://localhost:6379/0 python -m tests.examples.apscheduler_app
"""

import os

import anyio
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from grayflow import Client
from grayflow.integrations.apscheduler import pause_while_off

flags = Client(
    os.environ.get("GRAYFLOW_URL", "sqlite:///flags.db"),
    namespace=os.environ.get("GRAYFLOW_NAMESPACE", "default"),
    on_failure="last_known",
)


@flags.gate("payment_v2")
async def charge_subscriptions() -> None:
    """Charge everybody whose month is over."""
    print("charged", flush=True)


async def main() -> None:
    """Run the jobs until somebody stops the process."""
    scheduler = AsyncIOScheduler(timezone="UTC")
    scheduler.add_job(charge_subscriptions, "interval", seconds=0.2, id="subscriptions")
    pause_while_off(scheduler, flags, "payment_v2", charge_subscriptions)
    async with flags:
        scheduler.start()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main)
