"""
The long run: `python -m tests.hostile`, a million inputs by default, and whatever it found tried again.

    python -m tests.hostile --inputs 1000000 --seed 7
    python -m tests.hostile --replay flag:/tmp/grayflow-hostile-flag-x3k9
"""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from tests.hostile.campaign import TARGETS, run

GROWTH_BYTES = 64 << 20


async def campaign(names: list[str], inputs: int, seed: int) -> bool:
    """Run each target's share, and print a line for each; false if one used up memory."""
    total, flat = sum(TARGETS[name].share for name in names), True
    print(f"{'target':10}{'inputs':>10}{'valid':>8}{'seconds':>9}{'slowest':>10}{'growth':>10}")
    for name in names:
        report = await run(name, max(1, inputs * TARGETS[name].share // total), seed)
        flat = flat and report.grown_bytes < GROWTH_BYTES
        print(
            f"{name:10}{report.inputs:10}{100 * report.valid / report.inputs:7.1f}%{report.seconds:9.1f}"
            f"{report.slowest_s * 1000:7.0f} ms{report.grown_bytes / 2**20:6.1f} MiB",
            flush=True,
        )
    return flat


async def replay(name: str, data: bytes) -> None:
    """Try one input."""
    async with TARGETS[name].check() as check:
        print("valid" if await check(data) else "refused")


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append", choices=list(TARGETS))
    parser.add_argument("--replay", metavar="TARGET:FILE")
    asked = parser.parse_args()
    logging.getLogger("grayflow").setLevel(logging.CRITICAL)  # one line for each broken document would be a gigabyte
    if asked.replay:
        name, _, path = asked.replay.partition(":")
        asyncio.run(replay(name, Path(path).read_bytes()))
        return 0
    return 0 if asyncio.run(campaign(asked.target or list(TARGETS), asked.inputs, asked.seed)) else 1


if __name__ == "__main__":
    sys.exit(main())
