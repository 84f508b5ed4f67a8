"""What people say to a running deployment: updates that explain, signals that never wedge."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from temporalio import workflow
from temporalio.common import RawValue, SearchAttributeUpdate
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from apollo import names
    from apollo.activities.deployments import DeploymentActivities
    from apollo.activities.progress import ProgressActivities
    from apollo.domain import engine
    from apollo.domain.controls import Controls, pace_refusal
    from apollo.domain.deployment import Control, PaceControl
    from apollo.domain.details import deployment_details
    from apollo.domain.known import NOWHERE, Known, Place, Said
    from apollo.domain.progress import SlowInput
    from apollo.domain.rollout import (
        BatchControl,
        ControlInput,
        Opened,
        Progress,
        StateInput,
    )
    from apollo.domain.status import DeploymentState
    from apollo.workflows.batch import Batch
    from apollo.workflows.inputs import first_only
    from apollo.workflows.notification import Herald
    from apollo.workflows.options import quick
    from apollo.workflows.words import (
        APPROVAL,
        EXAMPLE,
        NO_WORD,
        not_heard,
        read_word,
        told,
        update_id,
    )


GOES_ON = "it goes on when one moves; resume goes on waiting"
HEALS = "goes on when a location moves"
COMES_DOWN = "batches side by side come down to a lower pace together"
NOTHING_SLOW: tuple[tuple[str, ...], bool] = ((), False)


@dataclass(eq=False)
class UnderWay:
    """A batch that runs, and what it was told last, and has told."""

    phase: Literal["staging", "forward", "rollback"]
    wave: int
    number: int
    child: workflow.ChildWorkflowHandle[Any, Any] | None = None
    """None: it is being started."""
    told: BatchControl | None = None
    failures: int = 0
    slow: tuple[tuple[str, ...], bool] = NOTHING_SLOW
    """Its locations that do not move, and whether none does."""

    @property
    def place(self) -> Place:
        """Where it gives turns, on the way forward."""
        return (self.wave, self.number) if self.phase == "forward" else NOWHERE

    def begins_with(self, word: BatchControl) -> None:
        """What holds when it is started is part of its input, but for these three."""
        self.told = word.model_copy(update={"stop": False, "skip": (), "each_failure": False})

    def knows(self, word: BatchControl) -> bool:
        """Whether nothing need be told."""
        return self.child is None or self.told == word

    def hear(self, progress: Progress) -> None:
        """It may have told how far it is."""
        of = progress.phase, progress.wave, progress.batch
        if of == (self.phase, self.wave, self.number):
            self.failures = progress.failures
            self.slow = progress.slow, progress.stalled


class Controlled:
    """The handlers of a deployment, and the courier that tells others what they changed."""

    opened: Opened

    def __init__(self) -> None:
        self.controls = Controls()
        self.known = Known()
        """How far it has come; what holds at a moment is `at_present`."""
        self.looks = 0
        self.batches: list[UnderWay] = []
        """The children that do the work of batches now: their turns, or their staging ahead."""
        self._shown: tuple[DeploymentState, str] | None = None
        self._audits: list[ControlInput] = []
        self._progress: dict[str, Progress] = {}
        self._slow_told = NOTHING_SLOW
        self._stuck = ""
        """What it said when it paused itself because no location moved."""
        self._words_end = False
        self._herald = Herald()
        self._ignored = ""

    # Updates: refused with a reason, recorded with who and why.

    @workflow.update(description=f"Begin no more turns; those in flight end. {EXAMPLE}")
    def pause(self, word: Control = Control()) -> str:
        """Pause the deployment."""
        return self._obey("pause", word, update_id())

    @workflow.update(description=f"Go on after a pause. {EXAMPLE}")
    def resume(self, word: Control = Control()) -> str:
        """Resume the deployment."""
        return self._obey("resume", word, update_id())

    @workflow.update(
        description=f"End at the next host boundary; hosts stay as they are. {EXAMPLE}"
    )
    def abort(self, word: Control = Control()) -> str:
        """Abort the deployment."""
        return self._obey("abort", word, update_id())

    @workflow.update(description=f"Take every changed host back to what it ran. {EXAMPLE}")
    def rollback(self, word: Control = Control()) -> str:
        """Roll the deployment back."""
        return self._obey("rollback", word, update_id())

    @workflow.update(description=f"Open the gate that is waited at. {APPROVAL}")
    def approve(self, word: Control = Control()) -> str:
        """Approve what waits."""
        return self._obey("approve", word, update_id())

    @workflow.update(
        name="pace", description='Change max_unavailable. JSON: {"max_unavailable": "20%"}'
    )
    def set_pace(self, word: PaceControl = PaceControl()) -> str:
        """Change the pace for the rest of the deployment."""
        self.known = self._paced(word.max_unavailable)
        return self._obey("pace", word, update_id(), word.max_unavailable)

    @pause.validator
    def _may_pause(self, word: Control = Control()) -> None:
        self._check("pause")

    @resume.validator
    def _may_resume(self, word: Control = Control()) -> None:
        self._check("resume")

    @abort.validator
    def _may_abort(self, word: Control = Control()) -> None:
        self._check("abort")

    @rollback.validator
    def _may_rollback(self, word: Control = Control()) -> None:
        self._check("rollback")

    @approve.validator
    def _may_approve(self, word: Control = Control()) -> None:
        self._check("approve")

    @set_pace.validator
    def _may_pace(self, word: PaceControl = PaceControl()) -> None:
        self._check("pace")
        if refusal := pace_refusal(word):
            raise ApplicationError(refusal, type="Refused")

    # Signals take anything, or nothing: a word that cannot be read still counts.

    @workflow.signal(name="pause", description=f"Begin no more turns. {EXAMPLE}")
    @first_only
    def _pause_signal(self, word: RawValue = NO_WORD) -> None:
        self._hear("pause", word)

    @workflow.signal(name="resume", description=f"Go on after a pause. {EXAMPLE}")
    @first_only
    def _resume_signal(self, word: RawValue = NO_WORD) -> None:
        self._hear("resume", word)

    @workflow.signal(name="abort", description=f"End at the next host boundary. {EXAMPLE}")
    @first_only
    def _abort_signal(self, word: RawValue = NO_WORD) -> None:
        self._hear("abort", word)

    @workflow.signal(name="rollback", description=f"Take every changed host back. {EXAMPLE}")
    @first_only
    def _rollback_signal(self, word: RawValue = NO_WORD) -> None:
        self._hear("rollback", word)

    @workflow.signal(name="approve", description=f"Open the gate that is waited at. {APPROVAL}")
    @first_only
    def _approve_signal(self, word: RawValue = NO_WORD) -> None:
        self._hear("approve", word)

    @workflow.signal(name="supersede", description=f"A newer deployment takes over. {EXAMPLE}")
    @first_only
    def _supersede_signal(self, word: RawValue = NO_WORD) -> None:
        self._hear("supersede", word)

    @workflow.signal(name=names.LOOK, description="Look which of its hosts are disabled.")
    @first_only
    def _look_signal(self, word: RawValue = NO_WORD) -> None:
        """What is so stands in the catalog, so this only says to look there."""
        self.looks += 1

    @workflow.signal(name=names.PROGRESS, description="From a batch: how far it is.")
    @first_only
    def _progress_signal(self, progress: Progress | None = None) -> None:
        if isinstance(progress, Progress) and hasattr(self, "opened"):
            for batch in self.batches:
                batch.hear(progress)
            self.heard(progress)
            self.progressed(progress)

    def heard(self, progress: Progress) -> None:
        """How far a batch is, or how it has ended."""
        self._progress[f"{progress.phase}/{progress.wave}/{progress.batch}"] = progress
        self._show_details()

    def progressed(self, progress: Progress) -> None:
        """A batch has told how far it is."""

    async def carry_words(self) -> None:
        """Tell the running batch, the audit, the catalog and the UI what has changed."""
        while not (self._words_end and self._nothing_to_tell()):
            await workflow.wait_condition(lambda: self._words_end or not self._nothing_to_tell())
            await self._tell_batch()
            await self._tell_audit()
            await self._tell_slow()
            await self._tell_state()

    async def end_words(self, courier: asyncio.Task[None]) -> None:
        """Return when everything has been told."""
        self._words_end = True
        await courier
        await workflow.wait_condition(workflow.all_handlers_finished)

    @property
    def slow(self) -> tuple[tuple[str, ...], bool]:
        """Locations that do not move, and whether none does."""
        told = [each.slow for each in self.batches]
        locations = dict.fromkeys(location for slow, _ in told for location in slow)
        return tuple(locations), bool(told) and all(stalled for _, stalled in told)

    @property
    def places(self) -> list[Place]:
        """Wave and batch of those that give turns now, on the way forward."""
        return [each.place for each in self.batches if each.place != NOWHERE]

    def word_for_batch(self, place: Place = NOWHERE) -> BatchControl:
        """What a batch must know."""
        return engine.word(self.opened, self.at_present, place)

    @property
    def said(self) -> Said:
        """How the controls stand."""
        controls = self.controls
        return Said(
            stop=controls.stop,
            detail=controls.detail,
            held=controls.held,
            approved=frozenset(controls.approved),
            looks=self.looks,
        )

    @property
    def at_present(self) -> Known:
        """What is known at this moment."""
        return replace(self.known, said=self.said)

    @contextlib.contextmanager
    def batch_under_way(self, batch: UnderWay) -> Iterator[None]:
        """A batch is started, with the words that hold then, and runs."""
        self.batches.append(batch)
        try:
            yield
        finally:
            self.batches.remove(batch)

    def _paced(self, pace: str) -> Known:
        if not self.known.narrowed:
            return replace(self.known, pace=pace)
        paced = engine.paced(self.opened, self.known, pace)
        if paced.narrows != self.known.narrows and not workflow.patched(COMES_DOWN):
            return replace(paced, narrows=self.known.narrows)
        return paced

    def _check(self, action: str) -> None:
        if refusal := self.controls.refusal(action):
            raise ApplicationError(refusal, type="Refused")

    def _hear(self, action: str, raw: RawValue) -> None:
        word = read_word(raw, Control)
        if refusal := self.controls.refusal(action):
            workflow.logger.warning("signal %s was ignored: %s", action, refusal)
            self._audit(f"{action} refused", word, str(workflow.uuid4()), refusal)
            self._ignored = not_heard(action, refusal)
            if hasattr(self, "opened"):
                self._show_details()
            return
        self._obey(action, word, str(workflow.uuid4()))

    def _obey(self, action: str, word: Control, control: str, detail: str = "") -> str:
        self._audit(action, word, control, detail)
        self._ignored = ""
        controls, reason = self.controls, told(word)
        if action == "pause":
            controls.pause(reason)
        elif action == "resume":
            controls.resume()
            for batch in self.batches:
                batch.slow = NOTHING_SLOW
        elif action == "approve":
            controls.approve()
        elif action in ("abort", "rollback", "supersede"):
            controls.end(action, reason)  # type: ignore[arg-type]
        still = f": {controls.says}" if controls.outside else ""
        return f"{action}: {controls.state}{still}"

    def _audit(self, action: str, word: Control, control: str, detail: str) -> None:
        self._audits.append(
            ControlInput(
                deployment="",
                control=f"{action}:{word.id}" if word.id else control,
                action=action,
                by=word.by,
                reason=word.reason,
                detail=detail,
            )
        )

    def _nothing_to_tell(self) -> bool:
        told = all(each.knows(self.word_for_batch(each.place)) for each in self.batches)
        known = self._shown == self._state() and self._slow_told == self.slow
        return told and not self._audits and known

    def _state(self) -> tuple[DeploymentState, str]:
        return self.controls.state, self.controls.says

    async def _tell_batch(self) -> None:
        for batch in list(self.batches):
            word = self.word_for_batch(batch.place)
            if batch.child is None or batch.knows(word):
                continue
            batch.told = word
            with contextlib.suppress(ApplicationError):  # it may just have ended
                await batch.child.signal(Batch.control, word)

    async def _tell_audit(self) -> None:
        audits, self._audits = self._audits, []
        for audit in audits:
            await workflow.execute_activity_method(
                DeploymentActivities.record_control,
                audit.model_copy(update={"deployment": self.opened.deployment}),
                **quick(f"{audit.action} by {audit.by or 'unknown'}"[:100]),
            )

    async def _tell_slow(self) -> None:
        """Say why locations do not move; when none does, a person must look."""
        if self._slow_told == self.slow:
            return
        self._slow_told = locations, stalled = self.slow
        self.controls.slow = ""
        if locations:
            self.controls.slow = await workflow.execute_activity_method(
                ProgressActivities.look_at_progress,
                SlowInput(
                    deployment=self.opened.deployment,
                    locations=locations,
                    deadline=self.opened.progress_deadline,
                ),
                **quick(f"why {', '.join(locations)} does not move"[:100]),
            )
        back = self.controls.base is DeploymentState.ROLLING_BACK
        if stalled and self.slow == self._slow_told and not (back or self.controls.stop):
            self.controls.pause_itself(f"{self.controls.slow}; {GOES_ON}")
            self._stuck = self.controls.detail
        elif not stalled and self._is_stuck() and workflow.patched(HEALS):
            self.controls.resume()

    def _is_stuck(self) -> bool:
        """Whether it is paused because no location moved, and for no other reason."""
        return self.controls.paused and self.controls.detail == self._stuck

    async def _tell_state(self) -> None:
        if self._shown == self._state():
            return
        self._shown = self._state()
        state, detail = self._shown
        entry = self.controls.entry
        self._show_details()
        updates: list[SearchAttributeUpdate[Any]] = [
            names.STATE.value_set(str(state)),
            names.FAILURES.value_set(max(0, self.known.failures)),
        ]
        workflow.upsert_search_attributes(updates)
        if not state.ended:
            await workflow.execute_activity_method(
                DeploymentActivities.set_state,
                StateInput(deployment=self.opened.deployment, state=state, detail=detail),
                **quick(str(state)),
            )
        await self._herald.tell(self.opened, entry, detail)

    def _show_details(self) -> None:
        state, detail = self._state()
        workflow.set_current_details(
            deployment_details(self.opened, state, detail, self._progress, self._ignored)
        )
