"""How an alarm stands now; whatever goes wrong makes it unreadable, never quiet."""

import asyncio
from dataclasses import dataclass

from apollo.alarms.cloudwatch import read_cloudwatch
from apollo.alarms.command import read_command
from apollo.alarms.documents import Unreadable, fetch
from apollo.alarms.judging import judge_document, judge_series, query_url
from apollo.domain.alarms import Alarm, Reading
from apollo.ports import Secrets

TRIES = 3
PAUSE = 1.0
"""Seconds between tries: one lost packet is no reason to hold a deployment."""


@dataclass(frozen=True)
class AlarmReader:
    """Reads alarms for a control worker."""

    secrets: Secrets
    allowed_commands: tuple[str, ...] = ()
    """First words of commands, or folders of programs, that this worker may run."""
    pause: float = PAUSE

    async def __call__(self, alarm: Alarm) -> Reading:
        """Quiet or firing as the source says; unreadable when it has not said it three times."""
        for tries_left in range(TRIES - 1, -1, -1):
            try:
                says = await self._ask(alarm)
                return Reading(alarm=alarm.label, standing="firing" if says else "quiet", says=says)
            except Unreadable as error:
                if not tries_left or error.final:
                    return Reading(alarm=alarm.label, standing="unreadable", says=str(error))
            await asyncio.sleep(self.pause)
        raise AssertionError("unreachable")

    async def _ask(self, alarm: Alarm) -> str:
        """Why it fires; empty while it is quiet."""
        if alarm.prometheus:
            asked = alarm.prometheus
            document = await fetch(
                query_url(asked.url, asked.query), await self._token(asked.token), errors=True
            )
            return judge_series(document)
        if alarm.http:
            return judge_document(
                await fetch(alarm.http.url, await self._token(alarm.http.token)), alarm.http
            )
        if alarm.cloudwatch:
            return await read_cloudwatch(alarm.cloudwatch)
        assert alarm.command
        return await read_command(alarm.command, self.allowed_commands)

    async def _token(self, reference: str | None) -> str:
        if reference is None:
            return ""
        try:
            values = await asyncio.to_thread(self.secrets.resolve, {"token": reference})
        except ValueError as error:
            raise Unreadable(str(error), final=True) from None
        return values["token"].strip()
