"""Rule 7: a rollback takes back what was changed, and nothing else."""

from collections.abc import Iterator

from apollo.proof.facts import Facts, first_begin, last_end, uses_budget
from apollo.proof.moments import moments
from apollo.proof.room import room, untimed
from apollo.proof.turns import CHANGED, CLOCKS, OUT, Turn
from apollo.proof.verdict import Breach, Judgement, judge
from apollo.proof.waiting import Waiting


def rollback(facts: Facts) -> Judgement:
    """Every changed host went back to what it ran at the end of its last good deployment."""
    if facts.kind == "rollback":
        doubt = Breach("which deployment it takes back is not recorded, so neither is to what")
        return judge(7, "rollback", "it is a rollback of its own", doubts=[doubt])
    if not facts.back:
        return judge(7, "rollback", "there was none", breaches=_missing(facts))
    found = room(facts, "rollback")
    breaches = [*_hosts(facts), *_targets(facts), *_order(facts), *_begun(facts), *_end(facts)]
    well = [turn for turn in facts.back if turn.outcome == "rolled_back" and turn.manifest]
    unknown = [turn for turn in well if turn.ran is None]
    return judge(
        7,
        "rollback",
        f"{len(facts.back)} hosts: "
        f"{sum(turn.outcome == 'rolled_back' for turn in facts.back)} rolled back, "
        f"{sum(turn.check_only for turn in facts.back)} of them only to be checked",
        breaches=[*breaches, *found.breaches],
        doubts=[
            *found.doubts,
            *untimed(facts.back),
            *(Breach("was rolled back; what it runs is not recorded", t.host) for t in unknown),
        ],
        untold=("when a host was drained, and whether it was stopped: see 1 and 6",),
    )


def _missing(facts: Facts) -> Iterator[Breach]:
    if facts.state in ("rolled_back", "rollback_failed"):
        changed = [turn.host for turn in facts.forward if turn.outcome in CHANGED]
        for host in changed:
            yield Breach(f"was changed, and the rollback ({facts.state}) had no turn for it", host)


def _hosts(facts: Facts) -> Iterator[Breach]:
    """Each host that was changed, and no other."""
    back = {turn.host for turn in facts.back}
    for turn in facts.forward:
        changed = turn.outcome in CHANGED
        if changed and turn.host not in back:
            yield Breach(f"ended {turn.outcome}, and was left out of the rollback", turn.host)
        if not changed and turn.host in back:
            yield Breach(f"ended {turn.outcome}, and was taken back all the same", turn.host)


def _targets(facts: Facts) -> Iterator[Breach]:
    good = {row["host"]: row["ran"] or row["manifest"] for row in facts.rows.good}
    for turn in facts.back:
        went = facts.went.get(turn.host)
        if went is None:
            continue
        if turn.check_only:
            yield from _checked(turn, went, good.get(turn.host))
            continue
        last = good.get(turn.host)
        expected = None if last == went.manifest else last
        if turn.manifest != expected:
            yield Breach(
                f"was to go back to {_short(turn.manifest)}; at the end of its last succeeded "
                f"deployment it ran {_short(last)}",
                turn.host,
            )
        elif turn.outcome == "rolled_back" and turn.ran and turn.ran != expected:
            what = f"was rolled back, and runs {_short(turn.ran)} instead of {_short(expected)}"
            yield Breach(what, turn.host, turn.ended)


def _checked(turn: Turn, went: Turn, last: str | None) -> Iterator[Breach]:
    """Who was put back already is only looked at."""
    if went.outcome != "reverted" and (went.outcome != "updated" or last != went.manifest):
        yield Breach(f"ended {went.outcome}, and was only checked", turn.host)
    if turn.hooks and turn.ran == went.ran and turn.outcome == "rolled_back" and _well(went):
        ran = ", ".join(step.name for step in turn.hooks)
        yield Breach(f"was only to be checked, and its hooks ran: {ran}", turn.host, turn.ended)


def _well(went: Turn) -> bool:
    """Nothing is known that would have made a check bring its manifest anew."""
    return went.outcome in ("reverted", "updated")


def _order(facts: Facts) -> Iterator[Breach]:
    """Broken ones first, then the reverse order, roles reversed; turns begin in that order."""
    went = facts.went
    known = [turn for turn in facts.back if turn.host in went]
    planned = sorted(known, key=lambda turn: _place(facts, went[turn.host]))
    for turn, expected in zip(known, planned, strict=True):
        if turn.host != expected.host:
            yield Breach(f"stands where {expected.host} belongs", turn.host)
            return
    waiting = Waiting(facts, facts.back)
    for moment in moments(facts, "rollback"):
        turn = moment.turn
        for other in waiting.ahead(turn):
            assert other.began
            same = other.location == turn.location and moment.serving and turn.first
            if same and not facts.resumed(moment.at, other.began):
                yield Breach(f"began its turn back before {other.host}", turn.host, moment.at)
        waiting.begin(turn)


def _place(facts: Facts, went: Turn) -> tuple[bool, int, int]:
    return went.outcome not in OUT, -facts.group(went), -went.order


def _begun(facts: Facts) -> Iterator[Breach]:
    """It begins when the turns in flight have ended."""
    begin, end = first_begin(facts.back), last_end(facts.forward)
    if begin and end and begin + CLOCKS < end:
        yield Breach("the rollback began while turns forward were under way", at=begin)


def _end(facts: Facts) -> Iterator[Breach]:
    """Its own failures are counted anew."""
    failed = [turn for turn in facts.back if turn.manifest and uses_budget(turn)]
    if facts.state == "rolled_back" and len(failed) > facts.failures_allowed:
        what = f"ended rolled_back with {len(failed)} failures, {facts.failures_allowed} allowed"
        yield Breach(what, at=facts.ended)
    if facts.state in ("succeeded", "partial", "halted"):
        yield Breach(f"ended {facts.state} after a rollback", at=facts.ended)


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "nothing"
