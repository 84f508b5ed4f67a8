"""A plan, as a terminal and as JSON show it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from apollo.cli.render.once import planned
from apollo.cli.render.terminal import SCHEMA, Cell, columns, count, names
from apollo.cli.render.windows import windows_json, windows_text
from apollo.domain.base import format_duration
from apollo.domain.plan import Plan, PlannedHost, PlannedWave
from apollo.prepared import Prepared

_NAMED = 8


def render_plan(prepared: Prepared) -> Iterator[Cell]:
    """What goes where, wave by wave, and what may surprise."""
    plan = prepared.plan
    yield _heading(prepared)
    yield ""
    rows = [_wave(plan, wave) for wave in plan.waves]
    current = [host.host for host in plan.hosts if host.expected_current]
    if current:
        told = f"{names(current, _NAMED)}   expected on {prepared.release.version} already"
        rows.append(("current", count(len(current), "host"), told, ""))
    yield from columns(rows, indent="  ")
    if prepared.once:
        yield from columns(planned(prepared.once), indent="  ")
    if windows := windows_text(prepared.environment):
        yield f"  windows   {windows}"
    for warning in plan.warnings:
        yield Text(f"  warn   {warning}", style="yellow")


def _heading(prepared: Prepared) -> str:
    plan, environment = prepared.plan, prepared.environment
    fleet = environment.fleet
    healthy = len(fleet.hosts) - plan.allowance.fleet
    parts = [
        f"{environment.application} on {environment.name}: {_change(prepared)}",
        f"{count(len(plan.hosts), 'host')}, {count(len(fleet.locations()), 'location')}, "
        f"{environment.strategy.spread.replace('_', ' ')}, "
        f"at most {plan.allowance.fleet} out (min healthy {healthy})",
    ]
    if environment.approval:
        parts.append("waits for approval first")
    return "   ".join(parts)


def _change(prepared: Prepared) -> str:
    if prepared.restart:
        return f"restart {prepared.release.version}"
    return f"{prepared.previous_release or 'nothing'} -> {prepared.release.version}"


def _wave(plan: Plan, wave: PlannedWave) -> tuple[str, ...]:
    hosts = [host for host in plan.hosts if host.wave == wave.number]
    after = []
    if wave.bake:
        after.append(f"then bake {format_duration(wave.bake)}")
    gate = "after approval" if wave.approval else ""
    notes = ", ".join([*([gate] if gate else []), *after])
    return f"wave {wave.number}", count(wave.hosts, "host"), _who(hosts), notes


def _who(hosts: Sequence[PlannedHost]) -> str:
    if len(hosts) <= _NAMED:
        return "  ".join(host.host for host in hosts)
    places = Counter(host.location for host in hosts)
    return "  ".join(f"{place} {number}" for place, number in places.items())


def plan_json(prepared: Prepared) -> dict[str, Any]:
    """A plan as a JSON document."""
    return {
        "schema": SCHEMA,
        "application": prepared.environment.application,
        "environment": prepared.environment.name,
        "revision": prepared.revision,
        "release": prepared.release.version,
        "previous_release": prepared.previous_release or None,
        "approval": prepared.environment.approval,
        "windows": windows_json(prepared.environment),
        "once": [each.model_dump(mode="json") for each in prepared.once],
        **prepared.plan.model_dump(mode="json"),
    }
