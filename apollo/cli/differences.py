"""What applying an environment would change."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from apollo.client import Apollo
from apollo.domain.base import format_duration
from apollo.domain.environment import Environment
from apollo.domain.fleet import Host
from apollo.domain.notification import shown_webhook
from apollo.domain.pipeline import Stage
from apollo.errors import NotFound
from apollo.files.environment import resolve
from apollo.files.project import Project

_WEBHOOK = re.compile(r"notify\[\d+\]\.webhook")


@dataclass(frozen=True)
class Change:
    """One field: nothing before means that it is new, nothing after that it goes."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Difference:
    """An environment as the files say, and how it differs from what is applied."""

    wanted: Environment
    pipeline: tuple[Stage, ...]
    revision: int
    """The applied one; 0: it was never applied."""
    changes: tuple[Change, ...]

    @property
    def same(self) -> bool:
        """There is nothing to apply."""
        return self.revision > 0 and not self.changes


async def difference(apollo: Apollo, project: Project, name: str) -> Difference:
    """Compare an environment of the project here with what is applied.

    Raises:
        NotFound: The project has no such environment.
    """
    wanted = resolve(project, name)
    try:
        applied = await apollo.catalog.environments.get(project.application, name)
    except NotFound:
        return Difference(wanted, project.stages, 0, ())
    changes = list(compare(applied.environment, wanted))
    before, after = (" → ".join(map(str, each)) for each in (applied.stages, project.stages))
    if before != after:
        changes.append(Change("pipeline", before or None, after or None))
    return Difference(wanted, project.stages, applied.revision, tuple(changes))


def compare(before: Environment, after: Environment) -> Iterator[Change]:
    """Every field that differs, in the order of the files; hosts by their names."""
    old, new = (_fields(environment) for environment in (before, after))
    yield from _changes(old, new)
    hosts = [{host.name: host for host in each.fleet.hosts} for each in (before, after)]
    yield from _hosts(*hosts)
    if [*hosts[0]] != [*hosts[1]] and hosts[0].keys() == hosts[1].keys():
        yield Change("hosts", "their order", "another order")


def _hosts(old: Mapping[str, Host], new: Mapping[str, Host]) -> Iterator[Change]:
    for name in dict.fromkeys([*old, *new]):
        path = f"hosts.{name}"
        if name not in old or name not in new:
            yield Change(path, _host(old.get(name)), _host(new.get(name)))
        else:
            dumps = (
                host.model_dump(mode="json", exclude={"name"}) for host in (old[name], new[name])
            )
            yield from _changes(*(dict(_flat(dump, path)) for dump in dumps))


def _host(host: Host | None) -> str | None:
    return f"{host.address} in {host.location}" if host else None


def _fields(environment: Environment) -> dict[str, str]:
    dump = environment.model_dump(
        mode="json",
        by_alias=True,
        exclude={"application", "name", "fleet", "files", "files_by_host"},
    )
    for path, (text, mode) in environment.files.items():
        dump[f"files.{path}"] = {"text": text, "mode": mode}
    for path, file in environment.files_by_host.items():
        for source, text in file.texts.items():
            dump[f"files.{path} ({source})"] = {"text": text, "mode": file.mode}
    return dict(_flat(dump, ""))


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for number, each in enumerate(value, 1):
            yield from _flat(each, f"{path}[{number}]")
    elif isinstance(value, float):  # nothing but durations
        yield path, format_duration(timedelta(seconds=value))
    elif value is not None and value != []:
        yield path, str(value)


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for path in dict.fromkeys([*old, *new]):
        if old.get(path) != new.get(path):
            yield _veiled(Change(path, old.get(path), new.get(path)))


def _veiled(change: Change) -> Change:
    """A webhook's URL lets anybody post there: it is compared, but not shown."""
    if not _WEBHOOK.fullmatch(change.path):
        return change
    before, after = (each and shown_webhook(each) for each in (change.before, change.after))
    return Change(change.path, before, after)


def differing(differences: Sequence[Difference]) -> list[Difference]:
    """Those that there is something to apply of."""
    return [each for each in differences if not each.same]
