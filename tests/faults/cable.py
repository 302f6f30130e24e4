"""
A network of its own for a server, with a cable that can be cut: packets are dropped in both directions, nobody is told.

What a proxy cannot do: the kernel's own view of a dead peer, with retransmissions and their time-out, and a connection
that goes on where it was when the cable is mended. It needs root.
"""

import os
import shutil
import subprocess
from random import SystemRandom
from typing import Self

__all__ = ["Cable", "why_no_cable"]

_DROP = """
table inet grayflow {
  chain in { type filter hook input priority 0; iifname != lo drop; }
  chain out { type filter hook output priority 0; oifname != lo drop; }
}
"""
_random = SystemRandom()


def why_no_cable() -> str | None:
    """Say why there can be none on this machine, `None` if there can."""
    for program in ("ip", "nft"):
        if shutil.which(program) is None:
            return f"a network namespace needs the program {program}"
    if os.geteuid() != 0:
        return "a network namespace needs root"
    try:
        with Cable() as cable:
            cable.cut()
    except subprocess.CalledProcessError as error:
        return f"no network namespace can be made here: {error.stderr.decode(errors='replace').strip()}"
    return None


class Cable:
    """Makes the namespace for the length of a block; the server in it listens on `host`."""

    def __init__(self) -> None:
        tag = f"{_random.randrange(16**6):06x}"
        self._name, self._near, self._far = f"gf-{tag}", f"gfa{tag}", f"gfb{tag}"
        net = f"10.{_random.randrange(200, 250)}.{_random.randrange(256)}"
        self.host, self._gateway = f"{net}.2", f"{net}.1"

    @property
    def within(self) -> tuple[str, ...]:
        """What to put before a command so that it runs in there."""
        return ("ip", "netns", "exec", self._name)

    def __enter__(self) -> Self:
        try:
            _run("ip", "netns", "add", self._name)
            _run("ip", "link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", self._name)
            _run("ip", "addr", "add", f"{self._gateway}/30", "dev", self._near)
            _run("ip", "link", "set", self._near, "up")
            _run("ip", "-n", self._name, "addr", "add", f"{self.host}/30", "dev", self._far)
            for device in (self._far, "lo"):
                _run("ip", "-n", self._name, "link", "set", device, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for words in (("netns", "del", self._name), ("link", "del", self._near)):
            subprocess.run(["ip", *words], check=False, capture_output=True)

    def cut(self) -> None:
        """Drop every packet from now on."""
        _run(*self.within, "nft", "-f", "-", text=_DROP)

    def mend(self) -> None:
        """Let packets pass again."""
        _run(*self.within, "nft", "delete", "table", "inet", "grayflow")


def _run(*words: str, text: str = "") -> None:
    subprocess.run(words, input=text.encode(), check=True, capture_output=True)
