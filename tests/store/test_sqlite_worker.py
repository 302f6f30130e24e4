"""Work that is done later, and again until it is done."""

import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow.store.sqlite.file import File
from grayflow.store.sqlite.worker import Worker, close

pytestmark = pytest.mark.anyio


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(File(tmp_path / "flags.db", busy_timeout=1), patience=1)


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not holds():
            await checkpoint()


async def test_what_is_not_done_is_tried_again(worker: Worker) -> None:
    answers = [False, False, True]
    worker.later(0.001, lambda _: answers.pop(0))

    await until(lambda: not answers)

    await worker.run(lambda _: None)  # nothing else is asked of the list, which would raise
    await close(worker)


async def test_other_work_takes_the_place_of_what_is_tried_again(worker: Worker) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), list[str]()

    def first(_: File) -> bool:
        done.append("first")
        begun.set()
        go_on.wait(30)
        return False

    worker.later(0.001, first)
    await until(begun.is_set)
    worker.later(0.05, lambda _: bool(done.append("other")) or True)
    go_on.set()
    await until(lambda: len(done) > 1)
    await worker.run(lambda _: None)

    assert done == ["first", "other"]
    await close(worker)


async def test_a_worker_that_is_closed_tries_no_more(worker: Worker) -> None:
    done: list[str] = []
    worker.later(0.001, lambda _: bool(done.append("tried")))
    await until(lambda: bool(done))

    await close(worker)
    tried = len(done)
    await anyio.wait_all_tasks_blocked()

    assert len(done) == tried
