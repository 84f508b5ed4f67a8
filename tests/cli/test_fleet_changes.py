"""A fleet that changes, on the command line: hosts that are gone, restarts, syncs."""

import json

import pytest

from apollo.catalog import Catalog
from apollo.catalog.hosts import Place, change_states
from apollo.domain.status import Serving
from tests.cli.conftest import Shop


async def breaks(catalog: Catalog) -> None:
    """web4 is out of service."""
    async with catalog._database.write() as connection:
        await change_states(
            catalog._database,
            connection,
            Place("shop", "prod"),
            ["web4"],
            lambda _, row: {**row, "serving": Serving.BROKEN},
        )


def test_status_and_hosts_show_the_fleet_as_it_is(applied: Shop) -> None:
    applied.in_catalog(breaks)
    shown = json.loads(applied.good("status", "prod", "--json").out)["environments"][0]
    assert (shown["hosts"], shown["serving"]["broken"]) == (4, 1)

    applied.edit("      web4: {address: 10.0.2.2}\n", "", "fleet.yaml")
    applied.good("apply", "prod")
    shown = json.loads(applied.good("status", "prod", "--json").out)["environments"][0]
    assert (shown["hosts"], shown["serving"]) == (3, {"new": 3})
    hosts = json.loads(applied.good("hosts", "prod", "--json").out)["hosts"]
    assert [host["name"] for host in hosts if host["in_inventory"]] == ["web1", "web2", "web3"]


def test_a_restart_of_hosts_that_run_nothing_is_refused(applied: Shop) -> None:
    said = applied("restart", "prod", "--yes")
    assert said.code == 5
    assert "no host is known to run anything" in said.err


@pytest.mark.parametrize("more", [["--check"], ["--limit", "web1"]])
def test_a_schedule_syncs_the_whole_fleet(applied: Shop, more: list[str]) -> None:
    said = applied("sync", "prod", "--every", "5m", *more)
    assert said.code == 2
    assert "a schedule that syncs the whole fleet" in said.err
    assert "apollo sync prod --every 5m" in said.err


def test_roots_are_adopted_for_a_reason_that_is_in_the_audit(applied: Shop) -> None:
    assert applied("hosts", "prod", "--adopt", "--yes").code == 2
    assert applied("hosts", "prod", "--limit", "web1").code == 2

    words = ["--limit", "web1 | web2", "--reason", "moved", "--yes", "--json"]
    shown = json.loads(applied.good("hosts", "prod", "--adopt", *words).out)
    assert shown["changed"] == ["web1", "web2"]
    again = json.loads(applied.good("hosts", "prod", "--adopt", *words).out)
    assert again["changed"] == []

    audit = json.loads(applied.good("history", "prod", "--audit", "--json").out)["audit"]
    assert [(each["action"], each["reason"]) for each in audit][:1] == [("hosts adopt", "moved")]
