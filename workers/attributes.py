"""The search attributes that Apollo's workflows carry: made where they are missing."""

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from apollo import names

_INTEGERS = (names.HOSTS.name, names.FAILURES.name)


async def ensure_search_attributes(client: Client) -> list[str]:
    """Make the search attributes that the namespace lacks, and name them."""
    found = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    wanted = [key.name for key in names.SEARCH_ATTRIBUTES]
    missing = {name: _kind(name) for name in wanted if name not in found.custom_attributes}
    if missing:
        try:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
        except RPCError as error:
            if error.status is not RPCStatusCode.ALREADY_EXISTS:  # another worker was faster
                raise
    return sorted(missing)


def _kind(name: str) -> IndexedValueType.ValueType:
    if name in _INTEGERS:
        return IndexedValueType.INDEXED_VALUE_TYPE_INT
    return IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
