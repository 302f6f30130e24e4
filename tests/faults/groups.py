"""What happens to a group of servers: the master is gone, and another one takes over."""

from tests.faults.fault import Fault
from tests.faults.stage import Stage

__all__ = ["FAULTS"]


class SentinelKilled(Fault):
    """The master dies; the Sentinels need a second to believe it, and promote the replica."""

    name = "Sentinel: master killed"
    route = "sentinel"
    heals_itself = True
    forgets = True  # what the master had acknowledged and not yet passed on

    async def strike(self, stage: Stage) -> None:
        await stage.kill()


class SentinelFrozen(SentinelKilled):
    """The master stands still, and wakes as one master of two: nobody may go on with it."""

    name = "Sentinel: master frozen"
    lasts_s, brief_s = 12.0, 6.0

    async def strike(self, stage: Stage) -> None:
        stage.server.freeze()

    async def heal(self, stage: Stage) -> None:
        stage.server.thaw()


class SentinelForgets(SentinelKilled):
    """The replica lags, and is promoted: edits that everybody saw never happened; their revisions are used again."""

    name = "Sentinel: writes lost"

    async def strike(self, stage: Stage) -> None:
        stage.replica.freeze()
        await stage.edits(20)
        await stage.kill()
        stage.replica.thaw()


class ClusterKilled(SentinelKilled):
    """The master of our slot dies, and its replica is elected."""

    name = "Cluster: master killed"
    route = "cluster"


class ClusterFrozen(SentinelFrozen):
    """As above, but it stands still, and wakes when another one has its slots."""

    name = "Cluster: master frozen"
    route = "cluster"
    quick = False


FAULTS: tuple[type[Fault], ...] = (
    SentinelKilled,
    SentinelFrozen,
    SentinelForgets,
    ClusterKilled,
    ClusterFrozen,
)
