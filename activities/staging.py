"""Staging ahead: a page of hosts gets a release ready beside the one that runs."""

import asyncio
from dataclasses import dataclass, field

import structlog
from temporalio import activity

from apollo.activities.heartbeats import heartbeats
from apollo.domain.staging import TOLD, Staged, StagingPage
from apollo.domain.turn import TurnInput
from apollo.errors import TurnError
from apollo.ports import Footing, RunTurn

_LOG: structlog.typing.FilteringBoundLogger = structlog.get_logger("apollo.staging")


@dataclass
class StagingActivities:
    """What host workers do before the turns of a wave."""

    run_turn: RunTurn

    @activity.defn
    async def stage_ahead(self, page: StagingPage) -> Staged:
        """Stage each host under its turn's own number: that turn finds the release, or attaches.

        A host that fails here is told of and left to its turn; nothing is counted.
        """
        info = activity.info()
        known: dict[str, str] = info.heartbeat_details[0] if info.heartbeat_details else {}
        work = _Page(self.run_turn, page, info, Staged(host_keys=known))
        with heartbeats(lambda: work.staged.host_keys):
            await asyncio.gather(*map(work.stage, page.turns))
        staged = work.staged
        _LOG.info(
            "staged ahead",
            deployment=page.hosts.label,
            wave=page.load.wave,
            trace_id=page.hosts.trace,
            ready=staged.ready,
            failed=sorted(staged.failed),
        )
        return staged


@dataclass
class _Page:
    """One attempt at a page."""

    run_turn: RunTurn
    page: StagingPage
    info: activity.Info
    staged: Staged = field(default_factory=Staged)

    async def stage(self, given: TurnInput) -> None:
        host, footing = given.host.name, Footing()
        attempt_ms = int(self.info.current_attempt_scheduled_time.timestamp() * 1000)
        given = given.knowing(self.staged.host_keys.get(host, ""))
        failed = ""
        try:
            async with asyncio.timeout(self.page.limit.total_seconds()):
                record = await self.run_turn(given, attempt_ms, footing)
            failed = "" if record.outcome.good else record.message
        except TurnError as error:
            failed = f"{error.code}: {error.message}"
        except TimeoutError:
            failed = f"{host}: not ready within {self.page.limit.total_seconds():.0f} s"
        self.staged = self.staged.plus(
            Staged(
                ready=not failed,
                failed={host: failed[:TOLD]} if failed else {},
                host_keys={host: footing.host_key} if footing.host_key else {},
            )
        )
