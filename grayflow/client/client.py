"""The client: what a service holds, asks, starts and closes."""

import math
import random as randomness
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from grayflow.cleanup.options import CleanupOptions
from grayflow.cleanup.runner import Cleanup
from grayflow.client.asking import Asking
from grayflow.client.changes import ChangeHandler, Changes
from grayflow.client.cleaning import Cleaning
from grayflow.client.evaluator import Evaluator
from grayflow.client.health import Health, HealthState, Readiness, examine, ready
from grayflow.client.hooks import Hook
from grayflow.client.life import NEVER_STARTED, Life
from grayflow.client.live import Live
from grayflow.client.options import ClientOptions, Duration, OnFailure, seconds
from grayflow.client.presence import Presence
from grayflow.client.resolvers import Resolver
from grayflow.client.states import StateHandler
from grayflow.clock import Clock
from grayflow.core.context import Context, as_context
from grayflow.core.extensions import Extensions
from grayflow.core.position import Position
from grayflow.replica.replica import Replica
from grayflow.store.given import opened_store
from grayflow.store.port import Store

if TYPE_CHECKING:
    from grayflow.client.scope import Frame

__all__ = ["Client"]

_CLEANUP = CleanupOptions()

H = TypeVar("H", bound=ChangeHandler)
S = TypeVar("S", bound=StateHandler)


class Client(Asking, Cleaning):
    """
    The flags of one namespace, kept in memory and up to date, for one process.

        async with Client("redis://localhost:6379/0", namespace="shop") as flags:
            if await flags.is_enabled("payment_v2", Context(user_id="42")):
                ...

    Building it does no I/O and needs no event loop. Entering (or `start`) connects and waits for the flags; leaving
    (or `aclose`) ends everything that it started. Evaluation takes no lock, does no I/O and never raises; it may be
    called from any thread and event loop, before, during and after, and what it could not do the decision says.

    Args:
        store: Where the flags are: a URL (see `open_store`), or a store. A store that is open already stays open when
            the client closes; one that is not is opened and closed by the client. `"memory://"` is an empty flag set,
            for overrides in tests.
        namespace: The environment in it, `"default"` if left out; with a store instance, the store's own.
        context_type: The class of your contexts, a subclass of `Context`.
        extensions: Foreign hashes and operators that flags name.
        ttl: Between two proofs that the flags are still the store's, ± 20 %. Changes do not wait for it, they are
            pushed. After three times as long without a proof decisions are marked stale.
        max_staleness: Without a proof for that long, each flag follows its failure policy. May be infinite.
        start_timeout: How long entering waits for the flags before it goes on without them; 0 does not wait.
        require_ready: Entering raises instead of going on without a proof.
        on_failure: The failure policy of flags that have none: `"caller_default"`, `"last_known"` or
            `{"variant": NAME}`.
        resolvers: Attribute name -> async function of the context, awaited where a rule needs an attribute that the
            context lacks: once per scope, or once per evaluation outside of one.
        resolver_timeout: After that long an attribute counts as absent.
        last_good: A file to keep the flags in, for a start while the store is away. Owner-only, replaced atomically.
        last_good_max_age: An older file is not used. May be infinite.
        hooks: See `Hook`.
        clock: The time; for tests.
        name: Of this service, shown by servers and in hooks; 1 to 64 of `A-Za-z0-9._-`.
        confirm_timeout: How long an evaluation with `freshness="confirmed"`, or a scope with `at_least`, may wait.
        random: Draws from `[0, 1)`, for jitter; for tests.
        cleanup: How handlers of switch-offs are run.

    Durations are seconds or a `timedelta`.

    Raises:
        ConfigurationError: an option cannot be used; the text names it and what is allowed.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and one place to look is worth more than few
        self,
        store: Store | str,
        *,
        namespace: str | None = None,
        context_type: type[Context] = Context,
        extensions: Extensions | None = None,
        ttl: Duration = 10.0,
        max_staleness: Duration = 300.0,
        start_timeout: Duration = 5.0,
        require_ready: bool = False,
        on_failure: OnFailure = "caller_default",
        resolvers: Mapping[str, Resolver] = {},
        resolver_timeout: Duration = 1.0,
        last_good: str | PathLike[str] | None = None,
        last_good_max_age: Duration = 86_400.0,
        hooks: Iterable[Hook] = (),
        clock: Clock | None = None,
        name: str | None = None,
        confirm_timeout: Duration = 1.0,
        random: Callable[[], float] = randomness.random,
        cleanup: CleanupOptions = _CLEANUP,
    ) -> None:
        options = ClientOptions.checked(
            context_type=context_type,
            extensions=extensions,
            ttl=ttl,
            max_staleness=max_staleness,
            start_timeout=start_timeout,
            require_ready=require_ready,
            on_failure=on_failure,
            resolvers=resolvers,
            resolver_timeout=resolver_timeout,
            last_good=last_good,
            last_good_max_age=last_good_max_age,
            hooks=hooks,
            clock=clock,
            name=name,
            confirm_timeout=confirm_timeout,
            random=random,
            cleanup=cleanup,
        )
        self._options = options
        self._store = opened_store(store, namespace, client_name=options.name, clock=options.clock)
        self._replica = Replica(self._store, options.replica(), clock=options.clock, random=options.random)
        self._assemble(options, private=store == "memory://")

    def _assemble(self, options: ClientOptions, *, private: bool) -> None:
        """Make the parts that need each other; nothing of it does I/O."""
        self._changes = Changes()
        self._replica.holder.listeners.append(self._changes.see)
        live = Live(
            as_context(None, options.context_type),
            self._replica.holder,
            quick=not options.hooks,
            why=NEVER_STARTED,
            troubles=self._replica.troubles,
        )
        pinned: set[Frame] = set()
        self._presence = Presence(self._store, self._replica.holder, pinned, options)
        self._replica.awaited = self._presence.hurry
        cleaning = self._made_cleanup()
        self._life = Life(
            self._store, self._replica, self._changes, live, self._presence, cleaning, options, private=private
        )
        Cleaning.__init__(self, cleaning)
        Asking.__init__(self, Evaluator(options, live, self._store.namespace, self._life.prove, pinned), live)

    def _made_cleanup(self) -> Cleanup:
        options, presence = self._options, self._presence
        made = Cleanup(
            self._store,
            self._replica.holder,
            clock=options.clock,
            random=options.random,
            name=options.name,
            here=presence.process,
            touch=presence.touch,
            doubt=self._replica.sync.request,
            options=options.cleanup,
        )
        presence.handlers = made.handlers.fleet_names
        return made

    # Lifetime

    async def start(self) -> Self:
        """
        Connect and wait for the flags, as entering does; close it with `aclose`.

        The wait is bounded by `start_timeout`. If it is over, the client goes on connecting, and decisions are the
        callers' defaults (or come from the `last_good` file) until the flags arrive. With flags from that file it is
        over as soon as the store was refused or refused us: waiting longer would change nothing.

        Returns:
            The client.

        Raises:
            LifetimeError: it was started before, or is closed.
            StoreError: `require_ready`, and there was no proof in time. The client is closed then.
            ConfigurationError: handlers of switch-offs do not fit together; nothing was started.

        Cancellation: everything that was started has ended when the cancellation is raised; the client is closed.
        """
        self._cleanup.handlers.start()
        await self._life.start(self._frames)
        return self

    async def aclose(self) -> None:
        """
        End everything that the client started; afterwards flags are answered from memory, marked stale.

        May be called from any task of the loop that it was started in, any number of times, by several at once.
        Bounded: after 5 s whatever still hangs is abandoned. Shielded: a caller that is cancelled is told afterwards.

        Raises:
            Exception: the defect that ended the client before, if one did; once.
            LifetimeError: it runs in another event loop.
        """
        await self._life.stop(quiet=False)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._life.stop(quiet=error is not None)

    def __del__(self) -> None:
        life: Life | None = getattr(self, "_life", None)
        if life is not None and life.phase == "started" and not self._live.forked:
            text = f"{self!r} was not closed; use: async with Client(...)"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)
            life.abandon()

    def __repr__(self) -> str:
        return f"<Client of {self._store!r}: {self._state()}>"

    # Changes and health

    async def wait_for(self, token: str | Position, *, timeout: Duration | None = 5.0) -> None:  # noqa: ASYNC109
        """
        Wait until this process has a change, such as one that it just made: `flags.wait_for(change.position.token())`.

        Args:
            token: A position's token.
            timeout: How long at most; `None` for ever.

        Raises:
            TimeoutError: not in time; or at once when it will never be, because the store, asked once, is in another
                epoch or has lost the change. The text says which.
            LifetimeError: the client is not running, or runs in another event loop or in the parent process.
            ConfigurationError: the token is none.
        """
        position = token if isinstance(token, Position) else Position.from_token(token)
        limit_s = math.inf if timeout is None else seconds("timeout", timeout, least=0.0, endless=True)
        await self._life.wait_for(position, limit_s)

    @property
    def namespace(self) -> str:
        """The environment whose flags these are."""
        return self._store.namespace

    @property
    def store(self) -> Store:
        """Where the flags are; open while the client runs."""
        return self._store

    @property
    def clock(self) -> Clock:
        """The time that this client goes by."""
        return self._options.clock

    @property
    def health(self) -> Health:
        """How the client is doing."""
        return examine(
            self._state(),
            self._options.name,
            self._store,
            self._replica,
            self._live,
            self._evaluator,
            self._changes,
            self._presence,
            self._cleanup,
        )

    @property
    def readiness(self) -> Readiness:
        """What `health.readiness` says, and nothing else is asked: for whoever needs age or state all the time."""
        return ready(self._state(), self._replica.holder)

    def _state(self) -> HealthState:
        if self._life.failure is not None:
            return "failed"
        if self._life.phase == "closed":
            return "closed"
        view = self._live.view()
        return "starting" if view.snapshot is None else view.freshness

    @overload
    def on_change(self, key: str | None = None) -> Callable[[H], H]: ...
    @overload
    def on_change(self, key: str | None, handler: ChangeHandler) -> ChangeHandler: ...
    @overload
    def on_change(self, key: H) -> H: ...
    def on_change(self, key: Any = None, handler: Any = None) -> Any:
        """
        Call a function whenever the document of a flag has changed.

            @flags.on_change("payment_v2")
            async def changed(old: Flag | None, new: Flag | None) -> None: ...

        It gets the flag before and after, `None` where there was or is none. It runs in a task of the client, one call
        at a time; if changes come faster, the newest of each flag wins. What it raises is counted, and logged once for
        each kind of error. The flags that a process starts with are no change. May be registered before and after the
        start.

        Args:
            key: The flag; every flag if left out.
            handler: The function, where this is not used as a decorator.

        Raises:
            ConfigurationError: the function cannot be called with two flags.
        """
        if callable(key):
            key, handler = None, key
        if handler is None:
            return partial(self.on_change, key)
        self._changes.add(key, handler, self._replica.view.snapshot)
        return handler

    def on_state(self, handler: S) -> S:
        """
        Call a function whenever the flags have become fresh, stale or expired, and at the end closed or failed.

            @flags.on_state
            def watch(before: HealthState, after: HealthState) -> None: ...

        Called in the client's event loop, inline: it must be quick. What it raises is logged and counted.

        Raises:
            ConfigurationError: it cannot be called.
        """
        self._live.states.add(handler)
        return handler
