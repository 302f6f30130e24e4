"""
grayflow's log lines in structlog's form, beside the application's own: one JSON object each.

    python -m tests.examples.structlog_logging
"""

import logging
import sys

import anyio
import structlog

from grayflow import Client, MemoryStore


def configure() -> None:
    """Let structlog write what the standard library's loggers say; grayflow's are such loggers."""
    before = [structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level, structlog.processors.format_exc_info]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


async def main() -> None:
    """Ask for a flag that nobody made."""
    configure()
    async with MemoryStore() as store:
        await store.init()
        async with Client(store) as flags:
            await flags.is_enabled("payment_v2")


if __name__ == "__main__":
    anyio.run(main)
