"""Who is asked where the slot is, and in which order: nobody waits twice for a node that hangs."""

from typing import Any

import anyio
import pytest
from redis.crc import key_slot
from redis.exceptions import ClusterDownError
from redis.exceptions import TimeoutError as RedisTimeoutError

from grayflow.store.redis.slot import Node, SlotRoute

pytestmark = pytest.mark.anyio

A, B, C = (("127.0.0.1", port) for port in (7001, 7002, 7003))


class Nodes(SlotRoute):
    """A cluster that answers from memory: which node says that which one is the owner."""

    def __init__(self, **says: Node | None) -> None:
        super().__init__((A, B, C), "k", tls=False, settings={})
        self.says = {A: says.get("a"), B: says.get("b"), C: says.get("c")}
        self.asked: list[Node] = []
        self.hangs: set[Node] = set()

    async def _ask(self, node: Node) -> list[Any]:
        self.asked.append(node)
        if node in self.hangs:
            await anyio.sleep_forever()
        owner = self.says[node]
        if owner is None:
            raise RedisTimeoutError("no answer")
        slot, others = key_slot(b"k"), [other for other in (A, B, C) if other != owner]
        return [[slot, slot, *([host.encode(), port] for host, port in (owner, *others))]]


async def test_a_node_without_an_answer_is_passed_over_and_asked_last_from_then_on():
    route = Nodes(a=None, b=C)

    assert await route.locate() == C
    route.forget(C)
    route.says[B] = B
    assert await route.locate() == B

    assert route.asked == [A, B, A, B]


async def test_a_node_that_was_forgotten_while_it_hung_is_asked_last():
    route = Nodes(b=C, c=C)
    route.hangs = {A}

    with anyio.move_on_after(0.01):
        await route.locate()
    assert await route.locate() == C

    assert route.asked == [A, B]


async def test_who_sent_us_to_a_dead_node_is_not_asked_first_again():
    route = Nodes(a=A, b=B, c=B)

    assert await route.locate() == A
    route.forget(A)

    assert await route.locate() == B
    assert route.asked == [A, B]


async def test_a_node_that_answers_again_is_trusted_again():
    route = Nodes(a=None, b=None, c=C)
    await route.locate()
    route.says = {A: A, B: None, C: None}
    route.forget(C)

    assert await route.locate() == A
    assert A not in route._suspected


async def test_news_of_a_node_that_is_not_the_owner_any_more_changes_nothing():
    route = Nodes(a=A)
    await route.locate()

    route.forget(B)

    assert await route.locate() == A
    assert route.asked == [A]


async def test_a_cluster_of_which_no_node_answers_is_down():
    with pytest.raises(RedisTimeoutError):
        await Nodes().locate()


async def test_a_slot_that_nobody_has_is_down():
    route = Nodes(a=A, b=A, c=A)
    route._slot += 1

    with pytest.raises(ClusterDownError, match="serves slot"):
        await route.locate()
