"""What people say to a running promotion: updates that explain, signals that never wedge."""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue, SearchAttributeUpdate
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from apollo import names
    from apollo.activities.promotions import PromotionActivities
    from apollo.domain.passage import Passage
    from apollo.domain.promotion import (
        PromotionOpened,
        PromotionShown,
        PromotionState,
        PromotionWord,
        StageControl,
        StageProgress,
    )
    from apollo.domain.promotion_details import promotion_details
    from apollo.workflows.inputs import first_only
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

Shown = tuple[PromotionState, str, tuple[StageProgress, ...], bool]


class Steered:
    """The handlers of a promotion, and the courier that tells others what they changed."""

    opened: PromotionOpened

    def __init__(self, application: str) -> None:
        self.passage = Passage()
        self._application = application
        self._shown: Shown | None = None
        self._words: list[PromotionWord] = []
        self._words_end = False
        self._ignored = ""

    # Updates: refused with a reason, recorded with who and why.

    @workflow.update(description=f"Let the release into the stage that waits. {APPROVAL}")
    def approve(self, word: StageControl = StageControl()) -> str:
        """Approve the stage that waits."""
        return self._obey("approve", word, update_id())

    @workflow.update(description=f"End the promotion; what is deployed stays. {EXAMPLE}")
    def reject(self, word: StageControl = StageControl()) -> str:
        """End the promotion."""
        return self._obey("reject", word, update_id())

    @workflow.update(description=f"Begin nothing new; a deployment under way ends. {EXAMPLE}")
    def hold(self, word: StageControl = StageControl()) -> str:
        """Begin nothing new."""
        return self._obey("hold", word, update_id())

    @workflow.update(description=f"Go on, and look at the gate again. {EXAMPLE}")
    def resume(self, word: StageControl = StageControl()) -> str:
        """Go on after a hold."""
        return self._obey("resume", word, update_id())

    @approve.validator
    def _may_approve(self, word: StageControl = StageControl()) -> None:
        self._check("approve", word)

    @reject.validator
    def _may_reject(self, word: StageControl = StageControl()) -> None:
        self._check("reject", word)

    @hold.validator
    def _may_hold(self, word: StageControl = StageControl()) -> None:
        self._check("hold", word)

    @resume.validator
    def _may_resume(self, word: StageControl = StageControl()) -> None:
        self._check("resume", word)

    # Signals take anything, or nothing: a word that cannot be read still counts.

    @workflow.signal(name="approve", description=f"Let the release into the stage. {APPROVAL}")
    @first_only
    def _approve_signal(self, word: RawValue = NO_WORD) -> None:
        self._hear("approve", word)

    @workflow.signal(name="reject", description=f"End the promotion. {EXAMPLE}")
    @first_only
    def _reject_signal(self, word: RawValue = NO_WORD) -> None:
        self._hear("reject", word)

    @workflow.signal(name="hold", description=f"Begin nothing new. {EXAMPLE}")
    @first_only
    def _hold_signal(self, word: RawValue = NO_WORD) -> None:
        self._hear("hold", word)

    @workflow.signal(name="resume", description=f"Go on after a hold. {EXAMPLE}")
    @first_only
    def _resume_signal(self, word: RawValue = NO_WORD) -> None:
        self._hear("resume", word)

    @workflow.signal(name="supersede", description="From a newer release: look at the gate again.")
    @first_only
    def _supersede_signal(self, word: RawValue = NO_WORD) -> None:
        """Who gives way to whom is decided in the catalog, so this only says to look there."""
        self.passage.looks += 1

    async def carry_words(self) -> None:
        """Tell the audit, the catalog and the UI what has changed."""
        while not (self._words_end and self._nothing_to_tell()):
            await workflow.wait_condition(lambda: self._words_end or not self._nothing_to_tell())
            await self._tell_audit()
            await self._tell_state()

    async def end_words(self, courier: asyncio.Task[None]) -> None:
        """Return when everything has been told."""
        self._words_end = True
        await courier
        await workflow.wait_condition(workflow.all_handlers_finished)

    def _check(self, action: str, word: StageControl) -> None:
        if refusal := self.passage.refusal(action, word.environment):
            raise ApplicationError(refusal, type="Refused")

    def _hear(self, action: str, raw: RawValue) -> None:
        word = read_word(raw, StageControl)
        if refusal := self.passage.refusal(action, word.environment):
            workflow.logger.warning("signal %s was ignored: %s", action, refusal)
            self._audit(f"{action} refused", word, str(workflow.uuid4()), refusal)
            self._ignored = not_heard(action, refusal)
            if hasattr(self, "opened"):
                self._show_details()
            return
        self._obey(action, word, str(workflow.uuid4()))

    def _obey(self, action: str, word: StageControl, control: str) -> str:
        self._audit(action, word, control)
        self._ignored = ""
        passage, why = self.passage, told(word)
        if action == "approve":
            passage.approve(word.by)
        elif action == "hold":
            passage.hold(why)
        elif action == "resume":
            passage.resume()
        elif action == "reject":
            passage.end("reject", why)
        elif action == "abort":
            passage.end("abort", why)
        return f"{action}: {passage.state}"

    def _audit(self, action: str, word: StageControl, control: str, detail: str = "") -> None:
        self._words.append(
            PromotionWord(
                promotion="",
                environment=self.passage.stage.environment,
                control=f"{action}:{word.id}" if word.id else control,
                action=action,
                by=word.by,
                reason=word.reason,
                detail=detail,
            )
        )

    def _nothing_to_tell(self) -> bool:
        return not self._words and self._shown == self._state()

    def _state(self) -> Shown:
        passage = self.passage
        return passage.state, passage.told, passage.stages, bool(passage.held)

    async def _tell_audit(self) -> None:
        words, self._words = self._words, []
        for word in words:
            await workflow.execute_activity_method(
                PromotionActivities.record_promotion_word,
                word.model_copy(update={"promotion": self.opened.promotion}),
                **quick(f"{word.action} by {word.by or 'unknown'}"[:100]),
            )

    async def _tell_state(self) -> None:
        if self._shown == self._state():
            return
        self._shown = self._state()
        state, detail, stages, held = self._shown
        self._show_details()
        updates: list[SearchAttributeUpdate[Any]] = [
            names.STATE.value_set(str(state)),
            names.ENVIRONMENT.value_set(self.passage.stage.environment),
        ]
        workflow.upsert_search_attributes(updates)
        if not state.ended:
            await workflow.execute_activity_method(
                PromotionActivities.show_promotion,
                PromotionShown(
                    promotion=self.opened.promotion,
                    state=state,
                    held=held,
                    detail=detail,
                    stages=stages,
                ),
                **quick(str(state)),
            )

    def _show_details(self) -> None:
        workflow.set_current_details(
            promotion_details(self._application, self.opened.release, self.passage, self._ignored)
        )
