"""The rules of a deployment, written down once more by an onlooker who complains.

It sees what happens and knows what was asked for. It imports nothing that plans or decides: rules
1 to 3 are told by the referee, whose sums are its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.engine.log import Turn
from tests.engine.sums import DEADLINE, GOOD, back_order, bad, role_order, room_left
from tests.support.rules import Machine, Referee

if TYPE_CHECKING:
    from tests.engine.world import World

AWAY = "unreachable"
MOMENT = 0.01
QUIET = 6.0
"""Seconds in which something must happen while nothing holds it: the lease takes three."""


@dataclass
class Host:
    """What has become of a planned host."""

    machine: Machine
    wave: int
    outcome: str = ""
    turns: int = 0
    due: bool = False
    """Somebody has asked for another turn."""
    left: bool = False
    """Somebody has left it out."""
    went_back: bool = False


@dataclass
class Heard:
    """What was said, by people, windows, alarms and the lease."""

    paused: bool = False
    stop: str = ""
    lease: str = ""
    closed: bool = False
    listens: float | None = None
    unreadable: float | None = None
    """Since when."""
    approved: list[str] = field(default_factory=list)
    pace: str = ""
    turned: bool = False
    accepted: int = 0
    why: str = ""


class Umpire:
    """Looks on; `complaints` holds what was against the rules, by their numbers."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.now: Callable[[], float] = lambda: 0.0
        self.complaints: dict[int, list[str]] = {}
        self.heard = Heard()
        self.hosts: dict[str, Host] = {}
        self.out = {each.name for each in world.case.machines if each.out or each.disabled}
        self.disabled = {each.name for each in world.case.machines if each.disabled}
        self.flying: dict[str, Turn] = {}
        self.back: list[str] = []
        self._out_back: set[str] = set()
        """Who is out as it turns back."""
        self._ranks_back: dict[str, int] = {}
        self.allowed = (0, 0)
        self.state = ""
        self._wave = 0
        self._ended: dict[int, float] = {}
        """When the last turn of each wave ended."""
        self._moved: dict[str, float] = {}
        self._last = 0.0
        self._referees: dict[tuple[str, int, int], Referee] = {}
        self._relayed: dict[tuple[str, int, int], set[str]] = {}
        """Batches that began while the one before ended its last turns, and their hosts."""
        self._sharing: set[tuple[str, int, int]] = set()
        self._machines = {each.name: each for each in world.case.machines}

    def say(self, rule: int, what: str) -> None:
        """Complain."""
        self.complaints.setdefault(rule, []).append(f"{self.now():.2f}: {what}")

    # What it is told.

    def opened(self, failures: int, unreachable: int, places: dict[str, tuple[int, int]]) -> None:
        """It is planned."""
        self.hosts = {name: Host(self._machines[name], wave) for name, (wave, _) in places.items()}
        self.allowed = failures, unreachable
        wanted = {each.name for each in self.world.case.machines if not each.disabled}
        if set(places) != wanted:
            self.say(10, "the plan is not of all hosts")
        for rule, share, found in (
            (5, self.world.failures, failures),
            (5, self.world.unreachable, unreachable),
        ):
            if found != room_left(share, len(places)):
                self.say(rule, f"{share} of {len(places)} hosts are not {found}")

    def batch(
        self, phase: str, wave: int, batch: int, hosts: list[str], *, beside: int, after: bool
    ) -> None:
        """A batch begins with these hosts."""
        machines = [self.hosts[name].machine for name in hosts]
        back = phase == "rollback"
        referee = Referee(
            fleet=self.world.case.machines,
            share=self._share(back),
            planned=machines,
            order=self.world.case.order,
            one_location=self.world.case.one_location,
            rollback=back or self.world.kind == "rollback",
        )
        if back:
            referee.ranks = self._ranks_back
        else:
            referee.ranks = role_order(machines, referee.order)
            known = {name: self.hosts[name] for name in hosts}
            referee.begun = [
                n for n, each in known.items() if each.outcome == AWAY and not each.due
            ]
        place = phase, wave, batch
        self._sharing.discard(place)
        self._relayed.pop(place, None)
        for number in (batch - after, batch):
            self._referees.pop((phase, wave, number), None)
        if beside:
            self._sharing.add(place)
        if after:
            self._relayed[place] = set(hosts)
            self._moved |= dict.fromkeys(self._busy(), self.now())
        if not beside and not after:
            self._referees[place] = referee

    def began(self, phase: str, wave: int, batch: int, turns: list[Turn]) -> None:
        """These turns begin at one moment, perhaps none."""
        back = phase == "rollback"
        for turn in turns:
            self._may_begin(turn, back)
        referee = self._referees.get((phase, wave, batch))
        if referee:
            self._ask(referee, [turn.host for turn in turns], back)
        for turn in turns:
            self._has_room(turn.host, back)
            hosts = self._relayed.get((phase, wave, batch))
            if hosts and (phase, wave, batch) not in self._sharing:
                self._has_lane(turn.host, hosts)
            self._begins(turn)

    def ended(self, turn: Turn, outcome: str) -> None:
        """A turn has ended."""
        host = self.hosts[turn.host]
        host.outcome, host.turns = outcome, turn.number
        del self.flying[turn.host]
        self.out.discard(turn.host)
        if outcome in ("broken", "lost", AWAY) or turn.host in self.disabled:
            self.out.add(turn.host)
        place = host.machine.location
        if place in self._busy():
            self._moved[place] = self.now()
        else:
            self._moved.pop(place, None)
        self._ended[host.wave] = self._last = self.now()
        if referee := self._referees.get((turn.phase, turn.wave, turn.batch)):
            referee.end(turn.host, out=turn.host in self.out)

    def left(self, host: str) -> None:
        """A host was skipped."""
        self.hosts[host].outcome, self.hosts[host].left = "skipped", True
        self.hosts[host].due = False
        self._last = self.now()

    def went_back(self, hosts: list[str]) -> None:
        """The way back is planned."""
        self.back = hosts
        outcomes = {name: each.outcome for name, each in self.hosts.items()}
        self._ranks_back = back_order(hosts, outcomes, self._machines, self.world.case.order)
        self._out_back = {n for n, each in self.hosts.items() if each.outcome in ("broken", "lost")}
        changed = {"updated", "reverted", "broken", "lost"}
        wanted = {name for name, each in self.hosts.items() if each.outcome in changed}
        if set(hosts) != wanted:
            self.say(7, f"{sorted(set(hosts) ^ wanted)}: changed and left, or untouched and not")
        if self.flying:
            self.say(7, f"it goes back while {sorted(self.flying)} have their turns")

    def shows(self, state: str, detail: str) -> None:
        """The deployment shows another state."""
        self.state, self._last = state, self.now()
        if state == "awaiting" and self.world.override:
            self.say(15, f"it waits in spite of an override: {detail}")

    def rests(self) -> None:
        """Nothing more happens at this moment: is that right?"""
        heard = self.heard
        if self.state in ("awaiting", "paused", "baking") or heard.paused or not self.hosts:
            self._last = self.now()
            return
        late = self.now() - DEADLINE - MOMENT
        moves = [self._moved.get(place, self.now()) for place in self._busy()]
        if moves and self._relayed:  # who has another's lanes learns late that a turn has ended
            moves += self._ended.values()
        ending = heard.turned or heard.stop or self.failures(due=False) > self.allowed[0]
        if moves and max(moves) < late and not ending:
            self.say(14, f"no location moves, and it is {self.state}")
        if self.flying or (heard.closed and not heard.turned):
            self._last = self.now()
        elif self.now() - self._last > QUIET:
            self.say(15 if heard.closed else 12, f"nothing happens while it is {self.state}")

    def said(self, what: str, more: str) -> None:
        """Somebody said this, and it was accepted; or windows, alarms and the lease did."""
        heard, names = self.heard, more.split(",")
        self.rests()
        self._last = self.now()
        self._moved = dict.fromkeys(self._moved, self.now())
        if what == "approve":
            heard.approved.append(more)
        elif what == "pace":
            heard.pace = more
        elif what == "disable":
            self.disabled.add(more)
            self.out.add(more)
        elif what == "retry":
            for name in names:
                self.hosts[name].due, self.hosts[name].left = True, False
        elif what == "skip":
            for name in names:
                self.hosts[name].left = name not in self.flying
        elif what == "turn back":
            self._turns_back()
        else:
            self._hear(what, more)

    # What it makes of that.

    def failures(self, *, due: bool) -> int:
        """The failures that count, with or without those that have another turn yet."""
        return sum(
            bad(each.outcome, broken_before=self._broken_before(each))
            for each in self.hosts.values()
            if (due or not each.due) and each.went_back is self.heard.turned
        )

    def away(self, *, due: bool) -> int:
        """The hosts that could not be reached."""
        return sum(
            each.outcome == AWAY and (due or not each.due) and each.went_back is self.heard.turned
            for name, each in self.hosts.items()
            if name not in self.flying
        )

    def _broken_before(self, host: Host) -> bool:
        machine = host.machine
        if self.heard.turned:  # one that has nothing to go back to is only to be stopped
            return bool(self.world.seed % 2) and machine.out
        return machine.out and len(machine.name) % 4 < 2

    def _hear(self, what: str, more: str) -> None:
        heard = self.heard
        if what in ("pause", "pause itself"):
            heard.paused, heard.why = True, more
        elif what == "resume":
            heard.paused = False
            if "hosts are unreachable" in heard.why:
                heard.accepted = max(heard.accepted, self.away(due=True))
        elif what in ("abort", "supersede", "rollback", "fire"):
            heard.stop, heard.paused = what, False
        elif what in ("granted", "refused", "superseded"):
            heard.lease = what
        elif what in ("windows close", "windows open"):
            heard.closed = what == "windows close"
        elif what == "listens":
            heard.listens = self.now()
        elif what == "readable":
            heard.unreadable = None
        elif what == "unreadable" and heard.unreadable is None:
            heard.unreadable = self.now()

    def _turns_back(self) -> None:
        heard = self.heard
        over = self.failures(due=False) > self.allowed[0]
        if not over and heard.stop not in ("rollback", "fire"):
            self.say(5, f"it goes back without a cause, {self.failures(due=False)} have failed")
        if self.world.on_failure == "halt" and heard.stop != "rollback":
            self.say(5, "it goes back though it was to halt")
        if heard.stop in ("abort", "supersede"):
            self.say(12, f"it goes back after {heard.stop}")
        heard.turned, heard.stop, heard.accepted, heard.paused = True, "", 0, False

    def _share(self, back: bool) -> str:
        share = self.world.back_share if back else self.world.case.share
        return self.heard.pace or share

    def _busy(self) -> set[str]:
        return {self.hosts[name].machine.location for name in self.flying}

    def _begins(self, turn: Turn) -> None:
        host = self.hosts[turn.host]
        if (turn.phase, turn.wave, turn.batch) in self._referees:
            self._moved.setdefault(host.machine.location, self.now())
        else:  # each of several batches counts for itself
            self._moved[host.machine.location] = self.now()
        self.flying[turn.host] = turn
        host.due, host.went_back, host.outcome = False, self.heard.turned, ""
        self._wave = max(self._wave, 0 if self.heard.turned else turn.wave)
        self._last = self.now()

    def _may_begin(self, turn: Turn, back: bool) -> None:
        heard, host = self.heard, self.hosts[turn.host]
        if heard.lease != "granted":
            self.say(11, f"{turn.host} begins without the lease")
        if heard.paused:
            self.say(12, f"{turn.host} begins while it is paused")
        if heard.stop:
            self.say(13 if heard.stop == "fire" else 12, f"{turn.host} begins after {heard.stop}")
        if turn.host in self.disabled:
            self.say(15, f"{turn.host} begins and is disabled")
        if host.left and not back:
            self.say(12, f"{turn.host} begins and was skipped")
        if turn.host in self.flying or (host.outcome and not self._again(host, back)):
            self.say(9, f"{turn.host} has another turn after {host.outcome or 'none'}")
        self._budgets(turn)
        if back and turn.host not in self.back:
            self.say(7, f"{turn.host} goes back and was not changed")
        if not back:
            self._gates(turn)

    def _again(self, host: Host, back: bool) -> bool:
        return host.due or (back and not host.went_back) or host.outcome == AWAY

    def _budgets(self, turn: Turn) -> None:
        failures, away = self.failures(due=False), self.away(due=False)
        if failures > self.allowed[0]:
            self.say(
                7 if turn.phase == "rollback" else 5, f"a turn begins after {failures} failures"
            )
        alone = (turn.phase, turn.wave, turn.batch) in self._referees
        if alone and away > max(self.allowed[1], self.heard.accepted):
            self.say(5, f"{turn.host} begins while {away} are unreachable")

    def _gates(self, turn: Turn) -> None:
        world, heard, wave = self.world, self.heard, turn.wave
        if heard.closed:
            self.say(4, f"{turn.host} begins outside its windows")
        if wave <= self._wave:
            return
        gated = not world.override and world.kind != "rollback"
        if gated and world.approval and "the deployment" not in heard.approved:
            self.say(4, f"{turn.host} begins without approval")
        asked = (*world.approvals, False)[min(wave, len(world.approvals) + 1) - 1]
        if gated and asked and f"wave {wave}" not in heard.approved:
            self.say(4, f"{turn.host} begins without approval of wave {wave}")
        before = [h for n, h in self.hosts.items() if h.wave < wave and n not in self.disabled]
        if any(not each.outcome for each in before):
            self.say(4, f"{turn.host} begins before the wave before has ended")
        ended = max((at for each, at in self._ended.items() if each < wave), default=None)
        bake = (*world.bakes, 0.0)[min(wave - 1, len(world.bakes) + 1) - 1] if wave > 1 else 0.0
        if ended is not None and self.now() < ended + bake - MOMENT:
            self.say(13 if self._ended.get(wave - 1) else 4, f"wave {wave} begins unbaked")
        ready = heard.listens if ended is None else ended + bake
        self._readable(wave, ready)

    def _readable(self, wave: int, ready: float | None) -> None:
        """The alarms could be read when the wave could begin, or somebody went on without them."""
        heard = self.heard
        if heard.listens is None or self.world.override or heard.unreadable is None:
            return
        approved = f"wave {wave} without its alarms" in heard.approved
        if ready is not None and heard.unreadable < max(ready, heard.listens) and not approved:
            self.say(13, f"wave {wave} begins while its alarms cannot be read")

    def _has_room(self, name: str, back: bool) -> None:
        """Rule 1, whoever runs beside whom."""
        machine = self.hosts[name].machine
        if name in self.out or name in self.flying:
            return
        gone = self.out | self.flying.keys()
        alone = not any(
            self.hosts[each].machine.location == machine.location for each in self.flying
        )
        if alone and (back or self.world.kind == "rollback"):
            return
        referee = Referee(self.world.case.machines, self._share(back), (), out=gone)
        for place in (machine.location, None):
            if referee.full(place):
                self.say(7 if back else 1, f"{name} is drained without room in {place or 'all'}")

    def _has_lane(self, name: str, hosts: set[str]) -> None:
        """Rule 2, where two batches have turns under way: the lanes are those of one."""
        machines, place = self._machines, self._machines[name].location
        waits = [n for n in hosts if not self.hosts[n].outcome and n not in self.disabled]
        active = [machines[each] for each in {*self.flying, *waits, name}]
        lanes = Referee(self.world.case.machines, self._share(False), active).lanes(place)
        here = [n for n in self.flying if machines[n].location == place]
        if len(here) >= lanes:
            self.say(2, f"{name} begins beside {sorted(here)}, and there are {lanes} lanes")

    def _ask(self, referee: Referee, names: list[str], back: bool) -> None:
        """Rules 1 to 3 by the referee, while the batch has the deployment for itself."""
        heard = self.heard
        away = {name for name, each in self.hosts.items() if each.left or name in self.disabled}
        referee.share = self._share(back)
        referee.out = self.out - referee.in_flight
        flying = referee.in_flight
        referee.planned = [m for m in referee.planned if m.name not in away or m.name in flying]
        referee.begun = [name for name in referee.begun if name not in names]
        free = not heard.paused and not heard.stop and (back or not heard.closed)
        over = self.failures(due=True) > self.allowed[0] or self.away(due=True) > self.allowed[1]
        if not names and (not free or over):
            return
        referee.complaints.clear()
        self._in_order(referee, names, back)
        referee.begin(names)
        for complaint in referee.complaints:
            self.say(_rule(complaint, back), complaint)

    def _in_order(self, referee: Referee, names: list[str], back: bool) -> None:
        """In each location, those of the same rank: forward who failed first, back the reverse."""
        begun = {*referee.begun, *names}
        waiting = [each for each in referee.planned if each.name not in begun]
        for name in names:
            host = self._machines[name]
            for other in waiting:
                same = other.location == host.location and self._rank(referee, other, host)
                if same and self._key(other.name, back) < self._key(name, back):
                    self.say(7 if back else 3, f"{name} begins before {other.name}")

    def _rank(self, referee: Referee, one: Machine, other: Machine) -> bool:
        ranks = referee.ranks or {}
        return ranks.get(one.name) == ranks.get(other.name)

    def _key(self, name: str, back: bool) -> tuple[bool, int, int]:
        if back:
            role = role_order([self._machines[name]], self.world.case.order)[name]
            return name not in self._out_back, -role, -list(self.hosts).index(name)
        return not self._machines[name].first and name not in self.out, 0, 0

    def closed(self, state: str, outcomes: dict[str, str]) -> None:
        """It has ended."""
        for rule, what in self._wrong_end(state, outcomes):
            self.say(rule, what)
        left = {name: host for name, host in self.hosts.items() if host.left}
        for name, host in left.items():
            if host.outcome != "skipped":
                self.say(12, f"{name} was skipped, and it is {host.outcome or 'not_started'}")

    def _wrong_end(self, state: str, outcomes: dict[str, str]) -> Iterable[tuple[int, str]]:
        heard = self.heard
        found = {name: each.outcome or "not_started" for name, each in self.hosts.items()}
        if outcomes != found:
            yield 10, f"it says {outcomes}, it was {found}"
        if self.flying:
            yield 10, f"it ends while {sorted(self.flying)} have their turns"
        if heard.lease in ("refused", "superseded") and state != heard.lease:
            yield 11, f"the lease was {heard.lease}, and it is {state}"
        if heard.stop in ("abort", "supersede") and not state.startswith(heard.stop):
            yield 12, f"it is {state} after {heard.stop}"
        if state in ("succeeded", "partial"):
            yield from self._wrong_success(state, found)
        if heard.turned and state in ("rolled_back", "rollback_failed"):
            yield from self._wrong_way_back(state)
        if state == "halted":
            over = self.failures(due=False) > self.allowed[0]
            if not over and heard.stop != "fire" and not self.world.once:
                yield 5, "it halts without a cause"

    def _wrong_success(self, state: str, found: dict[str, str]) -> Iterable[tuple[int, str]]:
        heard, good = self.heard, all(outcome in GOOD for outcome in found.values())
        if heard.stop:
            yield 13 if heard.stop == "fire" else 12, f"it is {state} after {heard.stop}"
        if good and state != "succeeded":
            yield 8, "all hosts run it"
        if not good and state == "succeeded":
            yield 10, f"it succeeded, and hosts ended {sorted(set(found.values()))}"
        if self.failures(due=False) > self.allowed[0]:
            yield 6, f"it is {state} with {self.failures(due=False)} failures"
        for name, host in self.hosts.items():
            if host.due and name not in self.disabled:
                yield 10, f"{name} was to have another turn and had none"
            if not host.outcome and name not in self.disabled:
                yield 10, f"{name} had no turn"
            once = host.outcome == AWAY and host.turns < 2 and name not in self.disabled
            if once and not heard.accepted:
                yield 5, f"{name} was not tried again"

    def _wrong_way_back(self, state: str) -> Iterable[tuple[int, str]]:
        failed = sum(
            each.outcome in ("broken", "lost", "reverted", AWAY)
            and not (bool(self.world.seed % 2) and each.machine.out and each.outcome == "broken")
            for each in self.hosts.values()
            if each.went_back
        )
        if (failed > self.allowed[0]) is (state == "rolled_back"):
            yield 7, f"{failed} have not gone back, and it is {state}"
        missed = [n for n in self.back if not self.hosts[n].went_back and n not in self.disabled]
        if missed and state == "rolled_back":
            yield 7, f"{missed} have not gone back"


def _rule(complaint: str, back: bool) -> int:
    if back:
        return 7
    if "without room" in complaint:
        return 1
    if "role" in complaint:
        return 3
    return 2
