"""What the umpire counts, by the text of the rules."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor

from tests.support.rules import Machine

DEADLINE = 60.0
"""Seconds in which a location must end a turn: `progress_deadline`."""
GOOD = ("updated", "current")


def room_left(share: str, hosts: int) -> int:
    """A budget: a count, or a part of the hosts planned, rounded down."""
    if share.endswith("%"):
        return floor(Fraction(share[:-1]) * hosts / 100)
    return min(int(share), hosts)


def bad(outcome: str, *, broken_before: bool) -> bool:
    """Whether it uses one of `max_failures`: one that is merely as broken as before does not."""
    if broken_before and outcome in ("broken", "lost"):
        return False
    return outcome in ("reverted", "broken", "lost")


def back_order(
    hosts: Sequence[str],
    outcomes: Mapping[str, str],
    machines: Mapping[str, Machine],
    order: Sequence[str],
) -> dict[str, int]:
    """Which hosts wait for which on the way back: broken ones for nobody, then roles reversed."""
    ranks = role_order([machines[name] for name in hosts], order)
    serving = [name for name in hosts if outcomes[name] not in ("broken", "lost")]
    last = max((ranks[name] for name in serving), default=0)
    return {name: last - ranks[name] if name in serving else 0 for name in hosts}


def role_order(machines: Sequence[Machine], order: Sequence[str]) -> dict[str, int]:
    """Which hosts wait for which on the way forward: roles that nobody named come last."""
    ranks = {role: rank for rank, role in enumerate(order)}
    return {each.name: ranks.get(each.role or "", len(ranks)) for each in machines}
