"""Alarms of CloudWatch, asked in threads; boto3 is the extra `aws`."""

import asyncio
import functools
from typing import Any

from apollo.alarms.documents import TIMEOUT, Unreadable
from apollo.domain.alarms import CloudWatchAlarm

FIRES = "ALARM"
QUIET = "OK"


async def read_cloudwatch(alarm: CloudWatchAlarm) -> str:
    """Why the alarm fires (`DescribeAlarms`); empty while it is OK.

    Raises:
        Unreadable: AWS does not say, has no such alarm, or the alarm itself lacks data.
    """
    found = await asyncio.to_thread(_described, alarm)
    if found is None:
        raise Unreadable(f"there is no alarm {alarm.alarm} in {alarm.region}", final=True)
    state, reason = str(found["StateValue"]), str(found.get("StateReason") or "")
    if state not in (QUIET, FIRES):
        raise Unreadable(f"it is {state}{f': {reason}' if reason else ''}", final=True)
    return (reason or state) if state == FIRES else ""


def _described(alarm: CloudWatchAlarm) -> dict[str, Any] | None:
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
    except ImportError:
        text = 'it needs boto3: pip install "apollo-deploy[aws]"'
        raise Unreadable(text, final=True) from None
    try:
        answer = _client(alarm.region).describe_alarms(
            AlarmNames=[alarm.alarm], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
    except (BotoCoreError, ClientError) as error:
        raise Unreadable(f"AWS says: {error}") from None
    found = [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
    return found[0] if found else None


@functools.cache
def _client(region: str) -> Any:
    """A client serves all threads; making one takes long."""
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    once = Config(
        connect_timeout=TIMEOUT / 2, read_timeout=TIMEOUT, retries={"total_max_attempts": 1}
    )
    return boto3.session.Session().client("cloudwatch", region_name=region, config=once)
