"""Projects: what is read, what is refused and what is warned of."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from apollo.domain.manifest import build_manifest
from apollo.domain.release import Artifact, Release
from apollo.errors import ApolloError
from apollo.files.environment import resolve
from apollo.files.mistakes import FileWarning, InvalidFiles, Mistake
from apollo.files.project import Project, load_project
from tests.support.projects import EVERYTHING, SMALL, write


def load(folder: Path, text: str, **files: str) -> Project:
    return load_project(write(folder, {"apollo.yaml": text, **files}))


def mistakes(folder: Path, text: str, files: dict[str, str] | None = None) -> tuple[Mistake, ...]:
    with pytest.raises(InvalidFiles) as caught:
        load_project(write(folder, {"apollo.yaml": text, **(files or {})}))
    return caught.value.mistakes


def warnings(folder: Path, text: str) -> list[tuple[str, str]]:
    return [(each.path, each.message) for each in load(folder, text).warnings]


def test_everything_that_is_supported_is_read(tmp_path: Path) -> None:
    project = load_project(write(tmp_path, EVERYTHING))

    assert project.application == "shop"
    assert project.release is not None
    assert project.release.build == "make dist"
    assert project.release.exclude == ("*.pyc",)
    assert project.setup.variables == {"PORT": "8080", "RATIO": "1.10"}
    (install,) = project.setup.hooks.of("install")
    assert install.timeout == timedelta(minutes=10)
    assert project.setup.roles["worker"].balancer == "none"
    assert list(project.environments) == ["dev", "prod", "staging"]
    assert project.environments["dev"].secrets == {"DB_PASSWORD": "env:APOLLO_SECRET_DB"}
    assert project.environments["prod"].strategy.on_failure == "halt"
    assert project.pipeline == ("dev", "staging", "prod")
    windows = ["MON-THU 09:00-16:00 Europe/Amsterdam", "FRI 22:00-02:00 UTC"]
    assert [str(each) for each in project.environments["prod"].windows] == windows
    assert [str(each) for each in resolve(project, "prod").windows] == windows
    assert project.warnings == ()


def test_a_project_may_be_named_by_its_file(tmp_path: Path) -> None:
    write(tmp_path, {"other.yaml": SMALL})

    assert load_project(tmp_path / "other.yaml").application == "shop"
    assert load_project(str(tmp_path / "other.yaml")).folder == tmp_path


def test_a_missing_project_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ApolloError) as caught:
        load_project(tmp_path)

    assert (
        caught.value.message
        == f"""\
error[invalid-files] apollo.yaml
  expected apollo.yaml in {tmp_path}, found no such file
  Write at least: {{application: shop, setup: {{root: /srv/shop}}, \
environments: {{dev: {{fleet: {{hosts: {{web1: 10.0.1.1}}}}}}}}}}"""
    )


def test_the_least_project_that_is_proposed_is_valid(tmp_path: Path) -> None:
    with pytest.raises(InvalidFiles) as caught:
        load_project(tmp_path)

    load(tmp_path, caught.value.mistakes[0].hint.removeprefix("Write at least: "))


def test_the_other_ending_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"apollo.yml": SMALL})

    with pytest.raises(InvalidFiles) as caught:
        load_project(tmp_path)

    assert caught.value.mistakes[0].hint == f"Rename {tmp_path / 'apollo.yml'} to apollo.yaml."


@pytest.mark.parametrize(
    ("text", "found"),
    [("", "an empty file"), ("# x\n", "an empty file"), ("- a\n", "a list"), ("shop", "'shop'")],
)
def test_a_file_without_keys(tmp_path: Path, text: str, found: str) -> None:
    (only,) = mistakes(tmp_path, text)

    assert (only.where, only.expected, only.found) == ("apollo.yaml:1:1", "keys and values", found)


def test_a_broken_file_does_not_hide_the_mistakes_of_the_others(tmp_path: Path) -> None:
    files = {
        "environments/prod.yaml": "fleet: {inventory: hosts.yaml}\nroot: x\n",
        "environments/test.yaml": "fleet: [\n",
        "hosts.yaml": "locations: {fra1: {hosts: {a: {port: 1}}}}\n",
    }

    found = mistakes(tmp_path, "application: [\n", files)

    assert [each.where for each in found] == [
        "apollo.yaml:2:1",
        "environments/prod.yaml:2:7",
        "environments/test.yaml:2:1",
        "hosts.yaml:1:28",
    ]


NOT_YET = [
    ("fleet", "{inventory: {ansible: x}}", "fleet.inventory", "inventory ansible"),
    ("fleet", "{inventory: {script: x}}", "fleet.inventory", "inventory script"),
    ("fleet", "{inventory: {url: x}}", "fleet.inventory", "inventory url"),
    ("fleet", "{inventory: 'https://x/y'}", "fleet.inventory", "inventories from a URL"),
    ("fleet", "{ansible: x}", "fleet.ansible", "ansible"),
]


def put(place: str, text: str) -> str:
    """SMALL with one more thing."""
    if place == "setup":
        without = SMALL.replace('  health: {tcp: {port: "{PORT}"}}\n', "")
        return without.replace("environments:", f"  {text}\nenvironments:")
    if place == "fleet":
        return SMALL.split("    fleet:")[0] + f"    fleet: {text}\n"
    return f"{SMALL}    {text}\n" if place == "dev" else f"{SMALL}{text}\n"


@pytest.mark.parametrize(("place", "text", "path", "what"), NOT_YET)
def test_what_is_not_there_yet_is_told_apart_from_unknown_keys(
    tmp_path: Path, place: str, text: str, path: str, what: str
) -> None:
    (only,) = mistakes(tmp_path, put(place, text))

    assert only.path == (path if place in {"setup", "top"} else f"environments.dev.{path}")
    assert (only.expected, only.found) == (f"no {what}", what)
    assert only.hint == f"This version of Apollo does not have {what} yet: take it out."


def test_environments_in_files_of_their_own(tmp_path: Path) -> None:
    files = {
        "environments/prod.yaml": "x-a: 1\nfleet: {hosts: {a: 10.0.0.1}}\nfreezes: x\nrot: x\n"
    }

    freezes, unknown = mistakes(tmp_path, SMALL, files)

    assert freezes.where == "environments/prod.yaml:3:10"
    assert freezes.expected == "a list"
    assert (unknown.path, unknown.hint[:18]) == ("rot", "Did you mean root?")


def test_an_environment_in_both_places(tmp_path: Path) -> None:
    (only,) = mistakes(tmp_path, SMALL, {"environments/dev.yaml": "fleet: {hosts: {a: 10.0.0.1}}"})

    assert only.where == "apollo.yaml:7:3"
    assert only.found == "it here and in environments/dev.yaml"


def test_the_name_of_an_environments_file(tmp_path: Path) -> None:
    (only,) = mistakes(tmp_path, SMALL, {"environments/Prod.yaml": "fleet: {hosts: {a: 10.0.0.1}}"})

    assert only.found == "Prod.yaml"


def test_an_empty_file_of_an_environment(tmp_path: Path) -> None:
    (only,) = mistakes(tmp_path, SMALL + "pipeline: [prod]\n", {"environments/prod.yaml": ""})

    assert (only.where, only.found) == ("environments/prod.yaml:1:1", "an empty file")


def test_a_project_without_environments(tmp_path: Path) -> None:
    (only,) = mistakes(tmp_path, SMALL.split("environments:")[0])

    assert (only.path, only.expected) == ("environments", "at least one environment")


def test_a_pipeline_names_each_environment_once(tmp_path: Path) -> None:
    (only,) = mistakes(tmp_path, SMALL + "pipeline: [dev, dev]\n")

    assert (only.path, only.found) == ("pipeline[1]", "dev again")


def test_a_mistake_in_a_window_is_found_where_it_stands(tmp_path: Path) -> None:
    text = (
        SMALL + "    windows:\n      - DAILY 09:00-16:00 UTC\n      - MON 09:00-16:00 Amsterdam\n"
    )

    (only,) = mistakes(tmp_path, text)

    assert (only.where, only.path) == ("apollo.yaml:11:9", "environments.dev.windows[1]")
    assert only.expected == "the IANA name of a time zone"
    assert only.found == "'MON 09:00-16:00 Amsterdam'"
    assert only.hint.startswith("Did you mean Europe/Amsterdam? if not, write an IANA name such as")


def test_a_stage_of_the_pipeline_may_bake(tmp_path: Path) -> None:
    text = SMALL + "pipeline: [{environment: dev, bake: 90m}]\n"
    project = load_project(write(tmp_path / "good", {"apollo.yaml": text}))
    assert project.pipeline == ("dev",)
    assert project.stages[0].bake == timedelta(minutes=90)

    where = ["dve", "{environment: dev, bake: soon}", "{bake: 1h}", "{environment: dev, bak: 1h}"]
    found = mistakes(tmp_path, f"{SMALL}pipeline: [{', '.join(where)}, {{environment: dve}}, 7]\n")
    assert [(each.path, each.found) for each in found] == [
        ("pipeline[0]", "'dve'"),
        ("pipeline[1].bake", "'soon'"),
        ("pipeline[2].environment", "only bake"),
        ("pipeline[3].environment", "dev again"),
        ("pipeline[3].bak", "'bak'"),
        ("pipeline[4].environment", "'dve'"),
        ("pipeline[5]", "the number 7"),
    ]
    assert "Did you mean bake? Known here: environment, bake." in [each.hint for each in found]
    assert found[-1].expected == "an environment's name, or keys and values"
    assert all(each.line and each.column for each in found)


def test_names_in_templates(tmp_path: Path) -> None:
    text = SMALL.replace("  health", "  secrets: [TOKEN]\n  health") + (
        "    secrets: {TOKEN: 'env:TOKEN'}\n    files: {conf/x: {from: t}}\n"
    )

    found = mistakes(tmp_path, text, {"t": "a ${PORT} $$\nb ${PROT} $ $PORT\nc ${TOKEN}\n"})

    assert [(each.where, each.found) for each in found] == [
        ("t:2:3", "${PROT}, which web1 of dev and 1 more host lack"),
        ("t:2:11", "a $ alone"),
        ("t:3:3", "the secret ${TOKEN}"),
    ]
    assert found[0].path == 'environments.dev.files["conf/x"]'
    assert found[0].hint == "Did you mean PORT? Add PROT to the variables, or use one of: PORT."


BY_LOCATION = """    files:
      conf/a: {from: "{location}.txt"}
      conf/b: {from: "{role}.txt"}
      conf/c: {from: "same.txt", mode: "0600"}
    secrets: {TOKEN: "file:/run/{location}/{PORT}"}
"""
TWO = """locations:
  fra1: {hosts: {web1: {address: 10.0.1.1, labels: {role: web}, variables: {PORT: "1"}}}}
  ams1: {hosts: {web2: {address: 10.0.2.1, labels: {role: web}, variables: {PORT: "2"}}}}
"""


def by_location(extra: str = "") -> str:
    head, _, _ = SMALL.partition("    fleet:")
    head = head.replace("  health", "  secrets: [TOKEN]\n  health")
    return f"{head}    fleet: {{inventory: two.yaml}}\n{BY_LOCATION}{extra}"


def test_files_and_secrets_by_role_and_location(tmp_path: Path) -> None:
    texts = {"fra1.txt": "f ${PORT}", "ams1.txt": "a ${PORT}", "web.txt": "w", "same.txt": "s"}
    project = load_project(
        write(tmp_path, {"apollo.yaml": by_location(), "two.yaml": TWO, **texts})
    )
    environment = resolve(project, "dev")
    release = Release(
        application="shop",
        version="1",
        artifact=Artifact(sha256="0" * 64, size=1),
        setup=project.setup,
    )

    one, two = (build_manifest(release, environment, h) for h in environment.fleet.hosts)

    assert {path: file.text for path, file in one.files.items()} == {
        "conf/a": "f 1",
        "conf/b": "w",
        "conf/c": "s",
    }
    assert two.files["conf/a"].text == "a 2"
    assert (one.files["conf/a"].mode, one.files["conf/c"].mode) == ("0644", "0600")
    assert one.secrets == {"TOKEN": "file:/run/fra1/1"}
    assert two.secrets == {"TOKEN": "file:/run/ams1/2"}


def test_a_file_that_some_hosts_lack_is_a_mistake(tmp_path: Path) -> None:
    texts = {"fra1.txt": "${PORT} ${NOPE}", "same.txt": "", "two.yaml": TWO.replace("role", "rule")}

    found = mistakes(tmp_path, by_location(), texts)

    where = "environments.dev.files"
    assert [(each.path, each.found) for each in found] == [
        (f'{where}["conf/a"].from', "no file ams1.txt"),
        (f'{where}["conf/b"].from', "{role}.txt, which makes no name for web1 and 1 more host"),
        (f'{where}["conf/a"]', "${NOPE}, which web1 of dev lacks"),
    ]


def test_a_template_that_is_no_utf_8(tmp_path: Path) -> None:
    write(tmp_path, {"apollo.yaml": SMALL + "    files: {x: {from: t}}\n"})
    (tmp_path / "t").write_bytes(b"a\xff")

    with pytest.raises(InvalidFiles) as caught:
        load_project(tmp_path)

    assert caught.value.mistakes[0].where == "t:1:2"


def test_a_role_may_have_variables_and_a_health_check_of_its_own(tmp_path: Path) -> None:
    text = SMALL.replace('"{PORT}"', '"{TWO}"').replace(
        "environments:",
        '  roles:\n    web: {health: {tcp: {port: "{ONE}"}}, variables: {ONE: 1}}\nenvironments:',
    )

    (only,) = mistakes(tmp_path, text)

    assert only.found == "{TWO}, which web2 of dev lacks"


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        (
            '  health: {tcp: {port: "{PORT}"}}\n',
            "",
            "setup",
            "there is no health check: a host counts as healthy when `start` exits with 0",
        ),
        (
            "environments:",
            "  roles: {wbe: {}}\nenvironments:",
            "setup.roles.wbe",
            "no host of any environment has the role wbe",
        ),
        (
            "    fleet:",
            "    strategy: {order: [web, db]}\n    fleet:",
            "environments.dev.strategy.order[1]",
            "no host of this environment has the role db",
        ),
        (
            "    fleet:",
            "    strategy: {spread: one_location_at_a_time}\n    fleet:",
            "environments.dev.strategy.spread",
            "all hosts lie in one location, default",
        ),
        (
            "    fleet:",
            "    secrets: {TOKEN: 'env:X'}\n    fleet:",
            "environments.dev.secrets.TOKEN",
            "setup.secrets does not name TOKEN, so no host gets it",
        ),
        (
            "web2: 10.0.1.2",
            "web2: 10.0.1.1",
            "environments.dev.fleet.hosts.web2",
            "web2 has the same address and port as web1",
        ),
    ],
)
def test_what_is_hardly_meant_is_warned_of(
    tmp_path: Path, old: str, new: str, path: str, message: str
) -> None:
    assert warnings(tmp_path, SMALL.replace(old, new, 1)) == [(path, message)]


def test_an_environments_file_with_another_ending_is_warned_of(tmp_path: Path) -> None:
    project = load(tmp_path, SMALL, **{"environments/prod.yml": "x"})

    assert [each.message for each in project.warnings] == ["environments/prod.yml is not read"]


def test_warnings_are_json_and_text() -> None:
    warning = FileWarning("apollo.yaml", 3, 5, "setup", "odd", "Mend it.")

    assert json.loads(json.dumps(warning.as_json()))["line"] == 3
    assert warning.render() == "warning apollo.yaml:3:5  setup\n  odd\n  Mend it."
