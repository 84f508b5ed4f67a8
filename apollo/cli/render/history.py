"""Deployments and the audit, as a terminal and as JSON show them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from apollo.catalog.records import AuditEntry, StoredDeployment
from apollo.cli.render.marks import state_mark
from apollo.cli.render.terminal import Cell, clock, columns, moment, names
from apollo.files.mistakes import one_line

_PLAIN = ("detail", "release")
"""Details that need no word to explain them."""


def render_history(deployments: Sequence[StoredDeployment]) -> Iterator[Cell]:
    """One line each, the newest first."""
    rows: list[Sequence[Cell]] = [
        ("DEPLOYMENT", "STATE", "RELEASE", "HOSTS", "OPENED", "TOOK", "BY", "REASON")
    ]
    rows += [
        (
            each.label,
            state_mark(each.state).text(),
            change(each),
            str(each.hosts),
            moment(each.opened_at),
            took(each),
            one_line(each.by),
            one_line(each.reason),
        )
        for each in deployments
    ]
    yield from columns(rows)


def render_audit(entries: Sequence[AuditEntry]) -> Iterator[Cell]:
    """One line each, the newest first."""
    rows = [("TIME", "WHO", "IDENTITY", "WHAT", "OF", "REASON")]
    rows += [
        (
            moment(each.at),
            one_line(each.identity) or "unknown",
            each.identity_kind,
            deed(each),
            each.label or "-",
            one_line(each.reason),
        )
        for each in entries
    ]
    yield from columns(rows)


def deed(entry: AuditEntry) -> str:
    """`pace 20%`, `apply revision 3`, `hosts disable web1, web2`."""
    words = [entry.action]
    if entry.action == "deploy" and entry.release:
        words.append(entry.release)
    for key, value in entry.detail.items():
        shown = names([str(each) for each in value]) if isinstance(value, list) else str(value)
        words.append(shown if key in _PLAIN or isinstance(value, list) else f"{key} {shown}")
    return one_line(" ".join(words))


def audit_json(entry: AuditEntry) -> dict[str, Any]:
    """An entry as a JSON object."""
    document = entry.model_dump(mode="json", exclude={"control", "number", "release"})
    return {"label": entry.label or None, **document, "deployment": entry.deployment or None}


def change(deployment: StoredDeployment) -> str:
    """`1.4.1 -> 1.4.2`, `rollback 1.4.2 -> 1.4.1`, `restart 1.4.2`, `sync 1.4.2`."""
    if deployment.kind in ("restart", "sync"):
        return f"{deployment.kind} {deployment.release}"
    if deployment.kind == "rollback":
        return f"rollback {deployment.previous_release or 'nothing'} -> {deployment.release}"
    return f"{deployment.previous_release or 'nothing'} -> {deployment.release}"


def took(deployment: StoredDeployment) -> str:
    """How long it took, or has taken so far."""
    return clock((deployment.ended_at or datetime.now(UTC)) - deployment.opened_at)


def deployment_json(deployment: StoredDeployment) -> dict[str, Any]:
    """A deployment as a JSON object, without its hosts."""
    document = deployment.model_dump(mode="json", exclude={"granted_ms", "plan"})
    return {"label": deployment.label, **document}
