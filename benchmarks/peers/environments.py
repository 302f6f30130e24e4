"""An environment for each peer, made once in `.nox/each-peer/`: their dependencies collide, and with ours."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["PEERS", "ROOT", "EnvironmentFailedError", "interpreter"]

ROOT = Path(__file__).parents[2]
PEERS = {
    "closures": (),
    "grayflow": (),
    "redis_get": (),
    "eppo": ("eppo-server-sdk",),
    "statsig": ("statsig-python-core",),
    "evo": ("evo-featureflags-client",),
    "growthbook": ("growthbook",),
    "launchdarkly": ("launchdarkly-server-sdk[async]",),
    "flagd": ("openfeature-provider-flagd",),
    "unleash": ("UnleashClient",),
    "configcat": ("configcat-client",),
    "flipt": ("flipt-client",),
}
"""Modules of this package, and what they need; nothing: our own environment."""


class EnvironmentFailedError(RuntimeError):
    """A peer cannot be installed here; the text is the installer's last line."""


def interpreter(peer: str, folder: Path) -> Path:
    """
    Return the Python that has the peer, after installing it where it is not yet.

    Raises:
        EnvironmentFailedError: It could not be installed.
    """
    requirements = PEERS[peer]
    if not requirements:
        return Path(sys.executable)
    home = folder / peer
    python, stamp = home / "bin" / "python", home / "requirements.json"
    wanted = json.dumps([sys.version, *requirements])
    if not (stamp.exists() and stamp.read_text() == wanted):
        shutil.rmtree(home, ignore_errors=True)
        for command in _commands(home, python, requirements):
            _run(command)
        stamp.write_text(wanted)
    return python


def _commands(home: Path, python: Path, requirements: tuple[str, ...]) -> list[list[str]]:
    if uv := shutil.which("uv"):
        return [
            [uv, "venv", "--quiet", "--python", sys.executable, str(home)],
            [uv, "pip", "install", "--quiet", "--python", str(python), *requirements],
        ]
    return [
        [sys.executable, "-m", "venv", str(home)],
        [str(python), "-m", "pip", "install", "--quiet", *requirements],
    ]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise EnvironmentFailedError(lines[-1] if lines else f"{command[0]} failed with {done.returncode}")
