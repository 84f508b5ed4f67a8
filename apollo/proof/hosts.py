"""Rules 6, 8 and 9: what a turn does to its host."""

from collections.abc import Iterator
from itertools import pairwise

from apollo.proof.facts import Facts
from apollo.proof.turns import FAILED, GOOD, Step, Turn
from apollo.proof.verdict import Breach, Judgement, judge

_RANKS = ("install", "stop", "start", "validate", "undo-stop", "undo-start", "undo-validate")


def put_back(facts: Facts) -> Judgement:
    """A failed turn ends reverted, running what ran before, or broken."""
    failed = [turn for turn in facts.turns if turn.outcome in FAILED]
    breaches = [breach for turn in facts.turns for breach in _put_back(facts, turn)]
    doubts = [breach for turn in facts.forward for breach in _unclear(turn)]
    kinds = {kind: sum(turn.outcome == kind for turn in failed) for kind in sorted(FAILED)}
    found = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    untold = ("whether a host's balancer had it back: the catalog holds what the turn said",)
    return judge(6, "a failed turn", found, breaches=breaches, doubts=doubts, untold=untold)


def _put_back(facts: Facts, turn: Turn) -> Iterator[Breach]:
    at = turn.ended
    bad = [step for step in turn.steps if step.exit and not step.kind.startswith("undo-")]
    if bad and turn.outcome in (*GOOD, "rolled_back"):
        yield Breach(f"ended {turn.outcome} though {bad[0].name} exit {bad[0].exit}", turn.host, at)
    if turn.error and turn.outcome in (*GOOD, "rolled_back"):
        yield Breach(f"ended {turn.outcome} with the error {turn.error}", turn.host, at)
    if turn.outcome != "reverted" or turn.back:
        return
    new = turn.manifest is not None and turn.ran == turn.manifest != turn.previous
    if new and facts.kind != "restart":
        yield Breach("ended reverted, and runs what it was to be given", turn.host, at)
    undone = [step for step in turn.steps if step.kind in ("undo-start", "undo-validate")]
    for step in undone:
        if step.exit:
            yield Breach(f"ended reverted though {step.name} exit {step.exit}", turn.host, at)
    started = any(step.kind in ("stop", "start") for step in turn.steps)
    if started and turn.previous and not any(step.kind.startswith("undo-") for step in turn.steps):
        yield Breach("ended reverted, and nothing was undone on it", turn.host, at)


def _unclear(turn: Turn) -> Iterator[Breach]:
    """It runs something else than the catalog knew, which may have been wrong."""
    if turn.outcome != "reverted" or turn.ran in (turn.previous, turn.manifest):
        return
    ran, previous = (digest[:12] if digest else "nothing" for digest in (turn.ran, turn.previous))
    yield Breach(f"was put back to {ran}; before the deployment {previous} was known", turn.host)


def skip(facts: Facts) -> Judgement:
    """A host on the same manifest was not touched, and runs it."""
    current = [turn for turn in facts.forward if turn.outcome == "current"]
    breaches = [breach for turn in current for breach in _touched(facts, turn)]
    return judge(
        8,
        "skip",
        f"{len(current)} hosts were current",
        breaches=breaches,
        untold=("why a host that was expected current was brought the release after all",),
    )


def _touched(facts: Facts, turn: Turn) -> Iterator[Breach]:
    if turn.hooks:
        ran = ", ".join(step.name for step in turn.hooks)
        yield Breach(f"was current, and its hooks ran: {ran}", turn.host, turn.ended)
    if turn.ran != turn.manifest:
        yield Breach("was current, and runs another manifest", turn.host, turn.ended)
    if facts.request.get("redeploy"):
        yield Breach("was left alone as current, though --redeploy was asked for", turn.host)


def hooks_once(facts: Facts) -> Judgement:
    """Each hook ran once in a turn, in order; what runs once per deployment ran once."""
    hooks = [(turn, step) for turn in facts.turns for step in turn.hooks]
    retries = _retries(facts)
    breaches = [*_once(facts), *_disorder(facts)]
    doubts: list[Breach] = []
    for turn, step in hooks:
        if step.times > 1 + retries.get(step.hook, 0):
            what = f"ran {step.name} {step.times} times"
            if turn.attempts == 1:
                breaches.append(Breach(f"{what} in one attempt", turn.host, turn.began))
            else:
                what += f" in {turn.attempts} attempts; whether the host went down is not recorded"
                doubts.append(Breach(what, turn.host, turn.began))
    named = [turn for turn in facts.turns if len({s.name for s in turn.steps}) != len(turn.steps)]
    breaches += [Breach("holds a step twice", turn.host, turn.began) for turn in named]
    silent = sum(turn.drained is True and not turn.steps for turn in facts.turns)
    found = f"{len(hooks)} hooks in {sum(turn.had for turn in facts.turns)} turns"
    untold = [f"{silent} turns left no steps, so they ran no hooks or their journals were not read"]
    untold = untold if silent else []
    untold.append("turns that were tried again: of them only the last is recorded")
    return judge(9, "hooks run once", found, breaches=breaches, doubts=doubts, untold=untold)


def _retries(facts: Facts) -> dict[str, int]:
    """How often users let hooks be tried again, in any role, of the releases that took part."""
    found: dict[str, int] = {}
    for release in facts.rows.releases:
        setup = release["spec"].get("setup", {})
        for each in (setup, *setup.get("roles", {}).values()):
            for name, hooks in (each.get("hooks") or {}).items():
                for hook in hooks if isinstance(hooks, list) else [hooks or {}]:
                    found[name] = max(found.get(name, 0), hook.get("retries", 0))
    return found


def _disorder(facts: Facts) -> Iterator[Breach]:
    """Steps stand in the order in which they last began."""
    for turn in facts.turns:
        ran = [step for step in turn.hooks if step.times == 1]
        for before, after in pairwise(ran):
            if _place(before) > _place(after) and turn.attempts == 1:
                what = f"ran {before.name} before {after.name}"
                yield Breach(what, turn.host, turn.began)


def _place(step: Step) -> tuple[int, int]:
    number = step.name.partition(".")[2]
    return _RANKS.index(step.kind), int(number or 1)


def _once(facts: Facts) -> Iterator[Breach]:
    """Hooks that run once per deployment, and never under sync or restart."""
    for step in ("once.before", "once.after"):
        ran = [row for row in facts.rows.once if row["step"] == step]
        hosts = sorted({row["host"] for row in ran})
        if len(hosts) > 1:
            yield Breach(f"{step} ran on {', '.join(hosts)}", hosts[1])
        if hosts and facts.kind != "deploy":
            yield Breach(f"{step} ran in a {facts.kind}", hosts[0])
