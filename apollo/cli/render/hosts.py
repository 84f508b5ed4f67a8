"""Hosts and what is known of them, as a terminal and as JSON show them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from apollo.catalog.records import KnownHost
from apollo.cli.render.marks import serving_mark
from apollo.cli.render.terminal import Cell, columns, count, moment
from apollo.domain.fleet import Fleet, Host
from apollo.domain.status import Serving
from apollo.files.mistakes import one_line


class HostLine(NamedTuple):
    """A host of the inventory, or one that is known though the inventory lacks it."""

    name: str
    host: Host | None
    state: KnownHost | None

    @property
    def serving(self) -> Serving:
        """Whether it serves."""
        return self.state.serving if self.state else Serving.NEW

    @property
    def release(self) -> str:
        """What it runs, if anything."""
        return (self.state.release if self.state else None) or ""


def host_lines(fleet: Fleet, states: Mapping[str, KnownHost], release: str = "") -> list[HostLine]:
    """The hosts in the order of the inventory, then the others; of one release if it is named."""
    ours = [HostLine(host.name, host, states.get(host.name)) for host in fleet.hosts]
    names = {line.name for line in ours}
    others = [HostLine(name, None, states[name]) for name in sorted(states.keys() - names)]
    return [line for line in ours + others if not release or line.release == release]


def render_hosts(lines: Sequence[HostLine]) -> Iterator[Cell]:
    """One line for each host, and how many there are."""
    rows: list[Sequence[Cell]] = [("HOST", "LOCATION", "ADDRESS", "STATE", "RELEASE", "SINCE", "")]
    for line in lines:
        host, state = line.host, line.state
        rows.append(
            (
                line.name,
                host.location if host else "-",
                f"{host.address}:{host.port}" if host else "-",
                serving_mark(line.serving).text(),
                line.release or "-",
                moment(state.since) if state else "-",
                _note(line),
            )
        )
    yield from columns(rows)
    yield count(len(lines), "host")


def host_json(line: HostLine) -> dict[str, Any]:
    """A host and what is known of it."""
    state = line.state
    known = state.model_dump(mode="json", exclude={"host"}) if state else {"serving": Serving.NEW}
    host = line.host.model_dump(mode="json") if line.host else {"name": line.name}
    return {**host, "in_inventory": line.host is not None, "state": known}


def _note(line: HostLine) -> str:
    state = line.state
    notes = [] if line.host else ["not in the inventory"]
    if state and state.disabled_reason is not None:
        notes.append(f"disabled: {one_line(state.disabled_reason)}")
    elif state and state.failed_last:
        notes.append("failed last")
    return ", ".join(notes)
