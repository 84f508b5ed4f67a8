"""Rule 15: nothing holds a rollback, overrides are on record, disabled hosts are left alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from apollo.proof.facts import Facts, first_begin, last_end, seconds
from apollo.proof.hours import Hours
from apollo.proof.turns import CLOCKS
from apollo.proof.verdict import Breach, Judgement, judge

PROMPT = timedelta(minutes=1)
"""A rollback that begins within it was held by nothing."""


def emergencies(facts: Facts) -> Judgement:
    """Look at the time before the way back, at the override and at disabled hosts."""
    breaches = [*_disabled(facts), *_overridden(facts)]
    doubts: list[Breach] = []
    for breach, sure in _held(facts):
        (breaches if sure else doubts).append(breach)
    disabled = sum(bool(past.disabled()) for past in facts.pasts.values())
    told = "a rollback" if facts.back else "no rollback"
    override = f"overridden ({facts.request['override']})" if facts.overridden else "no override"
    return judge(
        15,
        "emergencies",
        f"{told}; {override}; {disabled} hosts were disabled meanwhile, or for a while",
        breaches=breaches,
        doubts=doubts,
        untold=("whether a disabled host was connected to without a turn",) if disabled else (),
    )


def _held(facts: Facts) -> Iterator[tuple[Breach, bool]]:
    begin, end = first_begin(facts.back), last_end(facts.forward)
    if not (begin and end) or begin - end <= PROMPT:
        return
    what = f"the rollback began {seconds(begin - end)} after the last turn forward"
    hours = Hours.of(facts.spec)
    approved = [word for word in facts.said("approve") if end + CLOCKS < word.at < begin]
    if approved:
        yield Breach(f"{what}, when it was approved", at=begin), True
    elif hours and _opened_for_it(hours, end, begin):
        yield Breach(f"{what}, when the windows had opened", at=begin), True
    elif not any(end < word.at for word in facts.said("rollback")):
        yield Breach(f"{what}; what it waited for is not kept", at=begin), False


def _opened_for_it(hours: Hours, end: datetime, begin: datetime) -> bool:
    """They were closed until right before the way back began."""
    before = begin.astimezone(UTC) - PROMPT
    closed = not hours.allow(max(before, end.astimezone(UTC)))
    return closed and hours.allow(begin.astimezone(UTC))


def _overridden(facts: Facts) -> Iterator[Breach]:
    if facts.overridden and facts.plan is not None and not facts.said("override"):
        yield Breach("its gates were overridden, and nothing in the audit says why")
    if facts.said("override") and not facts.overridden:
        yield Breach("the audit says that its gates were overridden; its request does not")


def _disabled(facts: Facts) -> Iterator[Breach]:
    for turn in facts.turns:
        if turn.began is None:
            continue
        for span in facts.past(turn.host).disabled():
            if span.begin + CLOCKS < turn.began < span.end - CLOCKS:
                yield Breach(
                    f"began its turn while it was disabled, since {span.begin:%Y-%m-%dT%H:%M:%SZ}",
                    turn.host,
                    turn.began,
                )
