"""What happens on the way between client and server."""

import socket

from tests.faults.fault import Fault
from tests.faults.fill import flood
from tests.faults.stage import NAMESPACE, Stage, clock, until

__all__ = ["FAULTS"]


class HalfOpen(Fault):
    """Everything that is sent is lost, and nobody is told; later on new connections work, and the old ones never."""

    name = "half-open TCP (proxy)"
    route = "proxy"
    lasts_s = 6.0

    async def strike(self, stage: Stage) -> None:
        stage.proxy.swallow()

    async def heal(self, stage: Stage) -> None:
        stage.proxy.heal()


class CutCable(Fault):
    """As above with real packets: the kernel sends them again and again, and the connections outlive it."""

    name = "half-open TCP (nft)"
    route = "cable"
    lasts_s = 6.0
    quick = False

    async def strike(self, stage: Stage) -> None:
        await stage.aside(stage.cable.cut)

    async def heal(self, stage: Stage) -> None:
        await stage.aside(stage.cable.mend)


class GivenUp(CutCable):
    """The cable is cut, and the kernel is told to give up soon: the time-out that redis-py 8.1.0 spins on, for real."""

    name = "half-open TCP (nft, ETIMEDOUT)"

    async def prepare(self, stage: Stage) -> None:
        raw = stage.watched.events._pubsub.connection._writer.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)


class AnswerLost(Fault):
    """A write is made, and the connection breaks before its answer arrives: the writer cannot know."""

    name = "answers to writes lost"
    route = "proxy"
    writer_on_route = True
    silent = True
    lasts_s = 0.0

    async def strike(self, stage: Stage) -> None:
        for lost in range(1, 21):
            stage.proxy.lose_answers(1, to=b"\r\ncommit\r\n")
            await until(lambda lost=lost: stage.proxy.answers_lost == lost, "writes are answered")
            await stage.edits(1)


class Slow(Fault):
    """Everything takes 200 ms longer, each way."""

    name = "latency of 2 x 200 ms"
    route = "proxy"
    silent = True
    lasts_s, brief_s = 5.0, 1.0

    async def strike(self, stage: Stage) -> None:
        stage.proxy.delay(0.2)

    async def meanwhile(self, stage: Stage) -> None:
        await stage.seen((await stage.writer.switch("flag-00001")).position)

    async def heal(self, stage: Stage) -> None:
        stage.proxy.heal()


class Dripping(Slow):
    """Every byte comes alone."""

    name = "one byte at a time"

    async def strike(self, stage: Stage) -> None:
        stage.proxy.drip()


class ThinLine(Fault):
    """100 kB/s, and changes too large for a message: they have to be fetched, and that takes longer than a time-out."""

    name = "thin line, big changes"
    route = "proxy"
    silent = True
    lasts_s = 0.0

    async def strike(self, stage: Stage) -> None:
        stage.proxy.throttle(100_000)

    async def meanwhile(self, stage: Stage) -> None:
        await stage.aside(flood, stage.server, NAMESPACE, 3, 200_000)
        await stage.seen(await stage.store.position())

    async def heal(self, stage: Stage) -> None:
        stage.proxy.heal()


class ThinLoad(ThinLine):
    """As above, and everything has to be loaded anew."""

    name = "thin line, everything anew"
    quick = False

    async def strike(self, stage: Stage) -> None:
        stage.proxy.throttle(100 * stage.setting.flags)  # it takes several seconds

    async def meanwhile(self, stage: Stage) -> None:
        await stage.seen(await stage.store.init(replaces=["*"]))


class Forgotten(Fault):
    """A firewall forgets the connections: on those that there are nothing arrives any more, new ones work."""

    name = "connections forgotten"
    route = "proxy"
    lasts_s = 0.0

    async def strike(self, stage: Stage) -> None:
        stage.proxy.swallow()
        stage.proxy.heal()


class ForgottenWhileLoading(Forgotten):
    """As above while everything is being loaded: the server answers others, and the rest never comes."""

    name = "connections forgotten in a load"
    quick = False

    async def prepare(self, stage: Stage) -> None:
        stage.proxy.throttle(100 * stage.setting.flags)  # it takes several seconds
        await stage.store.init(replaces=["*"])
        await until(lambda: stage.watched.running == "load", "nothing is being loaded")
        await clock.sleep(0.5)


FAULTS: tuple[type[Fault], ...] = (
    HalfOpen,
    CutCable,
    GivenUp,
    Forgotten,
    ForgottenWhileLoading,
    AnswerLost,
    Slow,
    Dripping,
    ThinLine,
    ThinLoad,
)
