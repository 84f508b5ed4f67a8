"""The codec server, asked as Temporal's UI and its program do."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping

import httpx2
import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload

from apollo.codec import EncryptionCodec, KeyRing, new_key
from apollo.codec.server import CodecServer

CODEC = EncryptionCodec(KeyRing.parse(new_key()))
UI = "http://ui.example:8080"
GIVEN = Payload(metadata={"encoding": b"json/plain"}, data=b'"wombat"')


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address() -> AsyncIterator[str]:
    async with CodecServer(CODEC, frozenset({UI})).serving("127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


def body(*payloads: Payload) -> str:
    return json.dumps({"payloads": [MessageToDict(each) for each in payloads]})


async def post(
    url: str, content: str = body(GIVEN), headers: Mapping[str, str] | None = None
) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        return await client.post(url, content=content, headers=dict(headers or {}))


@pytest.mark.parametrize("path", ["", "/deploy"])
async def test_it_encodes_and_decodes(address: str, path: str) -> None:
    """As a page of the UI does, whose endpoint may hold the namespace."""
    headers = {"Origin": UI, "X-Namespace": "deploy", "Content-Type": "application/json"}
    sealed = await post(f"{address}{path}/encode", headers=headers)
    assert sealed.status_code == 200
    assert "wombat" not in sealed.text
    assert base64.b64encode(b'"wombat"').decode() not in sealed.text
    plain = await post(f"{address}{path}/decode?x=1", sealed.text, headers)

    assert plain.json() == json.loads(body(GIVEN))
    assert plain.headers["access-control-allow-origin"] == UI
    assert plain.headers["cache-control"] == "no-store"
    assert plain.headers["content-type"] == "application/json"


async def test_a_browser_is_told_who_may_ask(address: str) -> None:
    ask = {
        "Origin": UI,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-namespace",
        "Access-Control-Request-Private-Network": "true",
    }
    async with httpx2.AsyncClient() as client:
        told = await client.options(f"{address}/decode", headers=ask)
        other = await client.options(f"{address}/decode", headers={**ask, "Origin": "http://evil"})

    assert (told.status_code, told.content) == (204, b"")
    assert told.headers["access-control-allow-headers"] == ask["Access-Control-Request-Headers"]
    assert told.headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert told.headers["access-control-allow-private-network"] == "true"
    assert told.headers["vary"] == "Origin"
    assert other.status_code == 403
    assert not [name for name in other.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", f"{UI}.evil.example", ""])
async def test_pages_of_others_get_nothing(address: str, origin: str) -> None:
    found = await post(f"{address}/encode", headers={"Origin": origin})

    assert found.status_code == 403
    assert "payloads" not in found.text


async def test_programs_have_no_origin(address: str) -> None:
    found = await post(f"{address}/encode")

    assert found.status_code == 200
    assert "access-control-allow-origin" not in found.headers


async def test_a_token_must_be_shown() -> None:
    async with CodecServer(CODEC, token="numbat").serving("127.0.0.1", 0) as port:
        url = f"http://127.0.0.1:{port}/encode"
        shown = {
            text: await post(url, headers={"Authorization": text})
            for text in ("", "Bearer numba", "Bearer numbat", "numbat")
        }
        assert (await post(url)).status_code == 401

    assert {text: found.status_code for text, found in shown.items()} == {
        "": 401,
        "Bearer numba": 401,
        "Bearer numbat": 200,
        "numbat": 200,
    }


@pytest.mark.parametrize(
    ("word", "content", "status", "told"),
    [
        ("decode", "no json", 400, "expected Payloads"),
        ("decode", '{"payloads": 1}', 400, "expected Payloads"),
        ("decode", '{"payloads": [{"data": {}}]}', 400, "expected Payloads"),
        ("decode", "{}", 200, "{}"),
        ("decode", '{"payloads": [], "more": 1}', 200, "{}"),
        ("other", "{}", 404, "POST /encode"),
        ("", "{}", 404, "POST /encode"),
    ],
)
async def test_what_makes_no_sense_is_answered(
    address: str, word: str, content: str, status: int, told: str
) -> None:
    found = await post(f"{address}/{word}", content)

    assert (found.status_code, found.text[: len(told)]) == (status, told)


async def test_other_methods_are_refused(address: str) -> None:
    async with httpx2.AsyncClient() as client:
        found = await client.get(f"{address}/decode")

    assert (found.status_code, found.headers["allow"]) == (405, "POST, OPTIONS")


async def test_a_key_that_is_missing_is_told_to_who_asks(address: str) -> None:
    other = EncryptionCodec(KeyRing.parse(new_key()))
    found = await post(f"{address}/decode", body(*await other.encode([GIVEN])))

    assert found.status_code == 400
    assert other.keys.ids[0] in found.text


async def test_what_is_too_long_is_not_read(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /decode HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
    sent = 0
    try:
        while sent < 99_999_999:
            writer.write(b"x" * 1_000_000)
            await writer.drain()
            sent += 1_000_000
    except ConnectionError:
        pass
    finally:
        writer.close()

    assert sent < 60_000_000, "it stopped reading"
    assert (await post(f"{address}/encode")).status_code == 200, "and serves others"


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"", b"POST /decode HTTP/1.1\r\n"])
async def test_it_survives_what_is_no_request(address: str, said: bytes) -> None:
    host, port = address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(said)
    writer.close()

    assert (await post(f"{address}/encode")).status_code == 200
