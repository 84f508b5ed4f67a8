"""A compose file as its rules see it; written for our tests, not taken from Compose."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z][A-Z0-9_]*)(:[-?])?([^}]*)\}")
TOP = {"name", "services", "volumes"}
SERVICE: dict[str, type | tuple[type, ...]] = {
    "image": str,
    "build": dict,
    "init": bool,
    "cap_drop": list,
    "security_opt": list,
    "restart": str,
    "stop_grace_period": str,
    "depends_on": dict,
    "environment": dict,
    "volumes": list,
    "ports": list,
    "entrypoint": list,
    "command": list,
    "healthcheck": dict,
    "profiles": list,
    "working_dir": str,
}
HEALTH = {"test", "interval", "timeout", "retries", "start_period"}
CONDITIONS = {"service_healthy", "service_started", "service_completed_successfully"}


def load(text: str) -> dict[str, Any]:
    """The file with its merges done and without the keys that are free."""
    found = YAML(typ="safe", pure=True).load(text)
    return {key: value for key, value in found.items() if not key.startswith("x-")}


def mistakes(compose: dict[str, Any]) -> list[str]:
    """What is wrong with the file."""
    found = [f"{key}: unknown" for key in compose.keys() - TOP]
    for name, service in compose["services"].items():
        found += [f"{name}: {mistake}" for mistake in _service(service, compose)]
    return found


def variables(text: str) -> Iterator[tuple[str, str | None]]:
    """Name and default of the variables that are used; None: it must be set."""
    for name, kind, default in VARIABLE.findall(text):
        yield name, default if kind == ":-" else None


def filled(value: str, given: dict[str, str] | None = None) -> str:
    """A value as a container sees it, with the defaults of its variables."""
    known = given or {}
    return VARIABLE.sub(lambda m: known.get(m[1], m[3]), value).replace("$$", "$")


def _service(service: dict[str, Any], compose: dict[str, Any]) -> Iterator[str]:
    for key, value in service.items():
        if key not in SERVICE:
            yield f"{key} is unknown"
        elif not isinstance(value, SERVICE[key]):
            yield f"{key} is {value!r}"
    yield from _image(filled(service.get("image", "")))
    yield from _waits(service.get("depends_on", {}), compose["services"])
    for port in map(filled, service.get("ports", ())):
        if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port):
            yield f"port {port} is open to others"
    for source in map(_source, service.get("volumes", ())):
        if not source.startswith((".", "/", "${")) and source not in compose["volumes"]:
            yield f"no volume {source}"
    for name, value in service.get("environment", {}).items():
        if not isinstance(value, str):
            yield f"{name} is {value!r}, and must be text"
    yield from _health(service.get("healthcheck"))


def _image(image: str) -> Iterator[str]:
    if not re.fullmatch(r"[a-z/-]+:v?[0-9][0-9a-z.]*", image):
        yield f"image {image!r} has no version"


def _waits(waits: dict[str, Any], services: dict[str, Any]) -> Iterator[str]:
    for other, wait in waits.items():
        condition = wait.get("condition")
        if other not in services:
            yield f"waits for {other}, which is no service"
        elif condition not in CONDITIONS:
            yield f"waits for {other} with {condition}"
        elif condition == "service_healthy" and "healthcheck" not in services[other]:
            yield f"waits for the health of {other}, which has no check"
        elif condition.endswith("successfully") and "unless-stopped" in str(services[other]):
            yield f"waits for the end of {other}, which never ends"


def _source(volume: str | dict[str, Any]) -> str:
    return str(volume["source"]) if isinstance(volume, dict) else volume.partition(":")[0]


def _health(check: dict[str, Any] | None) -> Iterator[str]:
    if check is None:
        return
    yield from (f"healthcheck {key} is unknown" for key in check.keys() - HEALTH)
    if check["test"][0] not in ("CMD", "CMD-SHELL") or not all(
        isinstance(word, str) for word in check["test"]
    ):
        yield f"healthcheck test {check['test']}"
