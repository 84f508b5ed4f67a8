"""A deployment: an environment is brought to a release, wave by wave, or back."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo import names
    from apollo.activities.deployments import DeploymentActivities
    from apollo.domain.deployment import Control, DeploymentRequest
    from apollo.domain.once import OnceLoad, When
    from apollo.domain.rollout import (
        CloseInput,
        DeploymentResult,
        Ending,
        LeaseAnswer,
        LeaseInput,
        OpenInput,
        WaveOutline,
    )
    from apollo.domain.status import DeploymentState
    from apollo.domain.sync import Drift, left_for_a_person, summary
    from apollo.workflows.alarms import Vigil
    from apollo.workflows.batches import Batches, Ended
    from apollo.workflows.inputs import one_input
    from apollo.workflows.look import look_first
    from apollo.workflows.once import Once
    from apollo.workflows.options import quick, waiting
    from apollo.workflows.windows import Watch

CANCELLED = Control(reason="the workflow was cancelled")


@workflow.defn(failure_exception_types=[ValidationError])
class Deployment(Batches):
    """Opens, waits for gates and lease, runs waves of batches, bakes, rolls back, closes."""

    @workflow.init
    @one_input(least=0)
    def __init__(self, request: DeploymentRequest = DeploymentRequest()) -> None:
        super().__init__()
        self._request = request
        self._watch: Watch | None = None
        self._vigil: Vigil | None = None
        self._drift: Drift | None = None
        self._untouched = False
        self._remark = ""

    @workflow.run
    async def run(self, request: DeploymentRequest = DeploymentRequest()) -> DeploymentResult:
        """Carry the deployment out. Cancelling it is `abort`: turns in flight end."""
        work = asyncio.create_task(self._deploy())
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                if self.controls.refusal("abort") is None:
                    self._obey("abort", CANCELLED, str(workflow.uuid4()))
        return work.result()

    async def _deploy(self) -> DeploymentResult:
        if getattr(self._request, "only", None):  # the request may be anything
            if refusal := self._request.refusal():
                raise ApplicationError(refusal, type="Refused", non_retryable=True)
            self._drift = await look_first(self._request)
            if self.controls.stop or not self._drift.bring:
                return self._nothing_to_do(self._drift)
        await self._open()
        courier = asyncio.create_task(self.carry_words())
        ending, detail = await _until_end(self._forward())
        if self._watch:
            self._watch.end()
        await self._words_carried_out()
        self.controls.over = True
        if self._vigil:
            await self._vigil.end()
        if ending == "failed" and self.opened.on_failure == "halt" and not self._untouched:
            ending = "halted"
        elif ending in ("failed", "rolled_back") and not self._untouched:
            ending, back = await _until_end(self._back(detail))
            detail = f"{detail}; {back}" if back else detail
        result = await workflow.execute_activity_method(
            DeploymentActivities.close,
            CloseInput(
                deployment=self.opened.deployment,
                workflow_id=workflow.info().workflow_id,
                ending=ending,
                detail=self._with_those_left(detail or self._remark),
            ),
            **quick(ending),
        )
        self.controls.base, self.controls.detail = result.state, result.detail
        await self.end_words(courier)
        return result

    async def _open(self) -> None:
        info = workflow.info()
        self.opened = await workflow.execute_activity_method(
            DeploymentActivities.open,
            OpenInput(
                request=self._request,
                workflow_id=info.workflow_id,
                run_id=info.first_execution_run_id,
                hosts=self._drift.bring if self._drift else (),
                revision=self._drift.revision if self._drift else None,
            ),
            **quick("validate, number, plan"),
        )
        updates: list[SearchAttributeUpdate[Any]] = [
            names.APPLICATION.value_set(self._request.application),
            names.ENVIRONMENT.value_set(self._request.environment),
            names.RELEASE.value_set(self.opened.release),
            names.DEPLOYMENT.value_set(self.opened.label),
            names.HOSTS.value_set(self.opened.hosts),
        ]
        workflow.upsert_search_attributes(updates)

    def _nothing_to_do(self, drift: Drift) -> DeploymentResult:
        """A sync that has no host to bring takes no number."""
        request = self._request
        detail = summary(drift, f"{request.application}/{request.environment}")
        state = DeploymentState.SUCCEEDED
        if self.controls.stop:
            detail, state = self.controls.detail, DeploymentState.ABORTED
        workflow.set_current_details(detail)
        updates: list[SearchAttributeUpdate[Any]] = [
            names.APPLICATION.value_set(request.application),
            names.ENVIRONMENT.value_set(request.environment),
            names.RELEASE.value_set(drift.release),
            names.STATE.value_set(str(state)),
        ]
        workflow.upsert_search_attributes(updates)
        return DeploymentResult(label="", state=state, release=drift.release, detail=detail)

    def _with_those_left(self, detail: str) -> str:
        """What a sync leaves for a person is said in its end."""
        if self._drift is None:
            return detail
        label = f"{self._request.application}/{self._request.environment}"
        return "; ".join([*([detail] if detail else []), *left_for_a_person(self._drift, label)])

    async def _forward(self) -> Ending:
        if self.opened.approval:
            await self._pass_gate("the deployment")
        if self.opened.windows:
            await self._enter_windows()
        await self._take_lease()
        await self._hear_alarms()
        await self._once("before")
        for wave in self.opened.waves:
            if wave.approval:
                await self._pass_gate(f"wave {wave.number}")
            await self._alarms_readable(wave.number)
            self.controls.base = DeploymentState.RUNNING
            await self._stage_ahead(wave)
            await self._run_wave(wave)
            await self._bake(wave)
        await self._end_turns()
        await self._once("after")
        return "done"

    async def _once(self, when: When) -> None:
        """Run what runs once.

        Before the first turn its failure ends the deployment; after the last it is told, for the
        hosts run the release.
        """
        outline = next((each for each in self.opened.once if each.when == when), None)
        if outline is None:
            return
        load = OnceLoad(
            deployment=self.opened.deployment,
            workflow_id=workflow.info().workflow_id,
            granted_ms=self._granted_ms,
            when=when,
        )
        once, controls = Once(outline, load, self.opened.takeover), self.controls
        controls.base = DeploymentState.RUNNING
        while True:
            await self._until_free()
            ran = await once.run()
            self._raise_if_stopped()
            if ran == "well":
                return
            if when == "after":
                self._remark = once.detail
                return
            if ran == "failed":
                self._untouched = True
                raise Ended("failed", once.detail)
            controls.pause_itself(once.detail)

    async def _back(self, why: str) -> Ending:
        self.controls.base = DeploymentState.ROLLING_BACK
        self.controls.stop, self.controls.detail = None, why
        self.failures = self.unreachable = self._unreachable_accepted = 0
        plan = await workflow.execute_activity_method(
            DeploymentActivities.plan_rollback,
            self.opened.deployment,
            **quick("plan the rollback"),
        )
        for batch in range(1, plan.batches + 1):
            await self._run_batch("rollback", 1, batch, plan.allowance)
        return "rolled_back"

    async def _pass_gate(self, gate: str) -> None:
        controls = self.controls
        controls.base, controls.gate = DeploymentState.AWAITING, gate
        controls.detail = f"{gate} waits for approval"
        await workflow.wait_condition(
            lambda: gate in controls.approved or controls.stop is not None
        )
        controls.gate, controls.detail = "", ""
        self._raise_if_stopped()

    async def _enter_windows(self) -> None:
        """Return while windows are open; from now on they are watched."""
        controls = self.controls
        self._watch = watch = Watch(controls, self.opened.deployment)
        watch.begin()
        await workflow.wait_condition(lambda: watch.looked or controls.stop is not None)
        if controls.closed:
            controls.base = DeploymentState.AWAITING
        await workflow.wait_condition(lambda: not controls.closed or controls.stop is not None)
        self._raise_if_stopped()

    async def _hear_alarms(self) -> None:
        """Return when it is known how the alarms stand; from now on they are watched."""
        if not self.opened.alarms:
            return
        self.controls.base = DeploymentState.RUNNING
        reports_only = bool(self.opened.override)
        self._vigil = Vigil(self.controls, self.opened.deployment, reports_only=reports_only)
        await self._vigil.begin(lambda: self.controls.stop is not None)
        await self._until_free()

    async def _alarms_readable(self, wave: int) -> None:
        """Return when the alarms can be read, or somebody approves of going on without them."""
        vigil, controls = self._vigil, self.controls
        if vigil is None or not vigil.unreadable:
            return
        gate = f"wave {wave} without its alarms"
        controls.base, controls.gate = DeploymentState.AWAITING, gate
        controls.detail = f"wave {wave} waits: {vigil.unreadable}; approve goes on without it"
        await workflow.wait_condition(
            lambda: not vigil.unreadable or gate in controls.approved or controls.stop is not None
        )
        controls.gate, controls.detail = "", ""
        self._raise_if_stopped()

    async def _take_lease(self) -> None:
        self.controls.base = DeploymentState.WAITING
        info = workflow.info()
        asked = workflow.start_activity_method(
            DeploymentActivities.await_lease,
            LeaseInput(
                deployment=self.opened.deployment,
                application=self._request.application,
                environment=self._request.environment,
                number=self.opened.number,
                workflow_id=info.workflow_id,
                run_id=info.run_id,
                if_busy=self._request.if_busy,
                by=self._request.by,
            ),
            **waiting("wait for the environment's lease"),
        )
        await workflow.wait_condition(lambda: asked.done() or self.controls.stop is not None)
        if not asked.done():
            asked.cancel()
            with contextlib.suppress(Exception):
                await asked
            self._raise_if_stopped()
        answer: LeaseAnswer = await asked
        if answer.granted_ms is None:
            raise Ended("refused" if answer.outcome == "refused" else "superseded", answer.message)
        self._granted_ms = answer.granted_ms

    async def _bake(self, wave: WaveOutline) -> None:
        """Bake; anew after hosts have had another turn."""
        baked = False
        while self.due or not baked:
            await self._run_due()
            if wave.bake > timedelta(0):
                self.controls.base = DeploymentState.BAKING
                with contextlib.suppress(TimeoutError):
                    await workflow.wait_condition(
                        lambda: self.controls.stop is not None or bool(self.due),
                        timeout=wave.bake,
                        timeout_summary=f"bake wave {wave.number}",
                    )
            self._raise_if_stopped()
            baked = True


async def _until_end(way: Any) -> tuple[Ending, str]:
    try:
        return await way, ""
    except Ended as end:
        return end.ending, end.detail
