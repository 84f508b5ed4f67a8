"""`apollo show`."""

from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from apollo.cli.exits import BUG
from apollo.cli.links import temporal_link
from apollo.cli.misuse import Misused
from apollo.cli.options import Env, Json
from apollo.cli.places import Place, place_of
from apollo.cli.render.deployment import render_deployment, story_json
from apollo.cli.render.proof import proof_json, render_proof
from apollo.cli.render.summary import next_steps
from apollo.cli.render.terminal import show as print_data
from apollo.cli.render.terminal import show_json, talk
from apollo.cli.render.turn import render_host
from apollo.cli.session import connected
from apollo.client import DeploymentHandle, Status
from apollo.errors import NotFound
from apollo.proof import Verdict

OneHost = Annotated[str, Parameter(name="--host", help="All about this host: steps and output.")]
Prove = Annotated[bool, Parameter(help="Whether it kept each rule, told from the catalog alone.")]
All = Annotated[bool, Parameter(name="--all", help="All hosts, not the first of each outcome.")]


async def show(
    env: Env,
    /,
    *,
    host: OneHost = "",
    prove: Prove = False,
    all_: All = False,
    json: Json = False,
) -> int:
    """Show a deployment: ENV#7, or the last of ENV."""
    place = place_of(env)
    if prove and host:
        raise Misused("--prove judges whole deployments", hint="leave --host out")
    async with connected() as apollo:
        handle = await apollo.deployment(place.application, place.environment, place.number)
        if prove:
            return await _prove(handle, everything=all_, json=json)
        status, said = await handle.status(), await handle.audit()
        once = await handle.once()
    if status is None:
        raise NotFound(f"{place.label} has no such deployment")
    if host:
        status = _only(status, host)
    if json:
        show_json(story_json(status, said, once))
        return 0
    if host:
        print_data(render_host(status))
        return 0
    print_data(render_deployment(status, said, once, everything=all_))
    _advise(status, place, temporal_link(apollo.settings, handle.workflow_id))
    return 0


async def _prove(handle: DeploymentHandle, *, everything: bool, json: bool) -> int:
    """A broken rule is a bug of Apollo, or a catalog that somebody has changed."""
    status, judged = await handle.status(), await handle.prove()
    assert status, "the catalog has just named it"
    if json:
        show_json(proof_json(status.deployment, judged))
    else:
        print_data(render_proof(status.deployment, judged, everything=everything))
    return BUG if any(each.verdict is Verdict.BROKEN for each in judged) else 0


def _only(status: Status, host: str) -> Status:
    rows = tuple(row for row in status.rows if row.host == host)
    if not rows:
        label = status.deployment.label
        raise NotFound(f"{label} planned no host {host}", hint=f"apollo show {label} --all")
    return replace(status, rows=rows)


def _advise(status: Status, place: Place, link: str) -> None:
    talk(*(f"  {step}" for step in next_steps(status, place.word)))
    if link:
        talk(f"  Temporal: {link}")
