"""
Run it and print the table: `python -m tests.soak [--minutes 10] [--seed N] [--server PATH]`.

The exit code is 1 if a promise was broken. A seed draws the same troubles and edits again, though not at the same
moments: servers and networks have a time of their own.
"""

import argparse
import logging
import os
import sys

import anyio

from tests.soak.play import Findings, Plan, soak
from tests.soak.table import table


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", metavar="PATH", help="a binary; else as the suite")
    asked = parser.parse_args()
    if asked.server:
        os.environ["GRAYFLOW_TEST_REDIS_SERVER"] = asked.server
    logging.getLogger("grayflow").setLevel(logging.CRITICAL)  # the operator's own; the clients' are counted elsewhere
    plan = Plan(seed=asked.seed, rounds=asked.minutes)
    found: Findings = anyio.run(soak, plan, lambda line: print(line, flush=True))
    print(table(plan, found))
    return int(bool(found.broken))


if __name__ == "__main__":
    sys.exit(main())
