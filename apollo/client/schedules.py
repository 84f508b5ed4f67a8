"""Schedules: promotions and syncs that Temporal starts by itself, at times or at intervals."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace as changed
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleHandle,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from apollo import names
from apollo.catalog.catalog import Catalog
from apollo.client.schedule_specs import (
    CATCH_UP,
    check_stages,
    check_zone,
    cron_spec,
    every_spec,
    read_interval,
    read_runs,
    read_status,
)
from apollo.domain.cron import EXAMPLE, parse_cron
from apollo.domain.deployment import DeploymentRequest
from apollo.domain.promotion import PromotionRequest
from apollo.domain.schedule import SYNC, ScheduleRun, ScheduleStatus
from apollo.errors import InvalidSchedule, NotFound, Refused, Unavailable

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_LOOK = 0.1
_PATIENCE = 10.0


class Schedules:
    """The schedules of all applications; every word that changes one is in the audit."""

    def __init__(
        self, temporal: Callable[[], Awaitable[Client]], catalog: Catalog, who: str
    ) -> None:
        self._temporal = temporal
        self._catalog = catalog
        self._who = who

    async def create_promotion(
        self,
        application: str,
        name: str,
        *,
        from_: str,
        to: str,
        cron: str,
        timezone: str = "UTC",
        reason: str = "",
        paused: bool = False,
        replace: bool = False,
    ) -> ScheduleStatus:
        """Promote what succeeded in `from_` up to `to`, at the times of a cron line.

        One that replaces another keeps its past, and stays paused if that was.

        Raises:
            InvalidSchedule: The name, the cron line, the time zone or the stages make no sense.
            NotFound: An environment was never applied.
            Refused: The application has a schedule of that name.
        """
        _check_name(name)
        try:
            times = parse_cron(cron)
        except ValueError as error:
            raise InvalidSchedule(f"cron: {error}", hint=EXAMPLE) from error
        check_zone(timezone)
        for stage in (from_, to):
            applied = await self._catalog.environments.get(application, stage)
        check_stages(applied.pipeline, from_, to)
        words = {"from": from_, "to": to, "by": self._who, "reason": reason}
        request = PromotionRequest.model_validate({"application": application, **words})
        given = request.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        action = ScheduleActionStartWorkflow(
            "Promotion",
            given,
            id=names.promotion_id(application, f"schedule/{name}"),
            task_queue=names.CONTROL_QUEUE,
            typed_search_attributes=_attributes(application),
            static_summary=f"{application}: promote {from_} to {to} ({name})"[:200],
            static_details=f"Schedule `{name}`: `{times.text}`, {timezone}, made by {self._who}.",
        )
        schedule = self._schedule(
            action, cron_spec(times, timezone), CATCH_UP, reason, paused=paused
        )
        detail = {"from": from_, "to": to, "cron": times.text, "timezone": timezone}
        return await self._put(application, name, to, schedule, detail, reason, replace=replace)

    async def sync_every(
        self, application: str, environment: str, interval: timedelta | str, reason: str = ""
    ) -> ScheduleStatus:
        """Bring new and returned hosts to the current release at an interval, such as `5m`.

        There is one such schedule per environment: a second call changes the interval.

        Raises:
            InvalidSchedule: The interval is none, or shorter than 10 seconds.
            NotFound: The environment was never applied.
        """
        every = read_interval(interval)
        await self._catalog.environments.get(application, environment)
        request = DeploymentRequest(
            application=application,
            environment=environment,
            only="outdated",
            by=self._who,
            reason=reason or f"schedule {SYNC}{environment}",
        )
        action = ScheduleActionStartWorkflow(
            "Deployment",
            request.model_dump(mode="json", exclude_defaults=True),
            id=names.deployment_id(application, environment, "sync"),
            task_queue=names.CONTROL_QUEUE,
            typed_search_attributes=_attributes(application),
            static_summary=f"{application}/{environment} sync"[:200],
            static_details=f"Schedule `{SYNC}{environment}`, made by {self._who}.",
        )
        schedule = self._schedule(action, every_spec(every), every, reason)
        name = f"{SYNC}{environment}"
        detail = {"every": every.total_seconds()}
        return await self._put(
            application, name, environment, schedule, detail, reason, replace=True
        )

    async def list(self, application: str | None = None) -> list[ScheduleStatus]:
        """Apollo's schedules by application and name; of one application, or of all."""
        key = names.APPLICATION.name
        query = f"{key} IS NOT NULL"
        if application is not None:
            if not _NAME.fullmatch(application):
                raise NotFound(f"no application is named {application!r}")
            query = f'{key} = "{application}"'
        with _explained("the schedules cannot be listed"):
            client = await self._temporal()
            ids = [each.id async for each in await client.list_schedules(query)]
        found = []
        for schedule_id in sorted(ids):
            if schedule_id.startswith(names.SCHEDULES):
                with contextlib.suppress(NotFound):  # deleted meanwhile
                    found.append(await self._status(client.get_schedule_handle(schedule_id)))
        return found

    async def get(self, application: str, name: str) -> ScheduleStatus:
        """One schedule.

        Raises:
            NotFound: The application has none of that name.
        """
        return await self._status(await self._handle(application, name))

    async def pause(self, application: str, name: str, reason: str = "") -> ScheduleStatus:
        """Start nothing until it is resumed.

        Raises:
            NotFound: The application has none of that name.
            Refused: It is paused already.
        """
        return await self._turn(application, name, reason, paused=True)

    async def resume(self, application: str, name: str, reason: str = "") -> ScheduleStatus:
        """Go on; times that passed meanwhile are not made up for.

        Raises:
            NotFound: The application has none of that name.
            Refused: It is not paused.
        """
        return await self._turn(application, name, reason, paused=False)

    async def trigger(self, application: str, name: str, reason: str = "") -> ScheduleRun:
        """Start now what it starts, also while it is paused; what was started.

        Raises:
            NotFound: The application has none of that name.
            Refused: What it started before still runs.
        """
        handle = await self._handle(application, name)
        before = await self._describe(handle)
        with _explained(f"{name} cannot be triggered"):
            await handle.trigger()
        await self._note("trigger", application, name, before, reason)
        label, since = f"{application}/{name}", before.info
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while asyncio.get_running_loop().time() < deadline:
            info = (await self._describe(handle)).info
            if info.num_actions > since.num_actions:
                runs = await read_runs(await self._temporal(), info)
                return runs[0]
            if info.num_actions_skipped_overlap > since.num_actions_skipped_overlap:
                raise Refused(
                    f"{label} started nothing: what it started before still runs",
                    hint=f"see it: apollo schedule list --application {application}",
                )
            await asyncio.sleep(_LOOK)
        raise Unavailable(
            f"{label} was triggered, and Temporal has not started anything within 10 s",
            hint=f"see apollo schedule list --application {application}",
        )

    async def delete(self, application: str, name: str, reason: str = "") -> ScheduleStatus:
        """Take it away; what it started goes on. What it was.

        Raises:
            NotFound: The application has none of that name.
        """
        handle = await self._handle(application, name)
        status = await self._status(handle)
        with _explained(f"{name} cannot be deleted"):
            await handle.delete()
        await self._audit("delete", application, name, status.to, reason)
        return status

    def _schedule(
        self,
        action: ScheduleActionStartWorkflow,
        spec: ScheduleSpec,
        catch_up: timedelta,
        reason: str,
        *,
        paused: bool = False,
    ) -> Schedule:
        note = _told("paused" if paused else "made", self._who, reason)
        return Schedule(
            action=action,
            spec=spec,
            policy=SchedulePolicy(catchup_window=catch_up, pause_on_failure=False),
            state=ScheduleState(note=note, paused=paused),
        )

    async def _put(
        self,
        application: str,
        name: str,
        environment: str,
        schedule: Schedule,
        detail: Mapping[str, Any],
        reason: str,
        *,
        replace: bool,
    ) -> ScheduleStatus:
        client = await self._temporal()
        handle = client.get_schedule_handle(names.schedule_id(application, name))
        word = "create"
        with _explained(f"the schedule {application}/{name} cannot be made"):
            try:
                await client.create_schedule(
                    handle.id, schedule, search_attributes=_attributes(application)
                )
            except ScheduleAlreadyRunningError as error:
                if not replace:
                    raise Refused(
                        f"{application} has a schedule named {name}",
                        hint=f"--replace it, or: apollo schedule delete {application}/{name}",
                    ) from error
                word = "replace"
                await handle.update(lambda found: _replacing(found, schedule))
        await self._audit(word, application, name, environment, reason, detail)
        return await self._status(handle)

    async def _turn(
        self, application: str, name: str, reason: str, *, paused: bool
    ) -> ScheduleStatus:
        handle = await self._handle(application, name)
        found = await self._describe(handle)
        state = found.schedule.state
        if state.paused == paused:
            word = "is paused already" if paused else "is not paused"
            raise Refused(f"{application}/{name} {word}: {state.note or 'no note'}")
        note = _told("paused" if paused else "resumed", self._who, reason)
        with _explained(f"{name} cannot be {'paused' if paused else 'resumed'}"):
            await (handle.pause(note=note) if paused else handle.unpause(note=note))
        await self._note("pause" if paused else "resume", application, name, found, reason)
        return await self._status(handle)

    async def _handle(self, application: str, name: str) -> ScheduleHandle:
        """The schedule's handle, which says by itself when there is no such schedule."""
        if not _NAME.fullmatch(application) or not _NAME.fullmatch(name):
            raise NotFound(f"no schedule is named {application}/{name}")
        handle = (await self._temporal()).get_schedule_handle(names.schedule_id(application, name))
        try:
            await self._describe(handle)
        except NotFound as error:
            known = ", ".join(each.name for each in await self.list(application))
            raise NotFound(
                f"{application} has no schedule named {name}",
                hint=f"its schedules are: {known}" if known else "it has none",
            ) from error
        return handle

    async def _describe(self, handle: ScheduleHandle) -> ScheduleDescription:
        with _explained(f"the schedule {handle.id} cannot be read"):
            return await handle.describe()

    async def _status(self, handle: ScheduleHandle) -> ScheduleStatus:
        found = await self._describe(handle)
        with _explained(f"the schedule {handle.id} cannot be read"):
            return await read_status(await self._temporal(), found)

    async def _note(
        self, word: str, application: str, name: str, found: ScheduleDescription, reason: str
    ) -> None:
        status = await read_status(await self._temporal(), found, runs=False)
        await self._audit(word, application, name, status.to, reason)

    async def _audit(
        self,
        word: str,
        application: str,
        name: str,
        environment: str,
        reason: str,
        detail: Mapping[str, Any] = {},
    ) -> None:
        await self._catalog.audit.add(
            f"schedule {word}",
            by=self._who,
            application=application,
            environment=environment,
            reason=reason,
            detail={"schedule": name, **detail},
        )


def _attributes(application: str) -> TypedSearchAttributes:
    return TypedSearchAttributes([SearchAttributePair(names.APPLICATION, application)])


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidSchedule(
            f"expected a name of at most 63 lower-case letters, digits and '-'; found {name!r}",
            hint="write a name such as weekly",
        )
    if name.startswith(SYNC):
        raise InvalidSchedule(
            f"names that begin with {SYNC} are those of syncs; found {name!r}",
            hint="choose another name, or use apollo sync ENV --every 5m",
        )


def _replacing(found: ScheduleUpdateInput, schedule: Schedule) -> ScheduleUpdate:
    """The new schedule; a pause, and what is said about it, outlives the replacement."""
    state = found.description.schedule.state
    kept = state if state.paused else schedule.state
    return ScheduleUpdate(changed(schedule, state=kept))


def _told(what: str, who: str, reason: str) -> str:
    return f"{what} by {who}: {reason}" if reason else f"{what} by {who}"


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Tell of Temporal's errors in Apollo's words."""
    try:
        yield
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotFound(f"{what}: there is none") from error
        hint = "look whether the server is well: temporal operator cluster health"
        if "search attribute" in error.message:
            hint = "Apollo's search attributes are missing: start a worker once (apollo worker)"
        raise Unavailable(f"{what}: {error.message}", hint=hint) from error
