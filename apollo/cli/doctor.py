"""`apollo doctor`."""

from typing import Annotated, Literal

from cyclopts import Parameter

from apollo.cli.options import Env, Json
from apollo.cli.render.doctor import findings_json, render_findings
from apollo.cli.render.terminal import show, show_json
from apollo.cli.settings import read_settings
from apollo.doctor.finding import Finding
from apollo.doctor.worker import check_pulse

Worker = Annotated[
    Literal["control", "hosts", "all"] | None,
    Parameter(help="Only whether this machine's worker of that role is alive: for health checks."),
]


async def doctor(env: Env = "", /, *, worker: Worker = None, json: Json = False) -> int:
    """Look at what Apollo needs, and at one environment."""
    found = check_pulse(read_settings().home, worker) if worker else await _all(env)
    if json:
        show_json(findings_json(found))
    else:
        show(render_findings(found))
    return 1 if any(each.grade == "bad" for each in found) else 0


async def _all(env: str) -> list[Finding]:
    # What follows is slow to load, and a health check does without it.
    from apollo.cli.diagnosis import diagnose
    from apollo.cli.places import environment_of

    return await diagnose(environment_of(env) if env else None)
