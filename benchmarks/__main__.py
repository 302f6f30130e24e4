"""Run all benchmarks, or those named, and print their tables as ratios within this run."""

import argparse
import importlib
import platform
from pathlib import Path

import msgspec

NAMES = ("evaluate", "load", "growth", "propagation", "idle", "herd", "cleanup", "release", "blocked")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all if left out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"there is no benchmark {unknown.pop()!r}; there are {', '.join(NAMES)}")
    print(f"CPython {platform.python_version()} on {platform.machine()}; compare within this run only\n")
    tables = []
    for name in arguments.names or NAMES:
        for table in importlib.import_module(f"benchmarks.bench_{name}").run():
            print(table.show(), end="\n\n", flush=True)
            tables.append(table)
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.encode(tables))


if __name__ == "__main__":
    main()
