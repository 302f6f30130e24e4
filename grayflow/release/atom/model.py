"""
What an atom is made of: steps, each one change of state with its way back, and the rules for when something fails.

This is the part that an application writes. What happened to it in one run is in `record.py`, and what follows from
that in `plan.py`.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import structs

from grayflow.cleanup.retry import Retry
from grayflow.errors import ConfigurationError
from grayflow.store.given import Duration, refused, seconds, whole

__all__ = ["Atom", "OnCancel", "OnRecover", "Step", "StepCall", "StepFunction", "UndoFailure", "Verdict"]

Verdict = Literal["applied", "wrong", "not_applied", "unknown"]
"""
What a `check` says of a step. `applied`: its effect is there. `wrong`: it is not, or not as it should be, and there may
be something that has to be taken back, such as a process that runs and does not serve. `not_applied`: nothing was done
at all. `unknown`: nobody can tell.
"""

OnCancel = Literal["undo", "finish"]
OnRecover = Literal["undo", "continue"]
UndoFailure = Literal["halt", "continue"]


class StepCall(msgspec.Struct, frozen=True, kw_only=True):
    """What a step's function is told: the one argument of `do`, `undo`, `capture` and `check`."""

    run_id: str
    atom: str
    version: int
    step: str
    input: Any = None
    """What `run` was given, as JSON keeps it; of the atom's `input_type`, if it has one."""
    before: Any = None
    """What `capture` said before the step; `None` without one, and inside of that first `capture`."""
    after: Any = None
    """What `capture` said after `do`, without one what `do` returned; `None` where it is not known."""
    done: bool = False
    """Whether `do` came to its end, so that `after` is known. An `undo` has to be right for both."""
    earlier: Mapping[str, Any] = {}
    """Of the steps before this one: their `after`, by name."""
    attempt: int = 1
    """Of this `do` or `undo`, from 1. `capture` and `check` are told the number that they belong to."""
    undoing: bool = False
    """Whether the run is on its way back."""
    fencing_token: int = 0
    """
    Grows with every process that takes the run over: a resource that remembers the highest it has seen, from `check`
    too, can refuse a process that was frozen in the middle of a step and wakes up when another has gone on.
    """

    @property
    def idempotency_key(self) -> str:
        """
        `RUN/STEP/do` or `RUN/STEP/undo`: the same for every attempt, in whichever process.

        Contract: stable over releases, so that it can be handed to others, who then do it once.
        """
        return f"{self.run_id}/{self.step}/{'undo' if self.undoing else 'do'}"


StepFunction = Callable[[StepCall], Any]
"""Async, or synchronous and then run in a thread, where nothing can interrupt it."""

_MOST_STEPS = 40
"""With all that is recorded of so many, the record still has its place on a board."""

_ONCE = Retry(attempts=1)
_UNDO = Retry(attempts=10, base=0.5, cap=10.0)


class _Named(msgspec.Struct, frozen=True):
    name: str


class Step(_Named, frozen=True, kw_only=True):
    """
    One change of state, with its way back: `Step("link", do=link_new, undo=link_back, capture=read_link)`.

    Each function takes a `StepCall`. `do` and `undo` have to be harmless when they run again, since a process may die
    after an effect and before it could say so, and a process that was frozen may finish what it was at after another
    has taken over. The easiest step to get right moves a pointer and leaves what it pointed to.

    Raises:
        ConfigurationError: something cannot be used; the text names it and what is allowed.
    """

    do: StepFunction
    """Makes the change."""
    undo: StepFunction | None
    """Takes it back, and does nothing if nothing was done. `None` says that nothing has to be taken back."""
    capture: StepFunction | None = None
    """
    Returns the state that the step changes, as something JSON can hold: taken before and after, and again after the
    undo, when it has to be as before.
    """
    check: StepFunction | None = None
    """
    Tells whether the effect is there: True (`applied`), False (`wrong`), None (`unknown`), or a word of `Verdict`.
    Asked after `do`, which has failed if the answer is no, and where `do` raised, took too long or died. Everything
    but `not_applied` is undone then.
    """
    retry: Retry = _ONCE
    """How often and how soon `do` is tried again if it failed and its effect is not there."""
    timeout: Duration | None = 60.0
    """For one attempt of `do`; `None`: as long as it takes."""
    check_timeout: Duration = 30.0
    """For one call of `capture` or `check`."""
    undo_retry: Retry = _UNDO
    """How often and how soon `undo` is tried again."""
    undo_timeout: Duration = 60.0
    """For all attempts of `undo` together; then it has failed."""
    cancellable: bool = True
    """Whether `do` is interrupted when the run is cancelled; else it comes to its end, and is undone then."""
    independent: bool = False
    """
    Whether its undo neither needs nor is needed by those of other steps; see `Atom.undo_failure`.
    """
    accept_applied: bool = False
    """Whether the step counts as done if `do` failed and `check` says that the effect is there."""

    def __post_init__(self) -> None:
        _check_name("the name of a step", self.name)
        for what in ("do", "undo", "capture", "check"):
            _check_function(self.name, what, getattr(self, what), optional=what != "do")
        for what in ("check_timeout", "undo_timeout"):
            structs.force_setattr(self, what, seconds(what, getattr(self, what)))
        if self.timeout is not None:
            structs.force_setattr(self, "timeout", seconds("timeout", self.timeout))
        for what in ("retry", "undo_retry"):
            if not isinstance(getattr(self, what), Retry):
                raise refused(what, getattr(self, what), "give grayflow.Retry(attempts=..., base=..., cap=...)")
        for what in ("cancellable", "independent", "accept_applied"):
            _check_switch(what, getattr(self, what))

    @property
    def limit_s(self) -> float | None:
        """See `timeout`."""
        return None if self.timeout is None else seconds("timeout", self.timeout)

    @property
    def check_s(self) -> float:
        """See `check_timeout`."""
        return seconds("check_timeout", self.check_timeout)

    @property
    def undo_s(self) -> float:
        """See `undo_timeout`."""
        return seconds("undo_timeout", self.undo_timeout)


class Atom(_Named, frozen=True, kw_only=True):
    """
    Steps that are all done or all undone: `Atom("deploy-api", version=3, pre=drain, steps=[...], post=open)`.

    The order is `pre`, the steps, `post`; it is undone backwards, from where it came to. A run is continued after a
    crash by what is recorded under the names of the steps: whoever renames, adds, removes or reorders steps, or
    changes what they mean, gives the atom a new `version`.

    Raises:
        ConfigurationError: something cannot be used; the text names it and what is allowed.
    """

    version: int
    """Of these steps. A run that another version began is not touched: it is parked as `in_doubt`."""
    steps: Sequence[Step]
    pre: Step | None = None
    """Comes first, and is undone last: what the steps have to be protected by."""
    post: Step | None = None
    """Comes last, and is undone first."""
    on_cancel: OnCancel = "undo"
    """What follows if the caller of `run` is cancelled: everything is undone, or the run comes to its end."""
    on_recover: OnRecover = "undo"
    """What a process does with a run whose process was gone."""
    undo_failure: UndoFailure = "halt"
    """
    What follows if an undo fails for good. `halt`: nothing more, because the undo of a step may rely on that of the
    next. `continue`: those that are `independent` of it, or that it is independent of, are undone.
    """
    input_type: Any = None
    """What the input is read as, anything `msgspec.convert` knows; `None`: as JSON gives it."""
    recoveries: int = 3
    """
    How often a run is taken over without getting any further: then it is undone, and if that brings down the next
    process as well, parked.
    """

    def __post_init__(self) -> None:
        _check_name("the name of an atom", self.name)
        for what in ("version", "recoveries"):
            whole(what, getattr(self, what))
        structs.force_setattr(self, "steps", _steps(self.steps))
        for what in ("pre", "post"):
            if not isinstance(getattr(self, what), Step | None):
                raise refused(what, getattr(self, what), "give a Step")
        if not 1 <= len(self.sequence) <= _MOST_STEPS:
            raise ConfigurationError(f"atom {self.name!r} has {len(self.sequence)} steps; give 1 to {_MOST_STEPS}")
        if len(set(self.names)) != len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ConfigurationError(f"atom {self.name!r} has two steps {twice!r}; each needs a name of its own")
        _check_type(self.input_type)
        _check_word("on_cancel", self.on_cancel, "undo", "finish")
        _check_word("on_recover", self.on_recover, "undo", "continue")
        _check_word("undo_failure", self.undo_failure, "halt", "continue")

    @property
    def sequence(self) -> tuple[Step, ...]:
        """All steps in the order in which they are done."""
        ends = ((self.pre,) if self.pre else ()), ((self.post,) if self.post else ())
        return (*ends[0], *self.steps, *ends[1])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all steps, in order."""
        return tuple(step.name for step in self.sequence)


def _steps(given: Any) -> tuple[Step, ...]:
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise refused("steps", given, "give a list of Steps")
    for one in given:
        if not isinstance(one, Step):
            raise refused("one of steps", one, "give Step(name, do=..., undo=...)")
    return tuple(given)


def _check_name(what: str, given: Any) -> None:
    if not isinstance(given, str) or not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", given):
        raise refused(what, given, "use 1 to 100 of A-Z a-z 0-9 . _ : -")


def _check_word(what: str, given: Any, *allowed: str) -> None:
    if not isinstance(given, str) or given not in allowed:
        raise refused(what, given, f"give {' or '.join(map(repr, allowed))}")


def _check_type(given: Any) -> None:
    try:
        msgspec.convert(None, given)
    except TypeError:
        raise refused("input_type", given, "give a type that msgspec.convert knows, such as a dataclass") from None
    except (msgspec.ValidationError, NameError):  # a type; one may name others that are defined later
        return


def _check_switch(what: str, given: Any) -> None:
    if not isinstance(given, bool):
        raise refused(what, given, "give True or False")


def _check_function(step: str, what: str, given: Any, *, optional: bool) -> None:
    if given is None and optional:
        return
    if not callable(given) or isinstance(given, type):
        raise refused(f"{what} of step {step!r}", given, "give a function that takes the StepCall")
    try:
        inspect.signature(given).bind(_ANY_CALL)
    except TypeError as error:
        text = f"{what} of step {step!r} cannot be called with the StepCall alone: {error}"
        raise ConfigurationError(text) from None
    except ValueError:  # built in, without a signature that could be looked at
        return


_ANY_CALL = StepCall(run_id="", atom="", version=0, step="")
