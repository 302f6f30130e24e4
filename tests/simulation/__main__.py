"""
Play schedules: one, with all that happened in it, or many.

    python -m tests.simulation --seed 17
    python -m tests.simulation --seeds 0:10000
"""

import argparse
import sys
import time

from tests.simulation.play import play, report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.split("\n")[1])
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--seed", type=int, metavar="N", help="play this schedule, and print its trace")
    asked.add_argument("--seeds", metavar="FROM:TO", help="play these schedules, and print those that fail")
    given = parser.parse_args()
    return _one(given.seed) if given.seeds is None else _many(*map(int, given.seeds.split(":")))


def _one(seed: int) -> int:
    print(report(seed))
    return play(seed).violation is not None


def _many(start: int, end: int) -> int:
    began, failed = time.process_time(), 0
    for seed in range(start, end):
        violation = play(seed).violation
        if violation is not None:
            failed += 1
            print(f"{violation}\n    python -m tests.simulation --seed {seed}", flush=True)
    took_s = time.process_time() - began
    print(
        f"{end - start} schedules, {failed} failed; {took_s:.0f} s of one core, {(end - start) / took_s:.0f} a second"
    )
    return failed > 0


sys.exit(main())
