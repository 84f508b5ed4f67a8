"""Alarms, as a deployment keeps an ear on them from its first turn to its last bake (rule 13)."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from apollo.activities.alarms import AlarmActivities
    from apollo.domain.alarms import AlarmsInput, AlarmsLook, Reading
    from apollo.domain.base import format_duration
    from apollo.domain.controls import Controls
    from apollo.workflows.options import listening

UNREADABLE_FOR = timedelta(minutes=10)
"""How long an alarm may stay unreadable before the deployment pauses itself (rule 5)."""


class Vigil:
    """Tells the controls of a deployment which alarms fire, and which nobody can read.

    What fires before the first turn says nothing about the release: it counts once it has been
    quiet. With an override alarms only report.
    """

    def __init__(self, controls: Controls, deployment: str, *, reports_only: bool) -> None:
        self._controls = controls
        self._deployment = deployment
        self._reports_only = reports_only
        self._look: AlarmsLook | None = None
        self._old: set[str] = set()
        """What fired before the first turn, and has not been quiet since."""
        self._task: asyncio.Task[None] | None = None

    async def begin(self, stopped: Callable[[], bool]) -> None:
        """Return when it is known how the alarms stand; from now on they are watched."""
        self._task = asyncio.create_task(self._watch())
        await workflow.wait_condition(lambda: self._look is not None or stopped())

    async def end(self) -> None:
        """Nothing is watched any more."""
        if self._task:
            self._task.cancel()
            await workflow.wait([self._task])
        self._controls.alarms = ""

    @property
    def unreadable(self) -> str:
        """The alarms that nobody can read, in words; empty if there are none that count."""
        if self._look is None or self._reports_only:
            return ""
        return "; ".join(self._look.those("unreadable").values())

    async def _watch(self) -> None:
        while True:
            asked = workflow.start_activity_method(
                AlarmActivities.watch_alarms,
                AlarmsInput(
                    deployment=self._deployment,
                    seen=self._look.standing if self._look else None,
                ),
                **listening("watch the alarms"),
            )
            try:
                await self._wait_for(asked)
                self._hear(await asked)
            except ActivityError as error:
                if not is_cancelled_exception(error):
                    says = str(error.cause)
                    said = Reading(alarm="of this deployment", standing="unreadable", says=says)
                    self._hear(AlarmsLook(readings=(said,)))
                return
            finally:
                asked.cancel()

    async def _wait_for(self, asked: workflow.ActivityHandle[AlarmsLook]) -> None:
        if not self.unreadable:
            return
        try:
            await workflow.wait_condition(asked.done, timeout=UNREADABLE_FOR)
        except TimeoutError:
            long = format_duration(UNREADABLE_FOR)
            why = f"{self.unreadable}, for {long} now; resume goes on without it"
            self._controls.pause_itself(why)

    def _hear(self, look: AlarmsLook) -> None:
        firing, first = look.those("firing"), self._look is None
        self._look = look
        self._controls.alarms = "; ".join(each.text for each in look.readings)
        if self._reports_only:
            return
        self._old = set(firing) if first else self._old & set(look.standing)
        if new := [text for alarm, text in firing.items() if alarm not in self._old]:
            self._controls.fire("; ".join(new))
        elif first and firing:
            self._controls.pause_itself(
                f"before the first turn: {'; '.join(firing.values())}; resume goes on, and counts "
                "it only when it has been quiet"
            )
