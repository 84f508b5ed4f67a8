"""What a later version of Apollo may make of the deployment: it begins with a pause."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo.domain.deployment import DeploymentRequest
    from apollo.domain.rollout import DeploymentResult
    from apollo.workflows.deployment import Deployment

NEXT = "next"
PAUSE = 0.2


@workflow.defn(name="Deployment", failure_exception_types=[ValidationError])
class PatchedDeployment(Deployment):
    """As we change workflows: those that have begun go on without the pause."""

    @workflow.run
    async def run(self, request: DeploymentRequest = DeploymentRequest()) -> DeploymentResult:
        if workflow.patched(NEXT):
            await workflow.sleep(PAUSE)
        return await super().run(request)


@workflow.defn(name="Deployment", failure_exception_types=[ValidationError])
class BrokenDeployment(Deployment):
    """As nobody may change them without builds: what has begun never had that pause."""

    @workflow.run
    async def run(self, request: DeploymentRequest = DeploymentRequest()) -> DeploymentResult:
        await workflow.sleep(PAUSE)
        return await super().run(request)
