"""Windows, as a deployment keeps to them: one look at each change, and a timer in between."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from apollo.activities.deployments import DeploymentActivities
    from apollo.domain.controls import Controls
    from apollo.domain.rollout import WindowsInput, WindowsLook
    from apollo.workflows.options import quick


class Watch:
    """Tells the controls of a deployment when its windows close, and when they open."""

    def __init__(self, controls: Controls, deployment: str) -> None:
        self._controls = controls
        self._deployment = deployment
        self._task: asyncio.Task[None] | None = None
        self.looked = False

    def begin(self) -> None:
        """Look now, and at each change."""
        self._task = asyncio.create_task(self._watch())

    def end(self) -> None:
        """Nothing is held any more."""
        self._controls.closed = ""
        if self._task:
            self._task.cancel()
            self._task = None

    async def _watch(self) -> None:
        """At a change the controls are told at once: the look may have to wait for a worker."""
        try:
            while True:
                look = await self._look()
                self._tell(look.open, look.change)
                if look.until is None:
                    return
                await workflow.sleep(look.until - workflow.now(), summary=look.change)
                self._tell(not look.open, look.then)
        except ActivityError as error:
            self._tell(False, f"when they open is not known: {error.cause}")

    async def _look(self) -> WindowsLook:
        given = WindowsInput(deployment=self._deployment, now=workflow.now())
        return await workflow.execute_activity_method(
            DeploymentActivities.look_at_windows, given, **quick("look at the windows")
        )

    def _tell(self, is_open: bool, change: str) -> None:
        if self._task:
            self._controls.closed = "" if is_open else change
            self.looked = True
