"""Fetches JSON documents. Tokens stay out of errors."""

import asyncio
import json
from typing import Any

import httpx2

from apollo import __version__

TIMEOUT = 10.0
"""Seconds for one request, from the first byte to the last."""
LARGEST = 1024 * 1024


class Unreadable(Exception):
    """An alarm's source has not said how it stands; trying again is in vain if `final`."""

    def __init__(self, found: str, *, final: bool = False) -> None:
        super().__init__(found)
        self.final = final


async def fetch(url: str, token: str, *, errors: bool = False) -> Any:
    """The JSON document at `url`; with `errors` also one that comes with a bad status.

    Raises:
        Unreadable: There is none.
    """
    try:
        async with asyncio.timeout(TIMEOUT):
            status, body = await _get(url, token)
    except TimeoutError:
        raise Unreadable(f"no answer within {TIMEOUT:.0f} s") from None
    except httpx2.InvalidURL:
        raise Unreadable("its URL cannot be read", final=True) from None
    except httpx2.HTTPError as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None
    if not 200 <= status < 300 and not errors:
        raise Unreadable(f"it answered {status}")
    if len(body) > LARGEST:
        raise Unreadable(f"it answered more than {LARGEST} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable(f"it answered {status} and no JSON") from None


async def _get(url: str, token: str) -> tuple[int, bytes]:
    headers = {"Accept": "application/json", "User-Agent": f"apollo/{__version__}"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    body = bytearray()
    async with (
        httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LARGEST:
                break
        return response.status_code, bytes(body)
