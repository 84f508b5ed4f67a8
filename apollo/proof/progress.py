"""Rule 14: a location in which nothing ends for too long is told about."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from apollo.proof.facts import Facts, seconds
from apollo.proof.turns import Turn
from apollo.proof.verdict import Breach, Judgement, judge

MARGIN = timedelta(minutes=5)


def progress(facts: Facts) -> Judgement:
    """Where turns ended all the time there was nothing to tell; what was told is not kept."""
    limit = _deadline(facts)
    found = list(_stops(facts, limit))
    doubts = [
        Breach(
            f"{place}: no turn ended for {seconds(end - begin)}; whether it was paused then, or "
            "what it said, is not kept",
            at=begin,
        )
        for place, begin, end in found
    ]
    longest = "no location stood longer" if not found else "some stood longer"
    return judge(14, "progress", f"deadline {seconds(limit)}; {longest}", doubts=doubts)


def _deadline(facts: Facts) -> timedelta:
    given = facts.strategy.get("progress_deadline")
    if given is not None:
        return timedelta(seconds=float(given))
    return timedelta(seconds=float((facts.plan or {}).get("turn_limit", 3600))) + MARGIN


def _stops(facts: Facts, limit: timedelta) -> Iterator[tuple[str, datetime, datetime]]:
    """Within a wave and a location, from a beginning or an end to the next end."""
    rows: dict[tuple[str, int, str], list[Turn]] = defaultdict(list)
    for turn in facts.turns:
        if turn.began and turn.ended:
            rows[turn.phase, turn.wave, turn.location].append(turn)
    for (_, _, place), turns in rows.items():
        since = min(turn.began for turn in turns if turn.began)
        for end in sorted(turn.ended for turn in turns if turn.ended):
            if end - since > limit:
                yield place, since, end
            since = end
