"""Random fleets and strategies, and deployments of them carried out without any host."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from apollo.domain.base import parse_share
from apollo.domain.capacity import Allowance, Turn, allowance, next_turns
from apollo.domain.fleet import Fleet, Host
from apollo.domain.plan import HostState, Plan, make_plan
from apollo.domain.rollback import EndedHost, RollbackTurn, rollback_plan
from apollo.domain.status import Outcome, Serving
from apollo.domain.strategy import Strategy
from tests.support.rules import Machine, Referee

Times = dict[str, tuple[float, float]]
"""When the turn of each host began and ended."""
Decide = Callable[..., list[Turn]]
ENDS = [Outcome.UPDATED] * 6 + [
    Outcome.CURRENT,
    Outcome.REVERTED,
    Outcome.BROKEN,
    Outcome.LOST,
    Outcome.UNREACHABLE,
]


@dataclass(frozen=True)
class Case:
    """A fleet and a strategy, in the words of the referee."""

    machines: tuple[Machine, ...]
    share: str = "25%"
    waves: tuple[tuple[str, bool], ...] = (("1", False), ("100%", False))
    order: tuple[str, ...] = ()
    one_location: bool = False

    @property
    def fleet(self) -> Fleet:
        return Fleet(
            hosts=tuple(
                Host(
                    name=each.name,
                    location=each.location,
                    address="192.0.2.1",
                    labels={
                        **({"role": each.role} if each.role else {}),
                        **({"canary": "yes"} if each.canary else {}),
                    },
                )
                for each in self.machines
            )
        )

    @property
    def strategy(self) -> Strategy:
        return Strategy.model_validate(
            {
                "waves": [
                    {"share": share, **({"of": "canary=yes"} if canary else {})}
                    for share, canary in self.waves
                ],
                "order": self.order,
                "max_unavailable": self.share,
                "spread": "one_location_at_a_time" if self.one_location else "stripe",
            }
        )

    @property
    def states(self) -> dict[str, HostState]:
        return {
            each.name: HostState(
                serving=_serving(each),
                manifest="new" if each.current else "old",
                failed_last=each.failed,
            )
            for each in self.machines
        }

    def plan(self, **options: Any) -> Plan:
        manifests = {each.name: "new" for each in self.machines}
        return make_plan(self.fleet, self.strategy, self.states, manifests, **options)

    def planned(self, plan: Plan) -> list[Machine]:
        machines = {each.name: each for each in self.machines}
        return [machines[host.host] for host in plan.hosts]


def _serving(machine: Machine) -> Serving:
    if machine.disabled:
        return Serving.DISABLED
    kinds = [Serving.BROKEN, Serving.LOST, Serving.UNREACHABLE, Serving.NEW]
    return kinds[len(machine.name) % 4] if machine.out else Serving.SERVING


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Uneven locations, roles, hosts that are out, failed or disabled; any strategy."""
    sizes = draw(st.lists(st.integers(1, 14), min_size=1, max_size=5))
    sick = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    random = Random(draw(st.integers(0, 2**32)))
    mixes: list[list[str | None]] = [[None], ["web"], ["web", "web", "job"], ["web", "job", None]]
    roles = draw(st.sampled_from(mixes))
    machines = [
        Machine(
            name=f"{'xyzuv'[place]}{'0' * random.randrange(3)}{number}",
            location="abcde"[place],
            role=random.choice(roles),
            out=random.random() < sick,
            failed=random.random() < 0.1,
            disabled=random.random() < sick / 4,
            current=random.random() < 0.2,
            canary=random.random() < 0.3 or (place, number) == (0, 0),
        )
        for place, size in enumerate(sizes)
        for number in range(size)
    ]
    random.shuffle(machines)
    share = st.one_of(st.integers(1, 8).map(str), st.integers(1, 100).map(lambda p: f"{p}%"))
    waves = draw(st.lists(st.tuples(share, st.booleans()), max_size=3))
    return Case(
        machines=tuple(machines),
        share=draw(share),
        waves=(*waves, ("100%", False)),
        order=tuple(draw(st.permutations(["web", "job"]))[: draw(st.integers(0, 2))]),
        one_location=draw(st.booleans()),
    )


def drive(
    rows: list[Turn],
    referee: Referee,
    limits: Allowance,
    random: Random,
    decide: Decide = next_turns,
    ends: list[Outcome] = ENDS,
    times: Times | None = None,
) -> dict[str, Outcome]:
    """Carry out a wave as a batch does, with random durations and outcomes; `times` is filled."""
    times = {} if times is None else times
    places = {each.name: each.location for each in referee.fleet}
    pending = {turn.host: turn for turn in rows}
    in_flight: dict[str, Turn] = {}
    clock: list[tuple[float, str]] = []
    outcomes: dict[str, Outcome] = {}
    out = set(referee.out)
    now = max((end for _, end in times.values()), default=0.0)
    while True:
        counts: dict[str, int] = {}
        for name in sorted(out):
            counts[places[name]] = counts.get(places[name], 0) + 1
        begun = decide(
            list(pending.values()),
            list(in_flight.values()),
            counts,
            limits,
            one_location=referee.one_location,
            always_a_lane=referee.rollback,
        )
        referee.begin([turn.host for turn in begun])
        for turn in begun:
            in_flight[turn.host] = turn
            pending.pop(turn.host, None)
            out.discard(turn.host)
            end = now + random.choice([1.0, 1.0, 2.0, 7.0])
            times[turn.host] = (now, end)
            heapq.heappush(clock, (end, turn.host))
        if not clock:
            referee.close()
            return outcomes
        now, name = heapq.heappop(clock)
        in_flight.pop(name, None)
        outcomes[name] = random.choice(ends)
        if outcomes[name].out:
            out.add(name)
        referee.end(name, out=outcomes[name].out)


def deploy(
    case: Case,
    seed: int,
    *,
    decide: Decide = next_turns,
    limits: Allowance | None = None,
    ends: list[Outcome] = ENDS,
    times: Times | None = None,
) -> tuple[list[str], dict[str, Outcome], set[str]]:
    """All waves of a deployment: complaints, outcomes, who is out in the end."""
    plan, random = case.plan(), Random(seed)
    times = {} if times is None else times
    machines = {each.name: each for each in case.machines}
    out = {each.name for each in case.machines if each.out or each.disabled}
    outcomes: dict[str, Outcome] = {}
    complaints: list[str] = []
    for wave in plan.waves:
        rows = [host for host in plan.hosts if host.wave == wave.number]
        referee = Referee(
            fleet=case.machines,
            share=case.share,
            planned=[machines[row.host] for row in rows],
            order=case.order,
            one_location=case.one_location,
            out=set(out),
        )
        turns = [row.turn for row in rows]
        outcomes |= drive(turns, referee, limits or plan.allowance, random, decide, ends, times)
        complaints += referee.complaints
        out = referee.out
    return complaints, outcomes, out


def back(
    case: Case,
    seed: int,
    *,
    decide: Decide = next_turns,
    share: str = "33%",
    ends: list[Outcome] = ENDS,
    times: tuple[Times, Times] | None = None,
) -> tuple[list[str], list[RollbackTurn], dict[str, Outcome]]:
    """Deploy, then take everything back; complaints and `ends` are those of the rollback."""
    forward, backward = times or ({}, {})
    _, outcomes, out = deploy(case, seed, times=forward)
    backward.update(_start=(0.0, max((end for _, end in forward.values()), default=0.0)))
    rows = [
        EndedHost(
            planned=row,
            outcome=outcomes.get(row.host, Outcome.NOT_STARTED),
            wanted="new",
            last_good=None if row.was_out and seed % 2 else "old",
        )
        for row in case.plan().hosts
    ]
    turns = rollback_plan(rows)
    machines = {each.name: each for each in case.machines}
    referee = Referee(
        fleet=case.machines,
        share=share,
        planned=[machines[turn.host] for turn in turns],
        rollback=True,
        out=set(out),
    )
    limits = allowance(parse_share(share), case.fleet.sizes())
    waiting = [turn.turn._replace(group=0) for turn in turns]
    drive(waiting, referee, limits, Random(seed), decide, ends, backward)
    del backward["_start"]
    missing = [turn.host for turn in turns if turn.host not in referee.begun]
    return referee.complaints + [f"{name} had no turn" for name in missing], turns, outcomes
