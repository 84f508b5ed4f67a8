"""How clients and workers reach Temporal."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, GrpcCompression

from apollo.settings import Settings
from apollo.wiring import connect_temporal


@pytest.mark.parametrize(
    ("address", "compressed"),
    [
        ("127.0.0.1:7233", False),
        ("localhost:7233", False),
        ("[::1]:7233", False),
        ("10.0.0.7:7233", True),
        ("[fd00::7]:7233", True),
        ("temporal.example.com:7233", True),
    ],
)
async def test_only_what_crosses_a_line_is_compressed(
    address: str, compressed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    async def connect(**config: Any) -> None:
        asked.update(config)

    monkeypatch.setattr(Client, "connect", connect)
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)

    await connect_temporal(Settings(home=tmp_path))

    assert asked["target_host"] == address
    found = asked.get("grpc_compression", GrpcCompression.GZIP)
    assert (found is GrpcCompression.GZIP) is compressed
