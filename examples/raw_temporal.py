"""The same with nothing but Temporal's own SDK: what any language with an SDK can do.

python examples/raw_temporal.py shop prod 1.4.2
"""

import asyncio
import os
import sys
from typing import Any

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError


async def main(application: str, environment: str, release: str) -> int:
    """Start, steer, describe, wait and list."""
    client = await Client.connect(os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
    deployment: WorkflowHandle[Any, Any] = await client.start_workflow(
        "Deployment",
        {"application": application, "environment": environment, "release": release, "by": "ci"},
        id=f"deployment/{application}/{environment}/build-4711",
        task_queue="apollo",
    )

    await deployment.signal("pause", {"by": "ci", "reason": "a signal gets no answer"})
    print(await deployment.execute_update("resume", {"by": "ci", "reason": "an update does"}))
    try:
        await deployment.execute_update("resume")
    except WorkflowUpdateFailedError as error:
        print("refused:", error.cause)

    result = await deployment.result()
    print(result["label"], result["state"], result["outcomes"])

    found = await deployment.describe()
    for key, value in sorted(found.search_attributes.items()):
        print(key, value[0])

    running = f"ApolloApplication = '{application}' AND ExecutionStatus = 'Running'"
    print(len([each async for each in client.list_workflows(running)]), "deployments run")
    return 0 if result["state"] == "succeeded" else 3


if __name__ == "__main__":
    code = asyncio.run(main(*sys.argv[1:]))
    sys.stdout.flush()
    os._exit(code)  # the SDK's threads may crash a Python that tears itself down
