"""One environment: applied, its hosts known and well, its secrets named, its last deployment."""

import shlex
from collections.abc import Mapping

from apollo.catalog import Catalog
from apollo.catalog.records import KnownHost
from apollo.doctor.finding import Finding, bad, good, note, some
from apollo.domain.environment import Environment
from apollo.domain.status import DeploymentState, Serving
from apollo.errors import NotFound

_STOPPED = (
    DeploymentState.HALTED,
    DeploymentState.FAILED,
    DeploymentState.ROLLBACK_FAILED,
    DeploymentState.ABORTED,
    DeploymentState.PARTIAL,
)
_HURT = (Serving.BROKEN, Serving.LOST, Serving.UNREACHABLE)


async def check_environment(
    catalog: Catalog, application: str, name: str
) -> tuple[list[Finding], Environment | None]:
    """What is known of an environment; nobody connects to its hosts.

    Raises:
        Unavailable: The catalog does not answer.
    """
    try:
        applied = await catalog.environments.get(application, name)
    except NotFound as error:
        return [bad("applied", error.message, "an applied environment", "apollo apply")], None
    environment = applied.environment
    hosts = f"{len(environment.fleet.hosts)} hosts in {', '.join(environment.fleet.locations())}"
    found = [good("applied", f"{environment.label}, revision {applied.revision}: {hosts}")]
    found += await _release(catalog, environment)
    found += [_keys(environment, await catalog.keys.lines(application, name))]
    found += _hosts(environment, await catalog.hosts.states(application, name))
    found += await _last(catalog, environment)
    return [*found, _balancer(environment)], environment


async def _release(catalog: Catalog, environment: Environment) -> list[Finding]:
    place = environment.application, environment.name
    version = await catalog.deployments.current_release(*place)
    newest = await catalog.releases.list(environment.application, limit=1)
    if version is None and not newest:
        return [note("release", "there is none yet", "apollo release create VERSION")]
    if version is None:
        found = [note("release", "none has been deployed here", f"apollo deploy {place[1]} …")]
        return [*found, _secrets(environment, newest[0].release.setup.secrets)]
    stored = await catalog.releases.get(environment.application, version)
    return [good("release", version), _secrets(environment, stored.release.setup.secrets)]


def _secrets(environment: Environment, wanted: tuple[str, ...]) -> Finding:
    missing = sorted(set(wanted) - environment.secrets.keys())
    if missing:
        hint = f"add them to secrets: of {environment.name}, then apollo apply"
        return bad("secrets", f"no reference for {some(missing)}", "one for each name", hint)
    references = sorted(environment.secrets.values())
    if not references:
        return good("secrets", "none are needed")
    return note("secrets", f"{some(references)}; the hosts workers resolve them")


def _keys(environment: Environment, known: Mapping[str, object]) -> Finding:
    hosts = environment.fleet.hosts
    without = [host.name for host in hosts if not host.host_key and host.name not in known]
    if not without:
        return good("host keys", f"known for all {len(hosts)} hosts")
    if environment.first_use:
        return note("host keys", f"those of {some(without)} are trusted at first use")
    hint = f"apollo hosts trust {environment.label}"
    return bad("host keys", f"none for {some(without)}", "one for each host", hint)


def _hosts(environment: Environment, states: Mapping[str, KnownHost]) -> list[Finding]:
    known = {
        host.name: states[host.name] for host in environment.fleet.hosts if host.name in states
    }
    disabled = [name for name, state in known.items() if state.disabled_reason is not None]
    hurt = {
        kind: [
            name for name, state in known.items() if state.serving is kind and name not in disabled
        ]
        for kind in _HURT
    }
    found = [
        bad(
            f"{kind} hosts",
            some(names),
            "none",
            f"apollo show {environment.label} says why; the next deployment takes them first",
        )
        for kind, names in hurt.items()
        if names
    ]
    if disabled:
        why = [f"{name} ({known[name].disabled_reason})" for name in disabled]
        found.append(note("disabled hosts", some(why), "they take no part until they are enabled"))
    if not found:
        found.append(
            good("hosts", f"{len(known)} of {len(environment.fleet.hosts)} known, all well")
        )
    return found


async def _last(catalog: Catalog, environment: Environment) -> list[Finding]:
    last = await catalog.deployments.list(environment.application, environment.name, limit=1)
    if not last:
        return [note("deployments", "none yet")]
    told = f"{last[0].label} of {last[0].release}: {last[0].state}"
    told += f" ({last[0].detail})" if last[0].detail else ""
    if last[0].state in _STOPPED:
        hint = f"apollo show {last[0].label}, then deploy or roll back"
        return [bad("deployments", told, "one that ended well", hint)]
    return [good("deployments", told)]


def _balancer(environment: Environment) -> Finding:
    balancer = environment.balancer
    if balancer is None:
        return note("balancer", "none: hosts are not drained before they are changed")
    if balancer.haproxy:
        at = ", ".join(balancer.haproxy.at)
        return good("balancer", f"haproxy at {at}, backends {', '.join(balancer.haproxy.backends)}")
    if balancer.aws_alb:
        return good("balancer", f"target groups {', '.join(balancer.aws_alb.target_groups)}")
    if balancer.command:
        given = balancer.command
        lines = (given.find, given.drain, given.restore)
        programs = ", ".join(dict.fromkeys(shlex.split(line)[0] for line in lines))
        return good("balancer", f"commands: {programs}; each worker's settings must allow them")
    assert balancer.file
    return good("balancer", f"the file {balancer.file.path} in each host's root")
