"""Projects as users write them: one that uses everything, a small one, one with twenty mistakes."""

from collections.abc import Mapping
from pathlib import Path

EVERYTHING = {
    "apollo.yaml": """\
x-note: keys that start with x- are free
application: shop
release:
  build: make dist
  artifact: dist/
  exclude: ["*.pyc"]
setup:
  root: /srv/shop
  keep: 5
  shared: [log/, uploads/]
  env_file: env
  variables: {PORT: "8080", RATIO: 1.10}
  secrets: [DB_PASSWORD]
  hooks:
    install: {run: bin/setup, timeout: 10m, retries: 1, user: root}
    stop: bin/stop
    start: bin/start
    validate: bin/smoke
  health:
    http: {port: "{PORT}", path: /health, status: 200}
    healthy_for: 5s
    deadline: 5m
  roles:
    worker: {hooks: {start: bin/worker}, health: {command: bin/worker-alive}, balancer: none}
environments:
  x-base: &base
    secrets: {DB_PASSWORD: "env:APOLLO_SECRET_DB"}
  dev:
    <<: *base
    fleet:
      user: me
      hosts:
        dev1: 10.0.0.9
        dev2: {address: localhost, port: 2201, location: fra1, labels: {role: worker}}
    balancer:
      command: {find: "lb {host}", drain: "lb {address} '{PORT}'", restore: lb, timeout: 9s}
  prod:
    fleet: {inventory: fleets/prod.yaml, select: "!retired=yes", host_keys: first_use}
    root: /srv/shop-{location}
    variables: {LOG_LEVEL: warn}
    files: {config/database.yml: {from: config/prod/database.yml, mode: "0640"}}
    secrets: {DB_PASSWORD: "file:/etc/apollo/secrets/prod/db_password"}
    balancer:
      drain: {wait: 45s}
      haproxy: {at: ["tcp:lb1.{location}:9999"], backends: [shop], server: "{host}"}
    notify:
      - {webhook: "env:APOLLO_SECRET_HOOK"}
      - {webhook: "https://chat.example/hook", on: [succeeded, rolled_back]}
    strategy:
      waves:
        - {share: 1, of: "canary=yes", bake: 30m, approval: true}
        - {share: 10%, bake: 10m}
        - 100%
      order: [worker, web]
      max_unavailable: 20%
      spread: stripe
      max_failures: 2%
      max_unreachable: 5%
      on_failure: halt
      rollback_max_unavailable: 33%
      progress_deadline: 1h
    approval: required
    windows: ["MON-THU 09:00-16:00 Europe/Amsterdam", FRI 22:00-02:00 UTC]
pipeline: [dev, staging, prod]
""",
    "environments/staging.yaml": """\
fleet: {hosts: {stage1: 10.0.3.1}}
secrets: {DB_PASSWORD: "env:APOLLO_SECRET_STAGING"}
variables: {GROUP: x}
balancer: {aws_alb: {target_groups: ["{GROUP}"], target: "{host}", port: 80, healthy_within: 3m}}
""",
    "fleets/prod.yaml": """\
defaults: {user: deploy, port: 2200}
locations:
  fra1:
    variables: {ZONE: a}
    hosts:
      web1: {address: 10.0.1.1, labels: {role: web, canary: "yes"}, variables: {WEIGHT: 010}}
      work1: {address: work1.example.com, port: 22, user: root, labels: {role: worker}}
  ams1:
    own_workers: true
    hosts:
      web2: {address: "2001:db8::1", labels: {role: web}, host_key: ssh-ed25519 AAAA}
      web3: {address: 10.0.2.3, labels: {role: web, retired: yes}}
""",
    "config/prod/database.yml": "level: ${LOG_LEVEL}\nprice: $$5\n",
}

SMALL = """\
application: shop
setup:
  root: /srv/shop
  variables: {PORT: "8080"}
  health: {tcp: {port: "{PORT}"}}
environments:
  dev:
    fleet: {hosts: {web1: {address: 10.0.1.1, labels: {role: web}}, web2: 10.0.1.2}}
"""

TWENTY_MISTAKES = {
    "apollo.yaml": """\
application: Shop
release:
  artifact: 1.10
setup:
  root: srv/shop
  keep: one
  variables: {PORT: "8080", DEBUG: true}
  secrets: [DB_PASSWORD]
  hooks:
    start: {run: bin/start, timeout: 10 minutes}
  health:
    http: {port: "{PROT}", path: /health}
    tcp: {port: "8081"}
environments:
  dev:
    fleet: {hosts: {dev1: {port: 22}}}
    secrets: {DB_PASSWORD: "file:/etc/apollo/secrets/db"}
  prod:
    fleet: {inventory: fleets/prod.yaml, select: role=wbe}
    strategy:
      max_failure: 2%
      max_unavailable: many
      on_failure: rolback
      waves: [10%, 5%, 100%]
    freezes: [freezes/none.ics]
    approval: required
pipeline: [dev, prd]
""",
    "fleets/prod.yaml": """\
defaults: {user: deploy, port: 70000}
locations:
  fra1:
    hosts:
      web1: {address: 10.0.1.1, labels: {role: web}}
      web1: {address: 10.0.1.2, labels: {role: web}}
  ams1:
    hosts:
      web1: {address: 10.0.2.1, labels: {role: web}}
""",
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write the files of a project into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return folder
