"""How long planning takes: nothing but the planner, on a fleet in memory."""

import time

from apollo.domain.plan import HostState, make_plan
from apollo.domain.status import Serving
from tests.scale.fleet import environment


def plan_seconds(hosts: int) -> float:
    """The processor's seconds for a plan of so many hosts, half of which were out or failed."""
    where = environment(hosts)
    manifests = {host.name: "b" * 64 for host in where.fleet.hosts}
    states = {
        host.name: HostState(
            serving=Serving.BROKEN if number % 10 == 0 else Serving.SERVING,
            manifest="a" * 64,
            release="1.0",
            failed_last=number % 2 == 0,
        )
        for number, host in enumerate(where.fleet.hosts)
    }
    began = time.process_time()
    plan = make_plan(where.fleet, where.strategy, states, manifests)
    took = time.process_time() - began
    assert len(plan.hosts) == hosts
    return took
