"""What a batch is loaded with: the turns of its hosts, and how many others are out."""

from collections.abc import Collection, Mapping

from apollo.activities.host_keys import keys_of
from apollo.catalog.records import HostRow
from apollo.domain.environment import Environment
from apollo.domain.fleet import Host
from apollo.domain.plan import HostState
from apollo.domain.rollout import Away, BatchLoad, HostTurn
from apollo.domain.setup import Setup
from apollo.domain.status import Outcome, Serving


def turns_of(
    environment: Environment,
    setup: Setup,
    rows: list[HostRow],
    states: dict[str, HostState],
    keys: dict[str, list[str]],
    adopted: set[str],
    away: Mapping[str, Away],
) -> tuple[HostTurn, ...]:
    """The hosts that have not ended, and those that are `away`.

    Those that fell out since the plan was made come first.
    Whether a host is out is what is known now: while the deployment waited, another one may have
    brought it into service, and then it needs room.
    """
    turns = []
    fallen = {row.host for row in rows if not row.was_out and states.get(row.host, HostState()).out}
    named = {row.host for row in rows}
    known = {host.name: host for host in environment.fleet.hosts if host.name in named}
    for row in rows:
        host = known.get(row.host)
        state = states.get(row.host, HostState())
        still = away.get(row.host, "")
        if host is None or not (still or (row.pending and state.serving is not Serving.DISABLED)):
            continue
        turns.append(
            HostTurn(
                host=host.in_its_turn,
                host_keys=keys_of(host, keys),
                manifest=row.manifest,
                running=row.previous_manifest if row.phase == "forward" else state.manifest,
                previous_release=row.previous_release or "",
                turn=row.turns if still else row.next_turn,
                group=row.group,
                was_out=state.out,
                was_broken=row.was_broken or row.manifest is None,
                balanced=_balanced(host, setup),
                own_workers=host.location in environment.own_workers,
                was_lost=state.serving is Serving.LOST,
                adopt=host.name in adopted,
                away=still,
            )
        )
    return tuple(sorted(turns, key=lambda turn: (turn.group, turn.host.name not in fallen)))


def kept_from(rows: list[HostRow], absent: Collection[str]) -> dict[str, int]:
    """The hosts that are due and disabled, and the numbers of the turns that they do not have."""
    return {row.host: row.next_turn for row in rows if row.pending and row.host in absent}


def disabled(states: Mapping[str, HostState]) -> frozenset[str]:
    """The hosts that are disabled now."""
    return frozenset(name for name, state in states.items() if state.serving is Serving.DISABLED)


def away_of(load: BatchLoad, rows: list[HostRow], without: Collection[str]) -> dict[str, Away]:
    """What becomes of the hosts that could not be reached when the batch ran before.

    Those of `without`, disabled or gone from the inventory, have no turn.
    """
    if not load.away:
        return {}
    away = [row for row in rows if row.outcome is Outcome.UNREACHABLE and not row.pending]
    over = {row.host for row in away if row.tried_again or row.host in without}
    return {row.host: "over" if row.host in over else load.away for row in away}


def _balanced(host: Host, setup: Setup) -> bool:
    role = setup.roles.get(host.role or "")
    return role is None or role.balancer != "none"


def out_of(environment: Environment, others: Collection[str]) -> dict[str, int]:
    """Hosts that are out, by location; `others` are those that serve, or are counted elsewhere."""
    out: dict[str, int] = {}
    for host in environment.fleet.hosts:
        if host.name not in others:
            out[host.location] = out.get(host.location, 0) + 1
    return out
