"""The rows that a deployment which was only played in memory would have left in the catalog."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apollo.catalog.evidence import Evidence
from apollo.domain.plan import Plan, PlannedHost
from apollo.domain.rollback import RollbackTurn
from apollo.domain.status import Outcome
from tests.support.rollouts import Case, Times

OPENED = datetime(2026, 3, 2, 12, tzinfo=UTC)
BEGUN = OPENED + timedelta(minutes=1)
LONG_AGO = OPENED - timedelta(days=1)
UNIT = 60
"""Seconds: much longer than clocks may differ."""
_STEPS = [{"name": name, "exit": 0, "seconds": 1.0} for name in ("stop", "start")]
_UNDONE = [*_STEPS, {"name": "undo-start", "exit": 0, "seconds": 1.0}]


def at(moment: float) -> datetime:
    """A moment of the play."""
    return BEGUN + timedelta(seconds=UNIT * moment)


def evidence(
    case: Case,
    plan: Plan,
    times: Times,
    outcomes: Mapping[str, Outcome],
    rollback: Sequence[RollbackTurn] = (),
    back_times: Times | None = None,
    **deployment: Any,
) -> Evidence:
    """All turns of the rollback went well."""
    machines = {each.name: each for each in case.machines}
    backward = back_times or {}
    forward = [
        _row(row, "forward", times.get(row.host), outcomes.get(row.host)) for row in plan.hosts
    ]
    back = [_back(turn, backward.get(turn.host)) for turn in rollback]
    ends = [end for _, end in (*times.values(), *backward.values())]
    environment = {
        "application": "shop",
        "name": "prod",
        "fleet": case.fleet.model_dump(mode="json"),
        "strategy": {**case.strategy.model_dump(mode="json"), "max_failures": "100%"},
    }
    head = {
        "uuid": "one",
        "application": "shop",
        "environment": "prod",
        "number": 2,
        "kind": "deploy",
        "whole_fleet": True,
        "state": "rolled_back" if rollback else "halted",
        "detail": "",
        "request": {},
        "plan": plan.model_dump(mode="json", exclude={"hosts"}),
        "hosts": len(forward),
        "granted_ms": int(BEGUN.timestamp() * 1000),
        "opened_at": OPENED,
        "ended_at": at(max(ends, default=0)) + timedelta(minutes=1),
        **deployment,
    }
    return Evidence(
        deployment=head,
        hosts=(*forward, *back),
        applied=({"spec": environment, "applied_at": LONG_AGO},),
        releases=(),
        history=tuple(
            segment
            for name in sorted(machines)
            for segment in _history(
                case,
                name,
                [
                    (times.get(name), outcomes.get(name)),
                    (backward.get(name), Outcome.ROLLED_BACK),
                ],
            )
        ),
        audit=(_word("deploy"), _word("rollback")) if rollback else (_word("deploy"),),
        once=(),
        granted=(),
        foreign=(),
        good=tuple(
            {"host": turn.host, "ran": turn.manifest or "old", "manifest": None, "number": 1}
            for turn in rollback
            if turn.action == "restore"
        ),
    )


def _row(
    planned: PlannedHost,
    phase: str,
    time: tuple[float, float] | None,
    outcome: Outcome | None,
    before: int = 0,
) -> dict[str, Any]:
    had = time is not None and outcome is not None
    begin, end = time or (0, 0)
    steps = _UNDONE if outcome in (Outcome.REVERTED, Outcome.BROKEN) else _STEPS
    if outcome in (Outcome.CURRENT, Outcome.UNREACHABLE):
        steps = []
    record = {
        "began_at": at(begin).isoformat(),
        "seconds": (end - begin) * UNIT,
        "attempts": 1,
        "steps": steps,
    }
    well = outcome in (Outcome.UPDATED, Outcome.CURRENT)
    return {
        **planned.model_dump(),
        "deployment": "one",
        "phase": phase,
        "manifest": "new",
        "previous_manifest": "old",
        "ran": ("new" if well else "old") if had else None,
        "check_only": False,
        "outcome": str(outcome) if had else "not_started",
        "error": "HookFailed" if outcome and outcome.failure else "",
        "turns": before + had,
        "record": record if had else None,
        "ended_at": at(end) + timedelta(seconds=3) if had else None,
    }


def _back(turn: RollbackTurn, time: tuple[float, float] | None) -> dict[str, Any]:
    row = _row(_planned(turn), "rollback", time, Outcome.ROLLED_BACK, 1)
    check = turn.action == "check"
    if check and row["record"]:
        row["record"]["steps"] = []
    return {**row, "check_only": check, "manifest": turn.manifest, "ran": turn.manifest}


def _planned(turn: RollbackTurn) -> PlannedHost:
    return PlannedHost(
        order=turn.order,
        wave=1,
        batch=turn.batch,
        host=turn.host,
        location=turn.location,
        role=turn.role,
        group=turn.group,
        was_out=turn.already_out,
    )


def _history(
    case: Case, name: str, ends: Sequence[tuple[tuple[float, float] | None, Outcome | None]]
) -> list[dict[str, Any]]:
    machine = next(each for each in case.machines if each.name == name)
    found: list[dict[str, Any]] = [
        {
            "host": name,
            "from": LONG_AGO,
            "until": None,
            "serving": "broken" if machine.out else "serving",
            "failed_last": machine.failed,
            "disabled_reason": "off" if machine.disabled else None,
        }
    ]
    for time, outcome in ends:
        if time is not None and outcome is not None:
            learnt = at(time[1]) + timedelta(seconds=3)
            serving = str(outcome) if outcome.out else "serving"
            last = found[-1]
            then = {"from": learnt, "serving": serving, "failed_last": outcome.failure}
            found[-1:] = [{**last, "until": learnt}, {**last, **then}]
    return found


def _word(action: str) -> dict[str, Any]:
    return {
        "at": OPENED,
        "action": action,
        "identity": "ada",
        "reason": "why",
        "detail": {},
    }
