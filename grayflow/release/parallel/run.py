"""The face of a parallel run: what answers as ever, and what could answer in its place, compared."""

import copy
import logging
import random as randomness
from collections.abc import Awaitable, Callable, Iterable, Mapping
from operator import eq
from typing import Any, Generic, Literal, TypeVar

from grayflow.client.asking import AnyContext
from grayflow.client.client import Client
from grayflow.errors import ConfigurationError, LifetimeError
from grayflow.release.counters.counters import Counters
from grayflow.release.guard.marks import only_reading
from grayflow.release.guard.outcome import Errors
from grayflow.release.parallel.answers import Raised, called
from grayflow.release.parallel.caller import Caller
from grayflow.release.parallel.candidate import Case, Onlooker
from grayflow.release.parallel.hooks import HookError
from grayflow.release.parallel.outcome import Observation, ParallelOutcome
from grayflow.release.parallel.outlet import FLUSH_S
from grayflow.release.parallel.plan import Hooks, Plan, same_type
from grayflow.release.parallel.proxy import compared_proxy
from grayflow.release.parallel.shadow import in_shadow
from grayflow.release.parallel.stage import Stage
from grayflow.release.parallel.tally import ParallelCounts, Tally
from grayflow.release.running import Running
from grayflow.release.switch.interface import Kind
from grayflow.release.switch.switch import ImplementationSwitch
from grayflow.store.given import Duration, refused

__all__ = ["Mode", "ParallelRun"]

log = logging.getLogger("grayflow.release")

S = TypeVar("S")
T = TypeVar("T")

Mode = Literal["detached", "concurrent", "sequential"]
"""What the caller waits for."""

_LEAVE_S = FLUSH_S + 1.0


class ParallelRun(Generic[T]):
    """
    Runs candidates beside a control for some units, compares what they answer, and returns what the control does.

        run = ParallelRun[User]("user-lookup", flag="exp.user_lookup", compare=same_user, clean=to_login, publish=sink)

        async with run.running(flags):
            user = await run(control=old.find, candidates={"new": new.find}, args=(uid,), context=ctx)

    The caller gets the control's value, or its very exception, as soon as that is there. Candidates run in tasks of
    the run's own: bounded in number and time, in a copy of the caller's context that marks them, so that what is
    decorated with `@writes` refuses to work for them. A candidate that there is no place for is dropped rather than
    queued: later it would see other data. Every candidate of every sampled call ends in exactly one `ParallelOutcome`.
    Outside of the `running` block only the control runs.

    What candidates do in the event loop they do in the caller's loop too: one that computes for long needs a thread.

    Functions that are given here may be async, except for `enabled` and `snapshot`. They get values as they are and
    must not change them. What they raise is counted under their name and never reaches the caller. What is awaited has
    `timeout` as its limit as well.

    Args:
        name: Of the run, for messages and observations.
        flag: A boolean flag: on for the units that are sampled. Everything that flags can do; a percentage keeps to
            the same units. `None`: every call is sampled.
        compare: Whether two values are equal; `==` if left out.
        compare_errors: Whether two errors are; if left out, those of one class.
        normalise: Made of both values before they are compared: sorted, without the time of day and so on.
        ignore: Functions of the two values. If they differ and one of these holds, that is `ignored`.
        ignore_errors: What a candidate may raise; that is `ignored` too.
        clean: Made of a value that is published. Without it only its class is.
        clean_error: Made of an exception that is published. Without it only its class is.
        about: Made of the call's arguments, to tell with what is published which call it was.
        publish: Called with the `Observation` of each difference, one after the other, in a task of the run's own. See
            `to_stream`.
        publish_all: What agrees is published too, to compare times.
        enabled: A function of the call's arguments, which is asked after the flag: whether it is worth comparing.
        snapshot: Makes the copies: of each argument before the control begins, and of its result. `None`: nothing is
            copied, since nobody changes them.
        mode: `"detached"`: as above. `"concurrent"`: the caller waits until all have been compared. `"sequential"`: one
            after the other in random order, so that no one's time is longer because of another.
        timeout: How long a candidate may take.
        max_in_flight: How many candidates may be alive at once in this process.
        max_unpublished: How many observations may wait for `publish`; what comes then is counted as lost.
        raise_on_mismatch: For tests: differences are raised as `MismatchError`, in the mode `"concurrent"`.
        counters: Count outcomes for the whole fleet, while they are running: under the run's flag, by candidate.
        random: Draws from `[0, 1)`, for the order; for tests.

    Raises:
        ConfigurationError: an argument cannot be used; the text names it and what is allowed.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and one place to look is worth more than few
        self,
        name: str,
        *,
        flag: str | None,
        compare: Callable[[Any, Any], Any] = eq,
        compare_errors: Callable[[Any, Any], Any] = same_type,
        normalise: Callable[[T], Any] | None = None,
        ignore: Iterable[Callable[[T, T], Any]] = (),
        ignore_errors: Errors = (),
        clean: Callable[[T], Any] | None = None,
        clean_error: Callable[[Exception], Any] | None = None,
        about: Callable[..., Any] | None = None,
        publish: Callable[[Observation], Any] | None = None,
        publish_all: bool = False,
        enabled: Callable[..., Any] | None = None,
        snapshot: Callable[[Any], Any] | None = copy.deepcopy,
        mode: Mode = "detached",
        timeout: Duration = 1.0,
        max_in_flight: int = 64,
        max_unpublished: int = 1000,
        raise_on_mismatch: bool = False,
        counters: Counters | None = None,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        hooks = Hooks.checked(
            ignore=ignore,
            compare=compare,
            compare_errors=compare_errors,
            normalise=normalise,
            clean=clean,
            clean_error=clean_error,
            about=about,
            publish=publish,
            enabled=enabled,
            snapshot=snapshot,
        )
        self._plan = Plan.checked(
            hooks,
            name=name,
            flag=flag,
            ignore_errors=ignore_errors,
            mode=mode,
            timeout=timeout,
            max_in_flight=max_in_flight,
            max_unpublished=max_unpublished,
            publish_all=publish_all,
            raise_on_mismatch=raise_on_mismatch,
            random=random,
            counters=counters,
        )
        self.name, self.flag = self._plan.name, self._plan.flag
        self._tally = Tally()
        self._stage: Stage | None = None
        self._warned = False

    def running(self, flags: Client) -> Running:
        """
        Return the block in which candidates run; leave it before the client is closed.

        Leaving it ends the candidates, and publishes for up to 2 s what still waits. Callers are not waited for.

        Raises:
            LifetimeError: on entering: it is running already.
        """
        if not isinstance(flags, Client):
            raise refused("flags", flags, "give the grayflow.Client that decides")
        stage = Stage(self._plan, self._tally, flags, self._take)
        return Running(f"parallel run {self.name!r}", stage, limit_s=_LEAVE_S)

    async def __call__(
        self,
        *,
        control: Callable[..., Awaitable[T] | T],
        candidates: Mapping[str, Callable[..., Any]],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        context: AnyContext = None,
    ) -> T:
        """
        Ask the control, and perhaps candidates.

        Args:
            control: What answers.
            candidates: What is compared with it, by name. They have to be harmless: reads. Anything else than functions
                by their names is logged and counted, and the control alone answers.
            args: For all of them.
            kwargs: Likewise.
            context: Who the flag is decided for; the scope's if left out. From memory: an attribute that only a
                resolver has counts as absent.

        Raises:
            Exception: what the control raises.
            MismatchError: with `raise_on_mismatch`, if a candidate differs; it has been published.

        Cancellation: the candidates of this call end too; they are counted as cancelled.
        """
        found: T = await self.ask(control, lambda: candidates, args, kwargs or {}, context)
        return found

    def proxy(
        self,
        switch: ImplementationSwitch[S],
        *,
        candidates: Iterable[str],
        control: S | None = None,
        safe: Iterable[str] = (),
    ) -> S:
        """
        Return an object of a switch's interface that compares variants of the switch with whatever answers.

        Async methods that only read are compared: those marked `@safe`, or named here. Everything else is passed on,
        and refused to candidates. A candidate is skipped where it is the variant that the flag chose, and as long as
        it cannot be opened.

        Args:
            switch: Has the candidates; running while the object is used.
            candidates: Variants.
            control: What answers; the switch's proxy if left out. Give `guard.proxy()` where there is a guard.
            safe: Names of members that only read.

        Raises:
            ConfigurationError: there is no such variant, or no such member, or the control lacks a method.
        """
        if not isinstance(switch, ImplementationSwitch):
            raise refused("switch", switch, "give an ImplementationSwitch")
        names = _variants(switch, candidates)
        if control is not None:
            _check_control(switch, control)
        return compared_proxy(
            switch,
            switch.proxy() if control is None else control,
            names,
            only_reading(switch.interface, safe),
            ask=self.ask,
            told=f"<{switch.interface.name} compared by parallel run {self.name!r}>",
        )

    @property
    def counts(self) -> ParallelCounts:
        """What happened so far."""
        return self._tally.counts(0 if self._stage is None else self._stage.in_flight)

    async def idle(self) -> None:
        """Wait until no candidate is alive and everything is published; for tests and at the end of scripts."""
        if self._stage is not None:
            await self._stage.idle()

    # Calls

    def samples(self, context: AnyContext = None) -> bool:
        """Tell whether a call is sampled now; not outside of the block."""
        stage = self._stage
        return stage is not None and (self.flag is None or stage.flags.peek(self.flag, context))

    async def ask(
        self,
        control: Callable[..., Any],
        candidates: Callable[[], Mapping[str, Callable[..., Any]]],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        context: AnyContext = None,
        onlooker: Onlooker | None = None,
    ) -> Any:
        """
        Do what `__call__` does, for other parts of grayflow.

        Args:
            control: What answers.
            candidates: Returns what is compared with it, where anything is.
            args: For all of them.
            kwargs: Likewise.
            context: Who the flag is decided for.
            onlooker: Asked before values that differ count, and told what came of each candidate.
        """
        caller = self._caller(control, candidates, args, kwargs, context, onlooker)
        if caller is None:
            return await called(control, args, kwargs)
        if self._plan.mode == "detached":
            return await caller.detached()
        if self._plan.mode == "concurrent":
            return await caller.concurrent(told=self._plan.raises)
        return await caller.sequential(self._plan.random)

    def _caller(
        self,
        control: Callable[..., Any],
        candidates: Callable[[], Mapping[str, Callable[..., Any]]],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        context: AnyContext,
        onlooker: Onlooker | None,
    ) -> Caller | None:
        """Return the call with its candidates; `None` if it has none."""
        self._tally.note("calls")
        stage = self._stage
        if stage is None or stage.running is None:
            self._warn()
            return None
        if not self.samples(context):
            return None
        try:
            self._tally.note("sampled")
            given: Any = candidates()
            if why := _no_functions(given):
                stage.runner.misgiven("candidates", why)
                return None
            case = Case(dict(given), args, kwargs, stage.decided(context), onlooker)
            invited = stage.invited(case) if self._compares(stage, case) else ()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with candidates; the control answers
            stage.runner.failed("candidates", Raised(error))
            return None
        return Caller(stage, stage.running, invited, control, args, kwargs) if invited else None

    def _compares(self, stage: Stage, case: Case) -> bool:
        """Tell whether the candidates are to be run; count them if they would be and cannot."""
        why = "shadow" if in_shadow() else "" if stage.is_here else "other_loop"
        if why:
            for name in case.candidates:
                stage.count(name, ParallelOutcome.SKIPPED, case, why)
            return False
        enabled = self._plan.hooks.enabled
        try:
            return enabled is None or stage.runner.call_now("enabled", lambda: bool(enabled(*case.args, **case.kwargs)))
        except HookError:
            for name in case.candidates:
                stage.count(name, ParallelOutcome.HARNESS_ERROR, case)
            return False

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "parallel run %r compares nothing outside of its block: async with run.running(flags)", self.name
            )

    def _take(self, stage: Stage | None) -> None:
        if stage is not None and self._stage is not None:
            raise LifetimeError(f"parallel run {self.name!r} is running already; make another one")
        self._stage = stage


def _no_functions(given: Any) -> str:
    """Return why these are no candidates, empty if they are some; without their values, which may be a customer's."""
    if not isinstance(given, Mapping):
        return f"they are of type {type(given).__name__}; give {{name: function}}"
    wrong = (f"{name!r:.100} is of type {type(one).__name__}" for name, one in given.items() if not callable(one))
    found = next(wrong, None)
    return "" if found is None else f"{found}; give a function"


def _check_control(switch: ImplementationSwitch[Any], given: Any) -> None:
    """Refuse what cannot answer; attributes are not looked at: an object that is not open yet may not have them."""
    methods = (name for name, member in switch.interface.members.items() if member.kind is not Kind.ATTRIBUTE)
    lacking = [name for name in methods if not callable(getattr(given, name, None))]
    if isinstance(given, type) or lacking:
        remedy = f"give an object of {switch.interface.name}, or leave it out for the switch's proxy"
        raise refused("control", given, remedy + (f" (there is no {lacking[0]!r})" if lacking else ""))


def _variants(switch: ImplementationSwitch[Any], given: Any) -> tuple[str, ...]:
    """Return the candidates that a caller names."""
    remedy = f"name some of {', '.join(map(repr, switch.variants))} in a list"
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise refused("candidates", given, remedy)
    names = tuple(given)
    if not names:
        raise ConfigurationError(f"candidates is empty; {remedy}")
    for name in names:
        if name not in switch.variants:
            raise refused("one of candidates", name, remedy)
    return names
