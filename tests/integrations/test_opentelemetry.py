"""What OpenTelemetry is told: events in spans, counts, gauges, and spans of the store."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from grayflow import Admin, Client, Context, MemoryStore, Retry, StoreUnavailableError, SwitchOff
from grayflow.integrations.opentelemetry import FlagsTelemetry, Traced, traced
from grayflow.testing import FakeClock, Faulty
from tests.ports import free_port
from tests.test_services import until

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent
ANNA = Context(user_id="anna")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracers(spans: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def meters(reader: InMemoryMetricReader) -> MeterProvider:
    return MeterProvider([reader])


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[Faulty]:
    faulty = Faulty(MemoryStore("shop"), clock=clock)
    async with Admin(faulty, actor="test", clock=clock) as admin:
        await admin.put({"key": "f", "enabled": True, "otherwise": "off", "targets": {"on": ["anna"]}})
        yield faulty


def measured(reader: InMemoryMetricReader) -> dict[str, Any]:
    """Return each metric's points: attributes and value."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: [(dict(point.attributes), point.value) for point in metric.data.data_points]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


async def test_an_evaluation_is_an_event_of_the_current_span(
    store: Faulty, tracers: TracerProvider, spans: InMemorySpanExporter
):
    async with Client(store, hooks=[FlagsTelemetry()]) as flags:
        with tracers.get_tracer("test").start_as_current_span("request"):
            await flags.is_enabled("f", ANNA)

    (event,) = spans.get_finished_spans()[0].events
    assert event.name == "feature_flag.evaluation"
    assert dict(event.attributes or {}) == {
        "feature_flag.key": "f",
        "feature_flag.provider.name": "grayflow",
        "feature_flag.result.reason": "targeting_match",
        "feature_flag.result.variant": "on",
        "feature_flag.set.id": "shop",
        "feature_flag.version": "1",
    }


async def test_a_failed_evaluation_says_how(store: Faulty, tracers: TracerProvider, spans: InMemorySpanExporter):
    async with Client(store, hooks=[FlagsTelemetry()]) as flags:
        with tracers.get_tracer("test").start_as_current_span("request"):
            await flags.value("f", ANNA, default="text")

    attributes = dict(spans.get_finished_spans()[0].events[0].attributes or {})
    assert attributes["error.type"] == "type_mismatch"
    assert attributes["feature_flag.result.reason"] == "error"
    assert attributes["feature_flag.result.value"] == "text"
    assert "boolean" in str(attributes["feature_flag.error.message"])


async def test_users_are_named_only_if_wanted(store: Faulty, tracers: TracerProvider, spans: InMemorySpanExporter):
    async with Client(store, hooks=[FlagsTelemetry(context_id=True)]) as flags:
        with tracers.get_tracer("test").start_as_current_span("request"):
            await flags.is_enabled("f", ANNA)

    assert dict(spans.get_finished_spans()[0].events[0].attributes or {})["feature_flag.context.id"] == "anna"


async def test_evaluations_are_counted_by_flag_variant_and_reason(
    store: Faulty, meters: MeterProvider, reader: InMemoryMetricReader
):
    async with Client(store, hooks=[FlagsTelemetry(meter_provider=meters)]) as flags:
        for user in ("anna", "anna", "ben"):
            await flags.is_enabled("f", Context(user_id=user))

    points = {one["feature_flag.result.variant"]: value for one, value in measured(reader)["grayflow.evaluations"]}
    assert points == {"on": 2, "off": 1}


async def test_names_that_nobody_knows_make_one_time_series(
    store: Faulty, meters: MeterProvider, reader: InMemoryMetricReader
):
    async with Client(store, hooks=[FlagsTelemetry(meter_provider=meters)]) as flags:
        for number in range(50):
            await flags.is_enabled(f"made-up-{number}")

    ((attributes, value),) = measured(reader)["grayflow.evaluations"]
    assert (attributes["feature_flag.key"], value) == ("(unknown)", 50)


async def test_the_age_and_the_link_are_measured(
    store: Faulty, clock: FakeClock, meters: MeterProvider, reader: InMemoryMetricReader
):
    telemetry = FlagsTelemetry(meter_provider=meters)
    async with Client(store, clock=clock, name="web", hooks=[telemetry]) as flags:
        telemetry.watch(flags)
        await clock.advance(1)
        found = measured(reader)
        assert found["grayflow.link.up"] == [({"grayflow.namespace": "shop", "service": "web"}, 1.0)]
        assert found["grayflow.flags"][0][1] == 1
        assert found["grayflow.flags.fresh"][0][1] == 1

        store.down = True
        await clock.advance(100)
        found = measured(reader)
        assert found["grayflow.flags.age"][0][1] >= 90
        assert (found["grayflow.flags.fresh"][0][1], found["grayflow.flags.ready"][0][1]) == (0, 1)
        assert found["grayflow.link.up"][0][1] == 0


async def nothing(off: SwitchOff) -> None:
    """Has nothing to clean up."""


async def test_jobs_of_switch_offs_are_measured_by_state(
    store: Faulty, clock: FakeClock, meters: MeterProvider, reader: InMemoryMetricReader
):
    telemetry = FlagsTelemetry(meter_provider=meters)
    fails = True

    async def purge(off: SwitchOff) -> None:
        if fails:
            raise RuntimeError("the cache does not answer")

    async with (
        Admin(store, actor="test", clock=clock) as admin,
        Client(store, clock=clock, name="web", hooks=[telemetry]) as flags,
    ):
        telemetry.watch(flags)
        flags.on_switch_off("f", scope="fleet", name="purge", retry=Retry(attempts=1))(purge)
        flags.on_switch_off("f")(nothing)
        await admin.switch_off("f")
        await clock.advance(60)
        found = measured(reader)
        states = {one["state"]: value for one, value in found["grayflow.cleanup.jobs"]}
        assert states == {"pending": 0, "running": 0, "failed": 1, "orphaned": 0}
        assert found["grayflow.cleanup.jobs"][0][0]["service"] == "web"
        assert [found[f"grayflow.cleanup.{name}"][0][1] for name in ("handlers", "done", "errors")] == [2, 1, 1]

        fails = False
        await admin.retry("purge", "f")
        await clock.advance(60)
        assert measured(reader)["grayflow.cleanup.done"][0][1] == 2
        assert {value for _, value in measured(reader)["grayflow.cleanup.jobs"]} == {0}


async def test_a_board_that_refuses_is_measured(
    store: Faulty, clock: FakeClock, meters: MeterProvider, reader: InMemoryMetricReader
):
    telemetry = FlagsTelemetry(meter_provider=meters)
    async with Client(store, clock=clock, hooks=[telemetry]) as flags:
        telemetry.watch(flags)
        flags.on_switch_off("f", scope="fleet", name="purge")(nothing)
        await clock.advance(5)
        assert measured(reader)["grayflow.cleanup.available"][0][1] == 1

        store.errors["board.list"] = StoreUnavailableError("away")
        await clock.advance(120)
        assert measured(reader)["grayflow.cleanup.available"][0][1] == 0


async def test_a_client_that_is_gone_is_measured_no_more(
    store: Faulty, meters: MeterProvider, reader: InMemoryMetricReader
):
    telemetry = FlagsTelemetry(meter_provider=meters)
    flags = Client(store)
    telemetry.watch(flags)
    del flags

    assert "grayflow.flags.age" not in measured_or_nothing(reader)


def measured_or_nothing(reader: InMemoryMetricReader) -> dict[str, Any]:
    return {} if reader.get_metrics_data() is None else measured(reader)


async def test_loads_and_writes_are_spans_and_checks_are_not(
    store: Faulty, clock: FakeClock, tracers: TracerProvider, spans: InMemorySpanExporter
):
    place = Traced(store, tracer_provider=tracers)
    async with Client(place, clock=clock), Admin(place, actor="test", clock=clock) as admin:
        await clock.advance(60)
        await admin.switch_off("f")

    names = [span.name for span in spans.get_finished_spans()]
    assert names.count("grayflow load") == 1
    assert names.count("grayflow commit") == 1
    assert not {"grayflow position", "grayflow follow"} & set(names)


async def test_a_failing_load_is_a_span_with_its_error(
    store: Faulty, tracers: TracerProvider, spans: InMemorySpanExporter
):
    async with traced(store, tracer_provider=tracers) as place:
        store.down = True
        with pytest.raises(StoreUnavailableError):
            await place.load()

    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR


async def test_the_prometheus_example_shows_its_figures(tmp_path: Path):
    url, port = f"sqlite:///{tmp_path / 'flags.db'}", free_port()
    async with Admin(url, actor="test") as admin:
        await admin.put({"key": "payment_v2", "enabled": True})
    command = [sys.executable, "-m", "tests.examples.prometheus_metrics", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "GRAYFLOW_URL": url}) as process:  # noqa: ASYNC220
        try:
            text = until(f"http://127.0.0.1:{port}/metrics", lambda text: "grayflow_evaluations" in text)
        finally:
            process.terminate()

    assert 'feature_flag_key="payment_v2"' in text
    assert "grayflow_flags_age" in text


def test_the_structlog_example_prints_our_lines_as_its_own():
    command = [sys.executable, "-m", "tests.examples.structlog_logging"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (line,) = [line for line in lines if "payment_v2" in line["event"]]
    assert (line["logger"], line["level"]) == ("grayflow.client", "warning")
