"""`apollo hosts trust`."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from apollo.cli.ask import agreed
from apollo.cli.exits import INCOMPLETE
from apollo.cli.misuse import Misused
from apollo.cli.options import Env, Json, Reason, Yes
from apollo.cli.places import Place, environment_of
from apollo.cli.render.keys import render_keys, scanned_json
from apollo.cli.render.terminal import count, on_terminal, show, show_json, talk
from apollo.cli.session import connected
from apollo.client import Apollo
from apollo.domain.environment import Environment
from apollo.domain.keys import Scanned
from apollo.errors import Refused

Replace = Annotated[
    tuple[str, ...],
    Parameter(help="A host that was rebuilt: its new key takes the place of the old ones."),
]


async def trust(
    env: Env,
    /,
    *,
    replace: Replace = (),
    reason: Reason = "",
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Scan, show and trust the hosts' SSH keys."""
    place = environment_of(env)
    async with connected() as apollo:
        applied = await apollo.catalog.environments.get(place.application, place.environment)
        _check(applied.environment, replace)
        scanned = await _scanned(apollo, applied.environment)
        wanted = [each for each in scanned if _wanted(each, replace)]
        if not json:
            show(render_keys(scanned))
        if wanted:
            _ask(wanted, yes)
            await _store(apollo, place, wanted, reason)
    if json:
        names = {each.host for each in wanted}
        shown = [scanned_json(each, trusted=each.host in names) for each in scanned]
        show_json({"environment": place.label, "hosts": shown})
    return _exit(scanned, wanted, place)


def _check(environment: Environment, replace: Sequence[str]) -> None:
    for name in replace:
        if environment.fleet.host(name) is None:
            raise Misused(f"{environment.label} has no host {name}")


async def _scanned(apollo: Apollo, environment: Environment) -> list[Scanned]:
    hosts = environment.fleet.hosts
    talk(f"Asking {count(len(hosts), 'host')} for their keys, by the workers.")
    return await apollo.scan_keys(environment.application, environment.name)


def _wanted(scanned: Scanned, replace: Sequence[str]) -> bool:
    replaced = scanned.found == "changed" and scanned.host in replace
    return scanned.found == "new" or replaced


def _ask(wanted: Sequence[Scanned], yes: bool) -> None:
    if not yes and not on_terminal():
        raise Refused(
            "nobody is here to compare the keys; none was trusted",
            hint="compare them with what the hosts' consoles show, then add --yes",
        )
    if not agreed(f"Trust {count(len(wanted), 'key')}?", yes=yes):
        raise Refused("no key was trusted")


async def _store(apollo: Apollo, place: Place, wanted: Sequence[Scanned], reason: str) -> None:
    who = apollo.settings.who
    lines = {each.host: [each.line] for each in wanted}
    await apollo.catalog.keys.trust(
        place.application, place.environment, lines, who, reason, mode="replace"
    )
    talk(f"Trusted {count(len(wanted), 'key')}.")


def _exit(scanned: Sequence[Scanned], wanted: Sequence[Scanned], place: Place) -> int:
    changed = [each.host for each in scanned if each.found == "changed"]
    left = [name for name in changed if name not in {each.host for each in wanted}]
    for name in left:
        talk(f"If {name} was rebuilt: apollo hosts trust {place.word} --replace {name}")
    incomplete = left or any(each.found == "unreachable" for each in scanned)
    return INCOMPLETE if incomplete else 0
