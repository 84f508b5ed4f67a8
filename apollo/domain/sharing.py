"""What hosts of a batch have in common is said once: payloads with many hosts stay small.

A batch of 500 hosts has a handful of kinds: of each role, location and state one. A turn then says
only its kind, and what no other host has.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

Said = dict[str, Any]
_HOSTS_OWN = ("name", "address", "variables", "host_key")
_TURNS_OWN = ("host_keys",)


def share(turns: Iterable[Said], defaults: Said, host_defaults: Said) -> tuple[list[Said], Any]:
    """The kinds, and the turns that name them; what has its default is left out."""
    numbers: dict[str, int] = {}
    kinds: list[Said] = []
    rows: list[Said] = []
    for turn in turns:
        own, common = _divided(turn, _TURNS_OWN, defaults)
        host, place = _divided(turn["host"], _HOSTS_OWN, host_defaults)
        kind = {**common, "host": place}
        mark = json.dumps(kind, sort_keys=True)
        if mark not in numbers:
            numbers[mark] = len(kinds)
            kinds.append(kind)
        rows.append({"kind": numbers[mark], "host": host, **own})
    return kinds, rows


def unshare(kinds: list[Said], turns: Iterable[Said]) -> list[Said]:
    """The turns as if nothing had been shared."""
    return [_whole(kinds[turn["kind"]], turn) for turn in turns]


def _divided(said: Said, own: Iterable[str], defaults: Mapping[str, Any]) -> tuple[Said, Said]:
    """What only this one says, and what others may say as well."""
    told = {
        name: value
        for name, value in said.items()
        if name != "host" and (name not in defaults or value != defaults[name])
    }
    mine = {name: told.pop(name) for name in own if name in told}
    return mine, told


def _whole(kind: Said, turn: Said) -> Said:
    return {**kind, **turn, "host": {**kind["host"], **turn["host"]}}
