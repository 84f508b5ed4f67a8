"""Load balancers: one module per kind."""

from apollo.balancers.base import Balancer, BalancerTarget, until_drained
from apollo.balancers.file import OnlineFile
from apollo.balancers.haproxy import Haproxy
from apollo.domain.environment import BalancerSpec

__all__ = ["Balancer", "BalancerTarget", "build_balancer", "until_drained"]


def build_balancer(spec: BalancerSpec) -> Balancer:
    """The balancer that an environment names."""
    if spec.haproxy is not None:
        given = spec.haproxy
        return Haproxy(given.at, given.backends, given.server, spec.drain.wait)
    assert spec.file is not None
    return OnlineFile(spec.file.path, spec.file.wait, spec.drain.wait)
