"""
A gate in the path of a task: its flag decides when the task runs, not when it was queued.

Revoking, purging and unscheduling only shorten the queue: what is reserved already, retried, or sent by somebody who
has not heard of the switch still comes. Only a question asked by the task itself stops each of them.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from grayflow.core.context import Context
from grayflow.core.decision import Decision
from grayflow.errors import ConfigurationError, GateClosedError
from grayflow.store.given import Duration, refused, seconds

if TYPE_CHECKING:
    from grayflow.client.asking import Asking

__all__ = ["ContextOf", "Gate", "Otherwise", "Policy", "Refusal", "gate_of", "refuse_plainly", "refusing"]

log = logging.getLogger("grayflow.gate")

F = TypeVar("F", bound=Callable[..., Any])

Policy = Literal["drop", "delay", "dead-letter"]
_POLICIES = ("drop", "delay", "dead-letter")

ContextOf = Callable[..., Context | Mapping[str, Any] | Awaitable[Context | Mapping[str, Any] | None] | None]
"""Makes the context from the arguments of the task; may be async if the task is."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was not made, because the gate was closed."""

    key: str
    """The flag."""
    decision: Decision
    task: str
    """Module and name of the function."""
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    otherwise: Policy | None
    """What was asked for; `None` for a function of the application's own."""
    delay_s: float
    gate: "Gate"

    def error(self) -> GateClosedError:
        """Return what to raise where nobody knows what else to do."""
        return GateClosedError(self.key, task=self.task, otherwise=self.otherwise or "", delay_s=self.delay_s)


Otherwise = Policy | Callable[[Refusal], Any]

refusing: ContextVar[Callable[[Refusal], Any] | None] = ContextVar("grayflow refusing", default=None)
"""What the worker around a task makes of `drop`, `delay` and `dead-letter`; set by the integrations."""


class Gate:
    """
    Lets calls of a function through while a flag is on; see `Client.gate`.

    It is also the attribute `gate` of the function that it guards.
    """

    def __init__(
        self,
        flags: "Asking",
        key: str,
        *,
        otherwise: Otherwise,
        delay: Duration,
        context: ContextOf | None,
        variant: str | None,
        default: bool,
    ) -> None:
        given: Any = key
        if not (isinstance(given, str) and given):
            raise refused("key", key, "give a flag's key: @flags.gate('payment_v2')")
        if otherwise not in _POLICIES and not callable(otherwise):
            raise refused("otherwise", otherwise, "give 'drop', 'delay', 'dead-letter' or a function of the Refusal")
        if context is not None and not callable(context):
            raise refused("context", context, "give a function of the task's arguments")
        self.key, self.otherwise, self.delay_s = key, otherwise, seconds("delay", delay, least=0.0)
        self.refused = 0
        """How many calls it has refused in this process."""
        self.context = context
        """Makes the context from the arguments of the task."""
        self._flags, self._variant, self._default = flags, variant, default
        self._lock = Lock()

    def __call__(self, function: F) -> F:
        """Return the function with the gate before it."""
        check = _check_function(function, self)
        gated: Any = self._awaiting(function) if check else self._calling(function)
        gated.gate = self
        # Task systems read the arguments from here: some of them do not look behind a decorator.
        gated.__signature__ = inspect.signature(function)
        return gated  # type: ignore[no-any-return]

    def allows(self, *args: Any, **kwargs: Any) -> bool:
        """
        Tell from memory whether a task with these arguments would be run now.

        For whoever is about to queue it. The answer that counts is the one that the task gets when it runs.
        """
        return self._opens(self._peeked(args, kwargs, why="only the task can ask it"))

    def _peeked(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, why: str) -> Decision:
        made = None if self.context is None else self.context(*args, **kwargs)
        if inspect.isawaitable(made):
            if inspect.iscoroutine(made):
                made.close()
            raise ConfigurationError(f"the context of gate {self.key!r} has to be awaited, so {why}")
        return self._flags.peek_decision(self.key, made, default=self._asked)

    def _calling(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def gated(*args: Any, **kwargs: Any) -> Any:
            decision = self._peeked(args, kwargs, why="the task has to be async")
            if self._opens(decision):
                return function(*args, **kwargs)
            return self._refuse(function, decision, args, kwargs)

        return gated

    def _awaiting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        async def gated(*args: Any, **kwargs: Any) -> Any:
            made: Any = None if self.context is None else self.context(*args, **kwargs)
            subject = await made if inspect.isawaitable(made) else made
            decision = await self._flags.evaluate(self.key, subject, default=self._asked)
            if self._opens(decision):
                return await function(*args, **kwargs)
            answer = self._refuse(function, decision, args, kwargs)
            return await answer if inspect.isawaitable(answer) else answer

        return gated

    @property
    def _asked(self) -> bool | None:
        return self._default if self._variant is None else None

    def _opens(self, decision: Decision) -> bool:
        if self._variant is None:
            return decision.value is True
        return self._default if decision.variant is None else decision.variant == self._variant

    def _refuse(
        self, function: Callable[..., Any], decision: Decision, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        otherwise = self.otherwise
        refusal = Refusal(
            key=self.key,
            decision=decision,
            task=_name(function),
            args=args,
            kwargs=kwargs,
            otherwise=None if callable(otherwise) else otherwise,
            delay_s=self.delay_s,
            gate=self,
        )
        self._count(refusal)
        return (otherwise if callable(otherwise) else refusing.get() or refuse_plainly)(refusal)

    def _count(self, refusal: Refusal) -> None:
        with self._lock:  # tasks run in many threads, and `+=` is a read and a write
            self.refused += 1
            is_first = self.refused == 1
        if is_first:
            log.info(
                "gate %r refused %s (%s, %s); further refusals are counted and not logged",
                self.key,
                refusal.task,
                refusal.decision.reason.value,
                refusal.otherwise or "as the application says",
            )

    def __repr__(self) -> str:
        return f"<Gate {self.key!r}, otherwise {self.otherwise!r}: {self.refused} refused>"


def gate_of(function: Any) -> Gate | None:
    """Return the gate before a function, method or task; `None` if there is none."""
    found = getattr(function, "gate", None)
    return found if isinstance(found, Gate) else None


def refuse_plainly(refusal: Refusal) -> None:
    """
    Do what is asked for where there is no worker: nothing, for a call that is dropped.

    Raises:
        GateClosedError: the call is not to be lost.
    """
    if refusal.otherwise != "drop":
        raise refusal.error()


def _name(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


def _check_function(function: Any, gate: Gate) -> bool:
    """Tell whether it has to be awaited."""
    if not callable(function) or isinstance(function, type):
        raise refused("what is gated", function, "decorate the function that does the task's work")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise refused("what is gated", function, "decorate a function that does its work when it is called")
    awaited = inspect.iscoroutinefunction(function)
    for what, given in (("otherwise", gate.otherwise), ("context", gate.context)):
        if not awaited and inspect.iscoroutinefunction(given):
            raise refused(what, given, f"{_name(function)} is not async, so this must not be either")
    return awaited
