"""
A deploy that is done completely or not at all: unpack, stop, link, start; drained before, opened again after.

    python -m tests.examples.deploy_atom HOME deploy VERSION TARBALL
    python -m tests.examples.deploy_atom HOME recover

HOME holds `releases/VERSION`, the link `current`, and `drained` as long as the load balancer is to send nobody. If a
step fails, if Ctrl-C is pressed, or if this program is killed (then `recover` goes on), the old release serves again.
What happened is told by `grayflow atoms --journal HOME/journal`.
"""

import os
import shutil
import signal
import sys
import tarfile
from contextlib import suppress
from pathlib import Path

import anyio
import httpx
import msgspec

from grayflow import Retry, SystemClock
from grayflow.release import Atom, AtomError, Atoms, FileJournal, Step, StepCall

PORT = int(os.environ.get("PORT", "8000"))
PATIENCE_S = 20.0


class Release(msgspec.Struct):
    """What is deployed."""

    version: str
    tarball: str


class Host:
    """One host, and every step that changes something on it. Each is harmless when it runs again."""

    def __init__(self, home: Path) -> None:
        self.home, self.current = home, home / "current"
        self.drained, self.process = home / "drained", home / "process"

    def deploy(self) -> Atom:
        """Return the steps; whoever changes them gives them another version."""
        return Atom(
            "deploy",
            version=1,
            input_type=Release,
            pre=Step("drain", do=self.drain, undo=self.open_unless_drained, capture=self.is_drained),
            steps=[
                Step("unpack", do=self.unpack, undo=self.remove, capture=self.is_unpacked),
                Step("stop", do=self.stop, undo=self.start, capture=self.serving, check=self.is_stopped),
                Step("link", do=self.link, undo=self.link_back, capture=self.linked, retry=Retry(attempts=3)),
                Step("start", do=self.start, undo=self.stop, capture=self.serving, check=self.serves_the_new),
            ],
            post=Step("open", do=self.open, undo=self.drain, capture=self.is_drained),
        )

    # Drained or open

    def drain(self, _: StepCall) -> None:
        """Let the load balancer send nobody here."""
        self.drained.touch()

    def open(self, _: StepCall) -> None:
        """Let it send users again."""
        self.drained.unlink(missing_ok=True)

    def open_unless_drained(self, call: StepCall) -> None:
        """Open again, unless somebody had drained it before us."""
        if not call.before:
            self.open(call)

    def is_drained(self, _: StepCall) -> bool:
        """Return the state."""
        return self.drained.exists()

    # The files of a release

    def unpack(self, call: StepCall) -> None:
        """Unpack beside the place, and move it there whole."""
        folder = self._folder(call)
        if folder.exists():
            return
        draft = folder.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        with tarfile.open(call.input.tarball) as tarball:
            tarball.extractall(draft, filter="data")
        draft.rename(folder)

    def remove(self, call: StepCall) -> None:
        """Remove what we unpacked; what was there before us stays."""
        if not call.before:
            shutil.rmtree(self._folder(call), ignore_errors=True)

    def is_unpacked(self, call: StepCall) -> bool:
        """Return the state."""
        return self._folder(call).is_dir()

    def _folder(self, call: StepCall) -> Path:
        return self.home / "releases" / call.input.version

    # The pointer

    def link(self, call: StepCall) -> None:
        """Let `current` point to the new release, in one step."""
        self._link_to(f"releases/{call.input.version}")

    def link_back(self, call: StepCall) -> None:
        """Let it point to where it pointed before."""
        if call.before is None:
            self.current.unlink(missing_ok=True)
        else:
            self._link_to(call.before)

    def linked(self, _: StepCall) -> str | None:
        """Return where it points to."""
        return str(self.current.readlink()) if self.current.is_symlink() else None

    def _link_to(self, target: str) -> None:
        draft = self.home / "current.draft"
        draft.unlink(missing_ok=True)
        draft.symlink_to(target)
        draft.replace(self.current)

    # The process

    async def start(self, _: StepCall) -> None:
        """Start what `current` points to, if there is something, and wait until it serves."""
        if not self.current.exists() or await asked() is not None:
            return
        process = spawn(sys.executable, str(self.current.resolve() / "service.py"), str(PORT))
        self.process.write_text(str(process))
        with anyio.fail_after(PATIENCE_S):
            while await asked() is None:
                if is_gone(process):
                    raise RuntimeError("the service ended as soon as it was started")
                await SystemClock().sleep(0.02)

    async def stop(self, _: StepCall) -> None:
        """Stop what was started, whether it serves yet or not, and wait until it is gone."""
        if not self.process.exists():
            return
        process = int(self.process.read_text())
        with anyio.fail_after(PATIENCE_S):
            while not is_gone(process):
                os.kill(process, signal.SIGTERM)
                await SystemClock().sleep(0.02)
        self.process.unlink(missing_ok=True)

    async def serving(self, _: StepCall) -> str | None:
        """Return the version that serves."""
        return await asked()

    async def is_stopped(self, call: StepCall) -> bool:
        """Tell whether nothing serves."""
        return await self.serving(call) is None

    async def serves_the_new(self, call: StepCall) -> bool:
        """Tell whether the new release does."""
        return await self.serving(call) == call.input.version


async def asked() -> str | None:
    """Ask whatever serves on the port for its version; `None` if nothing does."""
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            return (await client.get(f"http://127.0.0.1:{PORT}/")).text
    except httpx.TransportError:
        return None


def spawn(*command: str) -> int:
    """Start a process that outlives this program and writes nowhere; return its id."""
    null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    return os.posix_spawn(command[0], command, os.environ, file_actions=null, setpgroup=0)


def is_gone(process: int) -> bool:
    """Tell whether a process has ended, one of our own or of a program before us."""
    with suppress(ChildProcessError):
        os.waitpid(process, os.WNOHANG)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


async def main(home: Path, verb: str, *rest: str) -> int:
    """Deploy, or go on with deploys whose program was killed; print how each ended."""
    deploy = Host(home).deploy()
    async with Atoms(FileJournal(home / "journal"), [deploy], lease=1, recover_every=None) as atoms:
        try:
            if verb == "recover":
                results = await atoms.recover(wait=True)
            else:
                results = [await atoms.run(deploy, Release(version=rest[0], tarball=rest[1]))]
        except AtomError as error:
            print(error, file=sys.stderr)
            return 1
    for result in results:
        print(result.run_id, result.outcome)
    return 0


if __name__ == "__main__":
    sys.exit(anyio.run(main, Path(sys.argv[1]), *sys.argv[2:]))
