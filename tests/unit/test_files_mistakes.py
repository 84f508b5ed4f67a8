"""Every mistake at once: where it is, what was expected, what was found, what to do next."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from apollo.files.mistakes import InvalidFiles, Mistake
from apollo.files.project import load_project
from tests.support.projects import EVERYTHING, SMALL, TWENTY_MISTAKES, write


class Planted(NamedTuple):
    """A planted mistake, what is said about it, and how it is mended."""

    where: str
    path: str
    expected: str
    found: str
    hint: str
    wrong: str
    right: str


PLANTED = [
    Planted(
        "apollo.yaml:1:14",
        "application",
        "a name of at most 63 lower-case letters, digits and '-'",
        "'Shop'",
        "Write a name such as shop or web-1: it starts with a letter or digit.",
        "application: Shop",
        "application: shop",
    ),
    Planted(
        "apollo.yaml:3:13",
        "release.artifact",
        "text",
        "the number 1.10",
        'Put it in quotes: artifact: "1.10".',
        "artifact: 1.10",
        'artifact: "1.10"',
    ),
    Planted(
        "apollo.yaml:5:9",
        "setup.root",
        "an absolute path",
        "'srv/shop'",
        "Start the path with /, such as /srv/shop.",
        "root: srv/shop",
        "root: /srv/shop",
    ),
    Planted(
        "apollo.yaml:6:9",
        "setup.keep",
        "a whole number",
        "'one'",
        "Write digits only.",
        "keep: one",
        "keep: 2",
    ),
    Planted(
        "apollo.yaml:7:36",
        "setup.variables.DEBUG",
        "text",
        "the boolean true",
        'Put it in quotes: DEBUG: "true".',
        "DEBUG: true",
        'DEBUG: "true"',
    ),
    Planted(
        "apollo.yaml:10:38",
        "setup.hooks.start.timeout",
        "a duration such as 30s, 5m or 2h",
        "'10 minutes'",
        "Write a number and ms, s, m, h or d.",
        "10 minutes",
        "10m",
    ),
    Planted(
        "apollo.yaml:11:3",
        "setup.health",
        "exactly one of http, tcp and command",
        "http and tcp",
        "Take http or tcp out.",
        '    tcp: {port: "8081"}\n',
        "",
    ),
    Planted(
        "apollo.yaml:12:18",
        "setup.health.http.port",
        "names of variables that every host has",
        "{PROT}, which dev1 of dev lacks",
        "Did you mean PORT? Add PROT to the variables, or use one of: DEBUG, PORT, host, location.",
        "{PROT}",
        "{PORT}",
    ),
    Planted(
        "apollo.yaml:16:21",
        "environments.dev.fleet.hosts.dev1.address",
        "the key address",
        "only port",
        "Add address: 10.0.1.1 below dev1.",
        "dev1: {port: 22}",
        "dev1: {port: 22, address: 10.0.1.1}",
    ),
    Planted(
        "apollo.yaml:18:3",
        "environments.prod.secrets.DB_PASSWORD",
        "the secret DB_PASSWORD, which setup.secrets names",
        "no secrets",
        'Add DB_PASSWORD: "file:/etc/apollo/secrets/db_password" to secrets.',
        "    approval: required\n",
        '    approval: required\n    secrets: {DB_PASSWORD: "env:DB"}\n',
    ),
    Planted(
        "apollo.yaml:19:50",
        "environments.prod.fleet.select",
        "hosts that the inventory has",
        "'role=wbe', which matches none",
        "Did you mean role=web? Known are role=web, fra1, and the hosts' names.",
        "role=wbe",
        "role=web",
    ),
    Planted(
        "apollo.yaml:21:7",
        "environments.prod.strategy.max_failure",
        "a known key",
        "'max_failure'",
        "Did you mean max_failures? Known here: waves, order, max_unavailable, spread, "
        "max_failures, max_unreachable, on_failure, rollback_max_unavailable, progress_deadline.",
        "max_failure: 2%",
        "max_failures: 2%",
    ),
    Planted(
        "apollo.yaml:22:24",
        "environments.prod.strategy.max_unavailable",
        "a count such as 3 or a percentage such as 20%",
        "'many'",
        "Write a whole number, or 0% to 100%.",
        "max_unavailable: many",
        "max_unavailable: 2",
    ),
    Planted(
        "apollo.yaml:23:19",
        "environments.prod.strategy.on_failure",
        "rollback or halt",
        "'rolback'",
        "Did you mean rollback? Write rollback or halt.",
        "rolback",
        "rollback",
    ),
    Planted(
        "apollo.yaml:24:20",
        "environments.prod.strategy.waves[1]",
        "more than 10%",
        "5%",
        "Shares are cumulative: let the wave reach more, or take it out.",
        "[10%, 5%, 100%]",
        "[10%, 50%, 100%]",
    ),
    Planted(
        "apollo.yaml:25:15",
        "environments.prod.freezes[0]",
        "a file",
        "no file freezes/none.ics",
        "Check the path: it is relative to the folder of apollo.yaml.",
        "    freezes: [freezes/none.ics]\n",
        "",
    ),
    Planted(
        "apollo.yaml:27:17",
        "pipeline[1]",
        "the name of an environment",
        "'prd'",
        "Did you mean prod? Environments are: dev, prod.",
        "prd",
        "prod",
    ),
    Planted(
        "fleets/prod.yaml:1:32",
        "defaults.port",
        "a number of at most 65535",
        "the number 70000",
        "Write a number of at most 65535.",
        "70000",
        "22",
    ),
    Planted(
        "fleets/prod.yaml:6:7",
        "locations.fra1.hosts.web1",
        "each key once",
        "web1 again (first in line 5)",
        "Take one of the two away, or give it another name.",
        "web1: {address: 10.0.1.2",
        "web2: {address: 10.0.1.2",
    ),
    Planted(
        "fleets/prod.yaml:9:7",
        "locations.ams1.hosts.web1",
        "each host in one location",
        "web1 in ams1 and in fra1 (line 5)",
        "Take one of the two out, or give it another name.",
        "web1: {address: 10.0.2.1",
        "web3: {address: 10.0.2.1",
    ),
]


def mistakes(folder: Path, files: dict[str, str]) -> tuple[Mistake, ...]:
    with pytest.raises(InvalidFiles) as caught:
        load_project(write(folder, files))
    return caught.value.mistakes


def mended(files: dict[str, str], planted: Planted) -> dict[str, str]:
    file = planted.where.partition(":")[0]
    assert files[file].count(planted.wrong) == 1
    return {**files, file: files[file].replace(planted.wrong, planted.right)}


def test_twenty_planted_mistakes_are_twenty_errors_in_one_run(tmp_path: Path) -> None:
    found = mistakes(tmp_path, TWENTY_MISTAKES)

    assert [(each.where, each.path) for each in found] == [each[:2] for each in PLANTED]
    assert len(found) == 20


@pytest.mark.parametrize("planted", PLANTED, ids=lambda each: each.path)
def test_each_planted_mistake_says_what_was_expected_and_what_to_do(
    tmp_path: Path, planted: Planted
) -> None:
    found = {(each.where, each.path): each for each in mistakes(tmp_path, TWENTY_MISTAKES)}

    mistake = found[planted.where, planted.path]

    assert (mistake.expected, mistake.found, mistake.hint) == planted[2:5]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda each: each.path)
def test_mending_one_mistake_leaves_the_other_nineteen(tmp_path: Path, planted: Planted) -> None:
    found = mistakes(tmp_path, mended(TWENTY_MISTAKES, planted))

    assert [each.path for each in found] == [
        each.path for each in PLANTED if each.path != planted.path
    ]


def test_the_mended_project_has_no_mistakes(tmp_path: Path) -> None:
    files = TWENTY_MISTAKES
    for planted in PLANTED:
        files = mended(files, planted)

    project = load_project(write(tmp_path, files))

    assert list(project.environments) == ["dev", "prod"]


def test_a_mistake_is_told_with_its_line_a_caret_and_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(InvalidFiles) as caught:
        load_project(write(tmp_path, TWENTY_MISTAKES))

    error = caught.value

    assert (
        """\
error[invalid-files] apollo.yaml:10:38  setup.hooks.start.timeout
  10 |     start: {run: bin/start, timeout: 10 minutes}
     |                                      ^^^^^^^^^^ expected a duration such as 30s, 5m or 2h, \
found '10 minutes'
  Write a number and ms, s, m, h or d.
"""
        in error.message
    )
    assert (
        """\
error[invalid-files] apollo.yaml:23:19  environments.prod.strategy.on_failure
  23 |       on_failure: rolback
     |                   ^^^^^^^ expected rollback or halt, found 'rolback'
  Did you mean rollback? Write rollback or halt.
"""
        in error.message
    )
    assert error.hint == "20 mistakes in apollo.yaml, fleets/prod.yaml; nothing was changed."
    assert error.exit_code == 2


def test_mistakes_are_json(tmp_path: Path) -> None:
    with pytest.raises(InvalidFiles) as caught:
        load_project(write(tmp_path, TWENTY_MISTAKES))

    report = json.loads(json.dumps(caught.value.as_json()))

    assert report["error"] == "invalid-files"
    assert len(report["mistakes"]) == 20
    assert report["mistakes"][1] == {
        "file": "apollo.yaml",
        "line": 3,
        "column": 13,
        "path": "release.artifact",
        "expected": "text",
        "found": "the number 1.10",
        "hint": 'Put it in quotes: artifact: "1.10".',
        "source_line": "  artifact: 1.10",
        "width": 4,
    }


def test_the_value_of_a_secret_is_never_shown(tmp_path: Path) -> None:
    text = EVERYTHING["apollo.yaml"].replace(
        '    secrets: {DB_PASSWORD: "file:/etc/apollo/secrets/prod/db_password"}',
        "    secrets: {DB_PASSWORD: hunter2, PIN: 4711, WORDS: [x], bad-name: swordfish}",
    )

    with pytest.raises(InvalidFiles) as caught:
        load_project(write(tmp_path, {**EVERYTHING, "apollo.yaml": text}))

    told = json.dumps(caught.value.as_json()) + caught.value.message
    assert len(caught.value.mistakes) == 5
    assert "    secrets: {DB_PASSWORD: *******, PIN: ****, " in told
    assert not {word for word in ("hunter2", "4711", "swordfish") if word in told}
    assert caught.value.mistakes[0].expected == "a reference to a secret, never its value"


@pytest.mark.parametrize(
    "secrets",
    [
        "secrets: {A: hunter2, A: hunter2}",
        "secrets: {A: hunter2, B: [hunter2], C: {D: hunter2}}",
        "secrets: {A: !hunter2}",
        "secrets: {A: @hunter2}",
        "secrets: {A: *hunter2}",
        "secrets: {A: 'hunter2}",
        "secrets: {A: hunter2}, root: /a, root: /a",
        "secrets:\n      A: @hunter2",
        "secrets:\n      A: 'hunter2",
        "secrets:\n      A: hunter2: x",
        "secrets:\n      A: x\n      B: &hunter2 {hunter2",
        "{secrets: {A: hunter2}, root: 1, rot: 2, root: 3}",
    ],
)
def test_no_mistake_nearby_shows_the_value_of_a_secret(tmp_path: Path, secrets: str) -> None:
    text = SMALL + f"    {secrets}\n"
    if secrets.startswith("{"):
        text = SMALL.split("  dev:")[0] + f"  dev: {secrets}\n"

    told = InvalidFiles(mistakes(tmp_path, {"apollo.yaml": text}))

    assert "hunter2" not in told.message


def test_only_the_part_of_a_long_line_around_the_mistake_is_shown() -> None:
    source = "a" * 200 + " wrong " + "b" * 200
    mistake = Mistake("f.yaml", 7, 202, "x", "right", "'wrong'", "Mend it.", source, 5)

    _, shown, caret, hint = mistake.render().splitlines()

    assert shown == f"  7 | …{'a' * 49} wrong {'b' * 44}…"
    assert caret.index("^") == shown.index("wrong")
    assert caret.endswith("^^^^^ expected right, found 'wrong'")
    assert hint == "  Mend it."


def test_what_steers_a_terminal_is_not_printed() -> None:
    mistake = Mistake("f.yaml", 1, 1, "a\x1b[31m", "x", "\x1b]0;y\x07", "Mend\nit.", "\x1b[2J", 1)

    assert "\x1b" not in mistake.render()
    assert len(mistake.render().splitlines()) == 4


def test_mistakes_come_file_by_file_and_line_by_line() -> None:
    def at(file: str, line: int, column: int = 1) -> Mistake:
        return Mistake(file, line, column, "", "x", "y", "z")

    wanted = [at("apollo.yaml", 2), at("apollo.yaml", 10), at("a.yaml", 1, 2), at("a.yaml", 1, 10)]

    assert list(InvalidFiles([*reversed(wanted), wanted[0]]).mistakes) == wanted
