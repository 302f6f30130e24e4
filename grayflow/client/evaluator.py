"""
From a question to a decision, when the hot path of `Client` has no answer at hand.

The order: an override, the snapshot (pinned or current), the failure policy of an expired one, the flag itself, the
attributes that it asks for. Nothing in here raises for what a flag, a context or a store did; the decision says it.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

from anyio.lowlevel import checkpoint
from msgspec import structs

from grayflow.client.hooks import HookDetails, Hooks
from grayflow.client.live import Live
from grayflow.client.options import ClientOptions
from grayflow.client.resolvers import Reading, Resolved, Resolvers
from grayflow.client.scope import MISSING, Frame
from grayflow.client.unknown import UnknownKeys, named
from grayflow.core.compiler import Compiled
from grayflow.core.context import Context, as_context
from grayflow.core.decision import Decision, ErrorCode, Reason
from grayflow.core.flag import Kind, ServeOnFailure
from grayflow.core.needs import NO_INSTANT, AttributeNeeded
from grayflow.core.outcomes import Outcomes, failed, finish, told
from grayflow.core.position import Position
from grayflow.core.preparing import in_steps, pending
from grayflow.core.snapshot import Links, Snapshot
from grayflow.replica.freshness import policy
from grayflow.replica.view import View

__all__ = ["UNKNOWN", "Evaluator", "Prove", "Question"]

Prove = Callable[["Position | None"], Awaitable[str]]
"""
Makes the current snapshot the store's, having reached a position if one is given; returns why it is not, or nothing.
"""

_LONG = 100
"""Conditions that take a few milliseconds to compile."""

UNKNOWN: Any = object()
"""What the hot path finds instead of a value for a name that it knows not to exist."""


def _no_flag(context: Any, now: Any, links: Any) -> Decision:  # noqa: ARG001 - the shape of all compiled flags
    return _NO_FLAG


_NO_FLAG = Decision(key="", value=UNKNOWN, reason=Reason.ERROR, error=ErrorCode.FLAG_NOT_FOUND)


class Question:
    """One thing that was asked, and what it is answered from."""

    __slots__ = ("boolean", "default", "frame", "instant", "key", "subject", "view")

    def __init__(self, key: str, subject: Context, default: Any, *, boolean: bool, frame: Frame) -> None:
        self.key, self.subject, self.default, self.boolean, self.frame = key, subject, default, boolean, frame
        self.view: View
        self.instant: int | None = None


class Evaluator:
    """
    Answers the questions of one client.

    Args:
        options: The client's.
        live: The client's own frame.
        namespace: For messages.
        prove: Asks the replica.
        pinned: Where the frames of open scopes are kept.
    """

    def __init__(self, options: ClientOptions, live: Live, namespace: str, prove: Prove, pinned: set[Frame]) -> None:
        self.context_type = options.context_type
        self.frames: ContextVar[Frame] = ContextVar("grayflow frame", default=live.frame)
        self.pinned = pinned
        self.unknown = UnknownKeys(namespace)
        self.hooks = Hooks(options.hooks) if options.hooks else None
        self.resolvers = Resolvers(options.resolvers, timeout_s=options.resolver_timeout_s)
        self._live, self._options, self._namespace, self._prove = live, options, namespace, prove

    # Questions

    def now(self, key: str, context: Any, default: Any, *, boolean: bool = False) -> Decision:
        """Decide from memory. Attributes that would have to be fetched count as absent."""
        try:
            question = self._question(key, context, default, boolean=boolean)
        except Exception as error:  # noqa: BLE001 - a mapping of the caller's; what it raises goes into the decision
            return self._unusable(key, default, error)
        self._announced(question)
        return self._observed(question.key, question.subject, default, self._from_memory(question))

    async def fetching(
        self, key: str, context: Any, default: Any, *, boolean: bool = False, confirmed: bool = False
    ) -> Decision:
        """Decide, awaiting the attributes that the flag asks for, and first a proof of freshness if wanted."""
        try:
            question = self._question(key, context, default, boolean=boolean)
        except Exception as error:  # noqa: BLE001 - as in `now`
            return self._unusable(key, default, error)
        self._announced(question)
        if confirmed:
            why = await self._prove(None)
            question.view, question.instant = _doubted(self._live.view(), why), None
        snapshot = question.view.snapshot
        # Anything else than a text names no flag, and may not even have a hash.
        if snapshot is not None and type(key) is str and not snapshot.is_ready(key):
            await _compile_in_steps(snapshot, key)
        decision = await self._with_attributes(question)
        return self._observed(key, question.subject, default, decision)

    def _question(self, key: str, context: Any, default: Any, *, boolean: bool) -> Question:
        frame = self.frames.get()
        subject = frame.context if context is None else as_context(context, self.context_type)
        question = Question(key, subject, default, boolean=boolean, frame=frame)
        pin = frame.pin()
        question.view = self._live.view() if pin is None or pin.view is None else pin.view
        question.instant = None if pin is None else pin.instant
        return question

    def _from_memory(self, question: Question) -> Decision:
        if not self._options.resolvers:
            return self._decide(question, {})
        known = self._resolved(question).copy()
        while isinstance(answer := self._attempt(question, known), str):
            known.give_up(answer, "it has to be awaited, and this answer came from memory only")
        return answer

    async def _with_attributes(self, question: Question) -> Decision:
        if not self._options.resolvers:
            return self._decide(question, {})
        known = self._resolved(question)
        while isinstance(answer := self._attempt(question, known), str):
            await known.fetch(answer)
        return answer

    def _attempt(self, question: Question, known: Resolved) -> Decision | str:
        """Decide by what is known; return the name of an attribute instead, if that has to be known first."""
        reading = Reading(known.values, known.failures)
        try:
            decision = self._decide(question, reading)
        except AttributeNeeded as needed:
            return needed.name
        return _without(decision, reading.failed)

    def _resolved(self, question: Question) -> Resolved:
        """Return what was fetched for this context already, in this scope."""
        if question.frame.resolved is not None and question.subject is question.frame.context:
            return question.frame.resolved
        return Resolved(self.resolvers, question.subject)

    # Decisions

    def _decide(self, question: Question, known: Mapping[str, Any]) -> Decision:
        try:
            return self._decided(question, known)
        except AttributeNeeded:
            raise
        except Exception as error:  # noqa: BLE001 - a value of the context raised, or a defect of ours: never the caller's
            return failed(question.key, question.default, ErrorCode.GENERAL, f"{type(error).__name__}: {told(error)}")

    def _decided(self, question: Question, known: Mapping[str, Any]) -> Decision:
        key, view = question.key, question.view
        forced = question.frame.overridden(key)
        if forced is not MISSING:
            return _finished(Decision(key=key, value=forced, reason=Reason.OVERRIDE), _kind(forced), question)
        snapshot = view.snapshot
        if snapshot is None:
            return failed(key, question.default, ErrorCode.PROVIDER_NOT_READY, view.why)
        compiled = snapshot.compiled(key)
        if compiled is None:
            decision = self._unknown(question)
        elif view.freshness == "expired":
            decision = self._expired(question, snapshot, compiled, known)
        else:
            decision = self._evaluated(question, snapshot, compiled, known)
            if key not in view.answers:
                self._remember(view, snapshot, key, compiled)
        return decision if view.freshness == "fresh" else _stale(decision, view.why)

    def _evaluated(
        self, question: Question, snapshot: Snapshot, compiled: Compiled, known: Mapping[str, Any]
    ) -> Decision:
        now: Any = NO_INSTANT
        if compiled.timed:
            if question.instant is None:
                question.instant = self._options.clock.now()
            now = question.instant
        links = Links(snapshot, known) if compiled.linked else None
        return _finished(compiled.evaluate(question.subject, now, links), compiled.kind, question)

    def _expired(
        self, question: Question, snapshot: Snapshot, compiled: Compiled, known: Mapping[str, Any]
    ) -> Decision:
        form = snapshot.flag(question.key)
        flag, revision = (None, 0) if form is None else form
        todo = policy(flag, self._options.on_failure)
        if todo == "last_known":
            return self._evaluated(question, snapshot, compiled, known)
        if flag is not None and isinstance(todo, ServeOnFailure) and todo.variant in flag.variants:
            return _finished(Outcomes(flag, revision).make(todo.variant, Reason.STALE), flag.kind, question)
        detail = (
            f"the flags were last known to be right more than {self._options.max_staleness_s:g} s ago; "
            "`flags.health` says what is wrong"
        )
        decision = failed(question.key, question.default, ErrorCode.EXPIRED, detail, revision=revision)
        return structs.replace(decision, reason=Reason.STALE)

    def _unknown(self, question: Question) -> Decision:
        key = question.key
        if self.unknown.record(key):
            question.view.checks[key] = _no_flag
        return failed(key, question.default, ErrorCode.FLAG_NOT_FOUND, f"there is no flag {named(key)}")

    def _remember(self, view: View, snapshot: Snapshot, key: str, compiled: Compiled) -> None:
        """Let the hot path answer next time."""
        if compiled.timed or compiled.linked:
            compiled = structs.replace(compiled, evaluate=self._standing_alone(snapshot, compiled))
        view.answers[key] = compiled
        if compiled.kind == "boolean":
            view.checks[key] = compiled.evaluate

    def _standing_alone(self, snapshot: Snapshot, compiled: Compiled) -> Callable[[Any, Any, Any], Decision]:
        """Return a flag's function that finds by itself what it needs beside the context."""
        evaluate, linked, clock = compiled.evaluate, compiled.linked, self._options.clock.now

        def standing_alone(context: Any, now: Any, _: Any) -> Decision:
            return evaluate(context, clock() if now is None else now, Links(snapshot, None) if linked else None)

        return standing_alone

    # Scopes

    def pin(self, context: Context | None, view: View | None = None) -> Frame:
        """Return a frame that pins what counts here, or that view and this instant."""
        around = self.frames.get()
        # Most scopes are opened where there is none: the client's own frame is open, and pins nothing.
        outermost = around.parent is None
        pinning = None if outermost or view is not None else around.pin()
        if pinning is not None:
            view, instant = pinning.view, pinning.instant
        else:
            view, instant = view or self._live.view(), self._options.clock.now()
        subject, parent = around.context if context is None else context, around if outermost else around.nearest_open()
        frame = Frame(subject, parent, view, instant)
        if self._options.resolvers:
            shared = around.resolved if context is None else None
            frame.resolved = shared or Resolved(self.resolvers, subject)
        if self.hooks is None and view is not None and not (parent.overrides if outermost else parent.forces()):
            frame.quicken(view)
        return frame

    def bind(self, context: Context | None) -> Frame:
        """Return a frame that has a context and pins nothing."""
        around = self.frames.get()
        return Frame(around.context if context is None else context, around.nearest_open())

    async def pin_at_least(self, context: Context | None, at_least: str | Position) -> Frame:
        """Wait for a change, then pin the current view; stale, if the change was not reached."""
        try:
            wanted = at_least if isinstance(at_least, Position) else Position.from_token(at_least)
        except Exception as error:  # noqa: BLE001 - the token came in a message; a bad one must not cost the message
            return self.pin(context, _doubted(self._live.view(), told(error)))
        why = await self._prove(wanted)
        return self.pin(context, _doubted(self._live.view(), why))

    # Hooks

    def _details(self, key: str, subject: Context | None, default: Any) -> HookDetails:
        return HookDetails(
            key=key, default=default, context=subject, namespace=self._namespace, client=self._options.name
        )

    def _announced(self, question: Question) -> None:
        if self.hooks is not None:
            self.hooks.before(self._details(question.key, question.subject, question.default))

    def _unusable(self, key: str, default: Any, error: Exception) -> Decision:
        if self.hooks is not None:
            self.hooks.before(self._details(key, None, default))
        return self._observed(key, None, default, failed(key, default, ErrorCode.INVALID_CONTEXT, told(error)))

    def _observed(self, key: str, subject: Context | None, default: Any, decision: Decision) -> Decision:
        if self.hooks is not None:
            self.hooks.after(self._details(key, subject, default), decision)
        return decision


def _finished(decision: Decision, kind: Kind, question: Question) -> Decision:
    """Return what the caller sees; who asks whether something is on takes no flag but a boolean one."""
    if question.boolean and kind != "boolean":
        return structs.replace(
            decision,
            value=question.default,
            variant=None,
            reason=Reason.ERROR,
            error=ErrorCode.TYPE_MISMATCH,
            detail=f"flag {question.key!r} is of kind {kind!r}; only a boolean flag is on or off",
        )
    return finish(decision, kind, question.default)


async def _compile_in_steps(snapshot: Snapshot, key: str) -> None:
    """Compile what would stop the loop for longer than is good, and let others have their turns in between."""
    try:
        if pending(snapshot, key) > _LONG:
            for _ in in_steps(snapshot, key):
                await checkpoint()
    except Exception:  # noqa: BLE001 - no loop runs here, or the evaluation meets it again: it compiles what is left
        return


def _kind(value: Any) -> Kind:
    kinds: dict[type, Kind] = {bool: "boolean", int: "integer", float: "float", str: "string"}
    return kinds.get(type(value), "json")


def _stale(decision: Decision, why: str) -> Decision:
    return structs.replace(decision, stale=True, detail=decision.detail or why)


def _doubted(view: View, why: str) -> View:
    """Return the view, marked stale if there is a reason to."""
    if not why:
        return view
    return view.but("stale" if view.freshness == "fresh" else view.freshness, why)


def _without(decision: Decision, failures: Mapping[str, str]) -> Decision:
    """Say which attributes could not be had."""
    if not failures:
        return decision
    detail = "; ".join(f"attribute {name!r} counts as absent: {failure}" for name, failure in failures.items())
    if decision.error is not None:
        return structs.replace(decision, detail=f"{decision.detail}; {detail}")
    return structs.replace(decision, error=ErrorCode.RESOLVER_FAILED, detail=detail)
