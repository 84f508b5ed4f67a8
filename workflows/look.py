"""A look at an environment's hosts: how they compare with its current release."""

import asyncio
from collections.abc import Sequence

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo import names
    from apollo.activities.sync import LookActivities, SyncActivities
    from apollo.domain.deployment import DeploymentRequest
    from apollo.domain.sync import (
        Drift,
        Found,
        JudgeInput,
        Looked,
        LookInput,
        LookRequest,
        Page,
        Sight,
        Survey,
        SurveyInput,
        pages,
    )
    from apollo.workflows.inputs import one_input
    from apollo.workflows.options import looking, quick

PAGES_AT_ONCE = 8


@workflow.defn(failure_exception_types=[ValidationError])
class Look:
    """Asks every host what it runs; nothing is changed anywhere."""

    @workflow.init
    @one_input(least=0)
    def __init__(self, request: LookRequest = LookRequest()) -> None:
        self._gate = asyncio.Semaphore(PAGES_AT_ONCE)

    @workflow.run
    async def run(self, request: LookRequest = LookRequest()) -> Drift:
        """Look at the hosts by the page, and judge what was seen by the chunk."""
        request = LookRequest.model_validate(request)  # it may have been given anything
        drift = request.so_far or Drift()
        while True:
            given = SurveyInput(**request.model_dump(exclude={"so_far"}))
            survey = await workflow.execute_activity_method(
                SyncActivities.survey, given, **quick(f"hosts from {request.first} on")
            )
            seen = await self._judge(request, survey)
            drift = drift.plus([*survey.found, *seen]).model_copy(
                update={
                    "release": survey.release,
                    "revision": survey.revision,
                    "skipped": survey.skipped,
                }
            )
            if survey.next is None:
                return drift
            request = request.model_copy(
                update={"first": survey.next, "revision": survey.revision, "so_far": drift}
            )
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(request)

    async def _judge(self, request: LookRequest, survey: Survey) -> Sequence[Found]:
        turned = pages(survey.targets, survey.own_workers)
        seen = await asyncio.gather(*(self._look(request, survey, page) for page in turned))
        sights = tuple(sight for page in seen for sight in page)
        if not sights:
            return ()
        judged = await workflow.execute_activity_method(
            SyncActivities.judge,
            JudgeInput(
                application=request.application,
                environment=request.environment,
                release=survey.release,
                number=survey.number,
                revision=survey.revision,
                sights=sights,
            ),
            **quick(f"judge {len(sights)} hosts"),
        )
        return judged.found

    async def _look(self, request: LookRequest, survey: Survey, page: Page) -> Sequence[Sight]:
        given = LookInput(
            application=request.application,
            environment=request.environment,
            first_use=survey.first_use,
            targets=page.targets,
        )
        async with self._gate:
            try:
                looked: Looked = await workflow.execute_activity_method(
                    LookActivities.look, given, **looking(page)
                )
                return looked.sights
            except ActivityError as error:
                return [_unseen(target.host.name, error) for target in page.targets]


def _unseen(host: str, error: ActivityError) -> Sight:
    return Sight(host=host, error="NoWorker", message=f"nobody looked: {error.cause or error}")


async def look_first(request: DeploymentRequest) -> Drift:
    """Look at the hosts before a sync, in a workflow of its own: its history may be long."""
    return await workflow.execute_child_workflow(
        Look.run,
        LookRequest(
            application=request.application,
            environment=request.environment,
            limit=request.limit,
            check=False,
        ),
        id=names.look_id(workflow.info().workflow_id),
        static_summary=f"what {request.application}/{request.environment} runs"[:200],
    )
