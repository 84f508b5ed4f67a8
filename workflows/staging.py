"""Staging ahead of a batch: its hosts get the release ready before any of them has its turn."""

import asyncio
from collections import defaultdict

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo.activities.deployments import DeploymentActivities
    from apollo.activities.host_keys import KeyActivities
    from apollo.activities.staging import StagingActivities
    from apollo.domain.details import plain
    from apollo.domain.rollout import BatchControl
    from apollo.domain.staging import Staged, StagedKeys, StagingInput, StagingPage, pages
    from apollo.workflows.inputs import first_only, one_input
    from apollo.workflows.options import quick, staging

AT_ONCE = 10
"""Pages of the same workers that are staged at the same time."""


@workflow.defn(failure_exception_types=[ValidationError])
class StageAhead:
    """Stages a batch's hosts by the page. What fails is told, and left to the hosts' turns."""

    @workflow.init
    @one_input(least=1)
    def __init__(self, given: StagingInput) -> None:
        self._given = given
        self._word = BatchControl()
        self._staged = Staged()

    @workflow.run
    async def run(self, given: StagingInput) -> Staged:
        """Return when every page has ended, or none may begin or go on."""
        hosts = await workflow.execute_activity_method(
            DeploymentActivities.load_batch, given.load, **quick("load hosts")
        )
        lanes: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        work = [
            asyncio.create_task(self._stage(page, lanes[page.location]))
            for page in pages(given, hosts)
        ]
        await workflow.wait_condition(lambda: self._word.stop or all(each.done() for each in work))
        for each in work:  # what runs on the hosts goes on there, and harms nobody
            each.cancel()
        await asyncio.gather(*work, return_exceptions=self._word.stop)
        if keys := self._staged.host_keys:
            await workflow.execute_activity_method(
                KeyActivities.keep_staged_keys,
                StagedKeys(deployment=given.load.deployment, host_keys=keys),
                **quick(f"keep {len(keys)} host keys"),
            )
        return self._staged.model_copy(update={"host_keys": {}})

    @workflow.signal(description="From the deployment: pause, resume or stop.")
    @first_only
    def control(self, word: BatchControl = BatchControl()) -> None:
        """While it is paused no page begins."""
        if isinstance(word, BatchControl):
            self._word = word

    async def _stage(self, page: StagingPage, lane: asyncio.Semaphore) -> None:
        async with lane:
            await workflow.wait_condition(lambda: not self._word.paused)
            try:
                staged: Staged = await workflow.execute_activity_method(
                    StagingActivities.stage_ahead, page, **staging(page, self._given.takeover)
                )
            except ActivityError as error:
                why = str(error.cause or error)
                staged = Staged(failed={turn.host.name: why for turn in page.hosts.turns})
        self._staged = self._staged.plus(staged)
        self._show()

    def _show(self) -> None:
        staged = self._staged
        lines = [f"**{self._given.label}**: {staged.ready} hosts have the release ready"]
        lines += [f"- {host}: {plain(why)}" for host, why in sorted(staged.failed.items())[:20]]
        workflow.set_current_details("\n".join(lines))
