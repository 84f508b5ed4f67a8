"""A promotion: a release goes from environment to environment along the pipeline."""

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, FailureError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo import names
    from apollo.activities.promotions import PromotionActivities
    from apollo.domain.deployment import DeploymentRequest
    from apollo.domain.pipeline import Stage
    from apollo.domain.promotion import (
        ENDS,
        GateAnswer,
        GateInput,
        PromotionEnd,
        PromotionOpen,
        PromotionRequest,
        PromotionResult,
        PromotionState,
        StageControl,
    )
    from apollo.domain.rollout import DeploymentResult
    from apollo.domain.status import DeploymentState
    from apollo.workflows.deployment import Deployment
    from apollo.workflows.inputs import one_input
    from apollo.workflows.options import quick
    from apollo.workflows.steered import Steered

CANCELLED = StageControl(reason="the promotion was cancelled")
LOOK_AGAIN = timedelta(days=1)
"""A closed gate is looked at this often at the least: what is applied may have changed."""


class Ended(Exception):
    """The promotion goes no further."""

    def __init__(self, state: PromotionState, detail: str) -> None:
        super().__init__(detail)
        self.state = state
        self.detail = detail


@workflow.defn(failure_exception_types=[ValidationError])
class Promotion(Steered):
    """Takes a release from stage to stage: gates, a deployment, a bake."""

    @workflow.init
    @one_input(least=0)
    def __init__(self, request: PromotionRequest = PromotionRequest()) -> None:
        super().__init__(request.application)
        self._request = request
        self._bake_until: datetime | None = None

    @workflow.run
    async def run(self, request: PromotionRequest = PromotionRequest()) -> PromotionResult:
        """Carry the promotion out. Cancelling it aborts the deployment that is under way."""
        work = asyncio.create_task(self._promote())
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                if self.passage.refusal("abort") is None:
                    self._obey("abort", CANCELLED, str(workflow.uuid4()))
        return work.result()

    async def _promote(self) -> PromotionResult:
        await self._open()
        if self.opened.nothing:
            return PromotionResult(
                application=self._request.application,
                release=self.opened.release,
                state=PromotionState.NOTHING_TO_DO,
                detail=self.opened.nothing,
            )
        courier = asyncio.create_task(self.carry_words())
        state, detail = PromotionState.SUCCEEDED, ""
        try:
            for index, stage in enumerate(self.opened.stages):
                self.passage.index = index
                await self._pass_gate(stage)
                await self._deploy(stage)
                await self._bake(stage)
        except (Ended, ActivityError) as end:
            state, detail = _ending(end)
            if not self.passage.stage.deployment:
                self.passage.update(state=str(state), since=workflow.now())
        # From here on every word comes too late, and is told so.
        self.passage.base, self.passage.detail, self.passage.held = state, detail, ""
        result = await workflow.execute_activity_method(
            PromotionActivities.end_promotion,
            PromotionEnd(
                promotion=self.opened.promotion,
                state=state,
                detail=detail,
                stages=self.passage.stages,
            ),
            **quick(str(state)),
        )
        await self.end_words(courier)
        return result

    async def _open(self) -> None:
        info = workflow.info()
        self.opened = await workflow.execute_activity_method(
            PromotionActivities.open_promotion,
            PromotionOpen(
                request=self._request,
                workflow_id=info.workflow_id,
                run_id=info.first_execution_run_id,
            ),
            **quick("choose the release and its stages"),
        )
        state = PromotionState.NOTHING_TO_DO if self.opened.nothing else PromotionState.WAITING
        updates: list[SearchAttributeUpdate[Any]] = [
            names.APPLICATION.value_set(self._request.application),
            names.RELEASE.value_set(self.opened.release),
            names.STATE.value_set(str(state)),
        ]
        workflow.upsert_search_attributes(updates)
        self.passage.open(self.opened.stages)
        self._bake_until = self.opened.bake_until

    async def _pass_gate(self, stage: Stage) -> None:
        """Return when nothing keeps the release from the stage, and it has left the gate."""
        passage = self.passage
        passage.go(PromotionState.WAITING, "", workflow.now())
        while True:
            looks = passage.looks
            gate = await self._ask(PromotionActivities.arrive_at_gate, stage, "arrive at the gate")
            if not await self._ready(stage, gate, looks):
                continue
            gate = await self._ask(PromotionActivities.leave_gate, stage, "leave the gate")
            if not gate.open:
                passage.go(PromotionState.WAITING, gate.why, workflow.now())
                await self._wait(looks, gate.until or workflow.now() + LOOK_AGAIN, gate.why)
            elif not passage.held:
                return

    async def _ready(self, stage: Stage, gate: GateAnswer, looks: int) -> bool:
        """Whether approval, bake and hold let the release on; not, when it must look again."""
        passage, where = self.passage, stage.environment
        if gate.approval and not passage.stage.approved_by:
            passage.go(PromotionState.AWAITING, f"{where} waits for approval", workflow.now())
            await self._until(lambda: bool(passage.stage.approved_by) or passage.looks != looks)
            passage.go(PromotionState.WAITING, "", workflow.now())
            if not passage.stage.approved_by:
                return False
        if self._bake_until and self._bake_until > workflow.now():
            detail = (
                f"the stage before {where} bakes until {self._bake_until:%Y-%m-%d %H:%M:%S} UTC"
            )
            passage.go(PromotionState.BAKING, detail, workflow.now())
            await self._wait(looks, self._bake_until, detail)
            passage.go(PromotionState.WAITING, "", workflow.now())
            return False
        if passage.held:
            await self._until(lambda: not passage.held or passage.looks != looks)
            return False
        return True

    async def _deploy(self, stage: Stage) -> None:
        """Deploy the release, with all rules of a deployment but the approval that it has."""
        passage, release = self.passage, self.opened.release
        request = DeploymentRequest(
            application=self._request.application,
            environment=stage.environment,
            release=release,
            approved=passage.stage.approved_by,
            if_busy="wait",
            by=self._request.by,
            reason=f"promotion of {release}: {self._request.reason}".removesuffix(": "),
        )
        place = self._request.application, stage.environment
        workflow_id = names.deployment_id(*place, str(workflow.uuid4()))
        passage.update(workflow_id=workflow_id)
        passage.go(PromotionState.DEPLOYING, "", workflow.now())
        child = await workflow.start_child_workflow(
            Deployment.run,
            request,
            id=workflow_id,
            static_summary=f"{place[0]}/{place[1]} {release}, promoted"[:200],
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        )
        label, state, detail = f"{place[0]}/{place[1]}", "failed", ""
        try:
            result = await self._result(child)
        except ChildWorkflowError as error:
            detail = _why(error)
        else:
            label, state, detail = result.label, str(result.state), result.detail
            self._bake_until = (result.ended_at or workflow.now()) + stage.bake
        passage.update(deployment=label, state=state, since=workflow.now())
        if state != DeploymentState.SUCCEEDED:
            ending = PromotionState.ABORTED if passage.stop else PromotionState.STOPPED
            told = f"{label} ended {state}" if detail == "" else f"{label} ended {state}: {detail}"
            raise Ended(ending, told)
        self._raise_if_stopped()

    async def _result(
        self, child: "workflow.ChildWorkflowHandle[Deployment, DeploymentResult]"
    ) -> DeploymentResult:
        """How the deployment ends, which is told when the promotion is cancelled."""
        await workflow.wait_condition(lambda: child.done() or self.passage.stop is not None)
        if not child.done():
            with contextlib.suppress(ApplicationError):  # it may just have ended
                await child.signal("abort", CANCELLED)
        return await child

    async def _bake(self, stage: Stage) -> None:
        passage = self.passage
        until = self._bake_until
        if until is None or until <= workflow.now():
            return
        ended = passage.stage.state
        detail = f"{stage.environment} bakes until {until:%Y-%m-%d %H:%M:%S} UTC"
        passage.go(PromotionState.BAKING, detail, workflow.now())
        try:
            while (left := until - workflow.now()) > timedelta(0):
                await self._until(lambda: False, left, detail)
        finally:
            passage.update(state=ended, since=workflow.now())

    async def _ask(self, activity: Any, stage: Stage, summary: str) -> GateAnswer:
        given = GateInput(
            promotion=self.opened.promotion,
            environment=stage.environment,
            now=workflow.now(),
        )
        answer: GateAnswer = await workflow.execute_activity_method(
            activity, given, **quick(f"{stage.environment}: {summary}")
        )
        if answer.superseded_by:
            detail = f"{answer.superseded_by} is newer, and is at {stage.environment} or past it"
            raise Ended(PromotionState.SUPERSEDED, detail)
        self._raise_if_stopped()
        return answer

    async def _wait(self, looks: int, until: datetime, what: str) -> None:
        """Wait until then, or until something calls for another look."""
        left = min(until - workflow.now(), LOOK_AGAIN)
        await self._until(lambda: self.passage.looks != looks, left, what)

    async def _until(
        self, condition: Any, timeout: timedelta | None = None, what: str = ""
    ) -> None:
        """Wait for the condition; whoever ends the promotion ends the wait.

        Raises:
            Ended: Somebody did.
        """
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: condition() or self.passage.stop is not None,
                timeout=timeout,
                timeout_summary=what[:100] or None,
            )
        self._raise_if_stopped()

    def _raise_if_stopped(self) -> None:
        if stop := self.passage.stop:
            raise Ended(ENDS[stop], self.passage.detail)


def _ending(end: Ended | ActivityError) -> tuple[PromotionState, str]:
    if isinstance(end, Ended):
        return end.state, end.detail
    cause = end.cause
    return PromotionState.STOPPED, cause.message if isinstance(cause, FailureError) else str(end)


def _why(error: ChildWorkflowError) -> str:
    cause: BaseException | None = error
    while cause and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    if isinstance(cause, ApplicationError):
        return cause.message
    return "it was ended from outside"
