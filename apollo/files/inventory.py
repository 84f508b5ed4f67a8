"""Hosts: the inventory file, or hosts written where they are used."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from apollo.domain.base import Address, FileModel, HostName, Name, VariableName, without_free_keys
from apollo.domain.environment import FleetSpec, named_by_address
from apollo.domain.fleet import Host, Text
from apollo.files.positions import Part, Path
from apollo.files.scalars import text_of

_PORT = 22


class InventoryHost(FileModel):
    """A host as an inventory has it."""

    address: Address
    port: int | None = Field(default=None, ge=1, le=65535)
    user: str | None = None
    labels: dict[str, Text] = {}
    variables: dict[VariableName, Text] = {}
    host_key: str | None = None


class Location(FileModel):
    """A data centre and its hosts."""

    hosts: dict[HostName, Annotated[InventoryHost, BeforeValidator(named_by_address)]] = {}
    variables: dict[VariableName, Text] = {}
    own_workers: bool = False


class Defaults(FileModel):
    """What hosts have that say nothing else."""

    user: str | None = None
    port: int = Field(default=_PORT, ge=1, le=65535)


class InventoryFile(FileModel):
    """An inventory as users write it."""

    defaults: Defaults = Defaults()
    locations: Annotated[dict[Name, Location], BeforeValidator(without_free_keys)]


@dataclass(frozen=True)
class Inventory:
    """The hosts of a fleet in the order in which they are written, and what their locations say."""

    hosts: tuple[Host, ...]
    location_variables: dict[str, dict[str, str]] = field(default_factory=dict)
    own_workers: tuple[str, ...] = ()


def inventory_of(file: InventoryFile, user: str | None = None) -> Inventory:
    """The inventory that a file describes; `user` is what the environment's fleet says."""
    user = user or file.defaults.user
    hosts = (
        Host(
            name=name,
            location=location,
            address=host.address,
            port=host.port or file.defaults.port,
            user=host.user or user,
            labels=host.labels,
            variables=host.variables,
            host_key=host.host_key,
        )
        for location, spec in file.locations.items()
        for name, host in spec.hosts.items()
    )
    return Inventory(
        hosts=tuple(hosts),
        location_variables={name: spec.variables for name, spec in file.locations.items()},
        own_workers=tuple(name for name, spec in file.locations.items() if spec.own_workers),
    )


def inline_inventory(fleet: FleetSpec) -> Inventory:
    """The inventory of a fleet whose hosts are written where they are used."""
    return Inventory(
        tuple(
            Host(name=name, **{**dict(host), "user": host.user or fleet.user})
            for name, host in (fleet.hosts or {}).items()
        )
    )


@dataclass(frozen=True)
class Sketch:
    """What can be made out of an inventory, be it full of mistakes: enough for other checks."""

    part: Part
    hosts: list[Host]
    places: dict[str, Path]
    """Host → its path in `part`."""
    twice: list[Path]
    """Hosts whose name another location has too."""
    location_variables: Mapping[str, frozenset[str]]


def sketch_inventory(part: Part) -> Sketch:
    """The hosts of an inventory file, leniently."""
    entries = [
        (str(location), ("locations", location, "hosts", name), host)
        for location in without_free_keys(part.mapping("locations"))
        for name, host in part.mapping("locations", location, "hosts").items()
    ]
    variables = {
        location: frozenset(part.mapping("locations", location, "variables"))
        for location in part.mapping("locations")
    }
    return _sketch(part, entries, variables)


def sketch_inline(part: Part) -> Sketch:
    """The hosts of an environment's `fleet.hosts`, leniently."""
    hosts = part.mapping("fleet", "hosts")
    entries: list[tuple[str, Path, Any]] = [
        (text_of(_mapping(host).get("location", "default")), ("fleet", "hosts", name), host)
        for name, host in hosts.items()
    ]
    return _sketch(part, entries, {})


def _sketch(
    part: Part,
    entries: Iterable[tuple[str, Path, Any]],
    location_variables: Mapping[str, frozenset[str]],
) -> Sketch:
    sketch = Sketch(part, [], {}, [], location_variables)
    for location, path, written in entries:
        host, name = _mapping(named_by_address(written)), str(path[-1])
        if name in sketch.places:
            sketch.twice.append(path)
            continue
        sketch.places[name] = path
        sketch.hosts.append(
            Host.model_construct(
                name=name,
                location=location,
                address=text_of(host.get("address", "")),
                port=host.get("port") or part.mapping("defaults").get("port") or _PORT,
                labels={key: text_of(value) for key, value in _mapping(host.get("labels")).items()},
                variables={
                    key: text_of(value) for key, value in _mapping(host.get("variables")).items()
                },
            )
        )
    return sketch


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
