"""The whole story of a deployment, bounded however large its fleet was."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.text import Text

from apollo.catalog.records import AuditEntry, HostRow, StoredDeployment, StoredOutput
from apollo.cli.render.changes import status_json
from apollo.cli.render.history import audit_json, deed, deployment_json
from apollo.cli.render.marks import outcome_mark
from apollo.cli.render.once import facts, once_json
from apollo.cli.render.rows import ErrorGroup, errors, outcomes_in_order
from apollo.cli.render.summary import GROUPS, render_errors, render_heading
from apollo.cli.render.terminal import Cell, clock, columns, count, moment, names
from apollo.cli.render.turn import render_slowest, seconds, span, step_words, turn_json
from apollo.client import Status
from apollo.domain.status import Outcome
from apollo.files.mistakes import one_line

_HOSTS = 5
"""Hosts of each outcome that are shown."""
_SAID = 30
"""Words that were said to it that are shown."""
_WORST_FIRST = (
    Outcome.BROKEN,
    Outcome.LOST,
    Outcome.REVERTED,
    Outcome.UNREACHABLE,
    None,
    Outcome.NOT_STARTED,
    Outcome.SKIPPED,
    Outcome.ROLLED_BACK,
    Outcome.UPDATED,
    Outcome.CURRENT,
)


@dataclass(frozen=True)
class WaveStory:
    """A wave, or the rollback: its hosts, when it began and ended."""

    title: str
    rows: list[HostRow]

    @property
    def began(self) -> datetime | None:
        """When its first turn began; none when nobody can tell."""
        return min((row.started_at for row in self.rows if row.started_at), default=None)

    @property
    def ended(self) -> datetime | None:
        """When its last turn had ended; none while one has not."""
        ends = [row.ended_at for row in self.rows if row.outcome is not Outcome.NOT_STARTED]
        found = [end for end in ends if end]
        return max(found) if found and len(found) == len(ends) else None

    @property
    def outcomes(self) -> dict[str, int]:
        """How its hosts came out."""
        return dict(Counter(str(row.outcome or "pending") for row in self.rows))


def waves(rows: Sequence[HostRow]) -> list[WaveStory]:
    """The waves in order, then the rollback."""
    groups: dict[str, list[HostRow]] = {}
    for row in rows:
        title = f"wave {row.wave}" if row.phase == "forward" else "rollback"
        groups.setdefault(title, []).append(row)
    return [WaveStory(title, found) for title, found in groups.items()]


def render_deployment(
    status: Status,
    said: Sequence[AuditEntry],
    once: Sequence[StoredOutput] = (),
    *,
    everything: bool = False,
) -> Iterator[Cell]:
    """What was changed by whom, what happened when, what failed, and on which hosts."""
    deployment, rows = status.deployment, status.rows
    yield from render_heading(status)
    told = [*_facts(deployment, said), *facts(deployment, once)]
    yield from columns(told, indent="  ")
    found = waves(rows)
    yield ""
    yield from columns([_event(at, what) for at, what in _shown(timeline(deployment, found, said))])
    if found:
        yield ""
        yield from columns(_waves(found))
    yield from render_errors(errors(rows), most=len(rows) if everything else GROUPS)
    if attached := [row for row in rows if row.attached]:
        whose = [f"{row.host} in {', '.join(row.attached)}" for row in attached]
        most = len(whose) if everything else _HOSTS
        yield ""
        yield f"attached again after contact was lost: {names(whose, most)}"
    if slowest := list(render_slowest(rows)):
        yield ""
        yield from slowest
    yield from _hosts(rows, everything)


def _facts(deployment: StoredDeployment, said: Sequence[AuditEntry]) -> Iterator[tuple[str, str]]:
    started = next((each for each in said if each.action == "deploy"), None)
    kind = f" ({started.identity_kind})" if started else ""
    yield "by", f"{one_line(deployment.by) or 'unknown'}{kind}"
    if deployment.reason:
        yield "reason", one_line(deployment.reason)
    yield "opened", moment(deployment.opened_at)
    if deployment.started_at:
        waited = clock(deployment.started_at - deployment.opened_at)
        yield "started", f"{moment(deployment.started_at)}, after {waited}"
    if deployment.ended_at:
        yield "ended", moment(deployment.ended_at)
    yield "planned", f"{count(deployment.hosts, 'host')}, revision {deployment.revision}"


def timeline(
    deployment: StoredDeployment, found: Sequence[WaveStory], said: Sequence[AuditEntry]
) -> list[tuple[datetime, str]]:
    """What happened and what was said, in the order of time."""
    events = [(deployment.opened_at, "opened")]
    if deployment.started_at:
        events.append((deployment.started_at, "started"))
    for wave in found:
        if wave.began:
            events.append((wave.began, f"{wave.title} began: {count(len(wave.rows), 'host')}"))
        if wave.ended:
            ends = (f"{word.replace('_', ' ')} {n}" for word, n in outcomes_in_order(wave.outcomes))
            events.append((wave.ended, f"{wave.title} ended: {', '.join(ends)}"))
    for entry in said:
        if entry.action != "deploy":
            who = one_line(entry.identity) or "unknown"
            why = f": {one_line(entry.reason)}" if entry.reason else ""
            events.append((entry.at, f"{who} ({entry.identity_kind}) said {deed(entry)}{why}"))
    if deployment.ended_at:
        detail = f": {one_line(deployment.detail)}" if deployment.detail else ""
        events.append((deployment.ended_at, f"ended {deployment.state}{detail}"))
    return sorted(events, key=lambda event: event[0])


def _shown(events: list[tuple[datetime, str]]) -> list[tuple[datetime | None, str]]:
    """The first and the last events, when there are very many."""
    if len(events) <= _SAID:
        return list(events)
    half = _SAID // 2
    left_out = f"… {count(len(events) - _SAID, 'event')}; all are in --json"
    return [*events[:half], (None, left_out), *events[-half:]]


def _event(at: datetime | None, what: str) -> Sequence[Cell]:
    return moment(at) if at else "", what


def _waves(found: Sequence[WaveStory]) -> Iterator[Sequence[Cell]]:
    yield "WAVE", "HOSTS", "BEGAN", "TOOK", "OUTCOMES"
    for wave in found:
        took = clock(wave.ended - wave.began) if wave.began and wave.ended else "-"
        marks = [outcome_mark(word).text(f" {n}") for word, n in outcomes_in_order(wave.outcomes)]
        yield (
            wave.title,
            str(len(wave.rows)),
            moment(wave.began),
            took,
            Text("   ").join(marks),
        )


def _hosts(rows: Sequence[HostRow], everything: bool) -> Iterator[Cell]:
    groups: dict[tuple[str, Outcome | None], list[HostRow]] = {}
    for row in rows:
        groups.setdefault((row.phase, row.outcome), []).append(row)
    order = {outcome: place for place, outcome in enumerate(_WORST_FIRST)}
    for phase, outcome in sorted(groups, key=lambda key: (key[0], order[key[1]])):
        group = groups[phase, outcome]
        back = " in the rollback" if phase == "rollback" else ""
        yield ""
        yield outcome_mark(outcome).text(f"{back}: {count(len(group), 'host')}")
        shown = group if everything else group[:_HOSTS]
        yield from columns(map(_host, shown), indent="  ")
        if left := len(group) - len(shown):
            yield f"  and {left} more: --all shows them"


def _host(row: HostRow) -> Sequence[Cell]:
    again = f"turn {row.turns}" if row.turns > 1 else ""
    wave = f"wave {row.wave}" if row.phase == "forward" else ""
    return row.host, row.location, wave, span(seconds(row)), again, step_words(row)


def story_json(
    status: Status, said: Sequence[AuditEntry], once: Sequence[StoredOutput] = ()
) -> dict[str, Any]:
    """A deployment with its waves, errors, words and all its hosts."""
    found = waves(status.rows)
    events = timeline(status.deployment, found, said)
    return {
        **deployment_json(status.deployment),
        **status_json(status),
        "waves": [_wave_json(wave) for wave in found],
        "once": once_json(status.deployment, once),
        "errors": [_error_json(group) for group in errors(status.rows)],
        "timeline": [{"at": moment(at), "what": what} for at, what in events],
        "audit": [audit_json(entry) for entry in said],
        "hosts": [turn_json(row) for row in status.rows],
    }


def _wave_json(wave: WaveStory) -> dict[str, Any]:
    began = moment(wave.began) if wave.began else None
    ended = moment(wave.ended) if wave.ended else None
    return {
        "title": wave.title,
        "hosts": len(wave.rows),
        "began_at": began,
        "ended_at": ended,
        "outcomes": wave.outcomes,
    }


def _error_json(group: ErrorGroup) -> dict[str, Any]:
    said = group.signature
    return {
        "title": said.title,
        "error": said.error,
        "step": said.step,
        "exit": said.exit,
        "phase": group.phase,
        "message": group.rows[0].message,
        "count": len(group.rows),
        "hosts": group.hosts,
    }
