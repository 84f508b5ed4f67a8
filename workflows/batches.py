"""The batches of a deployment: staged ahead, one after the other or side by side."""

import contextlib
from collections.abc import Awaitable, Sequence

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    from apollo import names
    from apollo.domain.capacity import Allowance
    from apollo.domain.deployment import DeploymentRequest
    from apollo.domain.rollout import (
        BatchControl,
        BatchInput,
        BatchLoad,
        BatchResult,
        Ending,
        Phase,
        WaveOutline,
    )
    from apollo.domain.staging import StagingInput
    from apollo.domain.status import DeploymentState
    from apollo.workflows.abreast import Abreast
    from apollo.workflows.batch import Batch
    from apollo.workflows.controlled import NOWHERE, Place, UnderWay
    from apollo.workflows.host_words import HostWords
    from apollo.workflows.staging import StageAhead


class Ended(Exception):
    """The way forward, or back, has come to an end before its last host."""

    def __init__(self, ending: Ending, detail: str = "") -> None:
        super().__init__(ending)
        self.ending: Ending = ending
        self.detail = detail


class Batches(HostWords):
    """Runs batches, and holds or ends the deployment for what comes of them."""

    _request: DeploymentRequest

    def __init__(self) -> None:
        super().__init__()
        self._granted_ms = 0
        self._unreachable_accepted = 0
        self._abreast: Abreast | None = None

    async def _stage_ahead(self, wave: WaveOutline) -> None:
        """Get the release ready on the wave's hosts; what fails there their turns will tell."""
        if not self.opened.staging_limit:
            return
        self.controls.doing = f"staging wave {wave.number}: its hosts get the release ready"
        try:
            for batch in range(1, wave.batches + 1):
                await self._until_free()
                await self._stage_batch(wave.number, batch)
                self._raise_if_stopped()
        finally:
            self.controls.doing = ""

    async def _stage_batch(self, wave: int, number: int) -> None:
        given = StagingInput(
            load=self._load("forward", wave, number),
            label=self.opened.label,
            limit=self.opened.staging_limit,
            takeover=self.opened.takeover,
        )
        with contextlib.suppress(WorkflowAlreadyStartedError):  # this run was reset
            child = await workflow.start_child_workflow(
                StageAhead.run,
                given,
                id=names.staging_id(workflow.info().workflow_id, wave, number),
                static_summary=f"{self.opened.label} staging wave {wave}, batch {number}",
                parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
            )
            with self.batch_under_way(UnderWay("staging", wave, number, child)):
                try:
                    await child
                except ChildWorkflowError as error:
                    self._raise_if_lease_lost(error)

    def _load(self, phase: Phase, wave: int, number: int) -> BatchLoad:
        return BatchLoad(
            deployment=self.opened.deployment,
            workflow_id=workflow.info().workflow_id,
            phase=phase,
            wave=wave,
            batch=number,
            granted_ms=self._granted_ms,
        )

    async def _until_free(self) -> None:
        """Return when nothing holds it.

        Raises:
            Ended: It was stopped meanwhile.
        """
        controls = self.controls
        await workflow.wait_condition(lambda: not controls.held or controls.stop is not None)
        self._raise_if_stopped()

    async def _run_wave(self, wave: WaveOutline) -> None:
        """Run its batches: side by side where so many hosts may be out, then what is left alone."""
        for numbers in wave.stretches:
            left: Sequence[int] = numbers
            width = min(self.opened.side_by_side, len(numbers))
            if width > 1:
                left = await self._run_abreast(wave.number, numbers, width)
            for number in left:
                await self._run_batch("forward", wave.number, number, self._allowance)

    async def _run_abreast(self, wave: int, numbers: range, width: int) -> list[int]:
        def run(number: int, beside: int) -> Awaitable[bool]:
            return self._run_batch("forward", wave, number, self._allowance, beside)

        self._abreast = abreast = Abreast(numbers, width, run)
        try:
            await abreast.run()
        finally:
            self._abreast = None
        return abreast.left

    async def _run_batch(
        self, phase: Phase, wave: int, number: int, allowance: Allowance, beside: int = 0
    ) -> bool:
        """Run a batch until none of its hosts is pending, holding whenever a person must look.

        One that runs beside others may have to be run again, alone: then it says no.
        """
        while True:
            await self._until_free()
            result = await self._one_batch(phase, wave, number, allowance, beside)
            if result is None:
                continue
            self.failures += result.failures
            self.unreachable += result.unreachable
            self._raise_if_stopped()
            if self.failures > self.opened.failures_allowed:
                raise Ended(*self._too_many_failures(phase))
            alone = self._abreast and (self._abreast.stopping or result.stuck)
            if alone and result.pending and self._unreachable_left >= 0:
                return False
            if not self._hold_for_a_person(result, number) and not result.pending:
                return True

    def word_for_batch(self, place: Place = NOWHERE) -> BatchControl:
        """What a batch must know; also that those beside it have used up the budget."""
        word = super().word_for_batch(place)
        stopping = self._abreast is not None and self._abreast.stopping
        return word.model_copy(update={"stop": True}) if stopping else word

    def progressed(self) -> None:
        """Each batch keeps to the budget by itself; what several have used adds up here."""
        if self._abreast:
            failures = self.failures + sum(each.failures for each in self.batches)
            self._abreast.stopping |= failures > self.opened.failures_allowed

    async def _words_carried_out(self) -> None:
        """Return when it is clear of which hosts somebody has spoken."""
        if self.steering:  # waiting for nothing would change the order of what old histories hold
            await workflow.wait_condition(lambda: not self.steering)

    async def _run_due(self) -> None:
        """Give hosts another turn that somebody has asked for."""
        while self.due:
            wave, batch = min(self.due)
            self.due.discard((wave, batch))
            self.controls.base = DeploymentState.RUNNING
            await self._run_batch("forward", wave, batch, self._allowance)

    async def _end_turns(self) -> None:
        """Return when nobody can ask for another turn any more."""
        while self.due or self.steering:
            await self._words_carried_out()
            await self._run_due()
        self.controls.over = True

    async def _one_batch(
        self, phase: Phase, wave: int, number: int, allowance: Allowance, beside: int
    ) -> BatchResult | None:
        await self._words_carried_out()
        batch = UnderWay(phase, wave, number)
        self.due.discard(batch.place)
        with self.batch_under_way(batch):
            given = self._batch_input(batch, allowance, beside)
            return await self._child_batch(batch, given)

    def _batch_input(self, batch: UnderWay, allowance: Allowance, beside: int) -> BatchInput:
        word = self.word_for_batch(batch.place)
        phase: Phase = "rollback" if batch.phase == "rollback" else "forward"
        return BatchInput(
            load=self._load(phase, batch.wave, batch.number),
            label=self.opened.label,
            allowance=word.allowance or allowance,
            failures_left=self.opened.failures_allowed - self.failures,
            unreachable_left=max(self._unreachable_left, 0),
            turn_limit=self.opened.turn_limit,
            takeover=self.opened.takeover,
            one_location=self.opened.one_location,
            paused=word.paused,
            progress_deadline=self.opened.progress_deadline,
            beside=beside,
            looks=word.looks,
            always_a_lane=phase == "rollback" or self._request.rollback,
        )

    async def _child_batch(self, batch: UnderWay, given: BatchInput) -> BatchResult | None:
        load, info = given.load, workflow.info()
        number = load.batch
        try:
            child = await workflow.start_child_workflow(
                Batch.run,
                given,
                id=names.batch_id(info.workflow_id, load.phase, load.wave, number),
                static_summary=f"{given.label} {load.phase}, wave {load.wave}, batch {number}",
                parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
            )
        except WorkflowAlreadyStartedError:  # this run was reset; the one before left its batch
            self.controls.pause_itself(f"batch {number} still ends its turns; resume after that")
            return None
        batch.child = child
        try:
            return await child
        except ChildWorkflowError as error:
            self._batch_died(error, number)
            return None

    def _batch_died(self, error: ChildWorkflowError, number: int) -> None:
        cause = self._raise_if_lease_lost(error)
        if self.controls.stop is None:
            what = "failed" if cause else "was ended from outside"
            self.controls.pause_itself(
                f"batch {number} {what}: {cause or error.cause}; resume attaches to its turns"
            )

    def _raise_if_lease_lost(self, error: ChildWorkflowError) -> ApplicationError | None:
        """What was wrong, if that is another thing."""
        cause: BaseException | None = error
        while cause and not isinstance(cause, ApplicationError):
            cause = cause.__cause__
        if not isinstance(cause, ApplicationError):
            return None
        if cause.type == "LeaseLost":
            raise Ended("superseded", cause.message) from error
        return cause

    @property
    def _unreachable_left(self) -> int:
        allowed = self.opened.unreachable_allowed + self._unreachable_accepted
        return allowed - self.unreachable

    def _hold_for_a_person(self, result: BatchResult, number: int) -> bool:
        """Pause for causes that say nothing about the release; whether it did."""
        if self._unreachable_left < 0:
            self._unreachable_accepted = self.unreachable - self.opened.unreachable_allowed
            self.controls.pause_itself(
                f"{self.unreachable} hosts are unreachable, {self.opened.unreachable_allowed} are "
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
        if stop == "alarm":
            raise Ended("failed", detail)
        if stop == "rollback":
            if not self._granted_ms:
                raise Ended("aborted", f"{detail}; nothing had been changed")
            if self._request.restart:
                raise Ended("aborted", f"{detail}; a restart has nothing to take back")
            if self._request.rollback:
                raise Ended("aborted", f"{detail}; a rollback is not taken back: deploy a release")
            raise Ended("rolled_back", detail)

    @property
    def _allowance(self) -> Allowance:
        return self.opened.allowance
