"""
Play all faults, or those named, and print the table: `python -m tests.faults [--only NAME] [--uvloop] [--server PATH]`.

The exit code is 1 if a promise was broken.
"""

import argparse
import faulthandler
import logging
import os
import platform
import shutil
import subprocess
import sys

import anyio
import redis

from tests.faults.cable import why_no_cable
from tests.faults.catalog import FAULTS
from tests.faults.fault import Fault
from tests.faults.play import play
from tests.faults.stage import Setting
from tests.faults.table import head, row
from tests.servers import bundled_server, find_server

_STANDSTILL_S = 240


def main() -> int:
    """Play what was asked for."""
    asked = _arguments()
    logging.getLogger("grayflow").setLevel(logging.INFO if asked.log else logging.CRITICAL + 1)
    if asked.server:
        os.environ["GRAYFLOW_TEST_REDIS_SERVER"] = _binary(asked.server)
    setting = Setting(flags=asked.flags, ttl_s=asked.ttl)
    chosen = _chosen(asked.only)
    print(f"{_server()}, redis-py {redis.__version__}, {_python(uvloop=asked.uvloop)}, {_size(setting)}\n")
    print(head(), flush=True)
    broken = [_played(fault, setting, uvloop=asked.uvloop) for fault in chosen]
    return int(any(broken))


def _binary(named: str) -> str:
    """Return a binary by its path, or by one of the names `redis` and `valkey`."""
    if named == "valkey":
        return shutil.which("valkey-server") or str(bundled_server())
    return "redis-server" if named == "redis" else named


def _server() -> str:
    said = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True).stdout
    return f"{find_server().name} {next(word[2:] for word in said.split() if word.startswith('v='))}"


def _python(*, uvloop: bool) -> str:
    return f"CPython {platform.python_version()}, {'uvloop' if uvloop else 'asyncio'}"


def _size(setting: Setting) -> str:
    return f"{setting.flags:,} flags, ttl {setting.ttl_s:g} s"


def _played(fault: type[Fault], setting: Setting, *, uvloop: bool) -> bool:
    """Play one fault and print its row; tell whether it broke a promise."""
    if fault.route == "cable" and (why := why_no_cable()):
        print(f"{fault.name}: left out, {why}", flush=True)
        return False
    # A loop that stands still cannot end by itself, and says nothing.
    faulthandler.dump_traceback_later(_STANDSTILL_S, exit=True)
    verdict = anyio.run(play, fault, setting, backend_options={"use_uvloop": uvloop})
    faulthandler.cancel_dump_traceback_later()
    print(row(verdict), flush=True)
    return bool(verdict.broken)


def _chosen(only: str) -> list[type[Fault]]:
    chosen = [fault for fault in FAULTS if only.lower() in fault.name.lower()]
    if not chosen:
        sys.exit(f"no fault is called {only!r}; there are:\n" + "\n".join(fault.name for fault in FAULTS))
    return chosen


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", default="", metavar="NAME", help="those with this in their name")
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--server", metavar="PATH", help="a binary, `redis` or `valkey`; else as the suite")
    parser.add_argument("--log", action="store_true", help="show what the client logs")
    parser.add_argument("--flags", type=int, default=10_000)
    parser.add_argument("--ttl", type=float, default=2.0, metavar="SECONDS")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
