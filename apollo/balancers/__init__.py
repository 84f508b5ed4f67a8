"""Load balancers: one module per kind."""

from collections.abc import Sequence

from apollo.balancers.base import Balancer, BalancerTarget, until_drained
from apollo.balancers.command import Commands
from apollo.balancers.file import OnlineFile
from apollo.balancers.haproxy import Haproxy
from apollo.balancers.lines import Lines
from apollo.balancers.target_groups import TargetGroups
from apollo.domain.balancer import BalancerSpec

__all__ = ["Balancer", "BalancerTarget", "Lines", "build_balancer", "until_drained"]


def build_balancer(
    spec: BalancerSpec, allowed: Sequence[str] = (), lines: Lines | None = None
) -> Balancer:
    """The balancer that an environment names.

    `allowed` are the commands that this worker runs, `lines` its connections to balancers that
    are reached through SSH.
    """
    wait = spec.drain.wait
    if spec.haproxy is not None:
        given = spec.haproxy
        return Haproxy(given.at, given.backends, given.server, wait, lines)
    if spec.aws_alb is not None:
        return TargetGroups(spec.aws_alb, wait)
    if spec.command is not None:
        return Commands(spec.command, wait, allowed)
    assert spec.file is not None
    return OnlineFile(spec.file.path, spec.file.wait, wait)
