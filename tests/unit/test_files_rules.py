"""One rule after the other: what is written, where the mistake is, what is said about it."""

from pathlib import Path

import pytest

from apollo.files.mistakes import InvalidFiles, Mistake
from apollo.files.project import load_project
from tests.support.projects import SMALL, write

Case = tuple[str, str]


def cases(table: str) -> list[Case]:
    """Three lines a case: the text, `path: expected …`, `found …`."""
    lines = table.strip("\n").split("\n")
    return [
        (text, f"{expected.strip()}, {found.strip()}")
        for text, expected, found in zip(lines[::3], lines[1::3], lines[2::3], strict=True)
    ]


def only_mistake(folder: Path, text: str) -> Mistake:
    with pytest.raises(InvalidFiles) as caught:
        load_project(write(folder, {"apollo.yaml": text, "t": "", "fleets/x.yaml": ""}))
    (only,) = caught.value.mistakes
    assert only.hint
    return only


def told(mistake: Mistake) -> str:
    return f"{mistake.path}: expected {mistake.expected}, found {mistake.found}"


HEALTH = r"""
health: {tcp: {port: 0}}
  setup.health.tcp.port: expected a port from 1 to 65535
  found the number 0
health: {http: {port: 80, path: up}}
  setup.health.http.path: expected a path from /
  found 'up'
health: {http: {port: {PORT}}}
  setup.health.http.port: expected text
  found a mapping
health: {command: x, from: worker}
  setup.health.from: expected host: a command runs there
  found 'worker'
health: {http: {port: 80, scheme: ftp}}
  setup.health.http.scheme: expected http or https
  found 'ftp'
health: {http: {port: 80, body: "{realese}"}}
  setup.health.http.body: expected names of variables that every host has
  found {realese}, which web1 of dev and 1 more host lack
health: {http: {port: 80, headers: {X-Version: "{release} {NOPE}"}}}
  setup.health.http.headers.X-Version: expected names of variables that every host has
  found {NOPE}, which web1 of dev and 1 more host lack
health: {}
  setup.health: expected exactly one of http, tcp and command
  found none of them
health: {htpt: {port: 1}}
  setup.health.htpt: expected a known key
  found 'htpt'
health: {command: x, deadline: -5}
  setup.health.deadline: expected a duration such as 30s, 5m or 2h
  found the number -5
health: {command: x, deadline: .inf}
  setup.health.deadline: expected a duration such as 30s, 5m or 2h
  found the number .inf
"""


@pytest.mark.parametrize(("text", "wanted"), cases(HEALTH))
def test_health(tmp_path: Path, text: str, wanted: str) -> None:
    whole = SMALL.replace('health: {tcp: {port: "{PORT}"}}', text)

    assert told(only_mistake(tmp_path, whole)) == wanted


SETUP = r"""
keep: 1
  setup.keep: expected a number of at least 2
  found the number 1
env_file: /etc/x
  setup.env_file: expected a relative path without '..'
  found '/etc/x'
shared: [a, ../b]
  setup.shared[1]: expected a relative path without '..'
  found '../b'
shared: log
  setup.shared: expected a list
  found 'log'
hooks: {start: 1.10}
  setup.hooks.start: expected a command line, or keys and values
  found the number 1.10
hooks:
  setup.hooks: expected keys and values
  found nothing
hooks: {start: {run: ''}}
  setup.hooks.start.run: expected text that is not empty
  found empty text
hooks: {start: {}}
  setup.hooks.start.run: expected the key run
  found nothing
hooks: {start: {run: x, timeot: 5m}}
  setup.hooks.start.timeot: expected a known key
  found 'timeot'
hooks: {start: [a, {run: x, timeot: 5m}]}
  setup.hooks.start[1].timeot: expected a known key
  found 'timeot'
hooks: {start: [a, 1.10]}
  setup.hooks.start[1]: expected a command line, or keys and values
  found the number 1.10
hooks: {start: []}
  setup.hooks.start: expected at least one entry
  found an empty list
hooks: {start: {run: x, user: a b}}
  setup.hooks.start.user: expected a user's name of letters, digits, '_', '.' and '-'
  found 'a b'
once: {before: {run: x, on: '@failed'}}
  setup.once.before.on: expected hosts by label, location or name
  found '@failed'
once: {before: {run: x, on: role=db}}
  setup.once.before.on: expected hosts that dev has
  found 'role=db', which matches none
once: {befor: x}
  setup.once.befor: expected a known key
  found 'befor'
once: {after: [x]}
  setup.once.after: expected a command line, or keys and values
  found a list
hooks: {begin: x}
  setup.hooks.begin: expected a known key
  found 'begin'
secrets: [a b]
  setup.secrets[0]: expected a variable's name of letters, digits and '_'
  found 'a b'
"""


@pytest.mark.parametrize(("text", "wanted"), cases(SETUP))
def test_setup(tmp_path: Path, text: str, wanted: str) -> None:
    whole = SMALL.replace("environments:", f"  {text}\nenvironments:")

    assert told(only_mistake(tmp_path, whole)) == wanted


ENVIRONMENT = r"""
root: /
  root: expected a folder of its own
  found '/'
root: /a/../b
  root: expected a plain path
  found '/a/../b'
root: /srv/{NO}
  root: expected names of variables that every host has
  found {NO}, which web1 of dev and 1 more host lack
variables: {A: null}
  variables.A: expected text
  found nothing
variables: {A-B: x}
  variables.A-B: expected a variable's name of letters, digits and '_'
  found 'A-B'
files: {../x: {from: t}}
  files["../x"]: expected a relative path without '..'
  found '../x'
files: {x: {from: t, mode: 0640}}
  files.x.mode: expected text
  found the number 0640
files: {x: {from: t, mode: "abc"}}
  files.x.mode: expected a file mode in octal
  found 'abc'
files: {x: {from: none.txt}}
  files.x.from: expected a file
  found no file none.txt
files: {x: {from: .}}
  files.x.from: expected a file
  found the folder .
balancer: {drain: {wait: 1s}}
  balancer: expected exactly one of haproxy, file, aws_alb and command
  found none of them
balancer: {file: {}, command: {find: a, drain: b, restore: c}}
  balancer: expected exactly one of haproxy, file, aws_alb and command
  found file and command
balancer: x
  balancer: expected keys and values
  found 'x'
balancer: {haproxy: {at: [], backends: [b]}}
  balancer.haproxy.at: expected at least one entry
  found an empty list
balancer: {haproxy: {at: ['lb1:99'], backends: [b]}}
  balancer.haproxy.at[0]: expected tcp:HOST:PORT, unix:PATH or ssh:[USER@]HOST[:PORT]:PATH
  found 'lb1:99'
balancer: {haproxy: {at: ['ssh:lb1'], backends: [b]}}
  balancer.haproxy.at[0]: expected tcp:HOST:PORT, unix:PATH or ssh:[USER@]HOST[:PORT]:PATH
  found 'ssh:lb1'
balancer: {haproxy: {at: ['tcp:{NO}:99'], backends: [b]}}
  balancer.haproxy.at[0]: expected names of variables that every host has
  found {NO}, which web1 of dev and 1 more host lack
balancer: {aws_alb: {}}
  balancer.aws_alb.target_groups: expected the key target_groups
  found nothing
balancer: {aws_alb: {target_groups: shop}}
  balancer.aws_alb.target_groups: expected a list
  found 'shop'
balancer: {aws_alb: {target_groups: ['arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/x']}}
  balancer.aws_alb.target_groups[0]: expected the ARN of a target group
  found 'arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/x'
balancer: {aws_alb: {target_groups: ['{GROUPE}']}}
  balancer.aws_alb.target_groups[0]: expected names of variables that every host has
  found {GROUPE}, which web1 of dev and 1 more host lack
balancer: {aws_alb: {target_groups: ['{PORT}'], target: '{adress}'}}
  balancer.aws_alb.target: expected names of variables that every host has
  found {adress}, which web1 of dev and 1 more host lack
balancer: {aws_alb: {target_groups: ['{PORT}'], port: 70000}}
  balancer.aws_alb.port: expected a port from 1 to 65535
  found the number 70000
balancer: {aws_alb: {target_groups: ['{PORT}'], region: eu-west-1}}
  balancer.aws_alb.region: expected a known key
  found 'region'
balancer: {aws_alb: {target_groups: ['{PORT}'], healthy_within: soon}}
  balancer.aws_alb.healthy_within: expected a duration such as 30s, 5m or 2h
  found 'soon'
balancer: {command: lbctl}
  balancer.command: expected keys and values
  found 'lbctl'
balancer: {command: {find: a, drain: b}}
  balancer.command.restore: expected the key restore
  found only find, drain
balancer: {command: {find: "lb 'x", drain: b, restore: c}}
  balancer.command.find: expected a program and its words, with all quotes closed
  found 'lb 'x'
balancer: {command: {find: a, drain: " ", restore: c}}
  balancer.command.drain: expected a program and its words, with all quotes closed
  found ' '
balancer: {command: {find: a, drain: "b {NO}", restore: c}}
  balancer.command.drain: expected names of variables that every host has
  found {NO}, which web1 of dev and 1 more host lack
balancer: {command: {find: a, drain: b, restore: c, timeout: 0s}}
  balancer.command.timeout: expected at least 1s
  found '0s'
balancer: {file: {path: /x}}
  balancer.file.path: expected a relative path without '..'
  found '/x'
strategy: {waves: []}
  strategy.waves: expected at least one wave
  found an empty list
strategy: {waves: [1, 50%]}
  strategy.waves[1]: expected 100% as the last wave
  found 50%
strategy: {waves: [{share: 100%, of: web1}]}
  strategy.waves[0].share: expected 100% as the last wave
  found 100% of web1
strategy: {waves: [2, 1, 100%]}
  strategy.waves[1]: expected more than 2
  found 1
strategy: {waves: [200%, 100%]}
  strategy.waves[0]: expected a count such as 3 or a percentage such as 20%
  found '200%'
strategy: {waves: [{share: 1, of: db1}, 100%]}
  strategy.waves[0].of: expected hosts that the inventory has
  found 'db1', which matches none
strategy: {waves: [{share: 1, of: '@failed'}, 100%]}
  strategy.waves[0].of: expected hosts that the inventory has
  found '@failed' is unknown; known are none
strategy: {waves: [{share: 1, of: 'role=web & web2'}, 100%]}
  strategy.waves[0].of: expected at least one host
  found none that 'role=web & web2' picks
strategy: {waves: [{of: web1}, 100%]}
  strategy.waves[0].share: expected the key share
  found only of
strategy: {max_failures: true}
  strategy.max_failures: expected a count such as 3 or a percentage such as 20%
  found the boolean true
windows: MON 09:00-16:00 UTC
  windows: expected a list
  found 'MON 09:00-16:00 UTC'
windows: [MON 09:00-16:00 UTC, 16]
  windows[1]: expected DAYS HH:MM-HH:MM ZONE
  found the number 16
windows: [MON 9-16 UTC]
  windows[0]: expected times as HH:MM-HH:MM
  found 'MON 9-16 UTC'
windows: [MON 09:00-16:00]
  windows[0]: expected a time zone after 09:00-16:00
  found 'MON 09:00-16:00'
approval: requird
  approval: expected required
  found 'requird'
"""


@pytest.mark.parametrize(("text", "wanted"), cases(ENVIRONMENT))
def test_environment(tmp_path: Path, text: str, wanted: str) -> None:
    whole = f"{SMALL}    {text}\n"

    assert told(only_mistake(tmp_path, whole)) == f"environments.dev.{wanted}"


FLEET = r"""
{}
  fleet: expected exactly one of hosts and inventory
  found none of them
{hosts: {a: 10.0.0.1}, inventory: x.yaml}
  fleet: expected exactly one of hosts and inventory
  found hosts and inventory
{hosts: {}}
  fleet.hosts: expected at least one host
  found none
{hosts: {a b: 10.0.0.1}}
  fleet.hosts["a b"]: expected a host's name of letters, digits, '.', '_' and '-'
  found 'a b'
{hosts: {a: me@10.0.0.1}}
  fleet.hosts.a: expected a host name or an IP address
  found 'me@10.0.0.1'
{hosts: {a: '10.0.0.1:22'}}
  fleet.hosts.a: expected a host name or an IP address
  found '10.0.0.1:22'
{hosts: {a: -oProxyCommand=x}}
  fleet.hosts.a: expected a host name or an IP address
  found '-oProxyCommand=x'
{hosts: {a: 5}}
  fleet.hosts.a: expected an address, or keys and values
  found the number 5
{hosts: {a: 10.0.0.1}, host_keys: any}
  fleet.host_keys: expected known or first_use
  found 'any'
{hosts: {a: 10.0.0.1}, select: b}
  fleet.select: expected hosts that the inventory has
  found 'b', which matches none
{hosts: {a: 10.0.0.1}, select: 'a & '}
  fleet.select: expected hosts that the inventory has
  found an expression has an empty part
{hosts: {a: 10.0.0.1}, select: '!a'}
  fleet.select: expected at least one host
  found none that '!a' picks
{inventory: fleets}
  fleet.inventory: expected a file
  found the folder fleets
{inventory: none.yaml}
  fleet.inventory: expected a file
  found no file none.yaml
{inventory: 5}
  fleet.inventory: expected text
  found the number 5
"""


@pytest.mark.parametrize(("text", "wanted"), cases(FLEET))
def test_fleet(tmp_path: Path, text: str, wanted: str) -> None:
    whole = SMALL.split("    fleet:")[0] + f"    fleet: {text}\n"

    mistake = only_mistake(tmp_path, whole)

    assert told(mistake) == f"environments.dev.{wanted}"
    assert mistake.line == 8


def test_a_path_with_a_null_byte(tmp_path: Path) -> None:
    whole = SMALL.split("    fleet:")[0] + '    fleet: {inventory: "a\\0b"}\n'

    mistake = only_mistake(tmp_path, whole)

    assert "found a b, which cannot be read: embedded null byte" in mistake.render()


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ('port: "{PORT}"', "port: {PORT}", 'Put it in quotes: port: "{PORT}".'),
        ("root: /srv/shop", "root: 1.10", 'Put it in quotes: root: "1.10".'),
        ("role: web", "role: true", 'Put it in quotes: role: "true".'),
        ("web2: 10.0.1.2", "web2: 10.0", 'Put it in quotes: web2: "10.0".'),
        ("role: web", "role: ~", 'Write a text, role: "" for an empty one, or take the key out.'),
        ("role: web", "role: [web]", 'Write one text, such as role: "…".'),
        ("application: shop", "aplication: shop", "Add application: shop."),
    ],
)
def test_the_next_step_is_what_to_write(tmp_path: Path, old: str, new: str, hint: str) -> None:
    with pytest.raises(InvalidFiles) as caught:
        load_project(write(tmp_path, {"apollo.yaml": SMALL.replace(old, new, 1)}))

    assert hint in [each.hint for each in caught.value.mistakes]
