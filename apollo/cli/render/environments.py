"""What runs in environments and on their hosts, as a terminal and as JSON show it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from apollo.catalog.records import AppliedEnvironment, KnownHost, StoredDeployment
from apollo.cli.render.changes import status_json
from apollo.cli.render.history import deployment_json, render_history
from apollo.cli.render.live import heading
from apollo.cli.render.marks import serving_mark, state_mark
from apollo.cli.render.summary import next_steps
from apollo.cli.render.terminal import Cell, columns, moment
from apollo.cli.render.windows import override_line, windows_json, windows_text
from apollo.cli.render.workers import waiting_json
from apollo.client import Status
from apollo.client.polling import Waiting
from apollo.domain.fleet import Host
from apollo.domain.status import Serving
from apollo.files.mistakes import one_line


@dataclass(frozen=True)
class EnvironmentStatus:
    """An environment, what is known of its hosts, and its deployments."""

    applied: AppliedEnvironment
    release: str
    states: Mapping[str, KnownHost]
    running: Sequence[Status]
    last: Sequence[StoredDeployment]
    waits: Mapping[str, Sequence[Waiting]] = field(default_factory=dict)
    """What of a deployment that runs waits for workers, by its label."""

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The fleet's hosts."""
        return self.applied.environment.fleet.hosts

    def serving(self) -> dict[Serving, int]:
        """How many hosts serve, and how many do not for which reason."""
        found = Counter(_serving(self.states.get(host.name)) for host in self.hosts)
        return {each: found[each] for each in Serving if found[each]}

    def releases(self) -> dict[str, int]:
        """How many hosts run which release, the most first."""
        found = Counter(_release(self.states.get(host.name)) for host in self.hosts)
        return dict(found.most_common())


def render_environments(found: Sequence[EnvironmentStatus]) -> Iterator[Cell]:
    """One line each."""
    rows: list[Sequence[Cell]] = [("ENVIRONMENT", "RELEASE", "SERVING", "LAST DEPLOYMENT", "", "")]
    for each in found:
        last = each.last[0] if each.last else None
        rows.append(
            (
                each.applied.environment.label,
                each.release or "-",
                f"{each.serving().get(Serving.SERVING, 0)}/{len(each.hosts)}",
                f"#{last.number} {last.release}" if last else "-",
                state_mark(last.state).text() if last else "",
                f"windows {windows}" if (windows := _closed(each)) else "",
            )
        )
    yield from columns(rows)


def render_environment(found: EnvironmentStatus, word: str) -> Iterator[Cell]:
    """An environment with its hosts counted, what runs and what ran."""
    applied = found.applied
    label = applied.environment.label
    yield f"{label}  {found.release or 'no release yet'}"
    serving = [serving_mark(each).text(f" {n}") for each, n in found.serving().items()]
    rows: list[Sequence[Cell]] = [("hosts", Text("   ").join(serving))]
    if found.states:
        releases = "   ".join(f"{release} {n}" for release, n in found.releases().items())
        rows.append(("releases", releases))
    revision = f"revision {applied.revision}, {moment(applied.applied_at)} by {applied.applied_by}"
    rows.append(("applied", revision))
    if windows := windows_text(applied.environment):
        rows.append(("windows", windows))
    yield from columns(rows, indent="  ")
    for status in found.running:
        yield ""
        yield heading(status)
        if status.deployment.detail:
            yield f"  {one_line(status.deployment.detail)}"
        waits = found.waits.get(status.deployment.label, ())
        yield from (f"  {one_line(each.text)}" for each in waits)
        yield from override_line(status.deployment)
        yield from (f"  {step}" for step in next_steps(status, word))
    if found.last:
        yield ""
        yield from render_history(found.last)


def _closed(found: EnvironmentStatus) -> str:
    text = windows_text(found.applied.environment)
    return text if text.startswith("closed") else ""


def environment_json(found: EnvironmentStatus) -> dict[str, Any]:
    """An environment as a JSON object."""
    environment = found.applied.environment
    return {
        "application": environment.application,
        "environment": environment.name,
        "revision": found.applied.revision,
        "release": found.release or None,
        "hosts": len(found.hosts),
        "windows": windows_json(environment),
        "serving": found.serving(),
        "releases": found.releases() if found.states else {},
        "running": [status_json(each) for each in found.running],
        "waits": [waiting_json(each) for waits in found.waits.values() for each in waits],
        "last": [deployment_json(each) for each in found.last],
    }


def _serving(state: KnownHost | None) -> Serving:
    return state.serving if state else Serving.NEW


def _release(state: KnownHost | None) -> str:
    return state.release if state and state.release else "-"
