"""`apollo hosts disable|enable|forget`, `hosts --adopt`: words about hosts, for the catalog."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from cyclopts import Parameter

from apollo.cli.ask import agreed
from apollo.cli.misuse import Misused
from apollo.cli.options import Env, Json, Reason, Yes
from apollo.cli.places import Place, environment_of
from apollo.cli.render.terminal import count, names, show_json, talk
from apollo.cli.session import connected
from apollo.client import Apollo
from apollo.errors import Refused

Hosts = Annotated[
    str, Parameter(help="Names or expressions: web1, web1*, fra1, 'role=web & ams1'.")
]
Why = Annotated[str, Parameter(help="Why, for the audit and for whoever wonders; needed.")]
Change = Callable[[Apollo, list[str]], Awaitable[list[str]]]


async def disable(
    env: Env, /, *hosts: Hosts, reason: Why = "", yes: Yes = False, json: Json = False
) -> int:
    """Take hosts out of all deployments; they count as out."""
    if not reason.strip():
        raise Misused("hosts are disabled for a reason", hint='say which: --reason "disk fails"')
    place = environment_of(env)

    async def change(apollo: Apollo, chosen: list[str]) -> list[str]:
        return await apollo.disable(place.application, place.environment, chosen, reason)

    return await _change(place, "disable", hosts, change, yes=yes, json=json)


async def enable(
    env: Env, /, *hosts: Hosts, reason: Reason = "", yes: Yes = False, json: Json = False
) -> int:
    """Let disabled hosts take part again."""
    place = environment_of(env)

    async def change(apollo: Apollo, chosen: list[str]) -> list[str]:
        return await apollo.enable(place.application, place.environment, chosen, reason)

    return await _change(place, "enable", hosts, change, yes=yes, json=json)


async def forget(
    env: Env, /, *hosts: Hosts, reason: Reason = "", yes: Yes = False, json: Json = False
) -> int:
    """Forget what hosts run, and their SSH keys; the history stays."""
    place = environment_of(env)

    async def change(apollo: Apollo, chosen: list[str]) -> list[str]:
        return await apollo.forget(place.application, place.environment, chosen, reason)

    return await _change(place, "forget", hosts, change, yes=yes, json=json)


async def adopt(place: Place, hosts: Sequence[str], *, reason: str, yes: bool, json: bool) -> int:
    """Let the next turns of hosts take over roots that belong to somebody else."""
    if not reason.strip():
        raise Misused("a root is taken over for a reason", hint='say which: --reason "moved here"')

    async def change(apollo: Apollo, chosen: list[str]) -> list[str]:
        return await apollo.adopt(place.application, place.environment, chosen, reason)

    return await _change(place, "adopt", hosts, change, yes=yes, json=json)


async def _change(
    place: Place, word: str, hosts: Sequence[str], change: Change, *, yes: bool, json: bool
) -> int:
    if not hosts:
        raise Misused("no host was named", hint=f"apollo hosts {word} {place.word} web1")
    async with connected() as apollo:
        chosen = await apollo.select(place.application, place.environment, hosts)
        question = f"{word.capitalize()} {count(len(chosen), 'host')} of {place.label}"
        if not agreed(f"{question}: {names(chosen)}?", yes=yes):
            raise Refused(f"no host was changed: {word} was declined")
        changed = await change(apollo, chosen)
    if json:
        show_json({"environment": place.label, "chosen": chosen, "changed": changed})
        return 0
    same = len(chosen) - len(changed)
    already = f"; {count(same, 'host')} needed no change" if same else ""
    talk(f"{_PAST[word]} {count(len(changed), 'host')} of {place.label}{already}")
    return 0


_PAST = {
    "disable": "Disabled",
    "enable": "Enabled",
    "forget": "Forgot",
    "adopt": "At the next turn Apollo takes over the roots of",
}
