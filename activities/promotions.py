"""What a promotion asks of the control worker: open, gates, words, end."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.service import RPCError, RPCStatusCode

from apollo.activities.explained import explained
from apollo.catalog.records import NewPromotion, StoredPromotion
from apollo.domain.deployment import Control
from apollo.domain.promotion import (
    GateAnswer,
    GateInput,
    PromotionEnd,
    PromotionOpen,
    PromotionOpened,
    PromotionResult,
    PromotionShown,
    PromotionWord,
    StageProgress,
)
from apollo.domain.windows import change_text, standing
from apollo.executions import runs
from apollo.promoting import Way, find_way

if TYPE_CHECKING:
    from temporalio.client import Client

    from apollo.catalog.catalog import Catalog


@dataclass
class PromotionActivities:
    """The control worker's part of promotions; every write may be repeated."""

    catalog: "Catalog"
    client: "Client"

    @activity.defn
    @explained
    async def open_promotion(self, given: PromotionOpen) -> PromotionOpened:
        """Choose the release and the stages, and store the promotion."""
        promotions, request = self.catalog.promotions, given.request
        known = await promotions.by_workflow(given.workflow_id, given.run_id)
        if known:  # an attempt before this one had got as far as the row
            request = request.model_copy(update={"release": known.release, "if_needed": False})
        way = await find_way(self.catalog, request)
        others = await promotions.running(request.application)
        same = [each for each in others if each.release == way.release and each != known]
        lost = [each.uuid for each in same if not await self._runs(each)]
        unnamed = request.if_needed or not request.release
        if unnamed and len(lost) < len(same) and not way.nothing:
            way = Way(way.release, way.stages, nothing=f"{way.release} is being promoted already")
        if way.nothing:
            return PromotionOpened(release=way.release, stages=way.stages, nothing=way.nothing)
        stored = await promotions.open(
            NewPromotion(
                workflow_id=given.workflow_id,
                run_id=given.run_id,
                application=request.application,
                release=way.release,
                stages=tuple(StageProgress(environment=each.environment) for each in way.stages),
                by=request.by,
                reason=request.reason,
                request=given.request.model_dump(mode="json", by_alias=True),
            ),
            lost,
        )
        word = PromotionWord(
            promotion=stored.uuid,
            environment=way.stages[0].environment,
            control="promote",
            action="promote",
            by=request.by,
            reason=request.reason,
        )
        await self._note(stored, word)
        return PromotionOpened(
            promotion=stored.uuid,
            release=stored.release,
            stages=way.stages,
            bake_until=way.bake_until,
        )

    @activity.defn
    @explained
    async def arrive_at_gate(self, given: GateInput) -> GateAnswer:
        """Wait at a stage's gate from now on; older releases that wait there are told to look."""
        mine = await self.catalog.promotions.get(given.promotion)
        lost = await self._lost(mine, given.environment)
        by, older = await self.catalog.promotions.arrive(mine.uuid, given.environment, lost)
        if by:
            return GateAnswer(superseded_by=by)
        for other in older:
            await self._supersede(other, mine)
        applied = await self.catalog.environments.get(mine.application, given.environment)
        return GateAnswer(approval=applied.environment.approval)

    @activity.defn
    @explained
    async def leave_gate(self, given: GateInput) -> GateAnswer:
        """Leave the gate, if the windows are open and no newer release has come."""
        mine = await self.catalog.promotions.get(given.promotion)
        applied = await self.catalog.environments.get(mine.application, given.environment)
        windows = applied.environment.windows
        found = standing(windows, given.now, applied.environment.freezes.values())
        if not found.open:
            why = f"outside the windows of {given.environment}; {change_text(windows, found)}"
            return GateAnswer(open=False, until=found.until, why=why)
        return GateAnswer(superseded_by=await self.catalog.promotions.leave(mine.uuid))

    @activity.defn
    @explained
    async def show_promotion(self, given: PromotionShown) -> None:
        """Write where the promotion stands."""
        await self.catalog.promotions.show(
            given.promotion, given.state, given.detail, given.stages, held=given.held
        )

    @activity.defn
    @explained
    async def record_promotion_word(self, given: PromotionWord) -> None:
        """Write who said what to the promotion."""
        await self._note(await self.catalog.promotions.get(given.promotion), given)

    @activity.defn
    @explained
    async def end_promotion(self, given: PromotionEnd) -> PromotionResult:
        """End the promotion."""
        ended = await self.catalog.promotions.end(
            given.promotion, given.state, given.detail, given.stages
        )
        word = PromotionWord(
            promotion=ended.uuid,
            environment=ended.stage,
            control="end",
            action=f"promotion {ended.state}",
            detail=ended.detail,
        )
        await self._note(ended, word)
        return PromotionResult(
            application=ended.application,
            release=ended.release,
            state=ended.state,
            detail=ended.detail,
            stages=ended.stages,
        )

    async def _note(self, promotion: StoredPromotion, word: PromotionWord) -> None:
        detail = {"release": promotion.release}
        await self.catalog.audit.add(
            word.action,
            by=word.by,
            application=promotion.application,
            environment=word.environment,
            deployment=promotion.uuid,
            reason=word.reason,
            detail=detail | ({"detail": word.detail} if word.detail else {}),
            control=word.control,
        )

    async def _runs(self, promotion: StoredPromotion) -> bool:
        return await runs(self.client, promotion.workflow_id, promotion.run_id)

    async def _lost(self, mine: StoredPromotion, environment: str) -> list[str]:
        """Promotions and deployments there that only seem to run."""
        place = mine.application, environment
        found = [
            other.uuid
            for other in await self.catalog.promotions.running(*place)
            if other.uuid != mine.uuid and not await self._runs(other)
        ]
        return found + [
            deployment.uuid
            for deployment in await self.catalog.deployments.running(*place)
            if not await runs(self.client, deployment.workflow_id)
        ]

    async def _supersede(self, older: StoredPromotion, mine: StoredPromotion) -> None:
        word = Control(by=mine.by, reason=f"{mine.release} is newer")
        handle = self.client.get_workflow_handle(older.workflow_id)
        try:
            await handle.signal("supersede", word)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it may just have ended
                raise
