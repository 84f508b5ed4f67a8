"""The batches of a deployment: staged ahead, one after the other or side by side."""

import contextlib

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    from apollo import names
    from apollo.activities.deployments import DeploymentActivities
    from apollo.domain import engine, steps
    from apollo.domain.known import NOWHERE, Place
    from apollo.domain.rollout import (
        BatchControl,
        BatchInput,
        BatchLoad,
        BatchResult,
        OutInput,
        Phase,
        Progress,
    )
    from apollo.domain.staging import StagingInput
    from apollo.workflows.abreast import Abreast
    from apollo.workflows.batch import Batch
    from apollo.workflows.controlled import UnderWay
    from apollo.workflows.host_words import HostWords
    from apollo.workflows.options import quick
    from apollo.workflows.staging import StageAhead

NAME_WHO_IS_OUT = "name who is out"
TOLD_AT_ITS_START = "a batch is told at its start"
EACH_FAILURE = "each failure is told when few are left"
WHO_FOLLOWS_LOOKS = "only who follows a batch looks who is out"


class Ended(Exception):
    """The way forward, or back, has come to an end in the middle of a step."""

    def __init__(self, step: steps.Close | steps.TurnBack) -> None:
        super().__init__(step)
        self.step = step


class Batches(HostWords):
    """Carries out the steps that are work for batches of hosts."""

    def __init__(self) -> None:
        super().__init__()
        self._abreast: Abreast | None = None
        """Several batches under way, or about to be."""

    async def _stage(self, step: steps.Stage) -> None:
        """Get the release ready on the batch's hosts; what fails there their turns will tell."""
        given = StagingInput(
            load=self._load("forward", step.wave, step.batch),
            label=self.opened.label,
            limit=self.opened.staging_limit,
            takeover=self.opened.takeover,
        )
        with contextlib.suppress(WorkflowAlreadyStartedError):  # this run was reset
            child = await workflow.start_child_workflow(
                StageAhead.run,
                given,
                id=names.staging_id(workflow.info().workflow_id, step.wave, step.batch),
                static_summary=f"{given.label} staging wave {step.wave}, batch {step.batch}",
                parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
            )
            with self.batch_under_way(UnderWay("staging", step.wave, step.batch, child)):
                try:
                    await child
                except ChildWorkflowError as error:
                    _raise_if_lease_lost(error)
        self.known = self.known.did(step)

    def _load(self, phase: Phase, wave: int, number: int) -> BatchLoad:
        return BatchLoad(
            deployment=self.opened.deployment,
            workflow_id=workflow.info().workflow_id,
            phase=phase,
            wave=wave,
            batch=number,
            granted_ms=self.known.granted_ms,
        )

    async def _until_free(self) -> None:
        """Return when nothing holds it.

        Raises:
            Ended: It was stopped meanwhile.
        """
        controls = self.controls
        await workflow.wait_condition(lambda: not controls.held or controls.stop is not None)
        if step := engine.stopped(self.opened, self.at_present):
            raise Ended(step)

    async def _run_abreast(self, step: steps.Abreast) -> None:
        """Run batches side by side; those that are left have their turn alone."""
        self._abreast = abreast = Abreast(step.batches, step.width, self._run_in_lane)
        try:
            await abreast.run()
        finally:
            self._abreast = None
            self.known = self.known.alone()
        self.known = self.known.did(step)

    async def _run_in_lane(self, batch: steps.Begin, before: Place) -> None:
        """Run one of several; who has its lanes after it is told to look when it has returned."""
        if before != NOWHERE:
            self.known = self.known.follows(batch.place, before)
        await self._run_beside(batch)
        followed = any(self.known.after.get(each.place) == batch.place for each in self.batches)
        if followed and not workflow.patched(WHO_FOLLOWS_LOOKS):
            self.looks += 1
        self.known = self.known.let_go(batch.place)

    async def _run_beside(self, batch: steps.Begin) -> None:
        """Run one of several until it is done, or has to be run again, alone."""
        while True:
            await self._until_free()
            if not await self._run_batch(batch):
                continue
            if engine.over(self.opened, self.at_present) and self._abreast:
                self._abreast.stopping = True
                return
            if batch in self.known.done or self.known.pause is None:
                return
            await self._pause(self.known.pause)

    async def _pause(self, step: steps.Pause) -> None:
        why = step.why
        if step.stuck and workflow.patched(NAME_WHO_IS_OUT):
            out = await workflow.execute_activity_method(
                DeploymentActivities.who_is_out,
                OutInput(deployment=self.opened.deployment, locations=step.stuck),
                **quick("who is out"),
            )
            why = engine.no_room(step.stuck, out)
        self.known = self.known.paused()
        if self.controls.stop is None:
            self.controls.pause_itself(why)

    def word_for_batch(self, place: Place = NOWHERE) -> BatchControl:
        """What a batch must know; also how much of the budget those beside it have used up."""
        word = super().word_for_batch(place)
        if self._abreast is None:
            return word
        stop = word.stop or self._abreast.stopping
        return word.model_copy(update={"stop": stop, "each_failure": self._abreast.each_failure})

    def progressed(self, progress: Progress) -> None:
        """A batch has told how far it is, or what it still takes of its lanes."""
        place = progress.wave, progress.batch
        if place in self.known.narrowed:
            self.known = self.known.came_down(place, progress.narrowed)
        if self._abreast and progress.held is not None:
            self.known = self.known.handed_over(place, progress.held)
            self._abreast.hand_over(place)
        self._add_failures_up()

    def _add_failures_up(self, *, returned: bool = False) -> None:
        """Each batch keeps to the budget by itself; what several have used adds up here."""
        if (abreast := self._abreast) is None:
            return
        under_way = sum(each.failures for each in self.batches)
        if engine.each_counts(self.opened, self.known, under_way):
            abreast.each_failure |= workflow.patched(EACH_FAILURE)
        if abreast.each_failure or not returned:  # in old histories only what was told added up
            abreast.stopping |= engine.overdrawn(self.opened, self.known, under_way)

    async def _words_carried_out(self) -> None:
        """Return when it is clear of which hosts somebody has spoken."""
        if self.steering:  # waiting for nothing would change the order of what old histories hold
            await workflow.wait_condition(lambda: not self.steering)

    async def _run_batch(self, step: steps.Begin) -> bool:
        """Run a batch until it returns; whether it has."""
        await self._words_carried_out()
        batch = UnderWay(step.phase, step.wave, step.batch)
        self.known = self.known.began(batch.place, step.beside)
        with self.batch_under_way(batch):
            load = self._load(step.phase, step.wave, step.batch)
            given = engine.grant(self.opened, self.at_present, step, load)
            if workflow.patched(TOLD_AT_ITS_START):
                batch.begins_with(self.word_for_batch(batch.place))
            result = await self._child_batch(batch, given)
        if result is None:
            return False
        self.heard(result)
        stopping = self._abreast is not None and self._abreast.stopping
        self.known = engine.returned(self.opened, self.at_present, step, result, stopping=stopping)
        self._add_failures_up(returned=True)
        return True

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
        cause = _raise_if_lease_lost(error)
        if self.controls.stop is None:
            what = "failed" if cause else "was ended from outside"
            self.controls.pause_itself(
                f"batch {number} {what}: {cause or error.cause}; resume attaches to its turns"
            )


def _raise_if_lease_lost(error: ChildWorkflowError) -> ApplicationError | None:
    """What was wrong, if that is another thing."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    if not isinstance(cause, ApplicationError):
        return None
    if cause.type == "LeaseLost":
        raise Ended(steps.Close("superseded", cause.message)) from error
    return cause
