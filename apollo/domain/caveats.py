"""What a person should know before a plan is carried out."""

from collections.abc import Iterator, Mapping, Sequence

from apollo.domain.capacity import Allowance
from apollo.domain.fleet import Fleet, sizes
from apollo.domain.status import Serving
from apollo.domain.strategy import Strategy
from apollo.domain.waves import Candidate


def caveats(
    fleet: Fleet,
    strategy: Strategy,
    serving: Mapping[str, Serving],
    allowed: Allowance,
    waves: Sequence[Sequence[Candidate]],
) -> Iterator[str]:
    """Everything about a plan that may surprise, one sentence each.

    `waves` are those of the strategy, one for one, with the hosts that each takes.
    """
    planned = [candidate for wave in waves for candidate in wave]
    yield from _disabled(serving)
    yield from _empty_waves(strategy, waves)
    yield from _roles(fleet, strategy)
    yield from _no_room(fleet, serving, allowed, planned)
    yield from _tight(fleet, strategy, allowed, planned)


def _disabled(serving: Mapping[str, Serving]) -> Iterator[str]:
    if names := [name for name, state in serving.items() if state is Serving.DISABLED]:
        yield f"disabled, so not planned, and counted as out: {some(names)}"


def _empty_waves(strategy: Strategy, waves: Sequence[Sequence[Candidate]]) -> Iterator[str]:
    for number, (wave, hosts) in enumerate(zip(strategy.waves, waves, strict=True), 1):
        lost = [word for word, has in (("bake", wave.bake), ("approval", wave.approval)) if has]
        if not hosts and lost:
            verb = "are" if len(lost) > 1 else "is"
            yield f"wave {number} has no host left; its {' and '.join(lost)} {verb} dropped"


def _roles(fleet: Fleet, strategy: Strategy) -> Iterator[str]:
    roles = [host.role for host in fleet.hosts]
    for role in strategy.order:
        if role not in roles:
            yield f"order: no host has the role {role}"


def _no_room(
    fleet: Fleet,
    serving: Mapping[str, Serving],
    allowed: Allowance,
    planned: Sequence[Candidate],
) -> Iterator[str]:
    """Out hosts that this deployment does not repair may leave no room for the others."""
    names = {candidate.host.name for candidate in planned}
    stay_out = sizes(
        host
        for host in fleet.hosts
        if serving[host.name] is not Serving.SERVING and host.name not in names
    )
    total = sum(stay_out.values())
    serving_places = dict.fromkeys(each.host.location for each in planned if each.serves)
    if serving_places and total >= allowed.fleet:
        yield f"no host in service can be drained: {_stays(total, allowed.fleet)} in the fleet"
        return
    for place in serving_places:
        if stay_out.get(place, 0) >= allowed.locations[place]:
            numbers = _stays(stay_out[place], allowed.locations[place])
            yield f"no host in service can be drained in {place}: {numbers} there"


def _stays(out: int, allowed: int) -> str:
    return f"{out} out that {'is' if out == 1 else 'are'} not planned, {allowed} allowed"


def _tight(
    fleet: Fleet, strategy: Strategy, allowed: Allowance, planned: Sequence[Candidate]
) -> Iterator[str]:
    places = sizes(candidate.host for candidate in planned)
    if len(places) > allowed.fleet and strategy.spread == "stripe":
        yield (
            f"{allowed.fleet} of the fleet may be out at once, so the {len(places)} locations "
            "take turns"
        )
    everyone = fleet.sizes()
    whole = [place for place in places if allowed.locations[place] >= everyone[place]]
    if whole and len(fleet.hosts) > 1:
        yield f"every host may be out at once in {some(whole)}"


def some(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
