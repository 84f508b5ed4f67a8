"""Payloads under AES-256-GCM: what a history holds of them is a cipher and the id of its key."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, PayloadCodec

from apollo.codec.keys import Key, KeyRing
from apollo.errors import Undecryptable
from apollo.failures import HiddenFailures, PlainFailures

ENCODING = b"binary/encrypted"
KEY_ID = "encryption-key-id"
_CIPHER = "encryption-cipher"
_CIPHER_NAME = b"AES-256-GCM"
_NONCE = 12


@dataclass(frozen=True)
class EncryptionCodec(PayloadCodec):
    """Encrypts with the first key and decrypts with whichever a payload names.

    What is not encrypted passes: histories of before, words from Temporal's own UI and program.
    """

    keys: KeyRing

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The payloads encrypted; as they are when there is no key."""
        key = self.keys.first
        return [_encrypted(payload, key) for payload in payloads] if key else list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The payloads as they were.

        Raises:
            Undecryptable: A key is missing, or a payload is not what was encrypted.
        """
        return [self._decrypted(each) if _is_ours(each) else each for each in payloads]

    def _decrypted(self, payload: Payload) -> Payload:
        key_id = payload.metadata[KEY_ID].decode("ascii", "replace")
        key = self.keys.find(key_id)
        if key is None:
            held = f"it holds {', '.join(self.keys.ids)}" if self.keys.ids else "it is not set"
            raise Undecryptable(
                f"this was encrypted with the key {key_id}, which APOLLO_ENCRYPTION_KEY does not "
                f"hold here: {held}",
                hint="add that key to the variable, behind the first, and start the process anew",
            )
        try:
            plain = key.cipher.decrypt(payload.data[:_NONCE], payload.data[_NONCE:], _bound(key))
        except (InvalidTag, ValueError) as error:
            raise Undecryptable(
                f"this payload names the key {key_id}, and is not what was encrypted with it",
                hint="it was changed or cut after it had been written",
            ) from error
        return Payload.FromString(plain)


def data_converter(encryption_key: str = "") -> DataConverter:
    """What Apollo's clients and workers speak to Temporal with, under what the variable holds.

    With a key, messages and stack traces of failures are encrypted too.

    Raises:
        BadEncryptionKey: The variable holds something that is no key.
    """
    keys = KeyRing.parse(encryption_key)
    return dataclasses.replace(
        pydantic_data_converter,
        payload_codec=EncryptionCodec(keys),
        failure_converter_class=HiddenFailures if keys.first else PlainFailures,
    )


def _is_ours(payload: Payload) -> bool:
    return payload.metadata.get("encoding") == ENCODING and KEY_ID in payload.metadata


def _encrypted(payload: Payload, key: Key) -> Payload:
    nonce = os.urandom(_NONCE)
    sealed = key.cipher.encrypt(nonce, payload.SerializeToString(), _bound(key))
    metadata = {"encoding": ENCODING, _CIPHER: _CIPHER_NAME, KEY_ID: key.id.encode()}
    return Payload(metadata=metadata, data=nonce + sealed)


def _bound(key: Key) -> bytes:
    """What is authenticated beside the payload: how it says that it was encrypted."""
    return b"\0".join((ENCODING, _CIPHER_NAME, key.id.encode()))
