"""What is printed, of statuses made by hand."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from apollo.catalog.records import HostRow, StoredDeployment
from apollo.cli.differences import compare
from apollo.cli.render.changes import change_json, render_changes
from apollo.cli.render.live import Live, bar
from apollo.cli.render.marks import outcome_mark, serving_mark, state_mark
from apollo.cli.render.summary import next_steps, render_summary
from apollo.cli.render.terminal import clock, columns, count, names
from apollo.client import Status
from apollo.domain.status import DeploymentState, Outcome, Serving
from apollo.domain.turn import TurnRecord
from tests.support.catalogs import environment

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(host: str, outcome: str | None = None, **values: Any) -> HostRow:
    defaults = {
        "order": 1,
        "wave": 1,
        "batch": 1,
        "location": "fra1",
        "deployment": "u",
        "phase": "forward",
        "turns": 1 if outcome else 0,
        "ended_at": START if outcome else None,
    }
    return HostRow.model_validate({**defaults, "host": host, "outcome": outcome, **values})


def status(*rows: HostRow, state: str = "running", **values: Any) -> Status:
    deployment = StoredDeployment.model_validate(
        {
            "workflow_id": "w",
            "run_id": "r",
            "application": "shop",
            "environment": "prod",
            "release": "1.1",
            "previous_release": "1.0",
            "uuid": "u",
            "number": 7,
            "state": state,
            "plan": {"failures_allowed": 2},
            "opened_at": START,
            "ended_at": START + timedelta(seconds=130),
            **values,
        }
    )
    outcomes: dict[str, int] = {}
    for each in rows:
        word = str(each.outcome or "pending")
        outcomes[word] = outcomes.get(word, 0) + 1
    return Status(deployment, outcomes, rows)


def failed(host: str, message: str, **values: Any) -> HostRow:
    record = TurnRecord(
        host=host,
        outcome=Outcome.REVERTED,
        left="put back",
        hint="look",
        output="".join(f"line {n}\n" for n in range(9)),
    )
    given = {"error": "NotHealthy", "step": "verify", "message": message, "record": record}
    return row(host, "reverted", **given, **values)


def plain(lines: Any) -> list[str]:
    return [str(line) for line in lines]


def drawn(seen: Status | None, width: int = 100) -> list[str]:
    live, out = Live(), StringIO()
    live.status = seen
    Console(file=out, width=width).print(live)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_summary_groups_errors_by_what_they_say() -> None:
    rows = [failed(f"web{n}", f"web{n}: status {500 + n}, expected 200") for n in range(1, 8)]
    rows += [failed("web9", "web9: connection refused"), row("web10", "updated")]

    lines = plain(render_summary(status(*rows, state="halted", detail="8 hosts failed")))

    assert lines[:3] == [
        "shop/prod#7  1.0 -> 1.1  ✘ halted  in 2m10s",
        "  8 hosts failed",
        "  ✔ updated 1   ↩ reverted 8",
    ]
    assert lines[4:9] == [
        "  error[NotHealthy] in verify: 7 hosts: web1, web2, web3, web4, web5 and 2 more",
        "    web1: status 501, expected 200",
        "    left: put back",
        "    next: look",
        "    output on web1:",
    ]
    assert lines[9:14] == [f"      line {n}" for n in range(4, 9)]
    assert lines[15] == "  error[NotHealthy] in verify: 1 host: web9"


def test_what_hosts_say_cannot_steer_the_terminal() -> None:
    rude = failed("web1", "web1: \x1b[2J\x07 [bold]no[/bold]\nerror[Fake]")

    lines = plain(render_summary(status(rude, state="halted")))

    assert "    web1:  [2J  [bold]no[/bold] error[Fake]" in lines


@pytest.mark.parametrize(
    ("state", "first"),
    [
        ("succeeded", None),
        ("partial", "Hosts that still lack it: apollo deploy prod 1.1 --limit @outdated"),
        ("halted", "Go on, failed hosts first: apollo deploy prod 1.1"),
        ("rolled_back", "What runs now: apollo hosts prod"),
        ("refused", "Wait for it: apollo deploy prod 1.1 --if-busy wait"),
        ("awaiting", "Approve it: apollo approve prod"),
        ("paused", "Go on: apollo resume prod"),
        ("running", "Watch it: apollo watch prod"),
    ],
)
def test_every_state_has_its_next_step(state: str, first: str | None) -> None:
    steps = next_steps(status(state=state), "prod")

    assert next(iter(steps), None) == first


@pytest.mark.parametrize("state", ["awaiting", "paused"])
def test_what_windows_hold_goes_on_by_itself(state: str) -> None:
    shown = status(state=state, detail="outside its windows; opens 2026-11-25 09:00 UTC")
    assert next_steps(shown, "prod") == [
        "It goes on when a window opens.",
        "Or do not wait: apollo deploy prod 1.1 --override REASON --if-busy supersede",
    ]
    baking = status(state="baking", detail="outside its windows; opens 2026-11-25 09:00 UTC")
    assert next_steps(baking, "prod") == ["Watch it: apollo watch prod"]


def test_an_override_is_told_wherever_a_deployment_is() -> None:
    shown = status(request={"override": "the site is\ndown"})
    line = "  keeps to no window and waits for no approval: the site is down"
    assert line in plain(render_summary(shown))
    live = Live()
    live.status = shown
    assert line in "\n".join(map(str, live.__rich__().renderables))
    assert change_json(None, shown)["override"] == "the site is down"
    assert "keeps to no window" not in str(plain(render_summary(status())))


def test_the_way_back_is_told_only_if_it_leads_elsewhere() -> None:
    assert "Go back: apollo deploy prod 1.0" in next_steps(status(state="aborted"), "prod")
    assert "Go back" not in str(next_steps(status(state="aborted", previous_release="1.1"), "prod"))


def test_a_line_for_each_change_and_none_for_what_never_began() -> None:
    before = status(row("web1"), row("web2"), row("web3"))
    now = status(
        failed("web2", "web2: no", wave=2),
        row("web1", "updated", ended_at=START - timedelta(seconds=1)),
        row("web3", "not_started"),
        state="rolling_back",
        detail="1 host failed",
    )

    lines = plain(render_changes(before, now))

    assert lines[:2] == [
        "2026-03-01T11:59:59Z shop/prod#7 web1 (fra1) ✔ updated (wave 1)",
        "2026-03-01T12:00:00Z shop/prod#7 web2 (fra1) ↩ reverted NotHealthy in verify: web2: no",
    ]
    assert lines[2].endswith("shop/prod#7 ↩ rolling back 1.0 -> 1.1: 1 host failed")
    assert plain(render_changes(now, now)) == []


def test_a_host_that_is_tried_again_is_told_again() -> None:
    once = status(row("web1", "unreachable", turns=1))
    twice = status(row("web1", "updated", turns=2))

    assert len(plain(render_changes(once, twice))) == 1


def test_json_lines_hold_what_changed() -> None:
    before = status(row("web1", "updated"), row("web2"))
    now = status(row("web1", "updated"), row("web2", "updated"), state="succeeded")

    line = json.loads(json.dumps(change_json(before, now)))

    assert [host["host"] for host in line["hosts"]] == ["web2"]
    wanted = {"schema": 1, "deployment": "shop/prod#7", "ended": True, "exit_code": 0}
    assert wanted.items() <= line.items()
    assert change_json(None, before)["exit_code"] is None


def test_the_live_view_counts_waves_by_location() -> None:
    rows = [
        row("a1", "updated", wave=1),
        row("a2", "updated", wave=2),
        row("b1", wave=2, location="ams1"),
        row("a1", "rolled_back", phase="rollback"),
    ]

    assert drawn(None) == ["… waiting for a worker to take it up"]
    assert drawn(status(*rows)) == [
        "shop/prod#7  1.0 -> 1.1  ⟳ running  wave 2/2  ██████████░░░░░░ 2/3  failed 0/2  2m10s",
        "  ✔ wave 1    fra1 1/1",
        "  ⟳ wave 2    fra1 1/1  ams1 0/1",
        "  ✔ rollback  fra1 1/1",
    ]


def test_the_live_view_stays_small() -> None:
    rows = [failed(f"web{n}", "x" * 300, wave=n) for n in range(1, 41)]
    rows += [row("last", wave=41)]

    lines = drawn(status(*rows), width=60)

    assert len(lines) < 25
    assert max(map(len, lines)) <= 60
    assert lines[1] == "  ✔ 38 waves done"
    assert lines[-1].startswith("  ↩ reverted  web40 (fra1) NotHealthy in verify")


def test_every_state_has_a_symbol_and_a_word() -> None:
    marks = [
        *map(state_mark, DeploymentState),
        *map(outcome_mark, [*Outcome, None]),
        *map(serving_mark, Serving),
    ]

    assert all(mark.symbol and mark.word for mark in marks)


def test_small_words() -> None:
    spans = [0, 59, 60, 782, 3840]
    assert [clock(timedelta(seconds=n)) for n in spans] == ["0s", "59s", "1m00s", "13m02s", "1h04m"]
    assert [count(1, "host"), count(0, "host")] == ["1 host", "0 hosts"]
    assert names(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert [bar(0, 0), bar(1, 2), bar(3, 3)] == ["░" * 16, "█" * 8 + "░" * 8, "█" * 16]
    assert plain(columns([("a", "bb"), ("ccc", "✔ d", "e")], " ")) == [" a    bb", " ccc  ✔ d  e"]


def test_environments_are_compared_field_by_field() -> None:
    old = environment(2, variables={"A": "1", "B": "2"}, files={"x": ("a\nb\n", "0644")})
    new = environment(3, variables={"A": "1", "B": "3", "C": "4"})

    assert [(each.path, each.before, each.after) for each in compare(old, new)] == [
        ("variables.B", "2", "3"),
        ("files.x.text", "a\nb\n", None),
        ("files.x.mode", "0644", None),
        ("variables.C", None, "4"),
        ("hosts.web3", None, "10.0.0.3 in ams1"),
    ]
    assert list(compare(old, old)) == []
