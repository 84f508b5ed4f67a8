"""Encryption of what Apollo says to Temporal: payloads, failures, summaries.

`data_converter(os.environ["APOLLO_ENCRYPTION_KEY"])` gives any client of `temporalio` the same.
"""

from apollo.codec.encryption import EncryptionCodec, data_converter
from apollo.codec.keys import KeyRing, new_key

__all__ = ["EncryptionCodec", "KeyRing", "data_converter", "new_key"]
