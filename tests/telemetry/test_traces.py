"""One trace per deployment: whole, once, and never in anybody's way."""

import threading
from datetime import UTC, datetime

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from temporalio.worker import Replayer

from apollo.activities.trail import Place, Trail
from apollo.catalog.records import StoredDeployment
from apollo.codec import data_converter
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.turn import TurnRecord
from apollo.errors import ConnectFailed
from apollo.telemetry import spans
from apollo.telemetry.exporting import tracing
from apollo.workers.worker import WORKFLOWS
from tests.support.otlp import Collector, Span
from tests.support.stage import Stage, until

STEPS = ("unpack", "stop", "start")


def path(collector: Collector, span: Span) -> list[str]:
    """The names of a span and all above it, the topmost first."""
    above = {each.id: each for each in collector.spans}
    names = [span.name]
    while span.parent:
        span = above[span.parent]
        names.insert(0, span.name)
    return names


async def test_from_client_to_step(stage: Stage, exporting: Collector) -> None:
    play = await stage.play(hosts=4, waves=[1, "100%"])
    play.script.steps = STEPS
    result = await play.deploy("1.0")

    assert result.state is DeploymentState.SUCCEEDED
    assert len({span.trace for span in exporting.spans}) == 1
    assert exporting.orphans() == []
    assert exporting.repeated() == []
    assert sorted(span.host for span in exporting.named("turn")) == ["h1", "h2", "h3", "h4"]
    for name in STEPS:
        steps = exporting.named(name)
        assert len(steps) == 4
        for step in steps:
            assert path(exporting, step) == ["deploy", "deployment", "batch", "turn", name]
    assert [span.attributes["apollo.wave"] for span in exporting.named("batch")] == [1, 2]


async def test_children_lie_within_their_parents(stage: Stage, exporting: Collector) -> None:
    play = await stage.play(hosts=4)
    play.script.steps = STEPS
    play.script.seconds = 0.2
    await play.deploy("1.0")

    spans = {span.id: span for span in exporting.spans}
    within = [span for span in exporting.spans if span.name in ("batch", "turn", *STEPS)]
    assert len(within) == 1 + 4 + 4 * len(STEPS)
    for span in within:
        parent = spans[span.parent]
        assert parent.began <= span.began <= span.ended <= parent.ended, (span, parent)


async def test_each_turn_of_a_host_is_told_and_failures_are_red(
    stage: Stage, exporting: Collector
) -> None:
    play = await stage.play(hosts=4, max_failures=0, max_unreachable=4)
    await play.deploy("1.0")
    exporting.spans.clear()
    play.script.ends = {"h1": [ConnectFailed, Outcome.UPDATED], "h4": [Outcome.REVERTED]}
    play.script.turns.clear()
    result = await play.deploy("1.1")

    assert result.state is DeploymentState.ROLLED_BACK
    assert exporting.orphans() == []
    assert exporting.repeated() == []
    ends = {
        (span.host, span.attributes["apollo.turn"]): span.failed
        for span in exporting.named("turn")
        if span.attributes["apollo.phase"] == "forward"
    }
    assert ends[("h4", 1)] is True
    assert {("h1", 1): True, ("h2", 1): False}.items() <= ends.items()
    assert [span.failed for span in exporting.named("deployment")] == [True]
    phases = {span.attributes["apollo.phase"] for span in exporting.named("batch")}
    assert phases == {"forward", "rollback"}


async def test_a_replay_tells_nothing_again(stage: Stage, exporting: Collector) -> None:
    play = await stage.play(hosts=4)
    running = await play.start("1.0")
    await running.result()
    told = len(exporting.spans)

    replayer = Replayer(workflows=WORKFLOWS, data_converter=data_converter(""))
    for workflow in (running.id, running.batch()):
        handle = stage.client.get_workflow_handle(workflow)
        await replayer.replay_workflow(await handle.fetch_history())

    assert told == 7
    assert len(exporting.spans) == told


async def test_a_deployment_goes_on_with_the_trace_of_the_program_that_asks(
    stage: Stage, exporting: Collector
) -> None:
    play = await stage.play(hosts=2)
    with TracerProvider().get_tracer("ci").start_as_current_span("build") as build:
        await play.deploy("1.0")

    context = build.get_span_context()
    (asked,) = exporting.named("deploy")
    assert asked.parent == f"{context.span_id:016x}"
    assert {span.trace for span in exporting.spans} == {f"{context.trace_id:032x}"}
    assert [span.name for span in exporting.orphans()] == ["deploy"]  # the program has its own
    assert trace.get_current_span().get_span_context().is_valid is False


async def test_a_ci_job_says_its_trace_in_a_variable(
    stage: Stage, exporting: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", f"00-{'a' * 32}-{'b' * 16}-01")
    await (await stage.play(hosts=2)).deploy("1.0")
    assert {span.trace for span in exporting.spans} == {"a" * 32}
    exporting.spans.clear()

    monkeypatch.setenv("TRACEPARENT", f"00-{'a' * 32}-{'b' * 16}-00")
    await (await stage.play(hosts=2)).deploy("1.0")
    assert exporting.spans == [], "what is not sampled there is not sampled here"


async def test_started_without_a_client_it_has_a_trace_of_its_own(
    stage: Stage, exporting: Collector
) -> None:
    play = await stage.play(hosts=2)
    await play.release("1.0")
    workflow = f"deployment/{play.application}/prod/raw"
    words = f'{{"application": "{play.application}", "environment": "prod", "release": "1.0"}}'
    await stage.temporal(
        *("workflow", "start", "--type", "Deployment", "--task-queue", "apollo"),
        *("--workflow-id", workflow, "--input", words),
    )
    await play.running(workflow).result()

    (deployment,) = exporting.named("deployment")
    assert deployment.parent == ""
    assert len({span.trace for span in exporting.spans}) == 1
    assert exporting.orphans() == []


async def test_of_a_terminated_deployment_the_next_one_tells(
    stage: Stage, exporting: Collector
) -> None:
    play = await stage.play(hosts=4)
    play.script.hold("h2")
    running = await play.start("1.0")
    await play.began("h2")
    await until(lambda: bool(exporting.named("turn")), "a turn was told of")
    await running.handle.terminate()
    assert [span.name for span in exporting.orphans()] != []
    play.script.let_go()
    result = await play.deploy("1.1", if_busy="wait")

    assert result.state is DeploymentState.SUCCEEDED
    assert exporting.orphans() == []
    assert exporting.repeated() == []
    assert len(exporting.named("deployment")) == 2


async def test_of_a_large_fleet_some_turns_are_traced_and_all_that_failed(
    exporting: Collector,
) -> None:
    now = datetime.now(UTC)
    stored = StoredDeployment(
        workflow_id="deployment/shop/prod/large",
        run_id="",
        application="shop",
        environment="prod",
        uuid="u",
        number=1,
        state=DeploymentState.RUNNING,
        hosts=2000,
        opened_at=now,
    )
    records = [
        TurnRecord(
            host=f"h{number}",
            outcome=Outcome.REVERTED if number % 500 == 0 else Outcome.UPDATED,
            began_at=now,
            seconds=1,
        )
        for number in range(2000)
    ]
    for _ in range(2):
        await Trail(100).turns(stored, Place("forward", 1, 1), records, news=True)

    traced = [span for span in exporting.named("turn") if not span.failed]
    assert len(traced) == 2 * len({span.host for span in traced}), "the same ones each time"
    assert 50 < len(traced) / 2 < 200
    assert {span.host for span in exporting.spans if span.failed} == {
        "h0",
        "h500",
        "h1000",
        "h1500",
    }


async def test_a_collector_that_does_not_answer_holds_nobody_up(
    stage: Stage, collector: Collector
) -> None:
    answers = threading.Event()
    collector.before_answer = lambda _: (answers.wait(60), None)[1]
    async with tracing("test"):
        result = await (await stage.play(hosts=8)).deploy("1.0")
        held = not answers.is_set()
        answers.set()

    assert result.state is DeploymentState.SUCCEEDED
    assert held


async def test_without_a_collector_deployments_go_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    async with tracing("test"):
        assert spans.writer()
        result = await (await stage.play(hosts=4)).deploy("1.0")
    assert result.state is DeploymentState.SUCCEEDED


@pytest.mark.parametrize(
    "variables",
    [{}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}],
)
async def test_nothing_is_exported_unless_it_is_asked_for(
    variables: dict[str, str], collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not variables:
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    async with tracing("test"):
        assert spans.writer() is None
