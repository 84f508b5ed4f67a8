"""What a deployment asks of the control worker: open, lease, load, record, roll back, close."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError

from apollo.activities.explained import explained
from apollo.activities.host_keys import accepted_keys, keep_accepted
from apollo.activities.lease import LeaseKeeper
from apollo.activities.loading import away_of, disabled, kept_from, out_of, turns_of
from apollo.activities.outline import outline
from apollo.activities.trail import Place, Trail, trace_of
from apollo.catalog.records import HostRow, NewDeployment, StoredDeployment
from apollo.domain.budget import Ended, end_state
from apollo.domain.capacity import allowance
from apollo.domain.caveats import some
from apollo.domain.deployment import DeploymentRequest
from apollo.domain.plan import HostState
from apollo.domain.rollback import EndedHost, rollback_plan
from apollo.domain.rollout import (
    BatchHosts,
    BatchLoad,
    CloseInput,
    ControlInput,
    DeploymentResult,
    LeaseAnswer,
    LeaseInput,
    Looked,
    LookInput,
    Opened,
    OpenInput,
    OutInput,
    Recorded,
    RecordInput,
    RollbackPlan,
    StateInput,
    WindowsInput,
    WindowsLook,
)
from apollo.domain.status import Outcome
from apollo.domain.turn import skipped
from apollo.domain.windows import change_text, standing
from apollo.errors import Refused
from apollo.planning import prepare
from apollo.prepared import Prepared

if TYPE_CHECKING:
    from temporalio.client import Client

    from apollo.artifacts.store import Store
    from apollo.catalog.catalog import Catalog

_ASK_AGAIN = 1.0


@dataclass
class DeploymentActivities:
    """The control worker's part of deployments; every write may be repeated."""

    catalog: "Catalog"
    store: "Store"
    client: "Client"
    takeover: timedelta = timedelta(seconds=10)
    pull_above: int = 200
    """Hosts of a deployment above which they pull artifacts, where the store has URLs."""
    trail: Trail = field(default_factory=Trail)

    @activity.defn
    @explained
    async def open(self, given: OpenInput) -> Opened:
        """Validate, number and plan a deployment; the plan lies in the catalog."""
        known = await self.catalog.deployments.by_workflow(given.workflow_id)
        if known and known.run_id != given.run_id:
            raise Refused(
                f"the workflow id {given.workflow_id} has carried out {known.label} already",
                hint="start each deployment under a workflow id of its own",
            )
        if known and known.plan:
            return Opened.model_validate(known.plan)
        request = given.request
        named = request.release or not request.rollback
        if known and named:  # an attempt before this one had got as far as the number
            request = request.model_copy(update={"release": known.release})
        revision = known.revision if known else given.revision
        prepared = await prepare(self.catalog, request, revision, given.hosts)
        for manifest in prepared.distinct.values():
            await self.store.put_bytes(manifest.canonical())
        stored = known or await self._number(given, prepared)
        await self._audit_start(stored, request)
        opened = outline(stored, prepared, request, self.takeover)
        plan = prepared.plan.hosts
        summary = opened.model_dump(mode="json")
        first = await self.catalog.plans.store(
            stored.uuid, plan, prepared.digests, prepared.states, summary
        )
        if not first:
            opened = Opened.model_validate(
                (await self.catalog.deployments.by_uuid(stored.uuid)).plan
            )
        return opened

    @activity.defn
    @explained
    async def look_at_windows(self, given: WindowsInput) -> WindowsLook:
        """Whether the windows that the deployment was planned with are open, and until when."""
        stored = await self.catalog.deployments.by_uuid(given.deployment)
        place = stored.application, stored.environment
        planned = await self.catalog.environments.planned(*place, stored.revision)
        windows, calendars = planned.windows, planned.freezes.values()
        found = standing(windows, given.now, calendars)
        then = standing(windows, found.until, calendars) if found.until else None
        return WindowsLook(
            open=found.open,
            until=found.until,
            change=change_text(windows, found),
            then=change_text(windows, then) if then else "",
        )

    @activity.defn
    @explained
    async def await_lease(self, given: LeaseInput) -> LeaseAnswer:
        """Wait until the environment's lease is ours, or it is clear that it will not be."""
        keeper = LeaseKeeper(self.catalog, self.client, self.trail)
        while (answer := await keeper.ask(given)) is None:
            activity.heartbeat()
            await asyncio.sleep(_ASK_AGAIN)
        return answer

    @activity.defn
    @explained
    async def load_batch(self, load: BatchLoad) -> BatchHosts:
        """The hosts of a batch that have not ended, if the lease is still the deployment's."""
        stored, newest = await self.catalog.deployments.with_newest(load.deployment)
        await check_lease(self.catalog, stored, load.workflow_id, load.granted_ms)
        place = stored.application, stored.environment
        environment = await self.catalog.environments.planned(*place, stored.revision)
        rows = await self.catalog.plans.batch(load.deployment, load.phase, load.wave, load.batch)
        gone = await self._gone(stored, newest)
        rows = await self._skip(load, rows, gone)
        hosts = [row.host for row in rows]
        states: dict[str, HostState] = dict(await self.catalog.hosts.states(*place, hosts))
        keys = await self.catalog.keys.lines(*place, hosts)
        adopted = await self.catalog.adoptions.hosts(*place)
        release = (await self.catalog.releases.get(stored.application, stored.release)).release
        absent = disabled(states)
        away = away_of(load, rows, gone | absent)
        turns = turns_of(environment, release.setup, rows, states, keys, adopted, away)
        here = {turn.host.name for turn in turns}
        serve = await self.catalog.hosts.in_service(*place)
        return BatchHosts(
            turns=turns,
            out=out_of(environment, here | gone | serve),
            disabled=kept_from(rows, absent),
            owner=f"{await self.catalog.uuid()}/{stored.application}/{stored.environment}",
            label=stored.label,
            application=stored.application,
            environment=stored.environment,
            release=stored.release,
            folder=folder_of(stored),
            first_use=environment.first_use,
            balancer=environment.balancer,
            redeploy=bool(stored.request.get("redeploy")),
            restart=stored.kind == "restart",
            pull=Opened.model_validate(stored.plan).hosts > self.pull_above,
            stop=stored.request.get("stop", "running"),
            trace=trace_of(stored).id,
        )

    @activity.defn
    @explained
    async def look_again(self, given: LookInput) -> Looked:
        """Which hosts of a batch are disabled now, and how many others of the fleet are out."""
        stored, newest = await self.catalog.deployments.with_newest(given.deployment)
        place = stored.application, stored.environment
        environment = await self.catalog.environments.planned(*place, stored.revision)
        states = await self.catalog.hosts.states(*place, given.hosts)
        elsewhere = await self._gone(stored, newest) | await self.catalog.hosts.in_service(*place)
        return Looked(
            disabled=tuple(sorted(disabled(states))),
            out=out_of(environment, elsewhere | set(given.hosts)),
        )

    @activity.defn
    @explained
    async def who_is_out(self, given: OutInput) -> str:
        """The hosts that are out in these locations, or else in the fleet; some by their names."""
        stored, newest = await self.catalog.deployments.with_newest(given.deployment)
        place = stored.application, stored.environment
        environment = await self.catalog.environments.planned(*place, stored.revision)
        elsewhere = await self._gone(stored, newest) | await self.catalog.hosts.in_service(*place)
        out = [host for host in environment.fleet.hosts if host.name not in elsewhere]
        there = [host for host in out if host.location in given.locations]
        return some([host.name for host in there or out])

    async def _skip(
        self, load: BatchLoad, rows: list[HostRow], gone: frozenset[str]
    ) -> list[HostRow]:
        """The rows without hosts that have left the inventory and had no turn: they are skipped."""
        left = [row for row in rows if row.outcome is None and row.host in gone]
        records = [skipped(row.host, row.next_turn) for row in left]
        await self.catalog.turns.record(load.deployment, load.phase, records)
        return [row for row in rows if row not in left]

    async def _gone(self, stored: StoredDeployment, newest: int) -> frozenset[str]:
        """Hosts of the deployment's fleet that the newest revision's inventory does not have."""
        if newest == stored.revision:
            return frozenset()
        place = stored.application, stored.environment
        planned = await self.catalog.environments.planned(*place, stored.revision)
        now = await self.catalog.environments.planned(*place, newest)
        return planned.fleet.names() - now.fleet.names()

    @activity.defn
    @explained
    async def record(self, given: RecordInput) -> Recorded | None:
        """Write how hosts ended, and tell of hosts of the batch that have left the inventory."""
        news = await self.catalog.turns.record(given.deployment, given.phase, given.records)
        stored, newest = await self.catalog.deployments.with_newest(given.deployment)
        place = Place(given.phase, given.wave, given.batch)
        await self.trail.turns(stored, place, given.records, news=bool(news))
        await keep_accepted(self.catalog, stored, accepted_keys(given.records))
        gone = await self._gone(stored, newest)
        if not gone:
            return Recorded()
        rows = await self.catalog.plans.batch(
            given.deployment, given.phase, given.wave, given.batch
        )
        waiting = (None, Outcome.UNREACHABLE)
        return Recorded(
            gone=tuple(row.host for row in rows if row.outcome in waiting and row.host in gone)
        )

    @activity.defn
    @explained
    async def set_state(self, given: StateInput) -> None:
        """Write where the deployment stands."""
        await self.catalog.deployments.set_state(given.deployment, given.state, given.detail)

    @activity.defn
    @explained
    async def record_control(self, given: ControlInput) -> None:
        """Write who said what to the deployment."""
        stored = await self.catalog.deployments.by_uuid(given.deployment)
        await self.catalog.audit.add(
            given.action,
            by=given.by,
            application=stored.application,
            environment=stored.environment,
            deployment=given.deployment,
            reason=given.reason,
            detail={"detail": given.detail} if given.detail else {},
            control=given.control,
        )

    @activity.defn
    @explained
    async def plan_rollback(self, deployment: str) -> RollbackPlan:
        """Plan the way back of every host that the deployment changed."""
        stored = await self.catalog.deployments.by_uuid(deployment)
        place = stored.application, stored.environment
        environment = await self.catalog.environments.planned(*place, stored.revision)
        rows = await self.catalog.plans.rows(deployment, "forward", records=False)
        good = await self.catalog.turns.last_good(
            *place, before=stored.number, hosts=[row.host for row in rows]
        )
        turns = rollback_plan(
            EndedHost(
                planned=row,
                outcome=row.outcome or Outcome.NOT_STARTED,
                wanted=row.manifest,
                runs=row.ran,
                last_good=good[row.host].manifest if row.host in good else None,
            )
            for row in rows
        )
        await self.catalog.plans.store_rollback(deployment, turns)
        share = environment.strategy.rollback_max_unavailable
        return RollbackPlan(
            hosts=len(turns),
            batches=turns[-1].batch if turns else 0,
            allowance=allowance(share, environment.fleet.sizes()),
        )

    @activity.defn
    @explained
    async def close(self, given: CloseInput) -> DeploymentResult:
        """End the deployment, give the lease back, and say how all hosts ended."""
        stored = await self.catalog.deployments.by_uuid(given.deployment)
        opened = Opened.model_validate(stored.plan)
        rows = await self.catalog.plans.rows(given.deployment, records=False)
        state = end_state(
            given.ending,
            [
                Ended(row.outcome or Outcome.NOT_STARTED, row.was_broken, row.pending)
                for row in rows
                if row.phase == "forward"
            ],
            failures_allowed=opened.failures_allowed,
            rollback_failures=sum(_failed_back(row) for row in rows),
        )
        ended = await self.catalog.deployments.end(given.deployment, state, given.detail)
        await self.catalog.leases.release(given.workflow_id)
        await self.trail.deployment(stored, ended, rows)
        return DeploymentResult(
            label=ended.label,
            state=ended.state,
            release=ended.release,
            previous_release=ended.previous_release,
            outcomes=await self.catalog.turns.counts(given.deployment),
            errors=await self.catalog.turns.errors(given.deployment),
            detail=ended.detail,
            ended_at=ended.ended_at,
        )

    async def _audit_start(self, stored: StoredDeployment, request: DeploymentRequest) -> None:
        """Who asked for it, who opened its gates beforehand, and why."""
        words: list[tuple[str, str, str]] = [(request.kind, request.by, request.reason)]
        if request.approved:
            words.append(("approve", request.approved, "approved before it started"))
        if request.overrides:
            words.append(("override", request.by, request.override))
        others = {"stop": request.stop} if request.stop != "running" else {}
        for action, by, reason in words:
            await self.catalog.audit.add(
                action,
                by=by,
                application=request.application,
                environment=request.environment,
                deployment=stored.uuid,
                reason=reason,
                detail=others if action == request.kind else {},
                control=action if action == request.kind else f"{action} at the start",
            )

    async def _number(self, given: OpenInput, prepared: Prepared) -> StoredDeployment:
        request = given.request
        return await self.catalog.deployments.open(
            NewDeployment(
                workflow_id=given.workflow_id,
                run_id=given.run_id,
                application=request.application,
                environment=request.environment,
                release=prepared.release.version,
                previous_release=prepared.previous_release,
                revision=prepared.revision,
                kind=request.kind,
                whole_fleet=prepared.whole_fleet
                and request.kind in ("deploy", "rollback")
                and request.limit is None,
                by=request.by,
                reason=request.reason,
                request=request.model_dump(mode="json"),
            )
        )


async def check_lease(
    catalog: "Catalog", stored: StoredDeployment, workflow_id: str, granted_ms: int
) -> None:
    """Return when the deployment still has the lease that it was granted then."""
    lease = await catalog.leases.holder(stored.application, stored.environment)
    if not lease or (lease.workflow_id, lease.granted_ms) != (workflow_id, granted_ms):
        raise ApplicationError(
            f"{stored.label} has lost its lease to {lease.workflow_id if lease else 'nobody'}",
            type="LeaseLost",
            non_retryable=True,
        )


def folder_of(stored: StoredDeployment) -> str:
    """The release's folder on hosts that do not have it yet."""
    return f"{stored.opened_at:%Y%m%dT%H%M%SZ}-{stored.release}"


def _failed_back(row: HostRow) -> bool:
    """A host that should have gone back and did not; one that was only to be stopped has been."""
    failed = row.outcome is Outcome.UNREACHABLE or (row.outcome is not None and row.outcome.failure)
    return row.phase == "rollback" and failed and row.manifest is not None
