"""
What grayflow raises, grouped by what the caller can do next.

    GrayflowError
    ├── ConfigurationError        options or the environment are wrong; nothing was started
    │   └── MissingExtraError     a part of grayflow needs a package that is not installed
    ├── FlagError                 the flag data is wrong
    │   ├── UnknownFlagError      there is no flag or segment of that name
    │   └── InvalidFlagError      a document breaks the rules; carries `problems`, each with its path
    ├── StoreError                the store did not do it; stored state is unchanged unless said otherwise
    │   ├── StoreUnavailableError no answer; trying again may help
    │   ├── StoreAccessError      the server refused us: password or rights; trying again will not help
    │   ├── ConflictError         somebody else wrote first
    │   ├── NotInitializedError   the namespace has no data; it must be initialised on purpose
    │   ├── StoreFormatError      the data was written by a newer release, is damaged or somebody else's
    │   ├── HistoryGoneError      the revision is older than the oldest that is kept
    │   ├── UnacknowledgedError   it was written, and fewer copies of it are known than were asked for
    │   └── ReadOnlyError         this store was opened for reading
    ├── ReleaseError              a release pattern refused, or could not do it
    │   ├── UnopenedError         there is no implementation to answer: the default one cannot be opened
    │   ├── ShadowWriteError      code that runs only to be compared wanted to change something
    │   └── MismatchError         what is compared differs, and a test asked to be told
    ├── GateClosedError           a task was called whose flag is off; it was not run
    └── LifetimeError             used before entering, after closing, from another loop or after a fork

Evaluation raises none of these: it answers with the caller's default and puts the cause into the decision.
Every error keeps its facts as attributes, builds its text from them and survives `pickle` and `copy`.
"""

from typing import Any

import msgspec

__all__ = [
    "ConfigurationError",
    "ConflictError",
    "FlagError",
    "GateClosedError",
    "GrayflowError",
    "HistoryGoneError",
    "InvalidFlagError",
    "LifetimeError",
    "MismatchError",
    "MissingExtraError",
    "NotInitializedError",
    "Problem",
    "ReadOnlyError",
    "ReleaseError",
    "ShadowWriteError",
    "StoreAccessError",
    "StoreError",
    "StoreFormatError",
    "StoreUnavailableError",
    "UnacknowledgedError",
    "UnknownFlagError",
    "UnopenedError",
    "lone",
]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a document, said so that it can be mended without reading code."""

    key: str
    """The flag or segment."""

    path: str
    """Where in its document: `rules[2].when[0].values[1]`; empty for the document as a whole."""

    message: str
    """What was found and what is allowed."""

    kind: str = "flag"
    """`flag` or `segment`."""

    def __str__(self) -> str:
        place = f", {self.path}" if self.path else ""
        return f"{self.kind} {self.key!r}{place}: {self.message}"


class GrayflowError(Exception):
    """The root: `except GrayflowError` catches everything that grayflow raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only constructors do not unpickle by themselves; the facts are all in the instance.
        return _restore, (type(self), self.args, self.__dict__.copy())


def _restore(kind: type[GrayflowError], args: tuple[Any, ...], facts: dict[str, Any]) -> GrayflowError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


def lone(error: Exception) -> Exception:
    """Take an exception out of the groups that hold nothing else."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


class _Told(GrayflowError):  # noqa: N818 - never raised itself; its leaves end in Error
    """An error whose only fact is its sentence."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class ConfigurationError(_Told):
    """An option, a URL or the environment is wrong; nothing was started."""


class MissingExtraError(ConfigurationError):
    """A part of grayflow needs a package that is not installed; the text is the pip command."""

    def __init__(self, extra: str, *, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs an extra package. Run: pip install 'grayflow[{extra}]'")
        self.extra = extra


class FlagError(GrayflowError):
    """The flag data is wrong."""


class UnknownFlagError(FlagError):
    """There is no flag or segment of that name."""

    def __init__(self, key: str, *, kind: str = "flag", similar: tuple[str, ...] = ()) -> None:
        super().__init__(key)
        self.key = key
        self.kind = kind
        self.similar = similar

    def __str__(self) -> str:
        hint = f" Did you mean {' or '.join(map(repr, self.similar))}?" if self.similar else ""
        return f"there is no {self.kind} {self.key!r}.{hint}"


class InvalidFlagError(FlagError):
    """A document breaks the rules; nothing was written."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class StoreError(GrayflowError):
    """The store did not do it; what it holds is unchanged unless the text says otherwise."""


class StoreUnavailableError(StoreError, _Told):
    """The store did not answer; trying again may help."""


class StoreAccessError(StoreError, _Told):
    """The server refused us (password, rights); only somebody with access to it can help."""


class ConflictError(StoreError):
    """Somebody else changed the document first; nothing was written."""

    def __init__(self, key: str, *, expected: int, actual: int, kind: str = "flag") -> None:
        super().__init__(key)
        self.key = key
        self.expected = expected
        self.actual = actual
        self.kind = kind

    def __str__(self) -> str:
        if not self.expected and not self.actual:
            return f"{self.kind} {self.key!r} was not deleted: it does not exist."
        asked = f"you edited revision {self.expected}" if self.expected else "you meant to create it"
        found = f"the store has revision {self.actual}" if self.actual else "it does not exist"
        return f"{self.kind} {self.key!r} was not saved: {asked}, but {found}. Load it again and repeat the change."


class NotInitializedError(StoreError):
    """The namespace was never initialised, or somebody emptied it."""

    def __init__(self, place: str, *, namespace: str) -> None:
        super().__init__(place)
        self.place = place
        self.namespace = namespace

    def __str__(self) -> str:
        return (
            f"no data at {self.place} for namespace {self.namespace!r}: it was never initialised or has been emptied. "
            f"Run: grayflow init --namespace {self.namespace}"
        )


class StoreFormatError(StoreError, _Told):
    """
    The stored data was written by a newer release, is damaged, or is somebody else's; nothing was changed.

    Args:
        message: What was found, and what is true now.
        remedy: What to do about it, a sentence. It differs from case to case: setting up anew what a newer release
            wrote would destroy it.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message.rstrip('.')}. {self.remedy}" if self.remedy else self.message


class HistoryGoneError(StoreError):
    """The revision is older than the oldest that the store keeps."""

    def __init__(self, revision: int, *, oldest: int) -> None:
        super().__init__(revision)
        self.revision = revision
        self.oldest = oldest

    def __str__(self) -> str:
        return f"revision {self.revision} is older than the oldest kept ({self.oldest})"


class UnacknowledgedError(StoreError):
    """
    A write was made, and fewer copies of it are known than were asked for; whoever reads now sees it.

    It may be lost with the server, so what relies on it must not be done. Doing the write again is safe, and asks
    again.
    """

    def __init__(self, place: str, *, missing: str, remedy: str) -> None:
        super().__init__(place)
        self.place = place
        self.missing = missing
        """Who did not acknowledge it, or why nobody could be asked."""
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.place} made the write, but {self.missing}: it may be lost with the server. {self.remedy}."


class ReadOnlyError(StoreError, _Told):
    """This store was opened for reading; nothing was written."""


class ReleaseError(GrayflowError):
    """A release pattern (a switch, a guard, a parallel run) refused, or could not do what was asked."""


class UnopenedError(ReleaseError):
    """The implementation that answers when no other can is not open; `__cause__` is what its factory raised."""

    def __init__(self, flag: str, variant: str, *, why: str) -> None:
        super().__init__(flag)
        self.flag = flag
        self.variant = variant
        self.why = why

    def __str__(self) -> str:
        return (
            f"nothing answers for flag {self.flag!r}: its default implementation {self.variant!r} is not open, "
            f"{self.why}. It is opened as soon as its factory succeeds"
        )


class ShadowWriteError(ReleaseError):
    """Code that runs only to be compared wanted to change something; nothing was changed."""

    def __init__(self, what: str, *, run: str) -> None:
        super().__init__(what)
        self.what = what
        self.run = run

    def __str__(self) -> str:
        return (
            f"{self.what} was refused: it changes data, and a candidate of the parallel run {self.run!r} called it, "
            "whose result is only compared. Compare reads, or give the candidate something that only reads"
        )


class MismatchError(ReleaseError):
    """A candidate answered otherwise than the control, in a parallel run with `raise_on_mismatch`."""

    def __init__(self, run: str, *, outcomes: tuple[tuple[str, str, str], ...], control: str) -> None:
        super().__init__(run)
        self.run = run
        self.control = control
        self.outcomes = outcomes
        """Of each candidate that differs: its name, the outcome, and what it answered."""

    def __str__(self) -> str:
        told = "; ".join(f"candidate {name!r}: {answer} ({outcome})" for name, outcome, answer in self.outcomes)
        return f"parallel run {self.run!r} differs. Control: {self.control}; {told}"


class GateClosedError(GrayflowError):
    """
    A gated task was called while its flag was off; it was not run.

    Raised where the gate says `"delay"` or `"dead-letter"` and nothing around it knows how to do that: whoever runs
    the task can, by its own means.
    """

    def __init__(self, key: str, *, task: str = "", otherwise: str = "", delay_s: float = 0.0) -> None:
        super().__init__(key)
        self.key = key
        self.task = task
        self.otherwise = otherwise
        self.delay_s = delay_s

    def __str__(self) -> str:
        remedies = {"delay": f" It is to be tried again after {self.delay_s:g} s.", "dead-letter": " It is to be kept."}
        remedy = remedies.get(self.otherwise, "")
        return f"{self.task or 'a task'} was not run: its gate, flag {self.key!r}, is closed.{remedy}"


class LifetimeError(_Told):
    """Used before entering, after closing, from another event loop, or in a process forked from the owner's."""
