"""Rule 1, and its part in rule 7: no host in service begins its turn without room."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from apollo.proof.facts import Facts
from apollo.proof.moments import Moment, Present, moments
from apollo.proof.turns import Turn
from apollo.proof.verdict import Breach, Judgement, judge

_NAMED = 4
_UNTOLD = (
    "when a host was drained: a turn counts as out from when it was due until its end, staging too",
    "what a deployment said when it paused itself for lack of room",
)


@dataclass
class Room:
    """What is found of the room for turns of one phase."""

    judged: int = 0
    most: int = 0
    """How many hosts in service were out at once at the most, at the beginning of a turn."""
    breaches: list[Breach] = field(default_factory=list)
    doubts: list[Breach] = field(default_factory=list)


def capacity(facts: Facts) -> Judgement:
    """A host in service is drained only while fewer hosts are out than allowed."""
    found = room(facts, "forward")
    limits = facts.share("forward")
    each = ", ".join(f"{place} {most}" for place, most in limits.places.items())
    return judge(
        1,
        "capacity",
        f"{found.judged} hosts in service were taken out, with at most {found.most} out at once; "
        f"allowed: {limits.fleet} of the fleet ({each or 'no hosts'})"
        + ("; the pace was changed" if facts.paces else ""),
        breaches=found.breaches,
        doubts=[*found.doubts, *untimed(facts.forward)],
        untold=_UNTOLD,
    )


def room(facts: Facts, phase: str) -> Room:
    """Look at each beginning of a turn that took a host out of service."""
    found = Room()
    for moment in moments(facts, phase):
        if not moment.serving or moment.turn.drained is False:
            continue
        found.judged += 1
        found.most = max(found.most, moment.out.count(but=moment.turn.host) + 1)
        turn = moment.turn
        if facts.always_a_lane(turn) and not moment.flying.count(turn.location):
            continue
        for breach, sure in _full(moment):
            known = sure and turn.drained and turn.first
            (found.breaches if known else found.doubts).append(breach)
    return found


def _full(moment: Moment) -> Iterator[tuple[Breach, bool]]:
    """The places without room, and whether that is sure."""
    turn = moment.turn
    for place in (turn.location, None):
        most, least = moment.sure.of(place), moment.least.of(place)
        if moment.out.count(place, but=turn.host) >= most:
            yield _breach(moment, place, moment.out, most), True
        elif moment.maybe.count(place, but=turn.host) >= least:
            yield _breach(moment, place, moment.maybe, least, " or may have been"), False


def _breach(moment: Moment, place: str | None, out: Present, limit: int, doubt: str = "") -> Breach:
    hosts = sorted(out.hosts(place, but=moment.turn.host))
    some = ", ".join(hosts[:_NAMED]) + (" …" if len(hosts) > _NAMED else "")
    what = (
        f"began its turn while {len(hosts)} of {place or 'the fleet'} were{doubt} out ({some}), "
        f"{limit} allowed"
    )
    return Breach(what, moment.turn.host, moment.at)


def untimed(turns: list[Turn]) -> list[Breach]:
    """Turns of which nobody knows when they were: what they met is not known either."""
    return [
        Breach(f"ended {turn.outcome}; when its turn began and ended is not recorded", turn.host)
        for turn in turns
        if turn.had and (turn.began is None or turn.ended is None) and turn.drained is not False
    ]
