"""A scan of an environment's hosts for their SSH keys, by the workers that reach them."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo.activities.host_keys import KeyActivities, ScanActivities
    from apollo.domain.keys import (
        KeysFound,
        ScanInput,
        Scanned,
        ScanRequest,
        scan_pages,
        unasked,
    )
    from apollo.workflows.inputs import one_input
    from apollo.workflows.options import quick, scanning


@workflow.defn(failure_exception_types=[ValidationError])
class ScanKeys:
    """Asks up to 500 hosts for their keys; nothing is trusted and nobody logs in."""

    @workflow.init
    @one_input(least=0)
    def __init__(self, request: ScanRequest = ScanRequest()) -> None:
        pass

    @workflow.run
    async def run(self, request: ScanRequest = ScanRequest()) -> KeysFound:
        """Ask the hosts by the page; each location's own workers ask its hosts."""
        request = ScanRequest.model_validate(request)  # it may have been given anything
        survey = await workflow.execute_activity_method(
            KeyActivities.hosts_to_scan, request, **quick(f"hosts from {request.first} on")
        )
        pages = await asyncio.gather(*map(self._scan, scan_pages(request, survey)))
        found = {each.host: each for page in pages for each in page}
        return KeysFound(
            hosts=tuple(found[target.host.name] for target in survey.targets), next=survey.next
        )

    async def _scan(self, page: ScanInput) -> tuple[Scanned, ...]:
        options = scanning(page)
        try:
            found: KeysFound = await workflow.execute_activity_method(
                ScanActivities.scan_keys, page, **options
            )
            return found.hosts
        except ActivityError:
            return unasked(page.targets, f"no worker of {options['task_queue']} has asked it")
