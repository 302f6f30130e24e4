"""
OpenTelemetry: what was decided in which trace, how flags and cleanup are doing, and how long the store took.

    telemetry = FlagsTelemetry()
    async with Client(traced("redis://localhost:6379/0", namespace="shop"), hooks=[telemetry]) as flags:
        telemetry.watch(flags)

Names of attributes are those of the semantic conventions for feature flags (1.39, release candidate); metrics have no
such conventions yet, and are called `grayflow.*`. Prometheus reads them through OpenTelemetry's exporter.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar
from weakref import ref

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, TracerProvider
from opentelemetry.util.types import AttributeValue

from grayflow.cleanup.means import CleanupStatus
from grayflow.client.client import Client
from grayflow.client.health import Health
from grayflow.client.hooks import HookDetails
from grayflow.core.decision import Decision
from grayflow.store.port import Store
from grayflow.store.urls import open_store
from grayflow.store.wrappers import Call, Wrapper

__all__ = ["FlagsTelemetry", "Traced", "traced"]

T = TypeVar("T")

_NAME = "grayflow"
_EVENT = "feature_flag.evaluation"
_QUIET = frozenset({"position", "replaced", "follow"})
"""Asked every few seconds, or for ever."""

_Read = Callable[[Health], float | Mapping[str, float] | None]
"""Returns the figure, or one for each state; `None` where there is none now."""

_GAUGES: tuple[tuple[str, str, str, _Read], ...] = (
    ("grayflow.flags.age", "s", "Since the flags were last proved to be the store's", lambda health: health.age_s),
    ("grayflow.flags", "{flag}", "Flags held", lambda health: health.flags),
    ("grayflow.flags.degraded", "{flag}", "Flags that do not mean what they say", lambda health: len(health.degraded)),
    ("grayflow.flags.ready", "1", "1 if there are flags", lambda health: health.readiness.ready),
    ("grayflow.flags.fresh", "1", "1 if they are proved", lambda health: not health.readiness.stale),
    ("grayflow.revision", "1", "Of the flags held", lambda health: health.revision),
    ("grayflow.link.up", "1", "1 if changes are pushed", lambda health: health.link == "up"),
    ("grayflow.cleanup.handlers", "{handler}", "Handlers of switches", lambda health: health.cleanup.handlers),
    ("grayflow.cleanup.jobs", "{job}", "Jobs of these handlers by state", lambda health: _jobs(health.cleanup)),
    (
        "grayflow.cleanup.available",
        "1",
        "1 if this process can work for the fleet, or need not",
        lambda health: health.cleanup.unavailable is None,
    ),
)

_COUNTERS: tuple[tuple[str, str, _Read], ...] = (
    ("grayflow.loads", "Loads of the whole flag set", lambda health: health.loads),
    ("grayflow.failovers", "Times that the store had gone back", lambda health: health.failovers),
    ("grayflow.hook.errors", "Failures of hooks", lambda health: health.hook_errors),
    ("grayflow.resolver.errors", "Failures of resolvers", lambda health: health.resolver_errors),
    ("grayflow.handler.errors", "Failures of handlers", lambda health: health.handler_errors),
    ("grayflow.cleanup.done", "Jobs of switches finished here", lambda health: health.cleanup.done),
    ("grayflow.cleanup.errors", "Attempts that failed here", lambda health: health.cleanup.errors),
    ("grayflow.cleanup.superseded", "Jobs given up, switched again", lambda health: health.cleanup.superseded),
)


def _jobs(cleanup: CleanupStatus) -> Mapping[str, float]:
    return {
        "pending": cleanup.pending,
        "running": cleanup.running,
        "failed": cleanup.failed,
        "orphaned": cleanup.orphaned,
    }


class FlagsTelemetry:
    """
    A hook for `Client(hooks=[...])`: an event in the current span and a count for each evaluation.

    Args:
        meter_provider: OpenTelemetry's, else the global one.
        context_id: Whether events name the user (`feature_flag.context.id`): that is personal data in your traces.
        spans: Whether evaluations are noted in the current span.
    """

    def __init__(
        self, *, meter_provider: MeterProvider | None = None, context_id: bool = False, spans: bool = True
    ) -> None:
        self._meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._evaluations = self._meter.create_counter(
            "grayflow.evaluations", "{evaluation}", "Evaluations by flag, variant and reason"
        )
        self._context_id, self._spans = context_id, spans

    def after(self, details: HookDetails, decision: Decision) -> None:
        """See `Hook`."""
        self._note(details, decision)

    def error(self, details: HookDetails, decision: Decision) -> None:
        """See `Hook`."""
        self._note(details, decision)

    def watch(self, flags: Client) -> None:
        """
        Measure how a client is doing: ages, counts, link, failures, jobs of switch-offs.

        It is looked at when metrics are collected, and not kept alive.
        """
        watched = ref(flags)

        def looking(read: _Read) -> Callable[[CallbackOptions], Iterable[Observation]]:
            def observe(_: CallbackOptions) -> Iterable[Observation]:
                client = watched()
                return () if client is None else _observations(client.health, read)

            return observe

        for name, unit, description, read in _GAUGES:
            self._meter.create_observable_gauge(name, [looking(read)], unit, description)
        for name, description, read in _COUNTERS:
            self._meter.create_observable_counter(name, [looking(read)], "1", description)

    def _note(self, details: HookDetails, decision: Decision) -> None:
        # An unknown name is not an attribute: whoever makes up names must not make up time series.
        known = decision.error != "flag_not_found"
        counted: dict[str, AttributeValue] = {
            "feature_flag.key": details.key if known else "(unknown)",
            "feature_flag.result.reason": decision.reason.value.lower(),
        }
        if decision.variant is not None:
            counted["feature_flag.result.variant"] = decision.variant
        if decision.error is not None:
            counted["error.type"] = decision.error.value
        self._evaluations.add(1, counted)
        span = trace.get_current_span()
        if self._spans and span.is_recording():
            span.add_event(_EVENT, self._attributes(details, decision, counted))

    def _attributes(
        self, details: HookDetails, decision: Decision, counted: dict[str, AttributeValue]
    ) -> dict[str, AttributeValue]:
        found: dict[str, AttributeValue] = {
            **counted,
            "feature_flag.key": details.key,
            "feature_flag.provider.name": _NAME,
            "feature_flag.set.id": details.namespace,
            "feature_flag.version": str(decision.revision),
        }
        if decision.variant is None and isinstance(decision.value, bool | int | float | str):
            found["feature_flag.result.value"] = decision.value
        if decision.detail:
            found["feature_flag.error.message"] = decision.detail
        if self._context_id and details.context is not None and details.context.user_id is not None:
            found["feature_flag.context.id"] = str(details.context.user_id)
        return found


def _observations(health: Health, read: _Read) -> Iterable[Observation]:
    who = {"grayflow.namespace": health.namespace, "service": health.name}
    value = read(health)
    if isinstance(value, Mapping):
        return [Observation(float(count), {**who, "state": state}) for state, count in value.items()]
    return () if value is None else (Observation(float(value), who),)


class Traced(Wrapper):
    """
    A store whose loads, catch-ups and writes are spans. The checks every few seconds are none.

    Args:
        inner: The store.
        tracer_provider: OpenTelemetry's, else the global one.
    """

    def __init__(self, inner: Store, *, tracer_provider: TracerProvider | None = None) -> None:
        super().__init__(inner)
        self._tracer: Tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)

    async def around(self, call: Call, proceed: Callable[[], Awaitable[T]]) -> T:
        """See `Wrapper`."""
        if call.verb in _QUIET:
            return await proceed()
        attributes = {"grayflow.namespace": self.namespace, "server.address": self.place}
        with self._tracer.start_as_current_span(
            f"grayflow {call.verb}", kind=SpanKind.CLIENT, attributes=attributes, set_status_on_exception=False
        ) as span:
            try:
                return await proceed()
            except Exception as error:
                span.set_status(Status(StatusCode.ERROR, str(error)))
                raise


def traced(store: Store | str, *, namespace: str = "default", tracer_provider: TracerProvider | None = None) -> Traced:
    """Return a store, or the one behind a URL, with spans around what takes time."""
    inner = open_store(store, namespace=namespace) if isinstance(store, str) else store
    return Traced(inner, tracer_provider=tracer_provider)
