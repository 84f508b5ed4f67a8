"""Promotions on the stage of the workflow tests."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.api.history.v1 import HistoryEvent

from apollo.catalog.records import AuditEntry, StoredPromotion
from apollo.client import PromotionHandle
from apollo.domain.pipeline import Stage as PipelineStage
from apollo.domain.promotion import PromotionResult
from tests.support.stage import PATIENCE, Play, Running, Stage, until

PIPELINE = ("dev", "staging", "prod")


async def pipeline(
    stage: Stage,
    stages: Sequence[PipelineStage | str] = PIPELINE,
    environments: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    approval: bool = False,
    application: str = "",
) -> Play:
    """An application with the environments dev, staging and prod, of two hosts each.

    `approval` is what `prod` asks for.
    """
    return await stage.play(
        hosts=2,
        locations=1,
        approval=approval,
        application=application,
        pipeline=stages,
        environments={"dev": {}, "staging": {}, **(environments or {})},
    )


async def promote(play: Play, version: str = "1.0", **options: Any) -> "Promoted":
    """Make a release and promote it."""
    await play.release(version)
    return Promoted(play, await play.stage.apollo.promote(play.application, version, **options))


@dataclass
class Promoted:
    """A promotion under way."""

    play: Play
    said: PromotionHandle

    @property
    def id(self) -> str:
        return self.said.workflow_id

    async def stored(self) -> StoredPromotion:
        found = await self.said.status()
        assert found is not None, "the promotion was not opened"
        return found

    async def until(self, state: str, environment: str = "") -> StoredPromotion:
        """Wait until the catalog shows this state, at this stage."""

        async def shown() -> bool:
            found = await self.said.status()
            there = found is not None and environment in ("", found.stage)
            return there and found is not None and found.state == state

        await until(shown, f"{self.id} is {state} at {environment or 'any stage'}")
        return await self.stored()

    async def result(self) -> PromotionResult:
        async with asyncio.timeout(PATIENCE * 2):
            return await self.said.result()

    async def signal(self, name: str, *words: str) -> None:
        """Signal as a person does, with the `temporal` program."""
        await self.play.stage.temporal("workflow", "signal", "-w", self.id, "--name", name, *words)

    async def skip(self, duration: timedelta) -> None:
        """Move its clock, on a stage that skips time."""
        handle = self.play.stage.client.get_workflow_handle(self.id)
        await self.play.stage.skipper.fast_forward(handle, duration)

    async def audit(self) -> list[AuditEntry]:
        """What was said to it, the oldest first."""
        stored = await self.stored()
        entries = await self.play.stage.catalog.audit.list(deployment=stored.uuid)
        return list(reversed(entries))

    async def events(self) -> list[HistoryEvent]:
        handle = self.play.stage.client.get_workflow_handle(self.id, run_id=self.said.run_id)
        return [event async for event in handle.fetch_history_events()]

    async def deployment(self, environment: str) -> Running:
        """Its deployment in an environment, once that has begun."""

        async def begun() -> bool:
            return bool(await self._deployment(environment))

        await until(begun, f"{environment} is deployed")
        return self.play.running(await self._deployment(environment))

    async def _deployment(self, environment: str) -> str:
        stored = await self.said.status()
        stages = stored.stages if stored else ()
        return next((s.workflow_id for s in stages if s.environment == environment), "")


def told(result: PromotionResult) -> list[tuple[str, str]]:
    """How each stage ended."""
    return [(stage.environment, stage.state) for stage in result.stages]
