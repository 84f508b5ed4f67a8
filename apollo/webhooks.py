"""Posting to webhooks. Their URLs are secrets: errors show no more than scheme and host."""

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx2

from apollo import __version__
from apollo.domain.notification import shown_webhook
from apollo.errors import Undelivered, WebhookRefused

TIMEOUT = 10.0
"""Seconds for one request, from the first byte to the last."""
_TRY_AGAIN = (408, 425, 429)
_LONGEST_PAUSE = 3600
for _name in ("httpx2", "httpcore2"):  # they would log the whole URL
    logging.getLogger(_name).setLevel(logging.WARNING)


async def post(url: str, body: Mapping[str, Any], key: str) -> int:
    """Post a JSON body and return the status of the answer, which is not read.

    Raises:
        Undelivered: It was not taken; another attempt may go better.
        WebhookRefused: It was not taken, and never will be.
    """
    shown = shown_webhook(url)
    if not url.startswith(("https://", "http://")):
        raise Undelivered("the webhook is no URL of https or http") from None
    try:
        async with asyncio.timeout(TIMEOUT):
            status, after = await _post(url, json.dumps(body, ensure_ascii=False), key)
    except TimeoutError:
        raise Undelivered(f"{shown} gave no answer within {TIMEOUT:.0f} s") from None
    except httpx2.InvalidURL:
        raise Undelivered("the webhook is no URL that can be read") from None
    except httpx2.HTTPError as error:
        raise Undelivered(f"{shown}: {type(error).__name__}") from None
    if 200 <= status < 300:
        return status
    if 300 <= status < 400:
        raise WebhookRefused(f"{shown} answered {status}; redirects are not followed")
    if status < 500 and status not in _TRY_AGAIN:
        raise WebhookRefused(f"{shown} answered {status}")
    raise Undelivered(f"{shown} answered {status}", after=_pause(after))


async def _post(url: str, body: str, key: str) -> tuple[int, str]:
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "User-Agent": f"apollo/{__version__}",
    }
    async with (
        httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as client,
        client.stream("POST", url, content=body.encode(), headers=headers) as response,
    ):
        return response.status_code, response.headers.get("Retry-After", "")


def _pause(after: str) -> timedelta | None:
    """The pause that the answer asks for; dates are not read."""
    if not (after.isascii() and after.isdecimal()):
        return None
    return timedelta(seconds=min(int(after[:9]), _LONGEST_PAUSE))
