"""Hosts and fleets, and the expressions that select hosts."""

import fnmatch
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from apollo.domain.base import HostName, Name, VariableName, Wire


def text_of(value: object) -> object:
    """Numbers are text where text is asked for: `WEIGHT: 2`; booleans and nothing are not."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(text_of), WithJsonSchema({"type": ["string", "number"]})]


class Host(Wire):
    """One machine, reached by SSH; it lies in a location."""

    name: HostName
    location: Name
    address: str
    port: int = Field(default=22, ge=1, le=65535)
    user: str | None = None
    labels: dict[str, Text] = {}
    variables: dict[VariableName, Text] = {}
    host_key: str | None = None

    @property
    def role(self) -> str | None:
        """The label `role`."""
        return self.labels.get("role")

    @property
    def reached(self) -> "Host":
        """What one needs to know of it to connect: payloads with many hosts stay small."""
        return Host(**self.model_dump(exclude={"labels", "variables", "host_key"}))

    @property
    def in_its_turn(self) -> "Host":
        """What its turn needs to know of it: of its labels only the role; keys are told apart."""
        role = {"role": self.role} if self.role else {}
        return self.model_copy(update={"labels": role, "host_key": None})

    @property
    def place(self) -> dict[str, str]:
        """What tells hosts apart: `host`, `location` and, if it has one, `role`."""
        role = {"role": self.role} if self.role else {}
        return {"host": self.name, "location": self.location, **role}


class Fleet(Wire):
    """The hosts of an environment, in the order of the inventory."""

    hosts: tuple[Host, ...]

    def names(self) -> frozenset[str]:
        """The names of its hosts."""
        return frozenset(host.name for host in self.hosts)

    def locations(self) -> list[str]:
        """The locations that have hosts, in the order of the inventory."""
        return list(dict.fromkeys(host.location for host in self.hosts))

    def sizes(self) -> dict[str, int]:
        """How many hosts each location has."""
        return sizes(self.hosts)

    def host(self, name: str) -> Host | None:
        """The host of that name, if there is one."""
        return next((host for host in self.hosts if host.name == name), None)


def sizes(hosts: Iterable[Host]) -> dict[str, int]:
    """How many of the hosts lie in each location."""
    counts: dict[str, int] = {}
    for host in hosts:
        counts[host.location] = counts.get(host.location, 0) + 1
    return counts


def select(
    hosts: Iterable[Host], expression: str | None, marks: Mapping[str, frozenset[str]] | None = None
) -> list[Host]:
    """Choose hosts by an expression.

    Its atoms are `role=web`, `@failed`, a location, a name or glob; `&`, `|` and `!` combine them.

    `marks` says which host names `@failed` and the like stand for.

    Raises:
        ValueError: An atom matches nothing in the whole inventory, or the expression is malformed.
    """
    everyone = list(hosts)
    if not expression:
        return everyone
    chosen: set[str] = set()
    for alternative in expression.split("|"):
        names = {host.name for host in everyone}
        for term in alternative.split("&"):
            negated = term.strip().startswith("!")
            found = _atom(everyone, term.strip().removeprefix("!").strip(), marks or {})
            names = names - found if negated else names & found
        chosen |= names
    return [host for host in everyone if host.name in chosen]


def pick(
    fleet: Fleet,
    known: Collection[str],
    expressions: Iterable[str],
    marks: Mapping[str, frozenset[str]] | None = None,
) -> list[str]:
    """The names of the hosts that any of the expressions chooses.

    `known` are names that the inventory may lack: they are chosen by their full name only, and
    come last.

    Raises:
        ValueError: An expression is malformed, or chooses no host.
    """
    chosen: set[str] = set()
    for expression in expressions:
        if expression in known and fleet.host(expression) is None:
            chosen.add(expression)
            continue
        found = select(fleet.hosts, expression, marks) if expression.strip() else []
        if not found:
            raise ValueError(f"{expression!r} chooses no host")
        chosen |= {host.name for host in found}
    ours = [host.name for host in fleet.hosts if host.name in chosen]
    return ours + sorted(chosen.difference(ours))


def _atom(hosts: list[Host], atom: str, marks: Mapping[str, frozenset[str]]) -> set[str]:
    if not atom:
        raise ValueError("an expression has an empty part")
    if atom.startswith("@"):
        if atom not in marks:
            raise ValueError(f"{atom!r} is unknown; known are {', '.join(sorted(marks)) or 'none'}")
        return set(marks[atom])
    if "=" in atom:
        label, _, wanted = (part.strip() for part in atom.partition("="))
        found = {host.name for host in hosts if host.labels.get(label) == wanted}
    else:
        found = {
            host.name
            for host in hosts
            if host.location == atom or fnmatch.fnmatchcase(host.name, atom)
        }
    if not found:
        raise ValueError(f"{atom!r} matches no host of the inventory")
    return found
