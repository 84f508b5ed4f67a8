"""What Apollo needs of a Temporal cluster: a namespace, search attributes, workers that poll."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType, WorkerVersioningMode
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from apollo import names
from apollo.errors import Refused, Unavailable
from apollo.settings import Settings
from apollo.wiring import connect_temporal

_PAUSE = 0.5
ABSENT = timedelta(seconds=90)
"""A worker with free slots asks the server every minute at the latest."""
_LATER = (
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.ABORTED,
)
"""What says that the same call may go well in a moment."""
_WORKFLOWS = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
_ACTIVITIES = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY


@dataclass(frozen=True)
class Cluster:
    """What a cluster's setup found and made."""

    namespace: str
    namespace_made: bool
    retention: timedelta
    """How long the namespace keeps what has ended."""
    made: tuple[str, ...]
    """The search attributes that were missing."""


@dataclass(frozen=True)
class Poller:
    """A worker that polls a queue."""

    identity: str
    seen: datetime
    build: str = ""
    """What its `APOLLO_BUILD_ID` says."""
    code: str = ""
    """Of which code it says that it is."""


async def set_up(
    settings: Settings, retention: timedelta, wait: timedelta, namespace: str | None = None
) -> Cluster:
    """Make the namespace and the search attributes, where they are missing, and see them work.

    It may run twice, and at once; what is there is left as it is.

    Raises:
        Unavailable: The server does not answer, or what was made cannot be used, within `wait`.
        Refused: A search attribute is there with another type, or there is no room for it.
    """
    deadline = time.monotonic() + wait.total_seconds()
    client = await _connected(settings, namespace, deadline)
    made = False
    while (kept := await namespace_retention(client)) is None:
        made = await _register(client, retention) or made
        await _pause(client, deadline)
    added = await _added(client)
    while not await usable(client):
        await _pause(client, deadline)
        added += [name for name in await _added(client) if name not in added]
    return Cluster(client.namespace, made, kept, tuple(added))


async def namespace_retention(client: Client) -> timedelta | None:
    """How long the client's namespace keeps what has ended; none: there is no such namespace."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        found = await client.workflow_service.describe_namespace(request)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise _unavailable(client, error) from error
    return found.config.workflow_execution_retention_ttl.ToTimedelta()


async def ensure_search_attributes(client: Client) -> list[str]:
    """Make the search attributes that the namespace lacks, and name them.

    Raises:
        Refused: One is there with another type, or there is no room for it.
        Unavailable: The server does not let them be listed or made.
    """
    kinds: Mapping[str, IndexedValueType.ValueType] = {}
    try:
        kinds = await search_attributes(client)
        missing = {name: kind for name, kind in _wanted().items() if name not in kinds}
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:  # another was faster
            return []
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            raise _no_room(client, kinds, error) from error
        raise _unavailable(client, error) from error
    return sorted(missing)


async def search_attributes(client: Client) -> Mapping[str, IndexedValueType.ValueType]:
    """The namespace's own search attributes and their types.

    Raises:
        Refused: One of Apollo's has another type than Apollo writes.
    """
    request = ListSearchAttributesRequest(namespace=client.namespace)
    found = dict((await client.operator_service.list_search_attributes(request)).custom_attributes)
    for name, kind in _wanted().items():
        if found.get(name, kind) != kind:
            raise Refused(
                f"the search attribute {name} of the namespace {client.namespace} is "
                f"{_word(found[name])}; Apollo needs {_word(kind)}",
                hint="temporal operator search-attribute remove it, or use another namespace",
            )
    return found


async def usable(client: Client) -> bool:
    """Whether workflows with Apollo's search attributes can be found, and so be started.

    A server knows what was made only after a while.
    """
    number = IndexedValueType.INDEXED_VALUE_TYPE_INT
    query = " AND ".join(
        f"{name} = {0 if kind == number else repr('')}" for name, kind in _wanted().items()
    )
    try:
        await client.count_workflows(query)
    except RPCError as error:
        if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT, *_LATER):
            return False
        raise _unavailable(client, error) from error
    return True


async def pollers(client: Client, queue: str) -> list[Poller]:
    """Who has polled a queue in the last minutes; the one that was seen last comes first.

    Raises:
        Unavailable: The server does not say.
    """
    kind = _WORKFLOWS if queue == names.CONTROL_QUEUE else _ACTIVITIES
    request = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
    )
    try:
        answer = await client.workflow_service.describe_task_queue(request)
    except RPCError as error:
        raise _unavailable(client, error) from error
    found = (
        Poller(each.identity, each.last_access_time.ToDatetime(UTC), _build(each), _code(each))
        for each in answer.pollers
    )
    return sorted(found, key=lambda poller: poller.seen, reverse=True)


async def present(client: Client, queue: str, build: str = "") -> int:
    """How many workers poll a queue now; who has left is in the server's list for minutes.

    With `build` those of that build: only they are given what is pinned to it.

    Raises:
        Unavailable: The server does not say.
    """
    now = datetime.now(UTC)
    here = (each for each in await pollers(client, queue) if now - each.seen < ABSENT)
    return sum(build in ("", each.build) for each in here)


def _build(poller: PollerInfo) -> str:
    mode, told = WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED, poller.deployment_options
    ours = told.worker_versioning_mode == mode and told.deployment_name == names.WORKERS
    return told.build_id if ours else ""


def _code(poller: PollerInfo) -> str:
    return poller.deployment_options.build_id or poller.worker_version_capabilities.build_id


async def _connected(settings: Settings, namespace: str | None, deadline: float) -> Client:
    while True:
        try:
            return await connect_temporal(settings, namespace)
        except Unavailable:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(_PAUSE)


async def _register(client: Client, retention: timedelta) -> bool:
    request = RegisterNamespaceRequest(
        namespace=client.namespace,
        workflow_execution_retention_period=Duration(seconds=int(retention.total_seconds())),
    )
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status in (RPCStatusCode.ALREADY_EXISTS, *_LATER):
            return False
        raise _unavailable(client, error) from error
    return True


async def _added(client: Client) -> list[str]:
    """The same as `ensure_search_attributes`, while the server does not know the namespace yet."""
    try:
        return await ensure_search_attributes(client)
    except Unavailable as error:
        cause = error.__cause__
        if isinstance(cause, RPCError) and cause.status in (RPCStatusCode.NOT_FOUND, *_LATER):
            return []
        raise


async def _pause(client: Client, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise Unavailable(
            f"the namespace {client.namespace} cannot be used yet",
            hint="run apollo cluster setup again, with a longer --wait, and see the server's log",
        )
    await asyncio.sleep(_PAUSE)


def _wanted() -> dict[str, IndexedValueType.ValueType]:
    return {
        key.name: IndexedValueType.ValueType(int(key.indexed_value_type))
        for key in names.SEARCH_ATTRIBUTES
    }


def _no_room(client: Client, kinds: Iterable[str], error: RPCError) -> Refused:
    others = sorted(name for name in kinds if name not in _wanted())
    return Refused(
        f"the namespace {client.namespace} takes no more search attributes: {error.message}; "
        f"others there are {', '.join(others) or 'none'}",
        hint="remove some that nobody needs, or give Apollo a namespace of its own",
    )


def _unavailable(client: Client, error: RPCError) -> Unavailable:
    return Unavailable(
        f"Temporal does not do it for the namespace {client.namespace}: {error.message}",
        hint="see that TEMPORAL_NAMESPACE is right and that you may do this; where namespaces are "
        "made by other means, make it there with the search attributes of docs/cluster.md",
    )


def _word(kind: IndexedValueType.ValueType) -> str:
    name = IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_")
    return "".join(part.title() for part in name.split("_"))
