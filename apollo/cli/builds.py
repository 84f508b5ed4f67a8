"""`apollo cluster versions|switch`: the builds of the workers."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

from cyclopts import Parameter

from apollo.cli.misuse import Misused
from apollo.cli.options import Json, Reason
from apollo.cli.render.terminal import Cell, columns, count, names, show, show_json, talk
from apollo.cli.session import connected
from apollo.client import Apollo
from apollo.domain.base import parse_duration
from apollo.versions import Version, queues_needed, switch, versions

Build = Annotated[str, Parameter(help="What APOLLO_BUILD_ID of its workers says.")]
Wait = Annotated[str, Parameter(help="How long its workers may take to come.", show_default=True)]
Force = Annotated[bool, Parameter(help="Also when no worker of it polls a queue that is needed.")]


async def listing(*, json: Json = False) -> int:
    """List the workers' builds: which is current, what ends on which, which may go."""
    async with connected() as apollo:
        found = await versions(await apollo.temporal(), await _queues(apollo))
    if json:
        show_json({"versions": [_document(each) for each in found]})
    elif found:
        show(_table(found))
        if not any(each.current for each in found):
            talk(f"None is current, nothing begins on them: apollo cluster switch {found[0].build}")
    else:
        talk("No worker has a build: APOLLO_BUILD_ID is not set. See docs/cluster.md, Upgrades.")
    return 0


async def switch_to(
    build: Build,
    /,
    *,
    wait: Wait = "30s",
    force: Force = False,
    reason: Reason = "",
    json: Json = False,
) -> int:
    """Let deployments begin on another build of the workers."""
    try:
        patience: timedelta = parse_duration(wait)
    except ValueError as error:
        raise Misused(f"--wait {wait}: {error}", hint="write 30s or 2m") from error
    async with connected() as apollo:
        queues, by = await _queues(apollo), apollo.settings.who
        client = await apollo.temporal()
        done = await switch(client, build, queues, by=by, wait=patience, force=force)
        detail = {"build": build, "previous": done.previous or "none"}
        await apollo.catalog.audit.add("cluster switch", by=by, reason=reason, detail=detail)
        found = await versions(client, queues)
    if json:
        show_json({**asdict(done), "versions": [_document(each) for each in found]})
        return 0
    was = f"; it was {done.previous}" if done.previous not in ("", build) else ""
    talk(f"✔ deployments begin on build {build}{was}")
    for each in found:
        if each.build == done.previous != build:
            talk(_afterwards(each))
    return 0


async def _queues(apollo: Apollo) -> list[str]:
    return queues_needed([each.environment for each in await apollo.catalog.environments.list()])


def _table(found: Sequence[Version]) -> Iterator[Cell]:
    rows = [("BUILD", "STATE", "ENDS ON IT", "ITS WORKERS POLL")]
    rows += [
        (each.build, _state(each), _running(each), names(each.queues) or "nothing")
        for each in found
    ]
    yield from columns(rows)


def _state(version: Version) -> str:
    if version.current:
        return "current"
    return "may be taken down" if version.needless else "keep its workers"


def _running(version: Version) -> str:
    if not version.running:
        return "nothing"
    return names(version.deployments) or count(version.running, "workflow")


def _afterwards(version: Version) -> str:
    if version.needless:
        return f"Nothing ends on build {version.build}: its workers may be taken down."
    return (
        f"{_running(version)} still {'ends' if len(version.deployments) < 2 else 'end'} on build "
        f"{version.build}: keep its workers until apollo cluster versions says that they may go."
    )


def _document(version: Version) -> dict[str, object]:
    return {**asdict(version), "may_be_taken_down": version.needless}
