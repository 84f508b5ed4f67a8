"""Checks of fleets and of what is said about their hosts: expressions, waves, roles."""

import re
from collections.abc import Iterator

from apollo.domain.base import Share, parse_share
from apollo.domain.fleet import Host, select
from apollo.files.draft import Draft, EnvironmentDraft
from apollo.files.inventory import Sketch, sketch_inline, sketch_inventory
from apollo.files.mistakes import FileWarning, Mistake
from apollo.files.positions import Part, Path, show
from apollo.files.scalars import text_of
from apollo.files.unsupported import not_yet_values
from apollo.files.words import describe, did_you_mean

_NO_MATCH = re.compile(r"(['\"])(.+)\1 matches no host")


def read_fleet(draft: Draft, environment: EnvironmentDraft) -> None:
    """Find the environment's hosts, as far as they can be made out, and pick its own."""
    part = environment.part
    file = part.get("fleet", "inventory")
    if isinstance(part.get("fleet", "hosts"), dict):
        environment.sketch = sketch_inline(part)
    elif isinstance(file, str) and (later := not_yet_values("inventory", file)):
        draft.mistakes.append(part.mistake(("fleet", "inventory"), **later))
    elif isinstance(file, str):
        if file not in draft.inventories:
            draft.inventories[file] = draft.read_yaml(file, (part, ("fleet", "inventory")))
        document = draft.inventories[file]
        if document and isinstance(document.data, dict):
            environment.sketch = sketch_inventory(Part(document))
    if environment.sketch and environment.sketch.hosts:
        picked = _pick(part, ("fleet", "select"), environment.sketch.hosts)
        if isinstance(picked, Mistake):
            draft.mistakes.append(picked)
        else:
            environment.chosen = picked


def check_fleets(draft: Draft) -> None:
    """Note what is wrong with inventories, expressions, waves and roles."""
    sketches = {}
    for environment in draft.environments.values():
        draft.mistakes += _waves(environment.part)
        if sketch := environment.sketch:
            sketches[id(sketch.part.document), sketch.part.base] = sketch
    for sketch in sketches.values():
        draft.mistakes += _hosts(sketch)
        draft.warnings += _addresses(sketch)
    for environment, sketch, chosen in draft.fleets():
        draft.mistakes += _canaries(environment.part, sketch, chosen)
        draft.warnings += _order(environment.part, chosen)
        draft.mistakes += _once(draft.top, environment.name, chosen)
    draft.warnings += _roles(draft)


def _pick(part: Part, path: Path, hosts: list[Host]) -> list[Host] | Mistake:
    expression = part.get(*path)
    if not isinstance(expression, str):
        return hosts
    try:
        picked = select(hosts, expression)
    except ValueError as error:
        match = _NO_MATCH.search(str(error))
        return part.mistake(
            path,
            expected="hosts that the inventory has",
            found=f"'{match[2]}', which matches none" if match else str(error),
            hint=_known(hosts, match[2] if match else ""),
        )
    if not picked:
        found = f"none that '{expression}' picks"
        hint = "Loosen the expression: its parts match hosts, but never the same ones."
        return part.mistake(path, expected="at least one host", found=found, hint=hint)
    return picked


def _known(hosts: list[Host], atom: str) -> str:
    labels = {f"{key}={value}" for host in hosts for key, value in host.labels.items()}
    atoms = [*sorted(labels), *dict.fromkeys(host.location for host in hosts)]
    near = did_you_mean(atom, [*atoms, *(host.name for host in hosts[:1000])])
    more = ", …" if len(atoms) > 8 else ""
    return f"{near}Known are {', '.join(atoms[:8])}{more}, and the hosts' names."


def _hosts(sketch: Sketch) -> Iterator[Mistake]:
    part = sketch.part
    if not sketch.hosts:
        top = ("fleet", "hosts") if part.base else ("locations",)
        hint = "Add a host, such as web1: 10.0.1.1."
        if part.get(*top) is not None:
            yield part.mistake(top, expected="at least one host", found="none", hint=hint, key=True)
    for path in sketch.twice:
        first = sketch.places[str(path[-1])]
        line = part.document.mark(part.base + first, key=True).line
        yield part.mistake(
            path,
            expected="each host in one location",
            found=f"{path[-1]} in {path[1]} and in {first[1]} (line {line})",
            hint="Take one of the two out, or give it another name.",
            key=True,
        )


def _addresses(sketch: Sketch) -> Iterator[FileWarning]:
    seen: dict[tuple[str, str], str] = {}
    for host in sketch.hosts:
        first = seen.setdefault((host.address, text_of(host.port)), host.name)
        if first != host.name and host.address:
            message = f"{host.name} has the same address and port as {first}"
            hint = "Two names for one machine count as two hosts: take one of them out."
            yield sketch.part.warning(sketch.places[host.name], message, hint, key=True)


def _waves(part: Part) -> Iterator[Mistake]:
    waves = part.sequence("strategy", "waves")
    highest: dict[tuple[str, bool], Share] = {}
    for index, wave in enumerate(waves):
        share, of, path = _wave(wave, ("strategy", "waves", index))
        if share is None:
            continue
        kind = (text_of(of), share.count is None)
        before = highest.get(kind)
        highest[kind] = share
        if before is not None and _size(share) <= _size(before):
            hint = "Shares are cumulative: let the wave reach more, or take it out."
            yield part.mistake(path, expected=f"more than {before}", found=str(share), hint=hint)
        if index == len(waves) - 1 and (of is not None or share.percent != 100):
            found = f"{share} of {text_of(of)}" if of is not None else str(share)
            hint = "Add 100% as the last wave, so that every host is reached."
            yield part.mistake(path, expected="100% as the last wave", found=found, hint=hint)


def _wave(wave: object, path: Path) -> tuple[Share | None, object, Path]:
    written, of = wave, None
    if isinstance(wave, dict):
        written, of, path = wave.get("share"), wave.get("of"), (*path, "share")
    try:
        share: Share = parse_share(written)
    except ValueError:
        return None, of, path
    return share, of, path


def _size(share: Share) -> float:
    return share.count if share.count is not None else share.percent or 0


def _canaries(part: Part, sketch: Sketch, chosen: list[Host]) -> Iterator[Mistake]:
    names = {host.name for host in chosen}
    for index, wave in enumerate(part.sequence("strategy", "waves")):
        path = ("strategy", "waves", index, "of")
        if not isinstance(wave, dict) or not isinstance(wave.get("of"), str):
            continue
        picked = _pick(part, path, sketch.hosts)
        if isinstance(picked, Mistake):
            yield picked
        elif not names & {host.name for host in picked}:
            yield part.mistake(
                path,
                expected="hosts of this environment",
                found=f"{describe(wave['of'])}, which names only hosts that `select` leaves out",
                hint=f"Name hosts that {show((*part.base, 'fleet', 'select'))} picks.",
            )


def _once(top: Part, environment: str, chosen: list[Host]) -> Iterator[Mistake]:
    for when in ("before", "after"):
        path = ("setup", "once", when, "on")
        expression = top.get(*path)
        if not isinstance(expression, str) or "@" in expression:
            continue
        picked = _pick(top, path, chosen)
        if isinstance(picked, Mistake):
            yield top.mistake(
                path,
                expected=f"hosts that {environment} has",
                found=picked.found,
                hint=picked.hint,
            )


def _order(part: Part, chosen: list[Host]) -> Iterator[FileWarning]:
    roles = {host.role for host in chosen}
    for index, role in enumerate(part.sequence("strategy", "order")):
        if isinstance(role, str) and role not in roles:
            message = f"no host of this environment has the role {role}"
            hint = f"Take it out, or give hosts the label role: {role}."
            yield part.warning(("strategy", "order", index), message, hint)
    locations = {host.location for host in chosen}
    spread = ("strategy", "spread")
    if part.get(*spread) == "one_location_at_a_time" and len(locations) == 1:
        message = f"all hosts lie in one location, {next(iter(locations))}"
        yield part.warning(spread, message, "Take spread out: it changes nothing.")


def _roles(draft: Draft) -> Iterator[FileWarning]:
    fleets = list(draft.fleets())
    if len(fleets) < len(draft.environments) or draft.unreadable:
        return
    known = {host.role for _, _, chosen in fleets for host in chosen}
    for role in draft.top.mapping("setup", "roles"):
        if role not in known:
            message = f"no host of any environment has the role {role}"
            near = did_you_mean(role, [name for name in known if name])
            hint = f"{near}Take it out, or give hosts the label role: {role}."
            yield draft.top.warning(("setup", "roles", role), message, hint, key=True)
    roles = draft.top.mapping("setup", "roles")
    healthy = {
        name for name, role in roles.items() if isinstance(role, dict) and role.get("health")
    }
    if draft.top.get("setup", "health") is None and not known <= healthy:
        message = "there is no health check: a host counts as healthy when `start` exits with 0"
        hint = 'Add health: {http: {port: "8080", path: /health}}.'
        yield draft.top.warning(("setup",), message, hint, key=True)
