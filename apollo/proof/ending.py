"""Rules 10 and 12: every planned host has an end, and who steered is on record."""

from collections import Counter
from collections.abc import Iterator

from apollo.catalog.evidence import BEFORE
from apollo.proof.budgets import exceeded
from apollo.proof.facts import Facts, Word
from apollo.proof.sums import is_share
from apollo.proof.turns import ALL, GOOD, NO_TURN
from apollo.proof.verdict import Breach, Judgement, judge

_STEERED = ("pause", "resume", "abort", "rollback", "approve", "pace", "skip", "retry", "supersede")
_TAKEN_OVER = "its workflow was ended from outside"


def nothing_lost(facts: Facts) -> Judgement:
    """End states add up to the plan, and to the deployment's own end."""
    counts = Counter(turn.outcome or "pending" for turn in facts.forward)
    told = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
    doubts = [] if facts.ended else [Breach(f"it has not ended: it is {facts.state}")]
    return judge(
        10,
        "nothing is lost",
        f"{len(facts.forward)} planned: {told or 'no hosts'}; it ended {facts.state}",
        breaches=[*_rows(facts), *_fleet(facts), *_state(facts)],
        doubts=doubts,
    )


def _rows(facts: Facts) -> Iterator[Breach]:
    planned = facts.rows.deployment["hosts"]
    if planned != len(facts.forward):
        yield Breach(f"{planned} hosts were planned, {len(facts.forward)} are on record")
    for turn in facts.turns:
        if turn.outcome is None and facts.ended:
            yield Breach("has no end", turn.host)
        elif turn.outcome is not None and turn.outcome not in ALL:
            yield Breach(f"ended {turn.outcome!r}, which is no end of a host", turn.host)
        if turn.back and turn.host not in facts.went:
            yield Breach("was taken back, and never planned", turn.host)
        brought = turn.outcome == "updated" and facts.kind != "restart"
        if brought and turn.ran != turn.manifest:
            yield Breach("ended updated, and runs another manifest", turn.host, turn.ended)


def _fleet(facts: Facts) -> Iterator[Breach]:
    """A deployment of the whole fleet leaves out disabled hosts, and no others."""
    whole = facts.kind == "deploy" and facts.rows.deployment["whole_fleet"]
    if facts.plan is None or not whole:
        return
    for name in facts.fleet:
        states = facts.past(name).between(facts.opened - BEFORE, facts.opened)
        if name not in facts.went and not any(state.disabled for state in states):
            yield Breach("is of the fleet, was not disabled, and was not planned", name)


def _state(facts: Facts) -> Iterator[Breach]:
    ends = [turn.outcome for turn in facts.forward]
    good = all(end in GOOD for end in ends)
    if facts.state == "succeeded" and not good:
        number = sum(end not in GOOD for end in ends)
        yield Breach(f"ended succeeded, and {number} hosts do not run the release")
    if facts.state == "partial" and good:
        yield Breach("ended partial, and every host runs the release")
    changed = [end for end in ends if end not in (*NO_TURN, "unreachable", "current", None)]
    if facts.state == "failed" and changed:
        yield Breach(f"ended failed, which says that nothing changed; {len(changed)} hosts did")


def control(facts: Facts) -> Judgement:
    """What was said has who, when and why; what only words can do was said."""
    said = [word for word in facts.words if word.action.partition(" ")[0] in _STEERED]
    nameless = [word for word in said if not word.by]
    silent = [word for word in said if not word.reason]
    untold = [f"who said {word.action} at {_clock(word)}" for word in nameless]
    untold += [f"why {_by(word)} said {word.action} at {_clock(word)}" for word in silent]
    kinds = Counter(word.action for word in said)
    told = ", ".join(f"{action} {number}" for action, number in kinds.items())
    return judge(
        12,
        "control",
        f"{len(facts.words)} entries in the audit, words: {told or 'none'}",
        breaches=[*_started(facts), *_ended(facts), *_paced(facts), *_skipped(facts)],
        untold=untold,
    )


def _started(facts: Facts) -> Iterator[Breach]:
    if facts.plan is not None and not facts.said(facts.kind):
        yield Breach(f"nothing in the audit says who asked for the {facts.kind}", at=facts.opened)


def _ended(facts: Facts) -> Iterator[Breach]:
    taken_over = facts.detail.startswith(_TAKEN_OVER)
    if facts.state == "aborted" and not taken_over and not facts.said("abort", "rollback"):
        yield Breach("ended aborted, and nobody said so in the audit", at=facts.ended)
    alarmed = bool(facts.spec.get("alarms"))
    if facts.back and not exceeded(facts) and not alarmed and not facts.said("rollback"):
        yield Breach("was rolled back within its budget, and nobody said so in the audit")


def _skipped(facts: Facts) -> Iterator[Breach]:
    """Hosts are left out when they have left the inventory, or when somebody said so."""
    for turn in facts.forward:
        if turn.outcome == "skipped" and turn.host not in facts.gone and not facts.said("skip"):
            yield Breach("was skipped, is in the inventory, and nobody said so", turn.host)


def _paced(facts: Facts) -> Iterator[Breach]:
    for word in facts.said("pace"):
        if not is_share(word.told):
            yield Breach(f"the pace {word.told!r} that was recorded is none", at=word.at)


def _clock(word: Word) -> str:
    return f"{word.at:%Y-%m-%dT%H:%M:%SZ}"


def _by(word: Word) -> str:
    return word.by or "somebody"
