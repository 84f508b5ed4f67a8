"""Rule 11: one deployment at a time changes the hosts of an environment."""

from collections.abc import Iterator
from datetime import UTC, datetime

from apollo.proof.facts import Facts, first_begin, last_end
from apollo.proof.moments import REACH
from apollo.proof.turns import CLOCKS, turn_of
from apollo.proof.verdict import Breach, Judgement, judge

_UNTOLD = (
    "when the lease was given back",
    "turns that went on after their workflow was terminated: they end themselves, and are counted "
    "as lost",
)


def one_at_a_time(facts: Facts) -> Judgement:
    """No turn of another deployment was under way meanwhile; the lease went by numbers."""
    had = [turn for turn in facts.turns if turn.had]
    granted = facts.granted
    since = f"{granted:%Y-%m-%dT%H:%M:%SZ}" if granted else "never"
    others = sorted({row["number"] for row in facts.rows.foreign})
    near = ", ".join(f"#{number}" for number in others)
    return judge(
        11,
        "one at a time",
        f"the lease was granted {since}; deployments with turns that were open meanwhile: "
        f"{near or 'none'}",
        breaches=[*_leased(facts), *_in_order(facts), *_overlaps(facts)],
        doubts=[
            Breach("when its turn was is not recorded", turn.host)
            for turn in had
            if turn.began is None and others
        ],
        untold=_UNTOLD,
    )


def _leased(facts: Facts) -> Iterator[Breach]:
    begin, granted = first_begin(facts.turns), facts.granted
    if begin and granted is None:
        yield Breach("hosts had turns, and the lease was never granted", at=begin)
    elif begin and granted and begin + CLOCKS < granted:
        yield Breach("hosts had turns before the lease was granted", at=begin)


def _in_order(facts: Facts) -> Iterator[Breach]:
    mine = facts.rows.deployment["granted_ms"]
    if not mine:
        return
    end = last_end(facts.turns)
    for row in facts.rows.granted:
        number, at = row["number"], row["granted_ms"]
        if number != facts.number and (number < facts.number) != (at < mine):
            first = "before" if at < mine else "after"
            yield Breach(f"#{number} had the lease {first} #{facts.number}, against their numbers")
        then = datetime.fromtimestamp(at / 1000, UTC)
        if at > mine and end and end > then + CLOCKS:
            late = [t.host for t in facts.turns if t.began and t.began > then + REACH]
            yield from (
                Breach(f"began its turn when #{number} had the lease", host) for host in late
            )


def _overlaps(facts: Facts) -> Iterator[Breach]:
    begin = first_begin(facts.turns)
    ends = [turn.surely_ended for turn in facts.turns if turn.surely_ended]
    if begin is None or not ends:
        return
    for row in facts.rows.foreign:
        turn = turn_of(row)
        if not (turn.had and turn.began and turn.surely_ended):
            continue
        if turn.began + CLOCKS < max(ends) and begin + CLOCKS < turn.surely_ended:
            what = f"had a turn of #{row['number']} between turns of #{facts.number}"
            yield Breach(what, turn.host, turn.began)
