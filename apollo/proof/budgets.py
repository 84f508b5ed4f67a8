"""Rule 5: too many failures end the way forward, unreachable hosts never do."""

from collections.abc import Iterator
from datetime import datetime

from apollo.proof.facts import Facts
from apollo.proof.moments import REACH
from apollo.proof.sums import budget
from apollo.proof.turns import CLOCKS
from apollo.proof.verdict import Breach, Judgement, judge

_BEFORE_THE_DRAIN = frozenset(
    {"ConnectFailed", "AuthFailed", "HostKeyChanged", "HostKeyUnknown", "HostBusy", "DiskFull"}
)
_UNTOLD = (
    "pauses that a deployment made of itself (unreachable hosts, no worker, no room)",
    "turns that were tried again, and what they had met before",
)


def budgets(facts: Facts) -> Judgement:
    """After the failure that exceeds `max_failures`, nobody begins; nothing else takes it back."""
    allowed, failures = facts.failures_allowed, facts.failures
    away = sum(turn.outcome == "unreachable" for turn in facts.forward)
    most = budget(str(facts.strategy.get("max_unreachable", "10%")), len(facts.forward))
    breaches: list[Breach] = []
    doubts: list[Breach] = []
    for breach, sure in (*_begun_after(facts), *_taken_back(facts)):
        (breaches if sure else doubts).append(breach)
    breaches += [*_unheeded(facts), *_blamed(facts)]
    found = (
        f"{len(failures)} of {len(facts.forward)} hosts failed, {allowed} allowed; "
        f"{away} unreachable, {most} allowed"
    )
    return judge(5, "budgets", found, breaches=breaches, doubts=doubts, untold=_UNTOLD)


def exceeded(facts: Facts) -> bool:
    """More hosts failed than may."""
    return len(facts.failures) > facts.failures_allowed


def _begun_after(facts: Facts) -> Iterator[tuple[Breach, bool]]:
    """The failure was known when it was recorded, and perhaps when its turn ended.

    Its own batch knew it at once; to those beside it a word had to go.
    """
    if not exceeded(facts):
        return
    known = sorted((each.recorded, each.in_batch) for each in facts.failures if each.recorded)
    ends = sorted(each.ended for each in facts.failures if each.ended)
    one = facts.failures_allowed
    recorded, batch = known[one] if len(known) > one else (None, None)
    ended = ends[one] if len(ends) > one else None
    for turn in facts.forward:
        if not turn.had or turn.began is None:
            continue
        if recorded and turn.began > recorded + CLOCKS:
            sure = turn.began > recorded + REACH or turn.in_batch == batch
            yield _after(turn.host, turn.began, recorded, "was recorded"), sure
        elif ended and turn.began > ended + REACH:
            yield (
                _after(turn.host, turn.began, ended, "had ended, and before it was recorded"),
                False,
            )


def _after(host: str, began: datetime, since: datetime, what: str) -> Breach:
    text = f"began its turn after the failure that exceeds the budget {what} ({since:%H:%M:%S}Z)"
    return Breach(text, host, began)


def _unheeded(facts: Facts) -> Iterator[Breach]:
    """A budget that is exceeded rolls back, or halts, as was applied."""
    if not exceeded(facts) or facts.ended is None:
        return
    if facts.state in ("succeeded", "partial"):
        yield Breach(f"ended {facts.state} though its budget was exceeded", at=facts.ended)
    elif facts.strategy.get("on_failure") == "halt" and facts.back and not facts.said("rollback"):
        yield Breach("was rolled back, though on_failure is halt and nobody said so")


def _taken_back(facts: Facts) -> Iterator[tuple[Breach, bool]]:
    """Only failures of the release, alarms and people take a release back."""
    if not facts.back or exceeded(facts) or facts.said("rollback"):
        return
    what = (
        f"was rolled back with {len(facts.failures)} failures, {facts.failures_allowed} allowed, "
        "and nobody said so"
    )
    if facts.spec.get("alarms") and not facts.overridden:
        yield Breach(f"{what}; what alarms said is only in its end: {facts.detail!r}"), False
    else:
        yield Breach(what), True


def _blamed(facts: Facts) -> Iterator[Breach]:
    """What a host's own trouble before the drain says nothing about the release."""
    for turn in facts.forward:
        if turn.outcome in ("reverted", "broken") and turn.error in _BEFORE_THE_DRAIN:
            if turn.hooks:
                continue
            yield Breach(f"ended {turn.outcome} of {turn.error}, which is unreachable", turn.host)
