"""Follows a promotion until it ends, or somebody leaves."""

import asyncio
import json as json_
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from apollo.catalog.records import StoredPromotion
from apollo.cli.exits import DETACHED, TIMED_OUT, promotion_exit_code
from apollo.cli.following import NO_WORKER
from apollo.cli.links import temporal_link
from apollo.cli.render.promotions import (
    next_words,
    promotion_json,
    render_changes,
    render_stages,
)
from apollo.cli.render.terminal import moment, show, show_json, talk
from apollo.cli.session import read_settings
from apollo.client import PromotionHandle

_PATIENCE = 5.0


async def follow_promotion(
    handle: PromotionHandle, owner: str, timeout: timedelta | None = None, *, json: bool = False
) -> int:
    """Show every change until the promotion ends; the exit code."""
    seen: list[StoredPromotion] = []
    hint = asyncio.get_running_loop().call_later(_PATIENCE, _hint, seen)
    try:
        async with asyncio.timeout(timeout.total_seconds() if timeout else None):
            async for status in handle.watch():
                _show(seen[-1] if seen else None, status, json)
                seen.append(status)
    except (TimeoutError, asyncio.CancelledError) as left:
        label = seen[-1].label if seen else "It"
        how, code = "Detached", DETACHED
        if isinstance(left, TimeoutError):
            how, code = "Timed out", TIMED_OUT
        talk(f"{how}. {label} goes on. Back: apollo watch {owner}   Stop: apollo hold {owner}")
        return code
    finally:
        hint.cancel()
    if not seen:
        result = await handle.result()
        talk(f"Nothing to promote: {result.detail}.")
        return promotion_exit_code(result.state)
    if not json:
        conclude(seen[-1])
    return promotion_exit_code(seen[-1].state)


def _hint(seen: list[StoredPromotion]) -> None:
    if not seen:
        talk(NO_WORKER)


def over(promotion: StoredPromotion, *, json: bool = False) -> int:
    """Show a promotion that has ended; its exit code."""
    _show(None, promotion, json)
    if not json:
        conclude(promotion)
    return promotion_exit_code(promotion.state)


def conclude(promotion: StoredPromotion) -> None:
    """The stages, and what to do next."""
    show(render_stages(promotion))
    talk(*(f"  Next: {word}" for word in next_words(promotion)[:1] if word != "-"))
    if link := temporal_link(read_settings(), promotion.workflow_id):
        talk(f"  Temporal: {link}")


async def leave_promotion(handle: PromotionHandle, owner: str, *, json: bool) -> int:
    """Say how to get back to it."""
    status: StoredPromotion | None = None
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            async for found in handle.watch():
                status = found
                break
    link = temporal_link(read_settings(), handle.workflow_id)
    if json:
        label = status.label if status else None
        show_json({"promotion": label, "workflow_id": handle.workflow_id, "link": link or None})
        return 0
    if status is None:
        talk(NO_WORKER)
    talk(f"Started. Watch it: apollo watch {owner}", *([f"  Temporal: {link}"] if link else []))
    return 0


def _show(before: StoredPromotion | None, now: StoredPromotion, json: bool) -> None:
    if json:
        line = {"time": moment(datetime.now(UTC)), **promotion_json(now)}
        print(json_.dumps(line, ensure_ascii=False), flush=True)
    elif before or not now.state.ended:  # of what is over, the summary says enough
        show(render_changes(before, now))
