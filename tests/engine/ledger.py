"""The hosts of a simulated deployment and their rows: what the catalog knows in a real one."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from apollo.domain.plan import Plan, PlannedHost
from apollo.domain.rollback import EndedHost, RollbackTurn
from apollo.domain.rollout import Away, BatchLoad, HostTurn, Phase
from apollo.domain.signature import Signature
from apollo.domain.status import Outcome
from apollo.domain.steering import Steered
from apollo.domain.turn import TurnRecord
from tests.support.rollouts import Case

FAILED = Signature("HookFailed", "start", 3, "")


@dataclass
class Row:
    """A planned host, and how it ended."""

    host: str
    location: str
    wave: int
    batch: int
    group: int
    was_broken: bool
    manifest: str | None = "new"
    planned: PlannedHost | None = None
    turns: int = 0
    again: int = 0
    """The turn after which somebody has asked for another one."""
    outcome: Outcome | None = None
    error: str = ""

    @property
    def pending(self) -> bool:
        """Whether it is due."""
        return self.outcome is None or 0 < self.turns == self.again

    @property
    def signature(self) -> Signature:
        """What its error says."""
        return FAILED


@dataclass
class Ledger:
    """What is known of each host, in order of the plan."""

    case: Case
    forward: list[Row] = field(default_factory=list)
    back: list[Row] = field(default_factory=list)
    out: set[str] = field(default_factory=set)
    disabled: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, case: Case, plan: Plan) -> "Ledger":
        """The rows of a plan."""
        rows = [
            Row(each.host, each.location, each.wave, each.batch, each.group, each.was_broken)
            for each in plan.hosts
        ]
        for row, planned in zip(rows, plan.hosts, strict=True):
            row.planned = planned
        out = {each.name for each in case.machines if each.out or each.disabled}
        disabled = {each.name for each in case.machines if each.disabled}
        return cls(case, rows, out=out, disabled=disabled)

    def rows(self, phase: Phase) -> list[Row]:
        """The rows of one way."""
        return self.forward if phase == "forward" else self.back

    def load(self, given: BatchLoad) -> tuple[HostTurn, ...]:
        """The hosts of a batch that have not ended, in order; fallen ones first in their group.

        With them come those that could not be reached.
        """
        hosts = {host.name: host for host in self.case.fleet.hosts}
        rows = self._of(given)
        away = {row.host: self._away(row, given.away) for row in rows}
        turns = [
            HostTurn(
                host=hosts[row.host],
                manifest=row.manifest,
                turn=row.turns + (not away[row.host]),
                group=row.group,
                was_out=row.host in self.out,
                was_broken=row.was_broken or row.manifest is None,
                away=away[row.host],
            )
            for row in rows
            if away[row.host] or (row.pending and row.host not in self.disabled)
        ]
        fallen = {
            row.host
            for row in rows
            if row.planned and not row.planned.was_out and row.host in self.out
        }
        return tuple(sorted(turns, key=lambda turn: (turn.group, turn.host.name not in fallen)))

    def kept_from(self, given: BatchLoad) -> dict[str, int]:
        """The hosts of a batch that are due and disabled, and the numbers of their turns."""
        due = [row for row in self._of(given) if row.pending]
        return {row.host: row.turns + 1 for row in due if row.host in self.disabled}

    def _of(self, given: BatchLoad) -> list[Row]:
        place = given.wave, given.batch
        return [row for row in self.rows(given.phase) if (row.wave, row.batch) == place]

    def _away(self, row: Row, wanted: Away) -> Away:
        if row.outcome is not Outcome.UNREACHABLE or row.pending or not wanted:
            return ""
        over = row.turns > row.again + 1 or row.host in self.disabled
        return "over" if over else wanted

    def out_beside(self, hosts: Iterable[str]) -> dict[str, int]:
        """How many others are out, by location."""
        beside = self.out - set(hosts)
        found: dict[str, int] = {}
        for machine in self.case.machines:
            if machine.name in beside:
                found[machine.location] = found.get(machine.location, 0) + 1
        return found

    def record(self, phase: Phase, record: TurnRecord) -> None:
        """How a host has ended."""
        row = next(each for each in self.rows(phase) if each.host == record.host)
        row.outcome, row.turns = record.outcome, record.turn
        bad = record.outcome.failure or record.outcome is Outcome.UNREACHABLE
        row.error = "HookFailed" if bad else ""
        if record.outcome is Outcome.SKIPPED:
            return
        self.out.discard(record.host)
        if record.outcome.out or record.host in self.disabled:
            self.out.add(record.host)

    def leave_out(self, host: str) -> None:
        """A host of a batch that does not run now has no turn any more."""
        turn = next(row.turns for row in self.forward if row.host == host) + 1
        self.record("forward", TurnRecord(host=host, turn=turn, outcome=Outcome.SKIPPED))

    def retry(self, found: Steered) -> None:
        """These are due once more; until then their last turn stands."""
        turns = {each.host: each.turn for each in found.hosts}
        for row in self.forward:
            row.again = turns.get(row.host, row.again)

    def ended(self, last_good: str | None) -> list[EndedHost]:
        """How the way forward has left them."""
        return [
            EndedHost(
                planned=row.planned,
                outcome=row.outcome or Outcome.NOT_STARTED,
                wanted="new",
                last_good=None if last_good is None and row.planned.was_out else "old",
            )
            for row in self.forward
            if row.planned
        ]

    def plan_back(self, turns: Iterable[RollbackTurn]) -> None:
        """The rows of the rollback."""
        self.back = [
            Row(each.host, each.location, 1, each.batch, each.group, False, each.manifest)
            for each in turns
        ]

    @property
    def ends(self) -> dict[str, Outcome]:
        """How each planned host has ended, both ways together."""
        found = {row.host: row.outcome or Outcome.NOT_STARTED for row in self.forward}
        return found | {row.host: row.outcome for row in self.back if row.outcome}
