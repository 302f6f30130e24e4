"""Programs of task systems as processes of their own, stopped by the signal that they heed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["PATIENCE_S", "running"]

PATIENCE_S = 90.0

_ROOT = Path(__file__).parents[2]


@contextmanager
def running(
    *command: str, environment: Mapping[str, str], stop: signal.Signals = signal.SIGTERM, pipe: bool = False
) -> Iterator["subprocess.Popen[str]"]:
    """
    Run `python -m` for as long as the block takes.

    Args:
        command: The module and its arguments.
        environment: Beside our own.
        stop: What ends it; one that does not end is killed, and that is an error.
        pipe: Whether its output can be read.
    """
    stdout = subprocess.PIPE if pipe else None
    with subprocess.Popen(
        [sys.executable, "-m", *command], cwd=_ROOT, env={**os.environ, **environment}, stdout=stdout, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(stop)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
