"""Install, start and measure all peers in one run, a short measurement of each in turn; print tables, write JSON."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import msgspec

from benchmarks.peers.environments import PEERS, ROOT, EnvironmentFailedError, interpreter
from benchmarks.peers.figures import Cell, Figures, tables

ROUNDS = 9
HOWS = ("prebuilt", "built")


class PeerFailedError(RuntimeError):
    """A worker ended, or its answers were wrong; the text is its last line."""


class Process:
    """A worker, and what it says of itself."""

    def __init__(self, name: str, python: Path) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.peers.worker", name],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        told = json.loads(self._line())
        self.version = f"{told['package']} {told['version']}"
        self.columns: dict[str, Any] = told["columns"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def measure(self, *cell: str) -> float:
        """Return the nanoseconds of one call."""
        assert self._process.stdin is not None
        self._process.stdin.write("\t".join(cell) + "\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line
        lines = self._process.communicate()[1].strip().splitlines()
        raise PeerFailedError(lines[-1] if lines else f"it ended with {self._process.returncode} and said nothing")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="PEER", help=f"of {', '.join(PEERS)}; all if left out")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often all is measured; medians are shown")
    parser.add_argument("--environments", type=Path, default=ROOT / ".nox" / "each-peer", metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - PEERS.keys():
        parser.error(f"there is no peer {unknown.pop()!r}; there are {', '.join(PEERS)}")
    # The floors and grayflow are always there: everything is compared with them.
    names = dict.fromkeys(["closures", "grayflow", *(arguments.names or PEERS)])
    figures = _measured(list(names), arguments.environments, arguments.rounds)
    print("\n\n".join(tables(figures)))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.encode(figures))


def _measured(names: list[str], environments: Path, rounds: int) -> Figures:
    missing: dict[str, dict[str, str]] = {}
    with ExitStack() as stack:
        processes = [process for name in names if (process := _started(name, environments, stack, missing))]
        versions = {column: process.version for process in processes for column in process.columns}
        for process in processes:
            missing |= {column: told["missing"] for column, told in process.columns.items() if told["missing"]}
        wanted = list(_wanted(processes))
        found: list[list[float]] = [[] for _ in wanted]
        for number in range(1, rounds + 1):
            print(f"round {number} of {rounds}", file=sys.stderr)
            for (process, column, work, how), figures in zip(wanted, found, strict=True):
                figures.append(round(process.measure(column, work, how), 1))
        cells = [Cell(*cell[1:], tuple(figures)) for cell, figures in zip(wanted, found, strict=True)]
    return Figures.of(versions, cells, missing)


def _started(name: str, folder: Path, stack: ExitStack, missing: dict[str, dict[str, str]]) -> Process | None:
    print(f"starting {name}", file=sys.stderr)
    try:
        return stack.enter_context(Process(name, interpreter(name, folder)))
    except (EnvironmentFailedError, PeerFailedError) as error:
        print(f"{name} is not here: {error}", file=sys.stderr)
        missing[name] = {"*": str(error)}
        return None


def _wanted(processes: list[Process]) -> Iterator[tuple[Process, str, str, str]]:
    """Yield work by work, so that what is compared with each other is measured within a second."""
    works = dict.fromkeys(work for process in processes for told in process.columns.values() for work in told["works"])
    for work in works:
        for how in HOWS:
            for process in processes:
                for column, told in process.columns.items():
                    if work in told["works"] and how in told["hows"]:
                        yield process, column, work, how


if __name__ == "__main__":
    main()
