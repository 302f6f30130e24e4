"""
Code that knows OpenFeature only, with grayflow behind it.

    GRAYFLOW_URL=redis://localhost:6379/0 python -m tests.examples.openfeature_app anna ben
"""

import os
import sys

import anyio
from openfeature import api
from openfeature.evaluation_context import EvaluationContext

from grayflow import Client
from grayflow.integrations.openfeature import GrayflowProvider


async def pay(user: str) -> str:
    """Choose the payment code for a user; this function would be the same with any provider."""
    context = EvaluationContext(user, {"country": "DE"})
    details = await api.get_client().get_boolean_details_async("payment_v2", False, context)
    return f"{user}: {'new' if details.value else 'old'} ({details.reason})"


async def main(*users: str) -> None:
    """Say which code each user gets."""
    flags = Client(
        os.environ.get("GRAYFLOW_URL", "sqlite:///flags.db"),
        namespace=os.environ.get("GRAYFLOW_NAMESPACE", "default"),
        on_failure="last_known",
    )
    async with flags:
        api.set_provider_and_wait(GrayflowProvider(flags))
        for user in users:
            print(await pay(user))
        api.shutdown()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
