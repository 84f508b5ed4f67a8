"""Deploy a release from Python, steer it, and look at what happened.

python examples/client.py shop prod 1.4.2
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from apollo import Apollo, ApolloError, DeploymentHandle
from apollo.settings import leave


async def deploy(apollo: Apollo, application: str, environment: str, release: str) -> int:
    """Deploy, pause and resume on the way, and tell how it ended."""
    prepared = await apollo.plan(application, environment, release)
    print(f"{len(prepared.plan.hosts)} hosts in {len(prepared.plan.waves)} waves")

    deployment = await apollo.deploy(application, environment, release, reason="an example")
    await steer(deployment)
    async for status in deployment.watch():
        print(status.deployment.label, status.deployment.state, status.outcomes)
    result = await deployment.result()

    print(f"{result.label} ended {result.state}: {result.outcomes}")
    for row in await deployment.rows():
        steps = ", ".join(step.name for step in row.record.steps) if row.record else ""
        print(f"  {row.host} in {row.location}: {row.outcome} {row.error} {steps}".rstrip())
    for entry in await deployment.audit():
        print(f"  {entry.identity} ({entry.identity_kind}) said {entry.action}: {entry.reason}")
    return 0 if result.state == "succeeded" else 3


async def steer(deployment: DeploymentHandle) -> None:
    """Pause and go on: a word that makes no sense now raises Refused and changes nothing."""
    print("paused; it is", (await deployment.pause(reason="is it lunch already?")).split()[-1])
    await deployment.resume(reason="it is not")


async def look(apollo: Apollo, application: str, environment: str, release: str) -> None:
    """What has happened, and what runs where: the catalog answers, Temporal is not asked."""
    since = datetime.now(UTC) - timedelta(days=30)
    for past in await apollo.history(application, environment, since=since):
        print(f"{past.label} {past.release} {past.state} by {past.by}")
    for reach in (await apollo.reach(application, [release])).get(release, []):
        print(f"{release} reached {reach.environment} at {reach.reached_at}: {reach.hosts} hosts")
    for name, host in (await apollo.hosts(application, environment)).items():
        print(f"{name} {host.serving} {host.release} since {host.since:%H:%M:%S}")
    last_week = await apollo.hosts(application, environment, at=since)
    print(f"{len(last_week)} hosts were known a month ago")


async def main(application: str, environment: str, release: str) -> int:
    """Everything, with one connection."""
    async with Apollo.connect() as apollo:
        code = await deploy(apollo, application, environment, release)
        await look(apollo, application, environment, release)
    return code


if __name__ == "__main__":
    try:
        code = asyncio.run(main(*sys.argv[1:]))
    except ApolloError as error:
        print(f"{error.code}: {error.message}; {error.hint}", file=sys.stderr)
        code = error.exit_code
    leave(code)  # the Temporal SDK's threads may crash a Python that tears itself down
