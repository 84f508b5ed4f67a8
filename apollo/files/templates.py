"""Checks of the names in braces: `{NAME}` in root, health and balancer, `${NAME}` in files."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from string import Template
from typing import NamedTuple

from apollo.domain.fleet import Host
from apollo.domain.manifest import source_of
from apollo.files.checks import REFERENCE
from apollo.files.draft import Draft, EnvironmentDraft
from apollo.files.inventory import Sketch
from apollo.files.mistakes import Mistake, Told, some
from apollo.files.positions import Document, Mark, Part, Path
from apollo.files.words import did_you_mean

_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BUILT_IN = frozenset({"host", "location"})
_ALSO = {"health": "release", "balancer": "address"}
"""What else is known below these keys."""
_HEALTH = (
    ("http", "port"),
    ("http", "path"),
    ("http", "host"),
    ("http", "body"),
    ("tcp", "port"),
    ("tcp", "host"),
)
_IN_BALANCER = (
    ("haproxy", "at"),
    ("haproxy", "backends"),
    ("haproxy", "server"),
    ("aws_alb", "target_groups"),
    ("aws_alb", "target"),
    ("aws_alb", "port"),
    ("command", "find"),
    ("command", "drain"),
    ("command", "restore"),
)


class Group(NamedTuple):
    """Hosts that know the same names."""

    environment: str
    role: str | None
    names: frozenset[str]
    hosts: list[str]


class Use(NamedTuple):
    """A text with names in braces, and the hosts that read it."""

    part: Part
    path: Path
    groups: list[Group]


def check_templates(draft: Draft) -> None:
    """Note names that a host does not have."""
    if not isinstance(draft.top.get("setup"), dict):
        return
    everyone = []
    for environment, sketch, _ in draft.fleets():
        groups = _groups(draft.top, environment, sketch)
        everyone += groups
        for path, read in environment.texts.items():
            for source, text in read.items():
                readers = _readers(environment, path, source, groups)
                draft.mistakes += _file(draft.top, environment, text, readers, path)
        for use in _own_uses(environment.part, groups):
            draft.mistakes += _unknown(use)
    for use in _setup_uses(draft, everyone):
        draft.mistakes += _unknown(use)


def _groups(top: Part, environment: EnvironmentDraft, sketch: Sketch) -> list[Group]:
    common = frozenset(top.mapping("setup", "variables")) | frozenset(
        environment.part.mapping("variables")
    )
    alike: dict[tuple[str | None, str, frozenset[str]], list[str]] = defaultdict(list)
    for host in environment.chosen or []:
        alike[host.role, host.location, frozenset(host.variables)].append(host.name)
    return [
        Group(
            environment.name,
            role,
            common
            | frozenset(top.mapping("setup", "roles", role or "", "variables"))
            | sketch.location_variables.get(location, frozenset())
            | own
            | ({"role"} if role else frozenset()),
            hosts,
        )
        for (role, location, own), hosts in alike.items()
    ]


def _readers(
    environment: EnvironmentDraft, path: str, source: str, groups: list[Group]
) -> list[Group]:
    """The hosts that have this file."""
    written = environment.part.get("files", path, "from")
    if written == source:
        return groups
    known = {host.name: host for host in environment.chosen or []}
    narrowed = [
        group._replace(hosts=[name for name in group.hosts if _has(written, known[name], source)])
        for group in groups
    ]
    return [group for group in narrowed if group.hosts]


def _has(written: str, host: Host, source: str) -> bool:
    try:
        return source_of(written, host) == source
    except ValueError:
        return False


def _own_uses(part: Part, groups: list[Group]) -> Iterator[Use]:
    yield Use(part, ("root",), groups)
    for name, reference in part.mapping("secrets").items():
        if isinstance(reference, str) and REFERENCE.fullmatch(reference):
            yield Use(part, ("secrets", name), groups)
    for path in _IN_BALANCER:
        for index in range(len(part.sequence("balancer", *path))):
            yield Use(part, ("balancer", *path, index), groups)
        yield Use(part, ("balancer", *path), groups)


def _setup_uses(draft: Draft, groups: list[Group]) -> Iterator[Use]:
    top = draft.top
    rooted = {
        name for name, each in draft.environments.items() if each.part.get("root") is not None
    }
    yield Use(top, ("setup", "root"), [each for each in groups if each.environment not in rooted])
    roles = top.mapping("setup", "roles")
    own = {name for name in roles if top.mapping("setup", "roles", name, "health")}
    inheriting = [each for each in groups if each.role not in own]
    yield from _health_uses(top, ("setup", "health"), inheriting)
    for role in own:
        having = [each for each in groups if each.role == role]
        yield from _health_uses(top, ("setup", "roles", role, "health"), having)


def _health_uses(top: Part, health: Path, groups: list[Group]) -> Iterator[Use]:
    headers = [("http", "headers", name) for name in top.mapping(*health, "http", "headers")]
    for keys in (*_HEALTH, *headers):
        yield Use(top, (*health, *keys), groups)


def _unknown(use: Use) -> Iterator[Mistake]:
    text = use.part.get(*use.path)
    known = _BUILT_IN | {name for key, name in _ALSO.items() if key in use.path}
    for name in dict.fromkeys(_PLACE.findall(text)) if isinstance(text, str) else ():
        lacking = [each for each in use.groups if name not in each.names | known]
        if lacking:
            yield use.part.mistake(use.path, **_words(f"{{{name}}}", name, lacking))


def _words(shown: str, name: str, lacking: list[Group]) -> Told:
    hosts = [host for group in lacking for host in group.hosts]
    lack = f" and {some(len(hosts) - 1, 'more host')} lack" if hosts[1:] else " lacks"
    known = sorted(frozenset.intersection(*(group.names for group in lacking)))
    near = did_you_mean(name, known)
    return {
        "expected": "names of variables that every host has",
        "found": f"{shown}, which {hosts[0]} of {lacking[0].environment}{lack}",
        "hint": f"{near}Add {name} to the variables, or use one of: {_listed(known)}.",
    }


def _listed(names: Iterable[str]) -> str:
    return ", ".join([*names, "host", "location"])


def _file(
    top: Part, environment: EnvironmentDraft, text: Document, groups: list[Group], path: str
) -> Iterator[Mistake]:
    where = (*environment.part.base, "files", path)
    secrets = {name for name in top.sequence("setup", "secrets") if isinstance(name, str)}
    for match in Template.pattern.finditer(text.text):
        name = match["named"] or match["braced"]
        mark = _mark(text, match)
        if match["invalid"] is not None:
            hint = "Write $$ where a $ is meant, and ${NAME} for a variable."
            expected = "${NAME} or $$"
            yield text.mistake_at(mark, where, expected=expected, found="a $ alone", hint=hint)
        elif name in secrets:
            yield text.mistake_at(mark, where, **_secret_in_a_file(match[0]))
        elif name and (lacking := [each for each in groups if name not in each.names]):
            told = _words(match[0], name, lacking)
            told["hint"] = told["hint"].removesuffix(", host, location.") + "."
            yield text.mistake_at(mark, where, **told)


def _secret_in_a_file(shown: str) -> Told:
    return {
        "expected": "no secrets: the file lies open in the release",
        "found": f"the secret {shown}",
        "hint": "Let the application read its environment, or setup.env_file.",
    }


def _mark(text: Document, match: re.Match[str]) -> Mark:
    before = Document("", text.text[: match.start()])
    return Mark(len(before.lines), len(before.lines[-1]) + 1, len(match[0]))
