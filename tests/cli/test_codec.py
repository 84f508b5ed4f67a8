"""`apollo codec`, and what `doctor` says of keys."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from apollo.codec import KeyRing, new_key
from tests.cli.conftest import Shop
from tests.cli.test_doctor import findings

UI = "http://ui.example:8080"
SERVE = ["from apollo.cli import main; main()", "codec", "serve", "--port", "0"]


def test_a_key_is_printed_alone(shop: Shop) -> None:
    first, second = (shop.good("codec", "key").out.strip() for _ in range(2))

    assert first != second
    assert len(KeyRing.parse(first).ids) == 1


def test_it_serves_until_it_is_told_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APOLLO_HOME", str(tmp_path))
    monkeypatch.setenv("APOLLO_ENCRYPTION_KEY", new_key())
    monkeypatch.setenv("APOLLO_UI", f"{UI}/somewhere")
    server = subprocess.Popen([sys.executable, "-c", *SERVE], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        address = server.stdout.readline().strip()
        answers = [
            httpx2.post(f"{address}/encode", content="{}", headers={"Origin": origin}).status_code
            for origin in (UI, "http://evil.example")
        ]
        server.send_signal(signal.SIGTERM)
        code = server.wait(20)
    finally:
        server.kill()
        server.wait()

    assert address.startswith("http://127.0.0.1:")
    assert answers == [200, 403]
    assert code == 0


@pytest.mark.parametrize(
    ("words", "key", "code", "told"),
    [
        ((), "", 5, "APOLLO_ENCRYPTION_KEY is not set"),
        ((), "nonsense", 2, "key 1: expected 32 bytes"),
        (("--host", "0.0.0.0"), new_key(), 5, "set APOLLO_CODEC_TOKEN"),
        (("--host", "db.example"), new_key(), 5, "could decrypt everything"),
        (("--origin", "ui.example"), new_key(), 2, "expected an address"),
    ],
    ids=["no key", "no good key", "everywhere", "elsewhere", "no address"],  # keys are random
)
def test_it_refuses_what_is_not_safe(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    key: str,
    code: int,
    told: str,
) -> None:
    monkeypatch.setenv("APOLLO_ENCRYPTION_KEY", key)
    said = shop("codec", "serve", *words)

    assert (said.code, said.out) == (code, "")
    assert told in said.err
    assert not key or key not in said.err


def test_doctor_names_the_keys_by_their_ids(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = f"{new_key()},{new_key()}"
    first, second = KeyRing.parse(keys).ids
    monkeypatch.setenv("APOLLO_ENCRYPTION_KEY", keys)
    assert findings(shop)["encryption"]["found"] == f"with the key {first}; {second} decrypt too"
    monkeypatch.setenv("APOLLO_ENCRYPTION_KEY", "nonsense")
    found = findings(shop)

    assert (found["encryption"]["grade"], found["temporal"]["grade"]) == ("bad", "bad")
    assert "nonsense" not in str(found)
