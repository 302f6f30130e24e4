"""The judge finds what is wrong, or the table would prove nothing."""

from itertools import count
from time import thread_time
from typing import Any
from uuid import uuid4

import pytest

from grayflow.core.codec import to_bytes
from grayflow.core.generations import Generation
from grayflow.core.position import Document, Position
from grayflow.core.snapshot import Builder
from grayflow.replica.view import View
from grayflow.store.port import Edit, State
from tests.faults.fault import Fault
from tests.faults.judge import differences
from tests.faults.places import NAMESPACE
from tests.faults.play import Verdict, play
from tests.faults.stage import Setting, Stage
from tests.faults.table import head, row

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

QUICK = Setting(flags=50, ttl_s=0.5, brief=True)
HERE = Position(epoch="e", revision=2, nonce="n")


class Silent(Fault):
    name = "rigged"
    silent = True


class BehindTheBack(Silent):
    """A document is changed, and neither position nor log nor channel say so."""

    async def strike(self, stage: Stage) -> None:
        document = b"1:" + to_bytes({"key": "flag-00040", "enabled": False})
        await stage.ask("HSET", f"{{gf:{NAMESPACE}}}:flags", "flag-00040", document)


class MadeTwice(Silent):
    """The server forgets a request, and makes it a second time."""

    async def strike(self, stage: Stage) -> None:
        async with stage.writer.quiet():
            held, _ = await stage.store.get("flag", "flag-00001")
            edit = Edit(
                kind="flag",
                key="flag-00001",
                document=b'{"key": "flag-00001"}',
                action="edit",
                actor=stage.writer.actor,
                reason="",
                at=1,
                request_id=uuid4().hex,
            )
            change = await stage.store.commit(edit, expected=held.revision if held else 0)
            await stage.ask("DEL", f"{{gf:{NAMESPACE}}}:idem:{edit.request_id}")
            await stage.store.commit(edit, expected=change.revision)


class Standstill(Silent):
    """The loop of the client does nothing else for a while."""

    async def strike(self, stage: Stage) -> None:
        began = thread_time()
        next(number for number in count() if number % 1000 == 0 and thread_time() - began > 0.8)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (BehindTheBack, "flag-00040 is revision"),
        (MadeTwice, "was made 2 times"),
        (Standstill, "the loop stood still for"),
    ],
)
async def test_a_broken_promise_is_found(kind: type[Fault], told: str):
    verdict = await play(kind, QUICK)

    assert told in " ".join(verdict.broken)


def view(flags: dict[str, Any], generations: dict[str, Any]) -> View:
    builder = Builder()
    for key, (revision, fields) in flags.items():
        builder.add_flag(key, Document(revision, to_bytes({"key": key, **fields})))
    return View(builder.build(HERE), generations, "fresh")


def test_every_kind_of_difference_is_told():
    on, off = Generation(off=0, armed=1), Generation(off=4, armed=1)
    mine = view({"same": (1, {}), "older": (1, {}), "gone": (1, {}), "else": (2, {"enabled": True})}, {"g": {"on": on}})
    documents = {"same": (1, {}), "older": (2, {}), "new": (2, {}), "else": (2, {})}
    flags = {key: Document(revision, to_bytes({"key": key, **more})) for key, (revision, more) in documents.items()}

    found = differences(mine, State(position=HERE, flags=flags, segments={}, generations={"g": {"on": off}}))

    assert sorted(found) == [
        "else is revision 2 here and revision 2 in the store",
        "g has other generations here than in the store",
        "gone is revision 1 here and missing in the store",
        "new is missing here and revision 2 in the store",
        "older is revision 1 here and revision 2 in the store",
    ]


def test_a_row_says_what_was_broken():
    shown = row(Verdict(name="killed", detected_s=1.5, decisions=12_345, broken=("it was lost",)))

    assert shown.split() == ["killed", "1.50", "-", "12,345", "0", "0", "-", "0", "BROKEN:", "it", "was", "lost"]
    assert len(head().splitlines()) == 3
