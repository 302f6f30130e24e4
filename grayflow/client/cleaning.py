"""The part of `Client` with which an application says what to do when a variant is switched off, or on."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from grayflow.cleanup.event import SwitchOff, SwitchOn
from grayflow.cleanup.handlers import OnStart, Scope, make_handler
from grayflow.cleanup.retry import Retry
from grayflow.cleanup.runner import Cleanup
from grayflow.store.given import Duration
from grayflow.store.jobs import Switch

__all__ = ["Cleaning"]

OffHandler = TypeVar("OffHandler", bound=Callable[[SwitchOff], Any])
OnHandler = TypeVar("OnHandler", bound=Callable[[SwitchOn], Any])

_RETRY = Retry()


class Cleaning:
    """
    Registers handlers.

    Args:
        cleanup: Runs them.
    """

    def __init__(self, cleanup: Cleanup) -> None:
        self._cleanup = cleanup

    def on_switch_off(  # noqa: PLR0913 - each has a default, and one place to look is worth more than few
        self,
        key: str | Iterable[str],
        variant: str | None = None,
        *,
        scope: Scope = "process",
        after: Iterable[str] = (),
        timeout: Duration = 60.0,
        retry: Retry = _RETRY,
        name: str | None = None,
        on_start: OnStart = "skip",
        drain: Duration = 30.0,
    ) -> Callable[[OffHandler], OffHandler]:
        """
        Call a function whenever a variant can be served to nobody any more, however it came to that.

            @flags.on_switch_off("payment_v2", scope="fleet", name="payment-v2-cache")
            async def purge(off: SwitchOff) -> None: ...

        At least once for each switch-off that lasts, also if this process was down, deaf or killed meanwhile; so it
        has to be harmless when it runs again. It is called with a `SwitchOff`, once for each variant that was switched
        off. An async function runs in a task of the client, another in a thread. What it raises is logged, counted and
        tried again, and reaches neither requests nor the switch. If the flag is switched on again first, it is
        cancelled, or not begun. May be registered before and after the start, from any thread.

        Args:
            key: The flag, or several.
            variant: Only this variant; every variant but `off` if left out.
            scope: `"process"`: in every process, for what lies in its memory. `"fleet"`: once among all processes that
                have the handler, for what they share; needs a store with a board, and the right to write it.
            after: Names of handlers of the same scope that have to be done first.
            timeout: How long one attempt may take. Then an async handler is cancelled; a synchronous one is told by
                `still_off()` and waited for.
            retry: How often and how soon it is tried again.
            name: For logs, `after` and `grayflow jobs`; in the fleet its identity, which must stay the same from
                release to release. Required there.
            on_start: In process scope, whether it runs for a variant that was off when this process began.
            drain: How long to wait until no process that reports (in process scope: this one) may still serve the
                variant, because it has not heard of the switch or holds an older scope open. 0 does not wait.

        Raises:
            ConfigurationError: something cannot be used, or the name is taken. What `after` says is checked at the
                start.
        """
        return self._register(
            "off",
            key,
            name,
            variant=variant,
            scope=scope,
            after=after,
            timeout=timeout,
            retry=retry,
            on_start=on_start,
            drain=drain,
        )

    def on_switch_on(
        self,
        key: str | Iterable[str],
        variant: str | None = None,
        *,
        scope: Scope = "process",
        after: Iterable[str] = (),
        timeout: Duration = 60.0,
        retry: Retry = _RETRY,
        name: str | None = None,
        on_start: OnStart = "skip",
    ) -> Callable[[OnHandler], OnHandler]:
        """
        Call a function with a `SwitchOn` whenever a variant can be served again, as `on_switch_off` does.

        For warming up. It delays nothing: the variant is served meanwhile. `on_start="run"` also runs it for a variant
        that is on when this process begins.
        """
        return self._register(
            "on",
            key,
            name,
            variant=variant,
            scope=scope,
            after=after,
            timeout=timeout,
            retry=retry,
            on_start=on_start,
            drain=0.0,
        )

    def _register(self, switch: Switch, key: Any, name: str | None, **given: Any) -> Callable[[Any], Any]:
        def register(function: Any) -> Any:
            handler = make_handler(function, key, switch=switch, name=name, **given)
            self._cleanup.handlers.add(handler, named=name is not None)
            return function

        return register
