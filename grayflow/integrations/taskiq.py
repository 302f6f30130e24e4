"""
taskiq: a client in each worker, gates that know what taskiq can do, and messages that carry their flags.

    broker = ListQueueBroker("redis://localhost:6379/1").with_middlewares(FlagsMiddleware(flags))

    @broker.task
    @flags.gate("payment_v2", context=lambda order: {"user_id": order["user"]})
    async def charge(order: dict[str, Any]) -> None: ...

The gate is what guarantees that no body runs while the flag is off; `delete_schedules` and `GatedSource` only shorten
the queue.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import ExitStack
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from taskiq import AsyncBroker, ScheduledTask, ScheduleSource, TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq.exceptions import NoResultError, ScheduledTaskCancelledError
from taskiq.kicker import AsyncKicker
from taskiq.utils import maybe_awaitable

from grayflow.client.carry import AT_LEAST, CONTEXT
from grayflow.client.client import Client
from grayflow.client.gate import Gate, Refusal, gate_of, refuse_plainly, refusing
from grayflow.client.scope import Scope
from grayflow.errors import ConfigurationError

__all__ = ["FlagsMiddleware", "GatedSource", "delete_schedules"]

log = logging.getLogger("grayflow.taskiq")


class FlagsMiddleware(TaskiqMiddleware):
    """
    Gives the workers of a broker their flags.

    The client is opened and closed with each worker process and with the scheduler; in other processes that is the
    application's business. A gate does what it was told to:

    * `drop`: the task's result is the error `GateClosedError`, so that whoever waits for it is told;
    * `delay`: it is scheduled again, with the same id, in `source`;
    * `dead-letter`: it is sent to `dead_letter`, a broker whose queue no worker should listen to before the flag is on.

    A task whose message carries a position or a context (`Client.carry`, as labels) runs in a scope of them.

    Args:
        flags: The client.
        carry: Let each message say which flags its sender had; see `Client.carry`.
        source: Where delayed tasks are scheduled; the one that the scheduler reads.
        dead_letter: The broker for dead letters; opened and closed with the worker.
    """

    def __init__(
        self,
        flags: Client,
        *,
        carry: bool = False,
        source: ScheduleSource | None = None,
        dead_letter: AsyncBroker | None = None,
    ) -> None:
        super().__init__()
        self._flags, self._carry, self._source, self._dead_letter = flags, carry, source, dead_letter
        self._running: ContextVar[ExitStack | None] = ContextVar("grayflow task", default=None)

    async def startup(self) -> None:
        """
        Open the client, in workers and in the scheduler.

        Raises:
            ConfigurationError: a gate is told to do what this middleware was given no means for.
        """
        if self.broker.is_worker_process:
            self._check_gates()
            if self._dead_letter is not None:
                await self._dead_letter.startup()
        if self._owner:
            await self._flags.start()

    async def shutdown(self) -> None:
        """Close what was opened."""
        if self._owner:
            await self._flags.aclose()
        if self.broker.is_worker_process and self._dead_letter is not None:
            await self._dead_letter.shutdown()

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """See `carry`."""
        if self._carry:
            for name, text in self._flags.carry().items():
                message.labels.setdefault(name, text)
        return message

    async def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        """Open the task's scope, and let its gate know where it is."""
        stack = ExitStack()
        stack.callback(refusing.reset, refusing.set(partial(self._refuse, message)))
        if AT_LEAST in message.labels or CONTEXT in message.labels:
            self._open(await self._flags.carried(message.labels).wait(), stack)
        stack.callback(self._running.reset, self._running.set(stack))
        return message

    async def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:  # noqa: ARG002 - taskiq's
        """Close the scope."""
        stack = self._running.get()
        if stack is not None:
            stack.close()

    async def on_error(self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException) -> None:
        """Do what the gate asks for."""
        if not isinstance(exception, _Refused):
            return
        refusal = exception.refusal
        if refusal.otherwise == "delay" and self._source is not None:
            again: AsyncKicker[Any, Any] = AsyncKicker(message.task_name, self.broker, message.labels)
            when = datetime.now(UTC) + timedelta(seconds=refusal.delay_s)
            again.with_task_id(message.task_id)
            await again.schedule_by_time(self._source, when, *message.args, **message.kwargs)
        elif refusal.otherwise == "dead-letter" and self._dead_letter is not None:
            await self._dead_letter.kick(self._dead_letter.formatter.dumps(message))
        else:
            result.error = refusal.error()

    def _open(self, scope: Scope, stack: ExitStack) -> None:
        stack.enter_context(scope)
        task = asyncio.current_task()
        if task is not None:
            # taskiq 0.13: what another middleware or an acknowledgement raises leaves `post_execute` out, and a scope
            # that nobody closes would hold up every drain.
            task.add_done_callback(scope.__exit__)
            stack.callback(task.remove_done_callback, scope.__exit__)

    @property
    def _owner(self) -> bool:
        return self.broker.is_worker_process or self.broker.is_scheduler_process

    def _refuse(self, message: TaskiqMessage, refusal: Refusal) -> None:
        task = self.broker.find_task(message.task_name)
        if task is None or gate_of(task.original_func) is not refusal.gate:  # a gated function that the body calls
            refuse_plainly(refusal)
            return
        raise _Refused(refusal)

    def _check_gates(self) -> None:
        for task in self.broker.get_all_tasks().values():
            gate = gate_of(task.original_func)
            if gate is not None and gate.otherwise == "delay" and self._source is None:
                raise ConfigurationError(f"{_asks(task, gate)}: give FlagsMiddleware(source=...)")
            if gate is not None and gate.otherwise == "dead-letter" and self._dead_letter is None:
                raise ConfigurationError(f"{_asks(task, gate)}: give FlagsMiddleware(dead_letter=...)")


class GatedSource(ScheduleSource):
    """
    A source whose schedules are not sent while the gate of their task is closed.

    Only of tasks that are dropped then, and that are registered where the scheduler runs. The schedules stay; one for a
    certain time is sent late, when the flag is on.

    Args:
        inner: The source.
        broker: The tasks' broker, with a `FlagsMiddleware`.
    """

    def __init__(self, inner: ScheduleSource, broker: AsyncBroker) -> None:
        self._inner, self._broker = inner, broker

    async def startup(self) -> None:
        """See `ScheduleSource`."""
        await self._inner.startup()

    async def shutdown(self) -> None:
        """See `ScheduleSource`."""
        await self._inner.shutdown()

    async def get_schedules(self) -> list[ScheduledTask]:
        """See `ScheduleSource`."""
        return await self._inner.get_schedules()

    async def add_schedule(self, schedule: ScheduledTask) -> None:
        """See `ScheduleSource`."""
        await self._inner.add_schedule(schedule)

    async def delete_schedule(self, schedule_id: str) -> None:
        """See `ScheduleSource`."""
        await self._inner.delete_schedule(schedule_id)

    async def pre_send(self, task: ScheduledTask) -> None:
        """Cancel a task whose gate is closed."""
        if self._is_shut(task):
            log.info("schedule %s (%s) is not sent: its gate is closed", task.schedule_id, task.task_name)
            raise ScheduledTaskCancelledError
        await maybe_awaitable(self._inner.pre_send(task))

    async def post_send(self, task: ScheduledTask) -> None:
        """See `ScheduleSource`."""
        await maybe_awaitable(self._inner.post_send(task))

    def _is_shut(self, task: ScheduledTask) -> bool:
        found = self._broker.find_task(task.task_name)
        gate = None if found is None else gate_of(found.original_func)
        if gate is None or gate.otherwise != "drop":
            return False
        try:
            return not gate.allows(*task.args, **task.kwargs)
        except Exception:  # the application's context: the worker asks again
            log.exception("schedule %s is sent: gate %r could not be asked", task.schedule_id, gate.key)
            return False


async def delete_schedules(source: ScheduleSource, *tasks: Any, ids: Iterable[str] = ()) -> tuple[str, ...]:
    """
    Delete the schedules of tasks, for a handler of switch-offs; what is queued already is for the gate.

        @flags.on_switch_off("payment_v2", scope="fleet", name="unschedule-charges")
        async def stop(off: SwitchOff) -> None:
            await delete_schedules(source, charge)

    Args:
        source: Where they are. It has to be able to delete: taskiq's `LabelScheduleSource` is not.
        tasks: Tasks, or their names. Of their schedules those are found that the source lists; taskiq-redis lists those
            for a certain time only when it has come.
        ids: Of schedules that the application remembers.

    Returns:
        The ids that were deleted.
    """
    names = {task if isinstance(task, str) else task.task_name for task in tasks}
    found = dict.fromkeys(ids)
    if names:
        found |= {each.schedule_id: None for each in await source.get_schedules() if each.task_name in names}
    for schedule_id in found:
        await source.delete_schedule(schedule_id)
    return tuple(found)


class _Refused(NoResultError):  # noqa: N818 - it is no failure: nothing is said of it but what the middleware says
    """Ends a task whose gate is closed, without a result and without a traceback in the log."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal


def _asks(task: Any, gate: Gate) -> str:
    return f"task {task.task_name!r} is to be kept ({gate.otherwise!r}) while flag {gate.key!r} is off, and cannot be"
