"""Inventories: what an environment's fleet comes to."""

import time
from pathlib import Path

import pytest

from apollo.domain.environment import Environment
from apollo.domain.fleet import Host
from apollo.errors import NotFound
from apollo.files.environment import read_inventory, resolve
from apollo.files.mistakes import InvalidFiles, Mistake
from apollo.files.project import Project, load_project
from tests.support.projects import EVERYTHING, write

PROJECT = """\
application: shop
setup: {root: /srv/shop, health: {command: "true"}}
environments:
  prod: {fleet: {inventory: hosts.yaml}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return load_project(write(tmp_path, EVERYTHING))


@pytest.fixture
def prod(project: Project) -> Environment:
    return resolve(project, "prod")


def mistakes(folder: Path, inventory: str, fleet: str = "{inventory: hosts.yaml}") -> list[Mistake]:
    text = PROJECT.replace("{inventory: hosts.yaml}", fleet)
    with pytest.raises(InvalidFiles) as caught:
        load_project(write(folder, {"apollo.yaml": text, "hosts.yaml": inventory}))
    return list(caught.value.mistakes)


def test_hosts_have_what_the_inventory_says(prod: Environment) -> None:
    web1, work1, web2 = prod.fleet.hosts

    assert web1 == Host(
        name="web1",
        location="fra1",
        address="10.0.1.1",
        port=2200,
        user="deploy",
        labels={"role": "web", "canary": "yes"},
        variables={"WEIGHT": "010"},
    )
    assert (work1.address, work1.port, work1.user) == ("work1.example.com", 22, "root")
    assert (web2.address, web2.host_key) == ("2001:db8::1", "ssh-ed25519 AAAA")


def test_select_picks_the_hosts_of_the_environment(project: Project, prod: Environment) -> None:
    everyone = read_inventory(project, "prod").hosts

    assert [host.name for host in everyone] == ["web1", "work1", "web2", "web3"]
    assert [host.name for host in prod.fleet.hosts] == ["web1", "work1", "web2"]


def test_locations_have_variables_and_workers_of_their_own(prod: Environment) -> None:
    assert prod.location_variables == {"fra1": {"ZONE": "a"}}
    assert prod.own_workers == ("ams1",)


def test_an_environment_as_it_is_applied(prod: Environment) -> None:
    assert prod.label == "shop/prod"
    assert prod.first_use
    assert prod.approval
    assert prod.root == "/srv/shop-{location}"
    assert prod.files == {"config/database.yml": ("level: ${LOG_LEVEL}\nprice: $$5\n", "0640")}
    assert prod.secrets == {"DB_PASSWORD": "file:/etc/apollo/secrets/prod/db_password"}
    assert prod.balancer is not None
    assert Environment.model_validate_json(prod.model_dump_json()) == prod


def test_hosts_written_where_they_are_used(project: Project) -> None:
    dev = resolve(project, "dev")

    assert dev.fleet.hosts == (
        Host(name="dev1", location="default", address="10.0.0.9", user="me"),
        Host(
            name="dev2",
            location="fra1",
            address="localhost",
            port=2201,
            user="me",
            labels={"role": "worker"},
        ),
    )
    assert resolve(project, "staging").balancer is not None


def test_the_fleets_user_comes_before_the_inventorys(tmp_path: Path) -> None:
    text = PROJECT.replace("hosts.yaml}", "hosts.yaml, user: me}")
    inventory = (
        "defaults: {user: x}\nlocations: {a: {hosts: {h1: 10.0.0.1, h2: {address: b, user: y}}}}"
    )
    project = load_project(write(tmp_path, {"apollo.yaml": text, "hosts.yaml": inventory}))

    assert [host.user for host in resolve(project, "prod").fleet.hosts] == ["me", "y"]


def test_an_environment_that_is_not_there(project: Project) -> None:
    with pytest.raises(NotFound) as caught:
        resolve(project, "prd")

    assert caught.value.message == "shop has no environment 'prd'"
    assert caught.value.hint == "Environments are: dev, prod, staging."


def test_two_environments_may_share_an_inventory(tmp_path: Path) -> None:
    text = PROJECT + "  test: {fleet: {inventory: hosts.yaml, select: h1}}\n"
    inventory = "locations: {a: {hosts: {h1: 10.0.0.1, h2: 10.0.0.2}}}"
    project = load_project(write(tmp_path, {"apollo.yaml": text, "hosts.yaml": inventory}))

    assert [len(resolve(project, name).fleet.hosts) for name in ("prod", "test")] == [2, 1]


MISTAKES = """
- a
  1:1 expected keys and values, found a list
hosts: {}
  1:1 expected the key locations, found only hosts
locations: {}
  1:1 expected at least one host, found none
locations: {a: {hosts: {}}}
  1:1 expected at least one host, found none
locations: {a: }
  1:1 expected at least one host, found none
locations: {a: {hosts: {h: {adress: x}}}}
  1:25 expected the key address, found only adress
locations: {a: {hosts: {h: {address: ''}}}}
  1:38 expected a host name or an IP address, found empty text
locations: {a: {hosts: {h: {address: x, port: 0}}}}
  1:47 expected a number of at least 1, found the number 0
locations: {a: {hosts: {h: x}, own_workers: maybe}}
  1:45 expected true or false, found 'maybe'
locations: {a: {hosts: {h: x}, variables: {A: true}}}
  1:47 expected text, found the boolean true
locations: {A_: {hosts: {h: x}}}
  1:13 expected a name of at most 63 lower-case letters, digits and '-', found 'A_'
locations: {a: [
  2:1 expected a value, found the end of the file
"""


LINES = MISTAKES.strip().split("\n")


@pytest.mark.parametrize(("text", "wanted"), [*zip(LINES[::2], LINES[1::2], strict=True)])
def test_mistakes_in_an_inventory(tmp_path: Path, text: str, wanted: str) -> None:
    told = mistakes(tmp_path, f"{text}\n")

    assert wanted.strip() in [
        f"{each.line}:{each.column} expected {each.expected}, found {each.found}" for each in told
    ]
    assert all(each.hint for each in told)


def test_an_empty_inventory(tmp_path: Path) -> None:
    (only,) = mistakes(tmp_path, "")

    assert (only.where, only.found) == ("hosts.yaml:1:1", "an empty file")
    assert only.hint == "Write at least: locations: {fra1: {hosts: {web1: 10.0.1.1}}}"


def test_an_inventory_that_is_no_utf_8(tmp_path: Path) -> None:
    write(tmp_path, {"apollo.yaml": PROJECT})
    (tmp_path / "hosts.yaml").write_bytes(b"\xff\xfea\x00")

    with pytest.raises(InvalidFiles) as caught:
        load_project(tmp_path)

    assert (
        caught.value.message
        == """\
error[invalid-files] hosts.yaml:1:1
  1 |
    | ^ expected text in UTF-8, found the byte 0xff
  Save the file as UTF-8."""
    )


def test_free_keys_are_no_locations_but_may_be_hosts(tmp_path: Path) -> None:
    inventory = "x-a: 1\nlocations: {x-b: {}, a: {x-c: 1, hosts: {x-h: {address: b, x-d: 1}}}}\n"
    project = load_project(write(tmp_path, {"apollo.yaml": PROJECT, "hosts.yaml": inventory}))

    assert [host.name for host in resolve(project, "prod").fleet.hosts] == ["x-h"]


def test_a_thousand_mistakes_are_told_at_once(tmp_path: Path) -> None:
    hosts = "".join(f"      h{n}: {{address: 10.0.0.1, port: x}}\n" for n in range(1000))

    told = mistakes(tmp_path, f"locations:\n  a:\n    hosts:\n{hosts}")

    assert [each.line for each in told] == list(range(4, 1004))


def test_ten_thousand_hosts_are_read_within_ten_seconds(tmp_path: Path) -> None:
    lines = ["locations:"]
    for location in range(10):
        lines += [f"  loc{location}:", "    hosts:"]
        for number in range(1000):
            address = f"10.{location}.{number // 250}.{number % 250}"
            labels = "{role: web, rack: 12}"
            lines.append(f"      h{location}-{number}: {{address: {address}, labels: {labels}}}")
    write(tmp_path, {"apollo.yaml": PROJECT, "hosts.yaml": "\n".join(lines)})
    begin = time.process_time()

    prod = resolve(load_project(tmp_path), "prod")

    assert len(prod.fleet.hosts) == 10_000
    assert time.process_time() - begin < 10
