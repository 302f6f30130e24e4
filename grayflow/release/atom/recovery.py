"""
Which runs a process takes over, and which code goes on with them.

Pure. A run is due when it has not ended and nobody holds it any more: its process is gone, was frozen for too long,
gave it back, or somebody let it go on after it was parked.
"""

from collections.abc import Collection, Iterable, Iterator

from grayflow.release.atom.desk import AtomRun
from grayflow.release.atom.model import Atom

__all__ = ["Registry", "to_recover"]


class Registry:
    """The atoms whose code a process has, in perhaps several versions."""

    def __init__(self, atoms: Iterable[Atom] = ()) -> None:
        self._atoms: dict[tuple[str, int], Atom] = {}
        for atom in atoms:
            self.add(atom)

    def add(self, atom: Atom) -> None:
        """Take in an atom; the last of one name and version counts."""
        self._atoms[atom.name, atom.version] = atom

    def find(self, name: str, version: int) -> Atom | None:
        """
        Return the atom of that name and version, else the newest version of that name.

        With another version a run is parked as `in_doubt`. A name that is not known here belongs to another service:
        its runs are left alone.
        """
        if (name, version) in self._atoms:
            return self._atoms[name, version]
        versions = [known for atom, known in self._atoms if atom == name]
        return self._atoms[name, max(versions)] if versions else None


def to_recover(
    runs: Iterable[AtomRun], registry: Registry, *, busy: Collection[str], held: bool = False
) -> Iterator[tuple[str, Atom]]:
    """
    Yield the ids of the runs that a process takes over, each with its code.

    Args:
        runs: All that are recorded.
        registry: The code.
        busy: The ids of those that this process sees to already.
        held: Whether those count too that somebody still holds.
    """
    for one in runs:
        atom = registry.find(one.run.atom, one.run.version)
        unfinished = one.run.outcome is None if held else one.due
        if atom is not None and unfinished and one.run.run_id not in busy:
            yield one.run.run_id, atom
