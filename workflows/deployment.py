"""A deployment: an environment is brought to a release, wave by wave, or back."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo import names
    from apollo.activities.deployments import DeploymentActivities
    from apollo.domain.capacity import Allowance
    from apollo.domain.deployment import Control, DeploymentRequest
    from apollo.domain.once import OnceLoad, When
    from apollo.domain.rollout import (
        BatchInput,
        BatchLoad,
        BatchResult,
        CloseInput,
        DeploymentResult,
        Ending,
        LeaseAnswer,
        LeaseInput,
        OpenInput,
        Phase,
        WaveOutline,
    )
    from apollo.domain.status import DeploymentState
    from apollo.domain.sync import Drift, left_for_a_person, summary
    from apollo.workflows.batch import Batch
    from apollo.workflows.controlled import Controlled
    from apollo.workflows.inputs import one_input
    from apollo.workflows.look import look_first
    from apollo.workflows.once import Once
    from apollo.workflows.options import quick, waiting
    from apollo.workflows.windows import Watch

CANCELLED = Control(reason="the workflow was cancelled")


class Ended(Exception):
    """The way forward, or back, has come to an end before its last host."""

    def __init__(self, ending: Ending, detail: str = "") -> None:
        super().__init__(ending)
        self.ending: Ending = ending
        self.detail = detail


@workflow.defn(failure_exception_types=[ValidationError])
class Deployment(Controlled):
    """Opens, waits for gates and lease, runs waves of batches, bakes, rolls back, closes."""

    @workflow.init
    @one_input(least=0)
    def __init__(self, request: DeploymentRequest = DeploymentRequest()) -> None:
        super().__init__()
        self._request = request
        self._granted_ms = 0
        self._unreachable = 0
        self._unreachable_accepted = 0
        self._watch: Watch | None = None
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
        if self._untouched:
            pass  # there is nothing to take back
        elif ending == "failed" and self.opened.on_failure == "halt":
            ending = "halted"
        elif ending in ("failed", "rolled_back"):
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
        await self._once("before")
        for wave in self.opened.waves:
            if wave.approval:
                await self._pass_gate(f"wave {wave.number}")
            self.controls.base = DeploymentState.RUNNING
            for batch in range(1, wave.batches + 1):
                await self._run_batch("forward", wave.number, batch, self._allowance)
            await self._bake(wave)
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
            await workflow.wait_condition(lambda: not controls.held or controls.stop is not None)
            self._raise_if_stopped()
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
        self.failures = self._unreachable = self._unreachable_accepted = 0
        plan = await workflow.execute_activity_method(
            DeploymentActivities.plan_rollback,
            self.opened.deployment,
            **quick("plan the rollback"),
        )
        for batch in range(1, plan.batches + 1):
            await self._run_batch("rollback", 1, batch, plan.allowance)
        return "rolled_back"

    async def _run_batch(self, phase: Phase, wave: int, number: int, allowance: Allowance) -> None:
        """Run a batch until none of its hosts is pending, holding whenever a person must look."""
        while True:
            await workflow.wait_condition(
                lambda: not self.controls.held or self.controls.stop is not None
            )
            self._raise_if_stopped()
            result = await self._one_batch(phase, wave, number, allowance)
            if result is None:
                continue
            self.failures += result.failures
            self._unreachable += result.unreachable
            self._raise_if_stopped()
            if self.failures > self.opened.failures_allowed:
                raise Ended(*self._too_many_failures(phase))
            if not self._hold_for_a_person(result, number) and not result.pending:
                return

    async def _one_batch(
        self, phase: Phase, wave: int, number: int, allowance: Allowance
    ) -> BatchResult | None:
        info = workflow.info()
        word = self.word_for_batch()
        given = BatchInput(
            load=BatchLoad(
                deployment=self.opened.deployment,
                workflow_id=info.workflow_id,
                phase=phase,
                wave=wave,
                batch=number,
                granted_ms=self._granted_ms,
            ),
            label=self.opened.label,
            allowance=word.allowance or allowance,
            failures_left=self.opened.failures_allowed - self.failures,
            unreachable_left=max(self._unreachable_left, 0),
            turn_limit=self.opened.turn_limit,
            takeover=self.opened.takeover,
            one_location=self.opened.one_location,
            paused=word.paused,
        )
        try:
            child = await workflow.start_child_workflow(
                Batch.run,
                given,
                id=names.batch_id(info.workflow_id, phase, wave, number),
                static_summary=f"{self.opened.label} {phase}, wave {wave}, batch {number}",
                parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
            )
        except WorkflowAlreadyStartedError:  # this run was reset; the one before left its batch
            self.controls.pause_itself(f"batch {number} still ends its turns; resume after that")
            return None
        self.begin_batch(child)
        try:
            return await child
        except ChildWorkflowError as error:
            self._batch_died(error, number)
            return None
        finally:
            self.batch = None

    def _batch_died(self, error: ChildWorkflowError, number: int) -> None:
        cause: BaseException | None = error
        while cause and not isinstance(cause, ApplicationError):
            cause = cause.__cause__
        if isinstance(cause, ApplicationError) and cause.type == "LeaseLost":
            raise Ended("superseded", cause.message) from error
        if self.controls.stop is None:
            what = "failed" if cause else "was ended from outside"
            self.controls.pause_itself(
                f"batch {number} {what}: {cause or error.cause}; resume attaches to its turns"
            )

    @property
    def _unreachable_left(self) -> int:
        allowed = self.opened.unreachable_allowed + self._unreachable_accepted
        return allowed - self._unreachable

    def _hold_for_a_person(self, result: BatchResult, number: int) -> bool:
        """Pause for causes that say nothing about the release; whether it did."""
        if self._unreachable_left < 0:
            self._unreachable_accepted = self._unreachable - self.opened.unreachable_allowed
            self.controls.pause_itself(
                f"{self._unreachable} hosts are unreachable, {self.opened.unreachable_allowed} are "
                "allowed (max_unreachable); resume goes on without them"
            )
            return True
        if result.stuck:
            self.controls.pause_itself(
                f"no room in {', '.join(result.stuck)}: too many hosts are out (max_unavailable); "
                "mend them and resume, or change the pace"
            )
            return True
        if result.pending:
            self.controls.pause_itself(
                f"batch {number} was stopped from outside, with {result.pending} hosts to go; "
                "resume goes on with them"
            )
            return True
        return False

    def _too_many_failures(self, phase: Phase) -> tuple[Ending, str]:
        detail = f"{self.failures} hosts failed, {self.opened.failures_allowed} were allowed"
        if phase == "rollback":
            return "rollback_failed", f"in the rollback {detail}"
        return "failed", detail

    def _raise_if_stopped(self) -> None:
        stop, detail = self.controls.stop, self.controls.detail
        if stop == "abort":
            raise Ended("aborted", detail)
        if stop == "supersede":
            raise Ended("superseded", detail)
        if stop == "rollback":
            if not self._granted_ms:
                raise Ended("aborted", f"{detail}; nothing had been changed")
            if self._request.restart:
                raise Ended("aborted", f"{detail}; a restart has nothing to take back")
            raise Ended("rolled_back", detail)

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

    @property
    def _allowance(self) -> Allowance:
        return self.opened.allowance

    async def _bake(self, wave: WaveOutline) -> None:
        if wave.bake > timedelta(0):
            self.controls.base = DeploymentState.BAKING
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self.controls.stop is not None,
                    timeout=wave.bake,
                    timeout_summary=f"bake wave {wave.number}",
                )
        self._raise_if_stopped()


async def _until_end(way: Any) -> tuple[Ending, str]:
    try:
        return await way, ""
    except Ended as end:
        return end.ending, end.detail
