"""Encryption of payloads: keys, rotation, tampering, failures."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from apollo.codec import EncryptionCodec, KeyRing, data_converter
from apollo.domain.deployment import Control
from apollo.errors import BadEncryptionKey, Undecryptable
from apollo.settings import Settings

OLD, NEW = (base64.urlsafe_b64encode(bytes([each]) * 32).decode() for each in b"on")
PAYLOADS = st.builds(
    Payload,
    metadata=st.dictionaries(st.text(max_size=9), st.binary(max_size=9), max_size=3),
    data=st.binary(max_size=300),
)


def codec(*keys: str) -> EncryptionCodec:
    return EncryptionCodec(KeyRing.parse(",".join(keys)))


@given(st.lists(PAYLOADS, max_size=4))
async def test_what_is_encoded_comes_back(payloads: list[Payload]) -> None:
    sealed = await codec(NEW).encode(payloads)

    assert all(each.metadata["encoding"] == b"binary/encrypted" for each in sealed)
    assert await codec(NEW).decode(sealed) == payloads


async def test_the_same_is_never_encrypted_to_the_same() -> None:
    again = await codec(NEW).encode([Payload(data=b"x")] * 50)

    assert len({each.data for each in again}) == 50


@given(PAYLOADS)
async def test_after_a_rotation_both_are_read_and_the_new_key_writes(payload: Payload) -> None:
    rotated = codec(NEW, OLD)
    (old,), (new,) = await codec(OLD).encode([payload]), await rotated.encode([payload])

    assert await rotated.decode([old, new, payload]) == [payload] * 3
    assert await codec(NEW).decode([new]) == [payload]
    with pytest.raises(Undecryptable):
        await codec(NEW).decode([old])
    with pytest.raises(Undecryptable):
        await codec(OLD).decode([new])


async def test_a_missing_key_is_named_and_where_it_belongs() -> None:
    sealed = await codec(OLD).encode([Payload(data=b"x")])
    (old_id,), (new_id,) = KeyRing.parse(OLD).ids, KeyRing.parse(NEW).ids

    with pytest.raises(Undecryptable) as caught:
        await codec(NEW).decode(sealed)
    assert f"the key {old_id}, which APOLLO_ENCRYPTION_KEY does not" in caught.value.message
    assert f"it holds {new_id}" in caught.value.message
    with pytest.raises(Undecryptable, match="it is not set"):
        await codec().decode(sealed)


@given(PAYLOADS)
async def test_without_a_key_everything_passes(payload: Payload) -> None:
    assert await codec().encode([payload]) == [payload]
    assert await codec().decode([payload]) == [payload]
    assert await codec(NEW).decode([payload]) == [payload], "and what is not encrypted, with one"


@given(PAYLOADS, st.data())
async def test_what_was_changed_is_refused(payload: Payload, data: st.DataObject) -> None:
    (sealed,) = await codec(NEW).encode([payload])
    at = data.draw(st.integers(0, len(sealed.data) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    changed = bytearray(sealed.data)
    changed[at] ^= bit
    cut = sealed.data[: data.draw(st.integers(0, len(sealed.data) - 1))]

    for other in (bytes(changed), cut):
        with pytest.raises(Undecryptable, match="is not what was encrypted"):
            await codec(NEW).decode([Payload(metadata=sealed.metadata, data=other)])


async def test_a_payload_cannot_be_told_to_be_of_another_key() -> None:
    (sealed,) = await codec(OLD).encode([Payload(data=b"x")])
    sealed.metadata["encryption-key-id"] = KeyRing.parse(NEW).ids[0].encode()

    with pytest.raises(Undecryptable):
        await codec(NEW, OLD).decode([sealed])


async def test_payloads_of_other_codecs_pass() -> None:
    theirs = Payload(metadata={"encoding": b"binary/encrypted"}, data=b"x")

    assert await codec(NEW).decode([theirs]) == [theirs]


# Keys.


def test_keys_stand_beside_each_other_or_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{NEW}\n{OLD}\n", encoding="utf-8")
    ids = KeyRing.parse(f"{NEW}, {OLD}").ids

    assert ids == KeyRing.parse(f"{NEW}\n{OLD}\n").ids == KeyRing.parse(f"file:{file}").ids
    assert KeyRing.parse(f"{OLD},file:{file}").ids == (ids[1], *ids)
    assert KeyRing.parse(" ").ids == ()
    assert all(len(each) == 16 for each in ids)
    standard = base64.b64encode(base64.urlsafe_b64decode(NEW)).decode()
    assert KeyRing.parse(standard).ids == ids[:1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("secret words", "key 1: expected 32 bytes in base64"),
        (f"{NEW},{NEW[:40]}", "key 2: expected 32 bytes"),
        (NEW + OLD, "key 1"),
        ("file:/nowhere", "/nowhere: No such file"),
        ("file:/dev/null", "/dev/null holds no key"),
    ],
)
def test_what_is_no_key_is_told_by_its_place(text: str, told: str) -> None:
    with pytest.raises(BadEncryptionKey) as caught:
        KeyRing.parse(text)

    assert told in caught.value.message
    assert NEW[:40] not in caught.value.message
    assert "secret" not in caught.value.message


def test_keys_are_not_shown() -> None:
    settings = Settings(encryption_key=NEW, codec_token="quokka")

    assert NEW not in repr(settings)
    assert "quokka" not in repr(settings)
    assert NEW not in repr(data_converter(NEW))


# The converter.


def raised() -> ApplicationError:
    """An error that was really raised, from another: it has a traceback, and so has its cause."""
    try:
        try:
            raise ValueError("wombat in the cause")
        except ValueError as cause:
            detail = {"numbat": 1}
            raise ApplicationError("wombat in the message", detail, type="HookFailed") from cause
    except ApplicationError as error:
        return error


async def failure(converter: DataConverter) -> Failure:
    found = Failure()
    await converter.encode_failure(raised(), found)
    return found


async def test_a_raised_failure_and_its_causes_are_encrypted() -> None:
    sealed, plain = await failure(data_converter(NEW)), await failure(data_converter())

    for word in (b"wombat in the message", b"wombat in the cause", b"numbat", b"test_codec.py"):
        assert word in plain.SerializeToString(), "the control"
        assert word not in sealed.SerializeToString()
    assert sealed.application_failure_info.type == "HookFailed"
    assert (sealed.message, sealed.cause.message) == ("Encoded failure", "Encoded failure")


@pytest.mark.parametrize("reader", [NEW, f"{OLD},{NEW}"])
async def test_a_failure_is_read_with_its_key(reader: str) -> None:
    sealed = await failure(data_converter(NEW))
    error = await data_converter(reader).decode_failure(sealed)

    assert isinstance(error, ApplicationError)
    assert (error.message, error.type, error.details) == (
        "wombat in the message",
        "HookFailed",
        ({"numbat": 1},),
    )
    assert str(error.__cause__) == "ValueError: wombat in the cause"


async def test_a_failure_that_is_passed_on_stays_encrypted() -> None:
    """A workflow that raises what an activity raised writes what it has decrypted."""
    converter = data_converter(NEW)
    read = await converter.decode_failure(await failure(converter))
    assert isinstance(read, BaseException)
    again = Failure()
    await converter.encode_failure(read, again)

    assert b"wombat" not in again.SerializeToString()
    assert b"test_codec.py" not in again.SerializeToString()


async def test_values_are_what_they_were() -> None:
    given = Control(by="ada", reason="latency is up")
    for key in ("", NEW):
        converter = data_converter(key)
        payloads = await converter.encode([given])
        assert await converter.decode(payloads, [Control]) == [given]
        assert (b"latency" in payloads[0].SerializeToString()) is (not key)
