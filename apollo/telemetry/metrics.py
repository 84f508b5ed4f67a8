"""The metrics: what each counts, in which unit, by which attributes.

Without somebody who exports them, counting costs nothing and does nothing.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

Value = tuple[float, dict[str, str]]
"""What an observed metric stands at, for these attributes."""
Observe = Callable[[], Iterable[Value]]
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10800, 43200)
"""Seconds: from the shortest step to the longest deployment."""


@dataclass
class Metric:
    """A metric of Apollo's. What its attributes are called begins with `apollo.`, too."""

    name: str
    kind: Literal["counter", "histogram", "gauge", "up-down counter"]
    unit: str
    says: str
    attributes: tuple[str, ...]
    _sink: Any = None
    _observers: list[Observe] = field(default_factory=list)

    def add(self, number: float = 1, /, **attributes: str) -> None:
        """Count."""
        if self._sink:
            self._sink.add(number, self._named(attributes))

    def record(self, seconds: float, /, **attributes: str) -> None:
        """Tell how long something took."""
        if self._sink:
            self._sink.record(seconds, self._named(attributes))

    @contextmanager
    def observed(self, observe: Observe) -> Iterator[None]:
        """Ask this function what it stands at, whenever it is exported."""
        self._observers.append(observe)
        try:
            yield
        finally:
            self._observers.remove(observe)

    def values(self) -> list[tuple[float, dict[str, str]]]:
        """What it stands at, as all who know say."""
        found = []
        for observe in list(self._observers):
            with contextlib.suppress(Exception):  # nobody is to fail for that
                found += [(number, self._named(each)) for number, each in observe()]
        return found

    def bind(self, sink: Any) -> None:
        """Count there from now on; None: nowhere."""
        self._sink = sink

    def _named(self, attributes: Mapping[str, str]) -> dict[str, str]:
        assert attributes.keys() == set(self.attributes), f"{self.name}: {sorted(attributes)}"
        return {f"apollo.{name}": value for name, value in attributes.items()}


_PLACE = ("application", "environment")

DEPLOYMENTS = Metric(
    "apollo.deployments",
    "counter",
    "{deployment}",
    "deployments that have ended",
    (*_PLACE, "kind", "state"),
)
DEPLOYMENT_DURATION = Metric(
    "apollo.deployment.duration",
    "histogram",
    "s",
    "how long they took, with all waiting",
    (*_PLACE, "kind", "state"),
)
TURNS = Metric(
    "apollo.turns",
    "counter",
    "{turn}",
    "turns that have ended, by how the host came out",
    (*_PLACE, "location", "phase", "outcome"),
)
TURN_DURATION = Metric(
    "apollo.turn.duration",
    "histogram",
    "s",
    "how long a turn took, all its attempts together",
    (*_PLACE, "location", "phase", "outcome"),
)
STEP_DURATION = Metric(
    "apollo.step.duration",
    "histogram",
    "s",
    "how long a step on a host took, by the host's own clock; `ended` is `well` or `badly`",
    (*_PLACE, "step", "ended"),
)
HOSTS_OUT = Metric(
    "apollo.hosts.out",
    "gauge",
    "{host}",
    "hosts that do not serve, as the catalog knows them: new, broken, lost, unreachable, disabled",
    (*_PLACE, "location"),
)
HOSTS_DRAINED = Metric(
    "apollo.hosts.drained",
    "up-down counter",
    "{host}",
    "hosts that a turn of this worker has out of service right now",
    (*_PLACE, "location"),
)
BUDGET_LEFT = Metric(
    "apollo.budget.left",
    "gauge",
    "{host}",
    "hosts that may still fail (`failures`) or be unreachable (`unreachable`) in the deployment "
    "that runs; below zero the budget is exceeded",
    (*_PLACE, "budget"),
)
SSH_CONNECTS = Metric(
    "apollo.ssh.connects",
    "counter",
    "{connection}",
    "connections to hosts; `result` is `connected`, or the error: `ConnectFailed`, `AuthFailed`, …",
    (*_PLACE, "location", "result"),
)
SSH_CONNECT_DURATION = Metric(
    "apollo.ssh.connect.duration",
    "histogram",
    "s",
    "how long a connection took to be made, with waiting for room and trying again",
    (*_PLACE, "location", "result"),
)

METRICS = (
    DEPLOYMENTS,
    DEPLOYMENT_DURATION,
    TURNS,
    TURN_DURATION,
    STEP_DURATION,
    HOSTS_OUT,
    HOSTS_DRAINED,
    BUDGET_LEFT,
    SSH_CONNECTS,
    SSH_CONNECT_DURATION,
)
