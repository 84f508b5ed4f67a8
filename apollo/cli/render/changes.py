"""What changed between two looks at a deployment: lines for logs, JSON for programs."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from apollo.catalog.records import HostRow
from apollo.cli.exits import exit_code
from apollo.cli.render.history import change
from apollo.cli.render.marks import outcome_mark, state_mark
from apollo.cli.render.terminal import SCHEMA, Cell, moment
from apollo.cli.render.windows import override_of
from apollo.client import Status
from apollo.domain.status import Outcome
from apollo.files.mistakes import one_line


def changed_rows(before: Status | None, now: Status) -> list[HostRow]:
    """Hosts whose turn, forward or back, has ended since."""
    ended = (
        {(row.phase, row.host): row.turns for row in before.rows if row.outcome} if before else {}
    )
    return [
        row for row in now.rows if row.outcome and ended.get((row.phase, row.host)) != row.turns
    ]


def render_changes(before: Status | None, now: Status) -> Iterator[Cell]:
    """One line with a time for each change; what never began is in the summary."""
    deployment = now.deployment
    for row in sorted(changed_rows(before, now), key=_ended):
        if row.outcome is not Outcome.NOT_STARTED:
            line = Text(f"{moment(_ended(row))} {deployment.label} {row.host} ({row.location}) ")
            line.append_text(outcome_mark(row.outcome).text())
            yield line.append(_more(row))
    last = before.deployment if before else None
    if last is None or (last.state, last.detail) != (deployment.state, deployment.detail):
        line = Text(f"{moment(datetime.now(UTC))} {deployment.label} ")
        line.append_text(state_mark(deployment.state).text())
        detail = f": {one_line(deployment.detail)}" if deployment.detail else ""
        yield line.append(f" {change(deployment)}{detail}")


def _ended(row: HostRow) -> datetime:
    return row.ended_at or datetime.now(UTC)


def _more(row: HostRow) -> str:
    if row.error:
        return f" {row.error} in {row.step}: {one_line(row.message)}"
    return f" (wave {row.wave})" if row.phase == "forward" else " (rollback)"


def status_json(status: Status) -> dict[str, Any]:
    """Where a deployment stands, without its hosts."""
    deployment = status.deployment
    return {
        "schema": SCHEMA,
        "deployment": deployment.label,
        "uuid": deployment.uuid,
        "workflow_id": deployment.workflow_id,
        "state": deployment.state,
        "detail": deployment.detail,
        "ended": deployment.state.ended,
        "exit_code": exit_code(deployment.state) if deployment.state.ended else None,
        "release": deployment.release,
        "previous_release": deployment.previous_release or None,
        "override": override_of(deployment) or None,
        "outcomes": status.outcomes,
    }


def change_json(before: Status | None, now: Status) -> dict[str, Any]:
    """A line of `watch --json`: where it stands, and the hosts that have ended since the last."""
    rows = [row_json(row) for row in changed_rows(before, now)]
    return {"time": moment(datetime.now(UTC)), **status_json(now), "hosts": rows}


def row_json(row: HostRow) -> dict[str, Any]:
    """A host's turn, forward or back."""
    keep = {"host", "location", "role", "phase", "wave", "batch", "outcome", "error", "step"}
    return row.model_dump(mode="json", include=keep | {"message", "turns", "ended_at"})
