"""A bucket on a server that speaks S3."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from moto.server import ThreadedMotoServer

SECRET = "s3cret-access-key"
URL = "s3://apollo/a/prefix"


@contextmanager
def a_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty bucket, and the environment in which a worker finds it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        client().create_bucket(Bucket="apollo")
        yield URL
    finally:
        for each in client().list_objects_v2(Bucket="apollo").get("Contents", []):
            client().delete_object(Bucket="apollo", Key=each["Key"])
        server.stop()


def client() -> Any:
    """One who reads and writes the bucket behind Apollo's back."""
    return boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT"], region_name="us-east-1")
