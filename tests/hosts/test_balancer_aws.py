"""The `aws_alb` balancer against a server that speaks AWS's API."""

import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apollo.balancers import Balancer, BalancerTarget, aws, build_balancer, until_drained
from apollo.balancers.target_groups import TargetGroups
from apollo.domain.balancer import BalancerSpec
from apollo.domain.fleet import Host
from apollo.domain.status import Outcome
from apollo.errors import BalancerFailed, BalancerUnavailable
from apollo.testing.fleet import SshFleet
from apollo.testing.ports import ReservedPort
from tests.support.bench import Bench
from tests.support.elb import SECRET, Elb, an_elb, client, group, register, states

WEB1 = BalancerTarget("web1", "fra1", {"PORT": "8080", "INSTANCE": "i-0f1e2d3c"}, "10.0.1.1")
OTHER = ("10.0.1.2", 80)


@pytest.fixture
def elb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Elb]:
    monkeypatch.setattr(TargetGroups, "pause", 0.05)
    with an_elb(monkeypatch) as elb:
        yield elb


def balancer(*groups: str, **more: Any) -> Balancer:
    given = {"target_groups": list(groups), "healthy_within": "20s", **more}
    return build_balancer(BalancerSpec.model_validate({"drain": {"wait": "20s"}, "aws_alb": given}))


async def test_a_host_is_drained_and_restored_in_two_groups(elb: Elb) -> None:
    """Of two regions; in a third group it was not, and stays out of it."""
    first = group("shop", "eu-west-1", ("10.0.1.1", 80), OTHER)
    second = group("admin", "us-east-1", ("10.0.1.1", 8443), OTHER)
    third = group("cart", "eu-west-1", OTHER)
    alb = balancer(first, second, third)
    elb.said.clear()

    found = await alb.find(WEB1)
    assert not await alb.drained(WEB1)
    await alb.drain(WEB1)
    await alb.drain(WEB1)
    assert await until_drained(alb, WEB1)
    assert [states(each) for each in (first, second, third)] == [{"10.0.1.2:80": "healthy"}] * 3

    await alb.restore(WEB1, found)
    await alb.restore(WEB1, found)
    assert states(first) == {"10.0.1.2:80": "healthy", "10.0.1.1:80": "healthy"}
    assert states(second) == {"10.0.1.2:80": "healthy", "10.0.1.1:8443": "healthy"}
    assert states(third) == {"10.0.1.2:80": "healthy"}
    assert sorted(elb.said) == [
        "deregister 10.0.1.1:80",
        "deregister 10.0.1.1:8443",
        "register 10.0.1.1:80",
        "register 10.0.1.1:8443",
    ]


@pytest.mark.parametrize(("port", "kept"), [(None, {}), ("{PORT}", {"10.0.1.1:80": "healthy"})])
async def test_the_targets_of_a_host_are_those_at_its_port_or_all(
    elb: Elb, port: str | None, kept: dict[str, str]
) -> None:
    arn = group("shop", "eu-west-1", ("10.0.1.1", 80), ("10.0.1.1", 8080))
    alb = balancer(arn, port=port)
    found = await alb.find(WEB1)

    await alb.drain(WEB1)
    assert await until_drained(alb, WEB1)
    assert states(arn) == kept

    await alb.restore(WEB1, found)
    assert states(arn) == {"10.0.1.1:80": "healthy", "10.0.1.1:8080": "healthy"}


async def test_the_drain_waits_until_aws_shows_the_target_no_more(elb: Elb) -> None:
    arn = group("shop", "eu-west-1", ("10.0.1.1", 80))
    alb = balancer(arn)
    elb.looks_draining = 6

    await alb.drain(WEB1)
    assert states(arn) == {"10.0.1.1:80": "draining"}
    assert not await alb.drained(WEB1)
    assert json.loads(await alb.find(WEB1)) == {arn: []}, "one that is being drained is out"
    assert await until_drained(alb, WEB1)
    assert states(arn) == {}


async def test_the_drain_goes_on_after_its_wait(elb: Elb) -> None:
    alb = balancer(group("shop", "eu-west-1", ("10.0.1.1", 80)))
    elb.looks_draining = 10**6
    await alb.drain(WEB1)
    alb.wait = alb.wait / 20
    assert not await until_drained(alb, WEB1)


async def test_what_is_registered_again_meanwhile_is_taken_out_again(elb: Elb) -> None:
    arn = group("shop", "eu-west-1", ("10.0.1.1", 80))
    alb = balancer(arn)
    found = await alb.find(WEB1)
    await alb.drain(WEB1)
    register(arn, ("10.0.1.1", 80))
    assert not await alb.drained(WEB1)

    await alb.hold(WEB1)
    assert await until_drained(alb, WEB1)
    assert states(arn) == {}
    await alb.restore(WEB1, found)
    assert states(arn) == {"10.0.1.1:80": "healthy"}


async def test_a_host_that_was_not_registered_is_left_so(elb: Elb) -> None:
    arn = group("shop", "eu-west-1", OTHER)
    alb = balancer(arn)
    elb.said.clear()

    found = await alb.find(WEB1)
    await alb.drain(WEB1)
    assert await until_drained(alb, WEB1)
    await alb.restore(WEB1, found)

    assert elb.said == []
    assert states(arn) == {"10.0.1.2:80": "healthy"}


async def test_restoring_waits_until_aws_sees_a_healthy_target(elb: Elb) -> None:
    arn = group("shop", "eu-west-1", ("10.0.1.1", 80))
    alb = balancer(arn)
    found = await alb.find(WEB1)
    await alb.drain(WEB1)
    assert await until_drained(alb, WEB1)
    elb.looks_initial = 5

    await alb.restore(WEB1, found)

    assert states(arn) == {"10.0.1.1:80": "healthy"}


async def test_a_target_that_does_not_become_healthy_is_told_of(elb: Elb) -> None:
    arn = group("shop", "eu-west-1", ("10.0.1.1", 80))
    alb = balancer(arn, healthy_within="300ms")
    found = await alb.find(WEB1)
    await alb.drain(WEB1)
    elb.well = "unhealthy"

    words = r"10\.0\.1\.1:80 to be healthy within 0\.3s, found unhealthy Target\.FailedHealthChecks"
    with pytest.raises(BalancerFailed, match=words) as caught:
        await alb.restore(WEB1, found)

    assert caught.value.step == "restore"
    assert states(arn) == {"10.0.1.1:80": "unhealthy"}, "it stays registered"


async def test_a_target_that_was_ill_before_need_not_become_well(elb: Elb) -> None:
    arn = group("shop", "eu-west-1", ("10.0.1.1", 80))
    alb = balancer(arn, healthy_within="300ms")
    elb.well = "unhealthy"
    found = await alb.find(WEB1)
    await alb.drain(WEB1)
    assert await until_drained(alb, WEB1)

    await alb.restore(WEB1, found)

    assert states(arn) == {"10.0.1.1:80": "unhealthy"}


async def test_a_target_whose_health_nobody_checks_is_not_waited_for(elb: Elb) -> None:
    """The group has no load balancer yet."""
    arn = group("shop", "eu-west-1", ("10.0.1.1", 80))
    alb = balancer(arn, healthy_within="1000s")
    elb.well = "unused"
    found = await alb.find(WEB1)
    assert json.loads(found)[arn]
    await alb.drain(WEB1)
    await alb.restore(WEB1, found)
    assert states(arn) == {"10.0.1.1:80": "unused"}


# What goes wrong


async def test_a_throttled_call_is_repeated_by_boto3(elb: Elb) -> None:
    arn = group("shop", "eu-west-1", ("10.0.1.1", 80))
    elb.throttled, elb.tried = 1, 0

    await balancer(arn).drain(WEB1)

    assert elb.tried == 2
    assert await until_drained(balancer(arn), WEB1)


@pytest.mark.parametrize(
    ("within", "tried"), [(0.0001, 0), (math.inf, 4)], ids=["guarded", "control"]
)
async def test_a_word_is_not_sent_late(
    elb: Elb, monkeypatch: pytest.MonkeyPatch, within: float, tried: int
) -> None:
    """Without the guard a word that AWS refuses for a while is repeated when it no more counts."""
    arn = group("shop", "eu-west-1", ("10.0.1.1", 80))
    monkeypatch.setattr(aws, "SENT_WITHIN", within)
    elb.throttled, elb.tried = 10**6, 0

    wanted = "Rate exceeded" if tried else "deregister_targets could not be sent within"
    with pytest.raises(BalancerFailed, match=wanted):
        await balancer(arn).drain(WEB1)

    assert elb.tried == tried
    assert states(arn) == {"10.0.1.1:80": "healthy"}


def test_a_successor_waits_for_whatever_was_sent_in_time() -> None:
    assert TargetGroups.late.total_seconds() > aws.SENT_WITHIN + aws._CONNECT


async def test_an_unknown_group_is_told(elb: Elb) -> None:
    arn = group("shop", "eu-west-1")
    client("eu-west-1").delete_target_group(TargetGroupArn=arn)
    with pytest.raises(BalancerFailed, match=r"targetgroup/shop/.*TargetGroupNotFound") as caught:
        await balancer(arn).find(WEB1)
    assert (caught.value.host, caught.value.step) == ("web1", "drain")


async def test_aws_that_does_not_answer_is_told(elb: Elb, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = ReservedPort()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody.number}")
    monkeypatch.setattr(aws, "_ATTEMPTS", 1)
    with pytest.raises(BalancerFailed, match="Could not connect") as caught:
        await balancer(ARN).find(WEB1)
    assert SECRET not in str(caught.value)
    nobody.release()


ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop/0f1e2d3c"


@pytest.mark.parametrize(
    ("groups", "more", "words"),
    [
        (["{PORT}"], {}, "expected the ARN of a target group, found '8080'"),
        ([ARN], {"port": "{INSTANCE}"}, "expected a port, found 'i-0f1e2d3c'"),
        ([ARN], {"target": "{NOWHERE}"}, "NOWHERE"),
    ],
)
async def test_nonsense_of_variables_is_told(
    elb: Elb, groups: list[str], more: dict[str, str], words: str
) -> None:
    with pytest.raises(BalancerFailed, match=words):
        await balancer(*groups, **more).find(WEB1)


async def test_a_worker_without_credentials_says_so(
    elb: Elb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(BalancerUnavailable, match="Unable to locate credentials") as caught:
        await balancer(ARN).find(WEB1)
    assert caught.value.unreachable


@pytest.mark.parametrize("lacking", ["boto3", "botocore"])
async def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    monkeypatch.setitem(sys.modules, lacking, None)
    aws._client_of.cache_clear()
    with pytest.raises(BalancerUnavailable, match="no boto3") as caught:
        await balancer(ARN).find(WEB1)
    assert caught.value.hint == 'where the worker runs: pip install "apollo-deploy[aws]"'
    assert caught.value.unreachable


# A whole turn


async def test_a_turn_takes_its_host_out_of_two_groups_and_back(elb: Elb, tmp_path: Path) -> None:
    async with SshFleet(tmp_path / "fleet", {"fra1": 1}) as fleet:
        (found,) = fleet.hosts
        names = ("name", "location", "address", "port", "user")
        host = Host(**{name: getattr(found, name) for name in names})
        groups = [
            group("shop", "eu-west-1", (host.address, 80), OTHER),
            group("admin", "us-east-1", (host.address, 8443)),
            group("cart", "eu-west-1", OTHER),
        ]
        spec = {"drain": {"wait": "5s"}, "aws_alb": {"target_groups": groups}}
        bench = Bench(
            tmp_path,
            host,
            found.host_key,
            fleet.client_key,
            f"{found.folder}/shop",
            BalancerSpec.model_validate(spec),
        )
        release = await bench.release("1", start=f"touch {tmp_path}/started")
        before = [states(each) for each in groups]
        elb.said.clear()
        elb.looks_draining = elb.looks_initial = 3

        record = await bench.run(bench.turn(release))

        assert record.outcome is Outcome.UPDATED
        assert "started" in os.listdir(tmp_path)
        assert [states(each) for each in groups] == before
        acts = [each.split()[0] for each in elb.said]
        assert acts == ["deregister", "deregister", "register", "register"]
