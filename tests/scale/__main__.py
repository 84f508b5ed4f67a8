"""`make scale`: deployments to ever more simulated hosts, and whether the targets are met."""

import asyncio
import os
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from apollo.settings import leave
from tests.scale.measure import Measured, measure
from tests.scale.planning import plan_seconds
from tests.scale.report import PLAN_HOSTS, heading, row, targets

SIZES = "100,1000,10000,10000,10000"


async def main() -> bool:
    """Measure what HOSTS asks for, print it; whether all targets are met."""
    seed = int(os.environ.get("APOLLO_SEED") or random.randrange(1_000_000))
    sizes = [int(size) for size in os.environ.get("HOSTS", SIZES).replace("_", "").split(",")]
    say(f"APOLLO_SEED={seed}, {os.cpu_count()} processors\n")
    planned = plan_seconds(PLAN_HOSTS)
    say(heading())
    runs: list[Measured] = []
    for number, size in enumerate(sizes):
        with TemporaryDirectory(prefix="apollo-scale-") as folder:
            runs.append(await measure(Path(folder), size, seed + sizes[:number].count(size)))
        say(row(runs[-1]))
    say("")
    for run in runs:
        say(f"{run.hosts:,} hosts: {run.result.state}, {run.result.outcomes}, {run.result.errors}")
    say("")
    found = targets(runs, planned)
    for target in found:
        say(f"{'met   ' if target.met else 'MISSED'}  {target.what}: {target.found}")
    return all(target.met for target in found)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    leave(0 if asyncio.run(main()) else 3)
