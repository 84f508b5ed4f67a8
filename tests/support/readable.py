"""What can be read in a history without any key: each text, and where it stands."""

import base64
import binascii
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from temporalio.client import Client

_ENCRYPTED = base64.b64encode(b"binary/encrypted").decode()


@dataclass(frozen=True)
class Dump:
    """A workflow as Temporal keeps it, in each form in which it can be looked through."""

    id: str
    raw: bytes
    exported: str

    def holds(self, word: str) -> bool:
        """Whether a word is in it: in the bytes, in the export, or in base64 of the export."""
        if word.encode() in self.raw or word in self.exported:
            return True
        return any(word.encode() in each for each in _unpacked(json.loads(self.exported)))

    def readable(self) -> set[tuple[str, str]]:
        """Path and text of all that is not encrypted."""
        return set(_texts(json.loads(self.exported), ()))


async def dumps(client: Client, query: str = "") -> list[Dump]:
    """All workflows of the namespace: their histories, and what describing them tells."""
    return [dump async for dump in _dumps(client, query)]


async def _dumps(client: Client, query: str) -> AsyncIterator[Dump]:
    async for found in client.list_workflows(query or None):
        handle = client.get_workflow_handle(found.id, run_id=found.run_id)
        history = await handle.fetch_history()
        described = (await handle.describe()).raw_description
        messages: list[Message] = [*history.events, described]
        exported = json.dumps([MessageToDict(message) for message in messages])
        yield Dump(found.id, b"".join(each.SerializeToString() for each in messages), exported)


def _unpacked(value: Any) -> Iterator[bytes]:
    for _, text in _texts(value, (), encrypted=True):
        try:
            yield base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue


def _texts(
    value: Any, path: tuple[str, ...], *, encrypted: bool = False
) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        metadata = value.get("metadata")
        sealed = isinstance(metadata, Mapping) and metadata.get("encoding") == _ENCRYPTED
        if sealed and not encrypted:
            return
        for name, inner in value.items():
            yield from _texts(inner, (*path, name), encrypted=encrypted)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, path, encrypted=encrypted)
    elif isinstance(value, str):
        yield ".".join(path), value
