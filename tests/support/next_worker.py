"""`python -m tests.support.next_worker`: a worker of a later version, as `NEXT_CODE` says."""

import asyncio
import os

from apollo.settings import Settings, leave
from apollo.workers import worker
from apollo.workflows.deployment import Deployment
from tests.support.next_code import BrokenDeployment, PatchedDeployment

CODES: dict[str, type] = {"patched": PatchedDeployment, "broken": BrokenDeployment}

if __name__ == "__main__":
    code = CODES[os.environ["NEXT_CODE"]]
    worker.WORKFLOWS = tuple(  # type: ignore[assignment]
        code if each is Deployment else each for each in worker.WORKFLOWS
    )
    asyncio.run(worker.run_worker(Settings()))
    leave(0)
