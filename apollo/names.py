"""The names that Apollo uses in Temporal: queues, ids, handlers, search attributes."""

from collections.abc import Collection

from temporalio.common import SearchAttributeKey, WorkerDeploymentVersion

CONTROL_QUEUE = "apollo"
HOSTS_QUEUE = "apollo-hosts"
WORKERS = "apollo"
"""What Temporal calls the worker deployment, of which each build is a version."""

APPLICATION = SearchAttributeKey.for_keyword("ApolloApplication")
ENVIRONMENT = SearchAttributeKey.for_keyword("ApolloEnvironment")
RELEASE = SearchAttributeKey.for_keyword("ApolloRelease")
STATE = SearchAttributeKey.for_keyword("ApolloState")
DEPLOYMENT = SearchAttributeKey.for_keyword("ApolloDeployment")
HOSTS = SearchAttributeKey.for_int("ApolloHosts")
FAILURES = SearchAttributeKey.for_int("ApolloFailures")
PROGRESS = "progress"
"""The signal by which a batch tells its deployment how far it is."""
LOOK = "look"
"""The signal that says: the catalog knows something new of your hosts."""

SCHEDULES = "apollo/"
"""How the ids of Apollo's schedules begin."""

SEARCH_ATTRIBUTES = (APPLICATION, ENVIRONMENT, RELEASE, STATE, DEPLOYMENT, HOSTS, FAILURES)


def hosts_queue(location: str | None = None) -> str:
    """The queue of host workers: of a location's own, or of all others."""
    return f"{HOSTS_QUEUE}-{location}" if location else HOSTS_QUEUE


def version(build: str) -> WorkerDeploymentVersion:
    """What Temporal calls a build of the workers."""
    return WorkerDeploymentVersion(WORKERS, build)


def queue_of(location: str, own_workers: Collection[str]) -> str:
    """The queue of a location's hosts; `own_workers` are those that have workers of their own."""
    return hosts_queue(location if location in own_workers else None)


def deployment_id(application: str, environment: str, request: str) -> str:
    """The workflow id of a deployment."""
    return f"deployment/{application}/{environment}/{request}"


def batch_id(deployment: str, phase: str, wave: int, batch: int) -> str:
    """The workflow id of a batch."""
    return f"{deployment}/{phase}/{wave}/batch/{batch}"


def staging_id(deployment: str, wave: int, batch: int) -> str:
    """The workflow id of a batch's staging ahead."""
    return f"{deployment}/forward/{wave}/staging/{batch}"


def look_id(asked_by: str) -> str:
    """The workflow id of a look at hosts, by whoever asks for it."""
    return f"{asked_by}/look"


def scan_id(application: str, environment: str, request: str) -> str:
    """The workflow id of a scan of hosts' keys."""
    return f"scan/{application}/{environment}/{request}"


def logs_id(application: str, environment: str, asked: str) -> str:
    """The workflow id of a look at what a host's hooks print."""
    return f"logs/{application}/{environment}/{asked}"


def piece_id(sha256: str, start: int, asked: str) -> str:
    """The workflow id of a piece of what the store holds."""
    return f"piece/{sha256}/{start}/{asked}"


def promotion_id(application: str, release: str) -> str:
    """The workflow id of a promotion."""
    return f"promotion/{application}/{release}"


def schedule_id(application: str, name: str) -> str:
    """The id of a schedule."""
    return f"{SCHEDULES}{application}/{name}"


def notification_id(deployment: str, number: int, state: str) -> str:
    """The workflow id of a deployment's notification: the `number`th, of this state."""
    return f"{deployment}/notification/{number}-{state}"
