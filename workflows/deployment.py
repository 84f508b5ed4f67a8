"""A deployment: an environment is brought to a release, wave by wave, or back."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo import names
    from apollo.activities.deployments import DeploymentActivities
    from apollo.domain import engine, steps
    from apollo.domain.deployment import Control, DeploymentRequest
    from apollo.domain.known import Said
    from apollo.domain.once import OnceLoad, When
    from apollo.domain.rollout import CloseInput, DeploymentResult, LeaseInput, OpenInput
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
WORDS_COUNT_TO_THE_END = "words count to the end"
RETRIED_AT_THE_LAST_MOMENT = "a retry is carried out before it turns back"
STAGING = "staging wave {}: its hosts get the release ready"
Doing = Callable[[Any], Awaitable[object]]
End = steps.Close | steps.TurnBack


@workflow.defn(failure_exception_types=[ValidationError])
class Deployment(Batches):
    """Opens, then does what the engine decides on, step by step, and closes."""

    @workflow.init
    @one_input(least=0)
    def __init__(self, request: DeploymentRequest = DeploymentRequest()) -> None:
        super().__init__()
        self._request = request
        self._watch: Watch | None = None
        self._vigil: Vigil | None = None
        self._drift: Drift | None = None
        self._once: dict[When, Once] = {}
        self._deaf = False
        """Whether what stops it counts only from its next wait on: so it was in old histories."""
        self._doings: dict[type[steps.Step], Doing] = {
            steps.Approve: self._approve,
            steps.EnterWindows: self._enter_windows,
            steps.TakeLease: self._take_lease,
            steps.Listen: self._hear_alarms,
            steps.RunOnce: self._run_once,
            steps.Enter: self._enter,
            steps.Stage: self._stage,
            steps.Abreast: self._run_abreast,
            steps.Begin: self._run_batch,
            steps.Bake: self._bake,
            steps.Settle: self._settle,
            steps.Finish: self._finish,
            steps.PlanRollback: self._plan_rollback,
            steps.Pause: self._pause,
        }

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
        end = await self._wind_up(await self._until_end())
        if isinstance(end, steps.TurnBack):
            end = await self._go_back(end.detail)
        self.controls.closing = workflow.patched(WORDS_COUNT_TO_THE_END)
        result = await workflow.execute_activity_method(
            DeploymentActivities.close,
            CloseInput(
                deployment=self.opened.deployment,
                workflow_id=workflow.info().workflow_id,
                ending=end.ending,
                detail=self._with_those_left(end.detail),
            ),
            **quick(end.ending),
        )
        self.controls.base, self.controls.detail = result.state, result.detail
        await self.end_words(courier)
        return result

    async def _until_end(self) -> End:
        """Do what the engine decides on, until this way, forward or back, has come to its end."""
        while True:
            step = await self._next()
            if isinstance(step, steps.Close | steps.TurnBack):
                return step
            try:
                await self._doings[type(step)](step)
            except Ended as ended:
                return ended.step

    async def _next(self) -> steps.Step:
        """The next step; if it is work for hosts, nothing holds it any more."""
        step = self._decide()
        todo = step.then if isinstance(step, steps.Hold) else step
        self.controls.doing = STAGING.format(todo.wave) if isinstance(todo, steps.Stage) else ""
        if not todo.works:
            return step
        if isinstance(todo, steps.Begin) and todo.again:
            self.known = self.known.chose(todo)
        if not self.known.turned:
            self.controls.base = DeploymentState.RUNNING
        self._deaf = False
        await workflow.wait_condition(lambda: not isinstance(self._decide(), steps.Hold))
        return self._decide()

    def _decide(self) -> steps.Step:
        known = self.at_present
        if self._deaf:
            known = replace(known, said=replace(known.said, stop=None))
        return engine.decide(self.opened, known)

    def _hear_only_later(self) -> bool:
        """Whether it was stopped at a moment when old histories did not look."""
        return self.controls.stop is not None and not workflow.patched(WORDS_COUNT_TO_THE_END)

    async def _wind_up(self, end: End) -> End:
        """Nothing is watched any more, and nobody's turn can be asked for; what it comes to.

        What was said while the last turns ended counts, too.
        """
        if self._watch:
            self._watch.end()
        await self._words_carried_out()
        self.controls.over = True
        if self._vigil:
            await self._vigil.end()
        if self._hear_only_later():
            return end
        return engine.stopped(self.opened, self.at_present) or end

    async def _go_back(self, why: str) -> steps.Close:
        self.controls.base = DeploymentState.ROLLING_BACK
        self.controls.stop, self.controls.detail = None, why
        self.known = self.known.turn_back()
        end = await self._until_end()
        assert isinstance(end, steps.Close)
        return replace(end, detail=f"{why}; {end.detail}" if end.detail else why)

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
        self.known = replace(self.known, kind=self._request.kind)
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

    async def _run_once(self, step: steps.RunOnce) -> None:
        """Run what runs once; called again when it did not end, it goes on with what is there."""
        when = step.when
        if when not in self._once:
            load = OnceLoad(
                deployment=self.opened.deployment,
                workflow_id=workflow.info().workflow_id,
                granted_ms=self.known.granted_ms,
                when=when,
            )
            outline = next(each for each in self.opened.once if each.when == when)
            self._once[when] = Once(outline, load, self.opened.takeover)
        ran = await self._once[when].run()
        self.known = self.known.ran(step, when, ran, self._once[when].detail)

    async def _plan_rollback(self, step: steps.PlanRollback) -> None:
        back = await workflow.execute_activity_method(
            DeploymentActivities.plan_rollback,
            self.opened.deployment,
            **quick("plan the rollback"),
        )
        self.known = self.known.planned(back)

    async def _approve(self, step: steps.Approve) -> None:
        controls = self.controls
        controls.base, controls.gate = DeploymentState.AWAITING, step.gate
        controls.detail = step.says
        self._deaf = False
        await workflow.wait_condition(lambda: self._decide() != step)
        controls.gate = ""
        if controls.stop is None:
            controls.detail = ""

    async def _enter_windows(self, step: steps.EnterWindows) -> None:
        """Return while windows are open; from now on they are watched."""
        controls = self.controls
        self._watch = watch = Watch(controls, self.opened.deployment)
        watch.begin()
        await workflow.wait_condition(lambda: watch.looked or controls.stop is not None)
        if controls.closed:
            controls.base = DeploymentState.AWAITING
        await workflow.wait_condition(lambda: not controls.closed or controls.stop is not None)
        self.known = self.known.did(step)

    async def _hear_alarms(self, step: steps.Listen) -> None:
        """Return when it is known how the alarms stand; from now on they are watched."""
        self.controls.base = DeploymentState.RUNNING
        reports_only = bool(self.opened.override)
        self._vigil = Vigil(self.controls, self.opened.deployment, reports_only=reports_only)
        await self._vigil.begin(lambda: self.controls.stop is not None)
        self._deaf = False
        await self._until_free()
        self.known = self.known.did(step)

    async def _enter(self, step: steps.Enter) -> None:
        self.controls.base = DeploymentState.RUNNING
        self.known = self.known.did(step)

    async def _settle(self, step: steps.Settle) -> None:
        end = engine.over(self.opened, self.at_present)
        if end and not workflow.patched(RETRIED_AT_THE_LAST_MOMENT):
            raise Ended(end)
        await self._words_carried_out()
        self._deaf = self._hear_only_later()

    async def _finish(self, step: steps.Finish) -> None:
        self.controls.over = True
        self.known = self.known.did(step)

    @property
    def said(self) -> Said:
        """How the controls stand, and the alarms."""
        unreadable = self._vigil.unreadable if self._vigil else ""
        return replace(super().said, unreadable=unreadable)

    async def _take_lease(self, step: steps.TakeLease) -> None:
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
            return
        self.known = self.known.answered(await asked)
        self._deaf = self._hear_only_later()

    async def _bake(self, step: steps.Bake) -> None:
        """Bake; anew after hosts have had another turn."""
        if step.lasts > timedelta(0):
            self.controls.base = DeploymentState.BAKING
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self.controls.stop is not None or bool(self.known.due),
                    timeout=step.lasts,
                    timeout_summary=f"bake wave {step.wave}",
                )
        if not self.known.due:
            self.known = self.known.did(step)
