"""What happens to the data, on a server that is well."""

import shutil

from grayflow.store.port import SCHEMA
from tests.faults.fault import Fault
from tests.faults.fill import fill
from tests.faults.stage import NAMESPACE, Stage, until

__all__ = ["FAULTS"]

_KEYS = tuple(f"{{gf:{NAMESPACE}}}:{name}" for name in ("meta", "flags", "offs", "log"))


class Rewound(Fault):
    """The server is restarted from an older dump: edits that it acknowledged, and that were seen, never happened."""

    name = "rewound to an older dump"
    options = ()
    forgets = True

    async def prepare(self, stage: Stage) -> None:
        await stage.ask("SAVE")
        await stage.edits(20)

    async def strike(self, stage: Stage) -> None:
        await stage.kill()
        await stage.start()


class RewoundAndOvertaken(Rewound):
    """As above, and the lost revisions are used a second time before anybody looks: only the nonce tells."""

    name = "rewound, revisions used again"
    route = "proxy"

    async def strike(self, stage: Stage) -> None:
        stage.proxy.swallow()
        await super().strike(stage)
        await stage.edits(40)

    async def heal(self, stage: Stage) -> None:
        stage.proxy.heal()


class RestoredInPlace(Fault):
    """Keys are put back under the feet of everybody: no connection breaks, nothing is published."""

    name = "rewound in place (RESTORE)"
    forgets = True

    async def prepare(self, stage: Stage) -> None:
        async with stage.writer.quiet():
            self._saved = [(key, await stage.ask("DUMP", key)) for key in _KEYS]
        await stage.edits(20)

    async def strike(self, stage: Stage) -> None:
        async with stage.writer.quiet():
            for key, value in self._saved:
                await stage.ask("RESTORE", key, 0, value, "REPLACE")


class Emptied(Fault):
    """Somebody runs FLUSHALL: no flags are better than the last good ones, until an operator says so."""

    name = "emptied (FLUSHALL)"
    forgets = True
    remedy = "grayflow init --replace"

    async def prepare(self, stage: Stage) -> None:
        await stage.cli("export", str(stage.folder / "flags.json"))

    async def strike(self, stage: Stage) -> None:
        await stage.ask("FLUSHALL")

    async def heal(self, stage: Stage) -> None:
        await stage.follow_advice(stage.folder / "flags.json")


class KilledAndEmpty(Emptied):
    """The process dies and comes back with nothing."""

    name = "killed, back without data"

    async def strike(self, stage: Stage) -> None:
        await stage.kill()
        shutil.rmtree(stage.server.folder / "appendonlydir")
        await stage.start()


class EmptiedAndRestored(Emptied):
    """FLUSHALL, and the backup of the server is put back: the same life goes on, and nobody has to say anything."""

    name = "emptied, backup restored"
    options = ()

    async def prepare(self, stage: Stage) -> None:
        await stage.ask("SAVE")

    async def heal(self, stage: Stage) -> None:
        await stage.kill()
        await stage.start()


class Foreign(Fault):
    """Another flag set stands where ours was: the wrong server, or one that somebody set up anew."""

    name = "another epoch"
    forgets = True
    remedy = "grayflow init --replace"

    async def strike(self, stage: Stage) -> None:
        await stage.ask("FLUSHALL")
        await stage.aside(fill, stage.server, NAMESPACE, 50)

    async def heal(self, stage: Stage) -> None:
        await stage.follow_advice()


class Newer(Fault):
    """A newer release has written a schema that this one does not know; `init` must not be what health names."""

    name = "schema of a newer release"
    remedy = "pip install -U grayflow"

    async def strike(self, stage: Stage) -> None:
        await stage.ask("HSET", _KEYS[0], "schema", SCHEMA + 1)

    async def meanwhile(self, stage: Stage) -> None:
        await until(lambda: stage.flags.health.incident, "health speaks of no incident")
        assert not stage.advised(), stage.flags.health.last_error

    async def heal(self, stage: Stage) -> None:
        await stage.ask("HSET", _KEYS[0], "schema", SCHEMA)


FAULTS: tuple[type[Fault], ...] = (
    Rewound,
    RewoundAndOvertaken,
    RestoredInPlace,
    Emptied,
    KilledAndEmpty,
    EmptiedAndRestored,
    Foreign,
    Newer,
)
