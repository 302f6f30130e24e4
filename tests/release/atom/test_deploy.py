"""The deploy example: real files, a real process, and programs that are killed in the middle of it."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port

pytestmark = pytest.mark.timeout(200)

ROOT = Path(__file__).parents[3]
PATIENCE_S = 40
SERVICE = """
import pathlib, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

version = pathlib.Path(__file__).parent.name

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(version.encode())

    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
DIES = """
import os, runpy, signal, sys
from tests.examples import deploy_atom
step, moment = sys.argv.pop(1), sys.argv.pop(1)
real = getattr(deploy_atom.Host, step)

def die(self, call):
    if moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    answer = real(self, call)
    if not hasattr(answer, "__await__"):
        os.kill(os.getpid(), signal.SIGKILL)

    async def wait_and_die():
        await answer
        os.kill(os.getpid(), signal.SIGKILL)
    return wait_and_die()

setattr(deploy_atom.Host, step, die)
sys.exit(deploy_atom.anyio.run(deploy_atom.main, deploy_atom.Path(sys.argv[1]), *sys.argv[2:]))
"""


class Site:
    """A host with a home, and a port where its service is asked."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "releases").mkdir(parents=True)
        self.port = free_port()

    def tarball(self, version: str, service: str = SERVICE) -> str:
        source = self.home / f"{version}.py"
        source.write_text(service)
        with tarfile.open(self.home / f"{version}.tar", "w") as tarball:
            tarball.add(source, "service.py")
        return str(self.home / f"{version}.tar")

    def run(self, *arguments: str, program: str = "") -> subprocess.CompletedProcess[str]:
        command = ["-c", program] if program else ["-m", "tests.examples.deploy_atom"]
        before = list(arguments[:2]) if program else []
        after = arguments[2:] if program else arguments
        return subprocess.run(
            [sys.executable, *command, *before, str(self.home), *after],
            cwd=ROOT,
            env={**os.environ, "PORT": str(self.port)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def deploy(self, version: str, service: str = SERVICE) -> subprocess.CompletedProcess[str]:
        return self.run("deploy", version, self.tarball(version, service))

    def asked(self) -> str | None:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/", timeout=5).text
        except httpx.TransportError:
            return None

    def state(self) -> dict[str, object]:
        """Return everything that a deploy changes."""
        current = self.home / "current"
        return {
            "serves": self.asked(),
            "current": str(current.readlink()) if current.is_symlink() else None,
            "releases": sorted(path.name for path in (self.home / "releases").iterdir()),
            "drained": (self.home / "drained").exists(),
        }


@pytest.fixture
def site(quick_path: Path) -> Iterator[Site]:
    made = Site(quick_path / "home")
    yield made
    if (made.home / "process").exists():
        os.kill(int((made.home / "process").read_text()), signal.SIGKILL)


def serving(version: str, *releases: str) -> dict[str, object]:
    return {"serves": version, "current": f"releases/{version}", "releases": [*releases], "drained": False}


NOTHING = {"serves": None, "current": None, "releases": [], "drained": False}


def test_a_release_takes_the_place_of_the_one_before(site: Site):
    for version in ("v1", "v2"):
        ran = site.deploy(version)
        assert (ran.returncode, ran.stdout.split()[1:]) == (0, ["succeeded"]), ran.stderr

    assert site.state() == serving("v2", "v1", "v2")


@pytest.mark.parametrize(
    "service", ["import sys; sys.exit(1)", SERVICE.replace(".parent.name", ".parent.name + '?'")], ids=["dies", "lies"]
)
def test_a_release_that_does_not_serve_is_undone(site: Site, service: str):
    site.deploy("v1")

    ran = site.deploy("v2", service)

    assert ran.returncode == 1
    assert "was rolled back" in ran.stderr
    assert site.state() == serving("v1", "v1")


def test_a_first_release_that_does_not_serve_leaves_nothing(site: Site):
    assert site.deploy("v1", "import sys; sys.exit(1)").returncode == 1

    assert site.state() == NOTHING


ORDINARY = {("link", "after"), ("start", "before"), ("start", "after")}
DEATHS = [
    pytest.param(step, moment, marks=[] if (step, moment) in ORDINARY else pytest.mark.faults)
    for step in ("drain", "unpack", "stop", "link", "start", "open")
    for moment in ("before", "after")
]


@pytest.mark.parametrize(("step", "moment"), DEATHS)
def test_a_deploy_that_is_killed_in_any_step_is_undone_by_the_next_program(site: Site, step: str, moment: str):
    site.deploy("v1")
    killed = site.run(step, moment, "deploy", "v2", site.tarball("v2"), program=DIES)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    ran = site.run("recover")

    assert (ran.returncode, ran.stdout.split()[1:]) == (0, ["rolled_back"]), ran.stderr
    assert site.state() == serving("v1", "v1")


def test_a_deploy_that_is_interrupted_is_undone_before_the_program_ends(site: Site):
    site.deploy("v1")
    hanging = f"import time; time.sleep({PATIENCE_S})  # never serves\n"
    tarball = site.tarball("v2", hanging)
    command = [sys.executable, "-m", "tests.examples.deploy_atom", str(site.home), "deploy", "v2", tarball]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PORT": str(site.port)}) as process:
        until(lambda: str(site.state()["current"]) == "releases/v2")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) != 0

    assert site.state() == serving("v1", "v1")


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        assert time.monotonic() < deadline
