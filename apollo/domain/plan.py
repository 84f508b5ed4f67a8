"""Which host has its turn when: the plan of a deployment (rules 3, 4 and 8)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise

from apollo.domain.base import Duration, Wire
from apollo.domain.capacity import Allowance, Room, Turn, allowance, lanes
from apollo.domain.caveats import caveats, some
from apollo.domain.fleet import Fleet, select, sizes
from apollo.domain.status import Serving
from apollo.domain.strategy import Strategy, Wave
from apollo.domain.waves import Candidate, arrange, batches, cut, sequence

BATCH = 500
_BROKEN = (Serving.BROKEN, Serving.LOST)


class HostState(Wire):
    """What the catalog knows of a host before a deployment."""

    serving: Serving = Serving.NEW
    manifest: str | None = None
    release: str | None = None
    failed_last: bool = False

    @property
    def out(self) -> bool:
        """The host does not serve."""
        return self.serving is not Serving.SERVING

    @property
    def broken(self) -> bool:
        """The host is out because a turn failed on it."""
        return self.serving in _BROKEN


_UNKNOWN = HostState()


class PlannedHost(Wire):
    """A host's place in a plan; orders, waves and batches count from 1."""

    order: int
    wave: int
    batch: int
    host: str
    location: str
    role: str | None = None
    group: int = 0
    """The number of its role in `order`, from 0."""
    was_out: bool = False
    was_broken: bool = False
    expected_current: bool = False

    @property
    def turn(self) -> Turn:
        """The host as it waits for its turn."""
        return Turn(self.host, self.location, not self.was_out, self.group)


class PlannedWave(Wire):
    """A wave that has hosts, and what follows it."""

    number: int
    hosts: int
    batches: int
    barriers: tuple[int, ...] = ()
    """The batches that begin only when all before them have ended: a new role begins there."""
    bake: Duration = timedelta(0)
    approval: bool = False
    lanes: dict[str, int]


class Plan(Wire):
    """The hosts in the order of their turns, the waves, and what is allowed."""

    hosts: tuple[PlannedHost, ...]
    waves: tuple[PlannedWave, ...]
    allowance: Allowance
    failures_allowed: int
    unreachable_allowed: int
    warnings: tuple[str, ...] = ()


def marks(
    fleet: Fleet, states: Mapping[str, HostState], manifests: Mapping[str, str]
) -> dict[str, frozenset[str]]:
    """What `@failed` and `@outdated` stand for in expressions, given what hosts should run."""
    known = {host.name: states.get(host.name, _UNKNOWN) for host in fleet.hosts}
    failed = [name for name, state in known.items() if state.failed_last or state.broken]
    outdated = [name for name, state in known.items() if state.manifest != manifests.get(name)]
    return {"@failed": frozenset(failed), "@outdated": frozenset(outdated)}


def make_plan(
    fleet: Fleet,
    strategy: Strategy,
    states: Mapping[str, HostState],
    manifests: Mapping[str, str],
    *,
    limit: Sequence[str] | None = None,
    redeploy: bool = False,
    batch_size: int = BATCH,
) -> Plan:
    """Plan a deployment: the same plan every time for the same arguments.

    Allowances are of the whole fleet, whatever the limit; the shares of waves and the budgets are
    of the hosts planned. Disabled hosts are not planned, and count as out.

    Args:
        fleet: All hosts of the environment.
        strategy: Waves, capacity and budgets.
        states: What is known of each host; nothing runs on a host that is missing here.
        manifests: The digest of what each host shall run.
        limit: The names of the only hosts to plan.
        redeploy: Hosts that run their manifest already are not expected to be left alone.
        batch_size: How many hosts one batch carries at most.

    Raises:
        ValueError: An `of` of the waves or a name of the limit matches nothing.
    """
    candidates = _candidates(fleet, states, manifests, limit, redeploy)
    serving = {host.name: states.get(host.name, _UNKNOWN).serving for host in fleet.hosts}
    allowed = allowance(strategy.max_unavailable, fleet.sizes())
    known = marks(fleet, states, manifests)
    cuts = cut(
        sequence(candidates, strategy.spread),
        strategy.waves,
        lambda of: frozenset(host.name for host in select(fleet.hosts, of, known)),
        Room(allowed, sizes(h for h in fleet.hosts if serving[h.name] is not Serving.SERVING)),
    )
    hosts: list[PlannedHost] = []
    waves: list[PlannedWave] = []
    taken: Counter[int] = Counter()
    for wave, picked in zip(strategy.waves, cuts, strict=True):
        if picked:
            number = len(waves) + 1
            arranged = arrange(picked, strategy, taken)
            rows = _batched(arranged, states, number, len(hosts), batch_size)
            hosts += rows
            taken.update(candidate.place for candidate in picked)
            waves.append(_wave(number, wave, rows, allowed, strategy))
    return Plan(
        hosts=tuple(hosts),
        waves=tuple(waves),
        allowance=allowed,
        failures_allowed=strategy.failures_allowed(len(hosts)),
        unreachable_allowed=strategy.unreachable_allowed(len(hosts)),
        warnings=tuple(caveats(fleet, strategy, serving, allowed, cuts)),
    )


def _candidates(
    fleet: Fleet,
    states: Mapping[str, HostState],
    manifests: Mapping[str, str],
    limit: Sequence[str] | None,
    redeploy: bool,
) -> list[Candidate]:
    names = fleet.names()
    if unknown := [name for name in limit or () if name not in names]:
        raise ValueError(f"limit: the fleet has no host {some(unknown)}")
    wanted = names if limit is None else set(limit)
    places = {location: place for place, location in enumerate(fleet.locations())}
    result = []
    for host in fleet.hosts:
        state = states.get(host.name, _UNKNOWN)
        if host.name in wanted and state.serving is not Serving.DISABLED:
            same = state.manifest is not None and state.manifest == manifests.get(host.name)
            result.append(
                Candidate(
                    host=host,
                    place=places[host.location],
                    first=state.out or state.failed_last,
                    serves=not state.out,
                    current=same and not state.out and not redeploy,
                )
            )
    return result


def _batched(
    arranged: Sequence[tuple[int, Candidate]],
    states: Mapping[str, HostState],
    wave: int,
    before: int,
    batch_size: int,
) -> list[PlannedHost]:
    rows: list[PlannedHost] = []
    numbers = batches([group for group, _ in arranged], batch_size)
    for index, (batch, (group, candidate)) in enumerate(zip(numbers, arranged, strict=True), 1):
        rows.append(
            PlannedHost(
                order=before + index,
                wave=wave,
                batch=batch,
                host=candidate.host.name,
                location=candidate.host.location,
                role=candidate.host.role,
                group=group,
                was_out=not candidate.serves,
                was_broken=states.get(candidate.host.name, _UNKNOWN).broken,
                expected_current=candidate.current,
            )
        )
    return rows


def _wave(
    number: int, wave: Wave, rows: Sequence[PlannedHost], allowed: Allowance, strategy: Strategy
) -> PlannedWave:
    places = list(dict.fromkeys(row.location for row in rows))
    if strategy.spread == "stripe":
        each = lanes(allowed, places)
    else:
        each = {place: lanes(allowed, [place])[place] for place in places}
    roles = [b.batch for a, b in pairwise(rows) if a.batch != b.batch and a.group != b.group]
    return PlannedWave(
        number=number,
        hosts=len(rows),
        batches=rows[-1].batch,
        barriers=tuple(roles),
        bake=wave.bake,
        approval=wave.approval,
        lanes=each,
    )
