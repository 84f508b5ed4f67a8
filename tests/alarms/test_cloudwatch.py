"""Alarms of CloudWatch, as a server that speaks AWS's API tells of them."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from moto.server import ThreadedMotoServer

from apollo.alarms import AlarmReader
from apollo.alarms.cloudwatch import _client
from apollo.domain.alarms import Alarm, Reading
from apollo.hosts.secrets import ReferenceSecrets

REGION = "eu-west-1"
READER = AlarmReader(ReferenceSecrets(()), pause=0.01)


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A person's own client; the server is gone after the test."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    _client.cache_clear()
    yield boto3.client("cloudwatch", REGION, endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    server.stop()
    _client.cache_clear()


def put(cloudwatch: Any, state: str, reason: str) -> None:
    cloudwatch.put_metric_alarm(
        AlarmName="shop-5xx",
        MetricName="5xx",
        Namespace="shop",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName="shop-5xx", StateValue=state, StateReason=reason)


def alarm(name: str = "shop-5xx") -> Alarm:
    return Alarm.model_validate({"cloudwatch": {"alarm": name, "region": REGION}})


@pytest.mark.parametrize(
    ("state", "standing", "says"),
    [
        ("OK", "quiet", ""),
        ("ALARM", "firing", "7 errors"),
        ("INSUFFICIENT_DATA", "unreadable", "it is INSUFFICIENT_DATA: 7 errors"),
    ],
)
async def test_its_state_says_how_it_stands(
    cloudwatch: Any, state: str, standing: str, says: str
) -> None:
    put(cloudwatch, state, "7 errors")
    reading = await READER(alarm())
    assert (reading.alarm, reading.standing, reading.says) == ("shop-5xx", standing, says)


async def test_one_that_is_not_there_is_not_quiet(cloudwatch: Any) -> None:
    put(cloudwatch, "OK", "")
    assert await READER(alarm("shop-4xx")) == Reading(
        alarm="shop-4xx",
        standing="unreadable",
        says="there is no alarm shop-4xx in eu-west-1",
    )


async def test_an_aws_that_does_not_answer_is_not_quiet(
    cloudwatch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    reading = await READER(alarm())
    assert (reading.standing, reading.says[:9]) == ("unreadable", "AWS says:")


async def test_without_boto3_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    reading = await READER(alarm())
    assert reading.says == 'it needs boto3: pip install "apollo-deploy[aws]"'
