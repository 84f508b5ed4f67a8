"""Checks of what no model can see: other parts of the project, the whole of its files."""

import re
from collections import Counter
from collections.abc import Iterator

from apollo.domain.balancer import BalancerSpec, is_target_group
from apollo.domain.base import VariableName
from apollo.domain.environment import FleetSpec
from apollo.domain.setup import Health
from apollo.files.alarms import check_alarms, warn_of_alarms
from apollo.files.draft import Draft
from apollo.files.hooks import check_webhooks, warn_of_webhooks
from apollo.files.mistakes import FileWarning, Mistake
from apollo.files.phrases import pattern_of
from apollo.files.positions import REST_OF_LINE, Mark, Part, Path
from apollo.files.scalars import text_of
from apollo.files.unsupported import not_yet_values
from apollo.files.words import describe, did_you_mean, one_of

_AT = re.compile(
    r"tcp:[^\s:]+:([0-9]{1,5}|\{\w+\})|tcp:\[[^\s\]]+\]:[0-9]{1,5}|unix:/.+"
    r"|ssh:([^@\s:/]+@)?(\[[^\]\s]+\]|[^@\s:/]+)(:[0-9]{1,5})?:/.+"
)
REFERENCE = re.compile(r"env:[\w{}]+|file:/[^\n]+|command:\S[^\n]*")
_NAME = re.compile(pattern_of(VariableName))
_PORT = re.compile(r"[0-9]{1,5}")


def mask_secrets(part: Part) -> None:
    """Keep what stands where a reference is wanted out of every message."""
    for name, value in part.mapping("secrets").items():
        if not isinstance(value, str) or not REFERENCE.fullmatch(value):
            line, column, width = part.document.mark((*part.base, "secrets", name))
            whole_line = isinstance(value, list | dict)
            part.document.masked.add(Mark(line, column, REST_OF_LINE if whole_line else width))


def check_project(draft: Draft) -> None:
    """Note what is wrong with the pipeline, names, paths, ports and secrets."""
    draft.mistakes += _pipeline(draft)
    draft.mistakes += _setup(draft.top)
    for environment in draft.environments.values():
        part = environment.part
        draft.mistakes += _secrets(draft, part)
        draft.warnings += _spare_secrets(draft, part)
        draft.mistakes += check_webhooks(part)
        draft.warnings += warn_of_webhooks(part)
        draft.mistakes += check_alarms(part)
        draft.warnings += warn_of_alarms(part)
        draft.mistakes += _environment(part)


def _pipeline(draft: Draft) -> Iterator[Mistake]:
    entries = draft.top.sequence("pipeline")
    names = [entry.get("environment") if isinstance(entry, dict) else entry for entry in entries]
    counts = Counter(name for name in names if isinstance(name, str))
    for index, name in enumerate(names):
        within = ("environment",) if isinstance(entries[index], dict) else ()
        path: Path = ("pipeline", index, *within)
        if not isinstance(name, str):
            continue
        if name not in draft.environments and name not in draft.unreadable:
            known = ", ".join(draft.environments) or "none yet"
            yield draft.top.mistake(
                path,
                expected="the name of an environment",
                found=describe(name),
                hint=f"{did_you_mean(name, draft.environments)}Environments are: {known}.",
            )
        elif names.index(name) < index and counts[name] > 1:
            hint = "Take one of the two out."
            found = f"{name} again"
            yield draft.top.mistake(path, expected="each name once", found=found, hint=hint)


def _setup(top: Part) -> Iterator[Mistake]:
    if later := not_yet_values("artifact", top.get("release", "artifact")):
        yield top.mistake(("release", "artifact"), **later)
    yield from _root(top, ("setup", "root"))
    yield from _inside(top, ("setup", "env_file"), top.get("setup", "env_file"))
    for index, path in enumerate(top.sequence("setup", "shared")):
        yield from _inside(top, ("setup", "shared", index), path)
    yield from _health(top, ("setup", "health"))
    for role in top.mapping("setup", "roles"):
        yield from _health(top, ("setup", "roles", role, "health"))


def _health(top: Part, path: Path) -> Iterator[Mistake]:
    yield from one_of(top, path, Health)
    for kind in ("http", "tcp"):
        yield from _port(top, (*path, kind, "port"))
    if top.get(*path, "command") is not None and top.get(*path, "from") == "worker":
        yield top.mistake(
            (*path, "from"),
            expected="host: a command runs there",
            found="'worker'",
            hint="Take from out, or check by http or tcp.",
        )
    target = top.get(*path, "http", "path")
    if isinstance(target, str) and not target.startswith(("/", "{")):
        hint = f"Write /{target}."
        where = (*path, "http", "path")
        yield top.mistake(where, expected="a path from /", found=describe(target), hint=hint)


def _port(part: Part, path: Path) -> Iterator[Mistake]:
    port = part.get(*path)
    text = text_of(port)
    if port is None or isinstance(port, bool | list | dict) or "{" in text:
        return
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= 65535:
        yield part.mistake(
            path,
            expected="a port from 1 to 65535",
            found=describe(port),
            hint='Write a port such as 8080, or a variable such as "{PORT}".',
        )


def _environment(part: Part) -> Iterator[Mistake]:
    yield from one_of(part, ("fleet",), FleetSpec)
    yield from one_of(part, ("balancer",), BalancerSpec)
    yield from _root(part, ("root",))
    yield from _inside(part, ("balancer", "file", "path"), part.get("balancer", "file", "path"))
    for path in part.mapping("files"):
        yield from _inside(part, ("files", path), path, key=True)
    for index, at in enumerate(part.sequence("balancer", "haproxy", "at")):
        where = ("balancer", "haproxy", "at", index)
        if isinstance(at, str) and not _AT.fullmatch(at):
            hint = "Write it such as tcp:lb1:9999, unix:/run/haproxy.sock or ssh:lb1:/run/lb.sock."
            expected = "tcp:HOST:PORT, unix:PATH or ssh:[USER@]HOST[:PORT]:PATH"
            yield part.mistake(where, expected=expected, found=describe(at), hint=hint)
    alb: Path = ("balancer", "aws_alb")
    yield from _port(part, (*alb, "port"))
    for index, group in enumerate(part.sequence(*alb, "target_groups")):
        if isinstance(group, str) and "{" not in group and not is_target_group(group):
            yield part.mistake(
                (*alb, "target_groups", index),
                expected="the ARN of a target group",
                found=describe(group),
                hint="Write arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID.",
            )


def _root(part: Part, path: Path) -> Iterator[Mistake]:
    root = part.get(*path)
    if isinstance(root, str) and root.startswith("/"):
        if not root.strip("/."):
            hint = "Write a folder that belongs to this application alone, such as /srv/shop."
            yield part.mistake(path, expected="a folder of its own", found=f"'{root}'", hint=hint)
        elif ".." in root.split("/"):
            hint = "Write the path without '..'."
            yield part.mistake(path, expected="a plain path", found=f"'{root}'", hint=hint)


def _inside(part: Part, path: Path, value: object, *, key: bool = False) -> Iterator[Mistake]:
    if not isinstance(value, str):
        return
    parts = value.split("/")
    if value.startswith("/") or ".." in parts or not value.strip("/.") or "\0" in value:
        yield part.mistake(
            path,
            expected="a relative path without '..'",
            found=describe(value),
            hint="Write a path that stays inside, such as log/ or config/database.yml.",
            key=key,
        )


def _secrets(draft: Draft, part: Part) -> Iterator[Mistake]:
    given = part.mapping("secrets")
    for name, value in given.items():
        if not isinstance(value, str) or not REFERENCE.fullmatch(value):
            hint = "Write file:/etc/apollo/secrets/… or env:APOLLO_SECRET_…."
            found = "a value" if value is not None else "nothing"
            expected = "a reference to a secret, never its value"
            yield part.mistake(("secrets", name), expected=expected, found=found, hint=hint)
    for name in draft.top.sequence("setup", "secrets"):
        if isinstance(name, str) and _NAME.fullmatch(name) and name not in given:
            near = did_you_mean(name, given)
            hint = f'{near}Add {name}: "file:/etc/apollo/secrets/{name.lower()}" to secrets.'
            yield part.mistake(
                ("secrets", name),
                expected=f"the secret {name}, which setup.secrets names",
                found=f"only {', '.join(given)}" if given else "no secrets",
                hint=hint,
            )


def _spare_secrets(draft: Draft, part: Part) -> Iterator[FileWarning]:
    wanted = draft.top.sequence("setup", "secrets")
    for name in part.mapping("secrets"):
        if name not in wanted:
            message = f"setup.secrets does not name {name}, so no host gets it"
            near = did_you_mean(name, [each for each in wanted if isinstance(each, str)])
            hint = f"{near}Name it in setup.secrets, or take it out."
            yield part.warning(("secrets", name), message, hint, key=True)
