"""The words for what models want: by kind, by pattern, by key."""

from typing import Any, NamedTuple

from apollo.domain import base
from apollo.domain.alarms import Alarm
from apollo.domain.balancer import BalancerSpec
from apollo.domain.environment import ConfigurationFile, FleetSpec, InlineHost
from apollo.domain.pipeline import Stage
from apollo.domain.setup import Health, Hook, OnceHook, Setup
from apollo.files.inventory import InventoryHost
from apollo.files.models import Model

ONE_OF: dict[Model, tuple[str, ...]] = {
    FleetSpec: ("hosts", "inventory"),
    Health: ("http", "tcp", "command"),
    BalancerSpec: ("haproxy", "file", "aws_alb", "command"),
    Alarm: ("prometheus", "http", "command", "cloudwatch"),
}
"""Models of which exactly one of these keys must be written."""

SHORT: dict[Model | None, str] = {
    Hook: "a command line",
    OnceHook: "a command line",
    InlineHost: "an address",
    InventoryHost: "an address",
    Stage: "an environment's name",
}
"""Models for which one text may stand."""

TOLD_BY_CHECKS = ("expected exactly one of", "the last wave")

EXAMPLES = {
    "application": "application: shop",
    "setup": "setup: {root: /srv/shop}",
    "root": "root: /srv/shop",
    "artifact": "artifact: dist/",
    "fleet": "fleet: {hosts: {web1: 10.0.1.1}}",
    "address": "address: 10.0.1.1",
    "share": "share: 10%",
    "environment": "environment: prod",
    "run": "run: bin/start",
    "port": 'port: "8080"',
    "at": 'at: ["tcp:lb1:9999"]',
    "backends": "backends: [shop]",
    "url": 'url: "http://prometheus:9090"',
    "alarm": "alarm: shop-5xx",
    "region": "region: eu-west-1",
    "query": 'query: "shop:error_ratio > 0.01"',
    "json": "json: status.indicator",
    "expect": "expect: none",
    "target_groups": 'target_groups: ["arn:aws:elasticloadbalancing:…:targetgroup/shop/0f1e2d3c"]',
    "find": 'find: "lbctl state {host}"',
    "drain": 'drain: "lbctl drain {host}"',
    "restore": 'restore: "lbctl restore {host}"',
    "webhook": 'webhook: "env:APOLLO_SECRET_HOOK"',
    "from": "from: config/database.yml",
    "locations": "locations: {fra1: {hosts: {web1: 10.0.1.1}}}",
    "hosts": "hosts: {web1: 10.0.1.1}",
}


class Words(NamedTuple):
    """What was expected, and what to do about it."""

    expected: str
    hint: str


def pattern_of(annotation: Any) -> str:
    """The pattern of an annotated text of the domain."""
    pattern = annotation.__metadata__[0].pattern
    assert isinstance(pattern, str)
    return pattern


def _field_pattern(model: Model, name: str) -> str:
    return next(str(each.pattern) for each in model.model_fields[name].metadata)


PATTERNS = {
    pattern_of(base.Name): Words(
        "a name of at most 63 lower-case letters, digits and '-'",
        "Write a name such as shop or web-1: it starts with a letter or digit.",
    ),
    pattern_of(base.HostName): Words(
        "a host's name of letters, digits, '.', '_' and '-'",
        "Write a name such as web1 or web1.example.com: it starts with a letter or digit.",
    ),
    pattern_of(base.Version): Words(
        "a version of letters, digits, '.', '_', '+' and '-'", "Write a version such as 2.4.1."
    ),
    pattern_of(base.VariableName): Words(
        "a variable's name of letters, digits and '_'",
        "Write a name such as LOG_LEVEL: it does not start with a digit.",
    ),
    pattern_of(base.UserName): Words(
        "a user's name of letters, digits, '_', '.' and '-'", "Write a name such as deploy."
    ),
    pattern_of(base.Address): Words(
        "a host name or an IP address",
        "Write the address alone, such as 10.0.1.1; user and port have keys of their own.",
    ),
    _field_pattern(Setup, "root"): Words(
        "an absolute path", "Start the path with /, such as /srv/shop."
    ),
    _field_pattern(ConfigurationFile, "mode"): Words(
        "a file mode in octal", 'Write a mode such as "0640".'
    ),
}

DURATION = Words("a duration such as 30s, 5m or 2h", "Write a number and ms, s, m, h or d.")
COMMAND = Words(
    "a program and its words, with all quotes closed",
    "Write it such as lbctl drain {host}: no shell sees it.",
)
SHARE = Words(
    "a count such as 3 or a percentage such as 20%", "Write a whole number, or 0% to 100%."
)
KINDS = {
    "int_type": Words("a whole number", "Write digits only."),
    "int_parsing": Words("a whole number", "Write digits only."),
    "int_from_float": Words("a whole number", "Write digits only."),
    "finite_number": Words("a whole number", "Write digits only."),
    "int_parsing_size": Words("a whole number", "Write a smaller number."),
    "bool_type": Words("true or false", "Write true or false."),
    "bool_parsing": Words("true or false", "Write true or false."),
    "time_delta_type": DURATION,
    "string_too_short": Words("text that is not empty", "Write a value, or take the key out."),
    "too_short": Words("at least one entry", "Write an entry."),
}
