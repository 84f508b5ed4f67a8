"""A rollback after its deployment has ended: one that takes back what that one changed."""

from typing import TYPE_CHECKING

from apollo.domain.base import Share
from apollo.domain.deployment import DeploymentRequest
from apollo.domain.environment import Environment
from apollo.domain.plan import HostState
from apollo.domain.rollback import EndedHost, RollbackTurn, rollback_plan
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.strategy import Wave
from apollo.errors import Refused
from apollo.prepared import Prepared, most_common, plan_within, setups_of

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog
    from apollo.catalog.records import LastGood, StoredDeployment

_NOTHING_CHANGED = (DeploymentState.FAILED, DeploymentState.REFUSED)
_TAKEN_BACK = (DeploymentState.ROLLED_BACK, DeploymentState.ROLLBACK_FAILED)


def for_rollback(environment: Environment) -> Environment:
    """The environment as a rollback goes through it: at its pace, and held by nothing (rule 15)."""
    strategy = environment.strategy
    changed = strategy.model_copy(
        update={
            "waves": (Wave(share=Share(percent=100)),),
            "order": tuple(reversed(strategy.order)),
            "max_unavailable": strategy.rollback_max_unavailable,
            "on_failure": "halt",
        }
    )
    held_by = {"approval": False, "windows": (), "alarms": ()}
    return environment.model_copy(update={"strategy": changed, **held_by})


async def prepare_rollback(
    catalog: "Catalog", request: DeploymentRequest, revision: int | None
) -> Prepared:
    """Plan to bring each host that the last deployment changed to what it ran before (rule 7).

    Raises:
        NotFound: Nobody knows the environment.
        Refused: There is nothing to take back, or nothing to go back to.
    """
    place = request.application, request.environment
    applied = await catalog.environments.get(*place, revision)
    environment = for_rollback(applied.environment)
    undone = await _to_undo(catalog, *place)
    states: dict[str, HostState] = dict(await catalog.hosts.states(*place))
    turns, good = await _turns(catalog, undone, states)
    digests = {turn.host: turn.manifest for turn in turns if turn.manifest}
    changed = [turn.host for turn in turns if turn.action != "check"]
    plan = plan_within(environment, changed, request.limit, states, digests)
    back = [good[host.host].release for host in plan.hosts if host.host in good]
    if not back:
        raise Refused(
            f"{undone.label} changed no host that ran a release before",
            hint=f"name a release: apollo rollback {environment.label} --to VERSION",
        )
    release = most_common(back)
    roles = {host.name: host.role or "" for host in environment.fleet.hosts}
    return Prepared(
        environment=environment,
        revision=applied.revision,
        release=(await catalog.releases.get(request.application, release)).release,
        previous_release=undone.release,
        states=states,
        manifests={},
        digests=digests,
        plan=plan,
        whole_fleet=undone.whole_fleet,
        setups=await setups_of(
            catalog,
            request.application,
            ((good[name].release, roles[name]) for name in digests if name in roles),
        ),
    )


async def _to_undo(catalog: "Catalog", application: str, environment: str) -> "StoredDeployment":
    """The last deployment that may have changed hosts and has ended.

    A rollback that came only part of the way is looked through: the next one goes on.
    """
    label = f"{application}/{environment}"
    for each in await catalog.deployments.list(application, environment):
        if not each.state.ended or each.state in _NOTHING_CHANGED:
            continue
        back = each.kind == "rollback"
        if each.state in _TAKEN_BACK or (back and each.state is DeploymentState.SUCCEEDED):
            raise Refused(
                f"{each.label} has gone back already ({each.state})",
                hint=f"to go further, name a release: apollo rollback {label} --to VERSION",
            )
        if each.kind == "deploy":
            return each
    raise Refused(
        f"{label} has no deployment that could be taken back", hint=f"see apollo history {label}"
    )


async def _turns(
    catalog: "Catalog", undone: "StoredDeployment", states: dict[str, HostState]
) -> "tuple[list[RollbackTurn], dict[str, LastGood]]":
    """What becomes of each host that it changed, and what that ran before."""
    rows = await catalog.plans.rows(undone.uuid, "forward")
    good = await catalog.turns.last_good(
        undone.application,
        undone.environment,
        before=undone.number,
        hosts=[row.host for row in rows],
    )
    nothing = HostState()
    turns = rollback_plan(
        EndedHost(
            planned=row,
            outcome=row.outcome or Outcome.NOT_STARTED,
            wanted=row.manifest,
            runs=states.get(row.host, nothing).manifest,
            last_good=good[row.host].manifest if row.host in good else None,
        )
        for row in rows
    )
    return turns, good
