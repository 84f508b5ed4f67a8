"""What watches a cluster: the collector, Prometheus and the dashboard fit each other and Apollo."""

import asyncio
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from ruamel.yaml import YAML
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError
from temporalio.worker import Worker

from apollo.local.temporal import TemporalServer
from apollo.testing.ports import ReservedPort
from tests.support.compose import ROOT, filled, load
from tests.support.prometheus import PrometheusServer
from tests.support.stage import until

DEPLOY = ROOT / "deploy"
SERVICES = load((ROOT / "docker-compose.temporal.yml").read_text(encoding="utf-8"))["services"]
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/apollo.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
VARIABLES = [each["definition"] for each in DASHBOARD["templating"]["list"]]
NAME = re.compile(r"\b(?:apollo|temporal)_[a-z_]+")
LABELS = re.compile(r"[{(,]\s*([a-z_]+)\s*(?=[=,)])")
PAGE = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")


def read(path: str) -> Any:
    return YAML(typ="safe", pure=True).load((DEPLOY / path).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Metric:
    """A metric as the page describes it."""

    name: str
    kind: str
    unit: str
    attributes: tuple[str, ...]

    @property
    def series(self) -> list[str]:
        """What Prometheus calls it: as the collector's exporter translates names and units."""
        assert self.unit in {"s", "none"} or self.unit.startswith("{"), "no such unit is written"
        name = self.name.replace(".", "_") + ("_seconds" if self.unit == "s" else "")
        if self.kind == "histogram":
            return [f"{name}{part}" for part in ("_bucket", "_count", "_sum")]
        return [f"{name}_total" if self.kind == "counter" else name]

    @property
    def labels(self) -> list[str]:
        return [each.replace(".", "_") for each in self.attributes]


def described() -> Iterator[Metric]:
    for row in re.findall(r"^\| `(?:apollo\.|temporal_).*$", PAGE, re.MULTILINE):
        name, kind, unit, attributes, _ = [each.strip() for each in row.split("|")[1:6]]
        named = tuple(re.findall(r"`([a-z_.]+)`", attributes))
        yield Metric(name.strip("`"), kind, unit.strip("`"), named)


KNOWN = {series: metric for metric in described() for series in metric.series}
OURS = {series: metric for series, metric in KNOWN.items() if metric.name.startswith("apollo.")}


def plain(query: str) -> str:
    """A query as Grafana sends it when everything is looked at."""
    query = query.replace("$__rate_interval", "5s").replace("[24h]", "[5s]")
    return re.sub(r"\$(application|environment)", ".*", query)


# Files that must fit each other.


def test_the_collectors_pipelines_are_made_of_what_it_has() -> None:
    config = read("collector/config.yaml")
    service = config["service"]

    assert set(service["extensions"]) == config["extensions"].keys()
    for pipeline in service["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= config[kind].keys()
    assert service["pipelines"].keys() == {"metrics", "traces"}
    (command,) = SERVICES["collector"]["command"]
    assert command == "--config=/etc/collector/config.yaml"
    assert "./deploy/collector:/etc/collector:ro" in SERVICES["collector"]["volumes"]


@pytest.mark.parametrize("name", ["control", "hosts", "hosts-fra1", "hosts-ams1"])
def test_workers_send_to_the_collector(name: str) -> None:
    environment = {key: filled(value) for key, value in SERVICES[name]["environment"].items()}
    protocols = read("collector/config.yaml")["receivers"]["otlp"]["protocols"]

    port = protocols["http"]["endpoint"].rpartition(":")[2]
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://collector:{port}"
    assert environment["OTEL_SERVICE_NAME"] == (
        "apollo-control" if name == "control" else f"apollo-{name}"
    )


def test_prometheus_asks_the_collector_and_keeps_whose_it_is(
    program: Callable[[str], str],
) -> None:
    (job,) = read("prometheus/prometheus.yml")["scrape_configs"]
    port = read("collector/config.yaml")["exporters"]["prometheus"]["endpoint"].rpartition(":")[2]

    assert job["static_configs"] == [{"targets": [f"collector:{port}"]}]
    assert job["honor_labels"] is True
    every = read("prometheus/prometheus.yml")["global"]["scrape_interval"]
    (source,) = read("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    told = int(SERVICES["control"]["environment"]["OTEL_METRIC_EXPORT_INTERVAL"]) / 1000
    assert f"{told:g}s" == every == source["jsonData"]["timeInterval"], "rates look at four of them"
    checking = [program("promtool"), "check", "config", f"{DEPLOY}/prometheus/prometheus.yml"]
    assert subprocess.run(checking).returncode == 0


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    (source,) = read("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    (provider,) = read("grafana/provisioning/dashboards/apollo.yaml")["providers"]
    grafana = SERVICES["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])

    (port,) = SERVICES["prometheus"]["ports"]
    assert source["url"] == f"http://prometheus:{port.rpartition(':')[2]}"
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/apollo.json"
    for panel in PANELS:
        assert {panel["datasource"]["uid"]} == {source["uid"]}


# The dashboard.


def test_panels_have_names_and_places_of_their_own() -> None:
    everything = DASHBOARD["panels"]
    titles = [panel["title"] for panel in everything]
    assert len({panel["id"] for panel in everything}) == len(set(titles)) == len(everything)
    assert all(panel["description"] for panel in PANELS)
    for one, other in combinations([panel["gridPos"] for panel in everything], 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in everything)


def test_each_metric_of_apollos_is_shown_and_none_that_is_not_on_the_page() -> None:
    labels = {label for metric in OURS.values() for label in metric.labels}
    named = {name for query in (*QUERIES, *VARIABLES) for name in NAME.findall(query)} - labels

    assert len(KNOWN) > len(OURS) >= 10, "the page was read"
    assert named - KNOWN.keys() == set()
    shown = {KNOWN[name].name for name in named}
    assert {metric.name for metric in OURS.values()} <= shown


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_groups_by_what_its_metric_has(query: str) -> None:
    metrics = [KNOWN[name] for name in NAME.findall(query) if name in KNOWN]
    given = {"job", "le", "namespace", "task_queue", "service_name"}
    known = {label for metric in metrics for label in metric.labels} | given

    assert metrics
    assert set(LABELS.findall(query)) <= known


# On a real Prometheus.


@activity.defn
async def stumble(attempt: int) -> int:
    if activity.info().attempt == 1:
        raise ApplicationError("once")
    return attempt


@workflow.defn(sandboxed=False)
class Stumbles:
    failed = False

    @workflow.run
    async def run(self) -> int:
        if not workflow.unsafe.is_replaying() and not Stumbles.failed:
            Stumbles.failed = True
            raise RuntimeError("a task fails, and is tried again")
        return await workflow.execute_activity(
            stumble, 1, start_to_close_timeout=timedelta(seconds=10)
        )


async def sdk_metrics(folder: Path) -> dict[str, float]:
    """What Temporal's SDK really measures where something fails, by series."""
    port = ReservedPort()
    address = f"127.0.0.1:{port.number}"
    port.release()
    exported = PrometheusConfig(
        bind_address=address,
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
    )
    runtime = Runtime(telemetry=TelemetryConfig(metrics=exported, global_tags={"job": "apollo"}))
    async with TemporalServer(folder) as server:
        client = await Client.connect(server.address, runtime=runtime)
        async with Worker(
            client, task_queue="apollo-hosts", workflows=[Stumbles], activities=[stumble]
        ):
            await client.execute_workflow(Stumbles.run, id="w", task_queue="apollo-hosts")
            with pytest.raises(RPCError):
                await client.get_workflow_handle("unknown").describe()
            text = await asyncio.to_thread(_get, f"http://{address}/metrics")
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in lines}


def _get(url: str) -> str:
    with urlopen(url, timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def samples() -> Iterator[tuple[str, float]]:
    """A sample of each series of Apollo's, as the collector shows it."""
    values = {"apollo_budget": "failures", "apollo_ended": "badly"}
    for series, metric in OURS.items():
        labels = {label: values.get(label, "x") for label in metric.labels}
        for bound in ("1", "+Inf") if series.endswith("_bucket") else ("",):
            pairs = {**labels, **({"le": bound} if bound else {}), "job": "apollo-control"}
            text = ",".join(f'{name}="{value}"' for name, value in pairs.items())
            yield f"{series}{{{text}}}", 3.0


async def test_every_query_finds_its_series(tmp_path: Path, program: Callable[[str], str]) -> None:
    program("prometheus")
    measured = await sdk_metrics(tmp_path / "temporal")
    async with PrometheusServer(tmp_path) as prometheus:
        early = [query for query in QUERIES if await prometheus.has(plain(query))]
        assert early == [], "the control: nothing was measured yet"
        prometheus.metrics |= {**measured, **dict(samples())}
        for query in QUERIES:
            await until(lambda query=query: prometheus.has(plain(query)), query)  # type: ignore[misc]
