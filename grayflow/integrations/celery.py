"""
Celery: one client for each worker process, gates that know what Celery can do, and messages that carry their flags.

    app = Celery("shop", broker="redis://localhost:6379/1")
    flags = Client(os.environ["GRAYFLOW_URL"], namespace="shop", on_failure="last_known")
    setup(app, flags)

    @app.task
    @flags.gate("payment_v2", otherwise="delay", context=lambda order: {"user_id": order["user"]})
    def charge(order: dict[str, Any]) -> None: ...

Bodies ask by `flags.peek`. The gate is what guarantees that no body runs while the flag is off; `revoke_tasks` and
`GatedScheduler` only shorten the queue. Pools: prefork, solo and threads.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from celery import current_task, signals
from celery.beat import BeatLazyFunc
from celery.concurrency import get_implementation
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.exceptions import Ignore, Retry

from grayflow.client.carry import AT_LEAST, CONTEXT, carried_context, carried_token
from grayflow.client.client import Client
from grayflow.client.gate import Refusal, gate_of, refuse_plainly, refusing
from grayflow.client.scope import Scope
from grayflow.client.thread import ClientThread

__all__ = ["GatedEntries", "GatedScheduler", "revoke_tasks", "setup"]

log = logging.getLogger("grayflow.celery")

if TYPE_CHECKING:
    _Persistent = object  # Celery 5.7 has no types, and a base class without one would leave ours without one
else:
    from celery.beat import PersistentScheduler as _Persistent

_PATIENCE = 0.75
"""Of the time after which Celery kills a worker process that does not begin."""


def setup(app: Any, flags: Client, *, carry: bool = False, dead_letter: str = "grayflow-dead-letter") -> None:
    """
    Give an application its flags.

    In each worker process, and in beat with a `GatedScheduler`, the client starts in a thread of its own and is closed
    at the end. A gate does what it was told to:

    * `drop`: the task is acknowledged and its state is REVOKED, so that whoever waits for it is told;
    * `delay`: it is sent again with a countdown and its state is RETRY; that costs none of its own retries. With Redis
      as the broker stay below `visibility_timeout`;
    * `dead-letter`: it is sent to another queue, which no worker should consume before the flag is on again.

    A task whose message carries a position or a context (`Client.carry`) runs in a scope of them.

    Args:
        app: The application, a `Celery`.
        flags: The client, not started.
        carry: Let each message that this application sends say which flags its sender had; see `Client.carry`.
        dead_letter: The queue for `dead-letter`.
    """
    worker = _Worker(app, flags, dead_letter)
    uid = f"grayflow {id(app)}"
    for signal, receiver in (
        (signals.worker_process_init, worker.start),
        (signals.worker_process_shutdown, worker.stop),
        (signals.worker_init, worker.start_for_threads),
        (signals.worker_shutdown, worker.stop),
        (signals.beat_init, worker.start_for_beat),
        (signals.task_prerun, worker.enter),
        (signals.task_postrun, worker.leave),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=uid)
    if carry:
        signals.before_task_publish.connect(worker.stamp, weak=False, dispatch_uid=uid)


def revoke_tasks(app: Any, *tasks: Any, ids: Iterable[str] = (), timeout: float = 1.0) -> tuple[str, ...]:
    """
    Revoke tasks that were sent and have not begun: those that workers hold (with a countdown, or reserved), and ids.

    Best effort: it reaches the workers that are up, which remember it until they end; what is still in the broker, or
    comes later, is for the gate. It talks to the broker and blocks: call it in a handler that is not async.

        @flags.on_switch_off("payment_v2", scope="fleet", name="stop-charges")
        def stop(off: SwitchOff) -> None:
            revoke_tasks(app, charge)

    Args:
        app: The application.
        tasks: Tasks, or their names.
        ids: Of tasks that the application remembers.
        timeout: How many seconds to wait for the workers' answers.

    Returns:
        The ids that were revoked.
    """
    names = {task if isinstance(task, str) else task.name for task in tasks}
    found = dict.fromkeys(ids)
    if names:
        inspect = app.control.inspect(timeout=timeout)
        for held in (inspect.scheduled() or {}, inspect.reserved() or {}):
            for each in (one.get("request", one) for requests in held.values() for one in requests):
                if each.get("name") in names:
                    found[each["id"]] = None
    if found:
        app.control.revoke(list(found))
    return tuple(found)


class GatedEntries:
    """
    To be mixed into a scheduler of beat: entries of gated tasks are not sent while their gate is closed.

    Only of tasks that are dropped then, and that are registered where beat runs. The entry stays, and goes on at its
    next time once the flag is on: `class Scheduler(GatedEntries, DatabaseScheduler): ...`
    """

    app: Any
    closed: Callable[[], None] | None = None
    """Called at the end; set by `setup`."""

    def close(self) -> None:
        """See Celery's `Scheduler`."""
        try:
            super().close()  # type: ignore[misc]
        finally:
            if self.closed is not None:
                self.closed()

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """See Celery's `Scheduler`."""
        if _is_shut(self.app, entry):
            log.info("beat does not send %s (%s): its gate is closed", entry.name, entry.task)
            return
        super().apply_entry(entry, producer=producer)  # type: ignore[misc]


class GatedScheduler(GatedEntries, _Persistent):
    """Beat's own scheduler with gates: `app.conf.beat_scheduler = GatedScheduler`."""


class _Worker:
    """What happens in the processes of one application."""

    def __init__(self, app: Any, flags: Client, dead_letter: str) -> None:
        self._app, self._flags, self._dead_letter = app, flags, dead_letter
        self._thread = ClientThread(flags)
        self._lock = Lock()

    def start(self, **_: Any) -> None:
        # Celery 5.7: a pool with one process inside this one says both worker_process_init and worker_init.
        with self._lock:
            if not self._thread.running:
                self._thread.start(at_most=self._app.conf.worker_proc_alive_timeout * _PATIENCE)

    def start_for_threads(self, sender: Any, **_: Any) -> None:
        if sender.app is self._app and issubclass(get_implementation(sender.pool_cls), ThreadPool):
            self.start()

    def start_for_beat(self, sender: Any, **_: Any) -> None:
        if sender.app is self._app and isinstance(sender.scheduler, GatedEntries):
            sender.scheduler.closed = self.stop
            self.start()

    def stop(self, **_: Any) -> None:
        self._thread.stop()

    def stamp(self, headers: dict[str, Any] | None = None, **_: Any) -> None:
        if headers is not None:
            for name, text in self._flags.carry().items():
                headers.setdefault(name, text)

    def enter(self, task: Any, **_: Any) -> None:
        if task.app is not self._app:
            return
        stack = ExitStack()
        task.request.grayflow = stack
        stack.callback(refusing.reset, refusing.set(partial(self._refuse, task)))
        headers = task.request.headers or {}
        if AT_LEAST in headers or CONTEXT in headers:
            stack.enter_context(self._scope(headers))

    def leave(self, task: Any, **_: Any) -> None:
        stack = getattr(task.request, "grayflow", None)
        if isinstance(stack, ExitStack):
            stack.close()

    def _scope(self, headers: dict[str, Any]) -> Scope:
        token, position = carried_token(headers), self._flags.position
        if token is None or not self._thread.running or (position is not None and position.token() == token):
            return self._flags.scope(carried_context(headers))
        return self._thread.call(self._flags.carried(headers).wait)

    def _refuse(self, task: Any, refusal: Refusal) -> Any:
        request = task.request
        if request.is_eager or request.called_directly or not _is_body(task, refusal):
            return refuse_plainly(refusal)
        if refusal.otherwise == "delay":
            again = task.signature_from_request(request, countdown=refusal.delay_s, retries=request.retries)
            again.apply_async()
            raise Retry(exc=refusal.error(), when=refusal.delay_s, sig=again)
        if refusal.otherwise == "dead-letter":
            task.signature_from_request(request, queue=self._dead_letter, retries=request.retries).apply_async()
        else:
            stored = not (request.ignore_result or task.ignore_result)
            task.backend.mark_as_revoked(request.id, str(refusal.error()), request, store_result=stored)
        raise Ignore


def _is_body(task: Any, refusal: Refusal) -> bool:
    """Tell whether it is the task itself that is refused, and not a gated function that its body calls."""
    return current_task == task and gate_of(task.run) is refusal.gate


def _is_shut(app: Any, entry: Any) -> bool:
    run = getattr(app.tasks.get(entry.task), "run", None)
    gate = gate_of(run)
    arguments = (*(entry.args or ()), *(entry.kwargs or {}).values())
    if gate is None or gate.otherwise != "drop" or any(isinstance(each, BeatLazyFunc) for each in arguments):
        return False
    myself = getattr(run, "__self__", None)
    try:
        return not gate.allows(*(() if myself is None else (myself,)), *(entry.args or ()), **(entry.kwargs or {}))
    except Exception:  # the application's context: the worker asks again
        log.exception("beat sends %s: gate %r could not be asked", entry.name, gate.key)
        return False
