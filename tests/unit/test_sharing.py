"""What the hosts of a batch have in common travels once."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from apollo.domain.fleet import Host
from apollo.domain.outputs import FAILED
from apollo.domain.rollout import BatchHosts, HostTurn
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnRecord, handfuls

LIMIT = 256 * 1024
DIGESTS = st.sampled_from([None, "a" * 64, "b" * 64])


@st.composite
def turns(draw: st.DrawFn) -> HostTurn:
    name = draw(st.from_regex(r"[a-z]{1,8}[0-9]{1,3}", fullmatch=True))
    return HostTurn(
        host=Host(
            name=name,
            location=draw(st.sampled_from(["fra1", "ams1"])),
            address=draw(st.sampled_from(["10.0.0.1", name])),
            port=draw(st.sampled_from([22, 2222])),
            user=draw(st.sampled_from([None, "deploy"])),
            labels=draw(st.sampled_from([{}, {"role": "web"}])),
            variables=draw(st.sampled_from([{}, {"WEIGHT": "2"}])),
            host_key=draw(st.sampled_from([None, "ssh-ed25519 AAAA"])),
        ),
        host_keys=draw(st.sampled_from([(), ("ssh-ed25519 AAAA",)])),
        manifest=draw(DIGESTS),
        running=draw(DIGESTS),
        previous_release=draw(st.sampled_from(["", "1.0"])),
        turn=draw(st.integers(1, 3)),
        group=draw(st.integers(0, 2)),
        was_out=draw(st.booleans()),
        was_broken=draw(st.booleans()),
        balanced=draw(st.booleans()),
        own_workers=draw(st.booleans()),
        was_lost=draw(st.booleans()),
        adopt=draw(st.booleans()),
    )


def batch(*hosts: HostTurn) -> BatchHosts:
    return BatchHosts(
        turns=hosts,
        owner="catalog/shop/prod",
        label="shop/prod#1",
        application="shop",
        environment="prod",
        release="2.0",
        folder="20260101T000000Z-2.0",
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(turns(), max_size=6))
def test_what_is_shared_comes_back(hosts: list[HostTurn]) -> None:
    given = batch(*hosts)

    assert BatchHosts.model_validate_json(to_json(given)) == given


def test_what_was_said_in_full_is_read() -> None:
    """Histories of earlier versions have each host with all of its fields."""
    turn = HostTurn(host=Host(name="h1", location="fra1", address="10.0.0.1"), manifest="a" * 64)
    plain = {**batch().model_dump(mode="json"), "turns": [turn.model_dump(mode="json")]}
    del plain["kinds"]

    assert BatchHosts.model_validate_json(json.dumps(plain)) == batch(turn)


@pytest.mark.parametrize(("own_manifests", "largest"), [(False, LIMIT // 2), (True, LIMIT)])
def test_five_hundred_hosts_fit(own_manifests: bool, largest: int) -> None:
    """With manifests of their own they fit as well; the control says all of every host."""
    hosts = [
        HostTurn(
            host=Host(name=f"web{n}.fra1.example.com", location="fra1", address="10.0.0.1"),
            host_keys=("ssh-ed25519 " + "A" * 68,),
            manifest=(f"{n:04d}" if own_manifests else "a") * 16,
            running="b" * 64,
            previous_release="1.0",
        )
        for n in range(500)
    ]
    shared = len(to_json(batch(*hosts)))

    assert shared < largest
    assert sum(len(to_json(host)) for host in hosts) > 1.2 * shared


def failed(number: int, output: str) -> TurnRecord:
    return TurnRecord(host=f"h{number}", outcome=Outcome.REVERTED, outputs=output)


@pytest.mark.parametrize("failures", [0, 3, 50, 120])
def test_what_is_written_at_once_fits(failures: int) -> None:
    records = [failed(n, "x" * FAILED if n < failures else "") for n in range(120)]

    parts = list(handfuls(records, 50, 200_000))

    assert [record for part in parts for record in part] == records
    assert all(len(part) <= 50 for part in parts)
    assert all(sum(len(to_json(each)) for each in part) < LIMIT for part in parts)
    assert len(list(handfuls(records, 50, None))) == 3


@pytest.mark.parametrize("failures", [0, 3, 50, 120])
def test_size_alone_is_enough(failures: int) -> None:
    records = [failed(n, "x" * FAILED if n < failures else "") for n in range(120)]

    parts = list(handfuls(records, None, 200_000))

    assert [record for part in parts for record in part] == records
    assert all(sum(len(to_json(each)) for each in part) < LIMIT for part in parts)
    assert failures or len(parts) == 1


def test_one_that_is_too_long_goes_alone() -> None:
    records = [failed(1, ""), failed(2, "x" * 300_000), failed(3, "")]

    assert [len(part) for part in handfuls(records, 50, 200_000)] == [1, 1, 1]
