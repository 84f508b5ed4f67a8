"""`check`, `apply`, `release`, `plan`, and what `deploy` refuses: no server is needed."""

import json
import re
import subprocess

import pytest

from tests.cli.conftest import Shop
from tests.support.projects import TWENTY_MISTAKES, write


def test_check_shows_all_mistakes_and_exits_2(shop: Shop) -> None:
    write(shop.folder, TWENTY_MISTAKES)
    (shop.folder / "fleet.yaml").unlink()

    said = shop("check")

    assert said.code == 2
    assert said.out == ""
    assert said.err.count("error[invalid-files] ") == 20
    assert said.err.rstrip().endswith("nothing was changed.")

    document = json.loads(shop("check", "--json").out)
    assert len(document["mistakes"]) == 20


def test_check_of_a_good_project_counts_hosts(shop: Shop) -> None:
    said = shop.good("check")

    assert said.out.splitlines() == [
        "✔ shop: no mistakes",
        "  dev   1 host   in default",
        "  prod  4 hosts  in fra1, ams1",
    ]
    document = json.loads(shop.good("check", "apollo.yaml", "--json").out)
    assert document["environments"][1]["locations"] == {"fra1": 2, "ams1": 2}


def test_apply_shows_what_changes_and_keeps_what_does_not(shop: Shop) -> None:
    first = shop.good("apply", "--reason", "first")
    assert "+ shop/prod: new, 4 hosts in 2 locations" in first.out
    assert "Applied shop/prod, revision 1." in first.err

    again = shop.good("apply")
    assert "= shop/prod: as it is applied (revision 1)" in again.out
    assert again.err == "Nothing to apply.\n"

    shop.edit("max_unavailable: 25%", "max_unavailable: 50%")
    shop.edit("bake: 10m", "bake: 90s")
    shop.edit("web4: {address: 10.0.2.2}", "web5: {address: 10.0.2.5}", "fleet.yaml")
    shop.edit("pipeline: [dev, prod]", "pipeline: [prod]")
    changed = shop.good("apply", "prod")
    assert [line.strip() for line in changed.out.splitlines()] == [
        "~ shop/prod: 5 changes from revision 1",
        "~ strategy.waves[1].bake    10m → 1m30s",
        "~ strategy.max_unavailable  25% → 50%",
        "- hosts.web4                10.0.2.2 in ams1",
        "+ hosts.web5                10.0.2.5 in ams1",
        "~ pipeline                  dev → prod → prod",
    ]
    assert "Applied shop/prod, revision 2." in changed.err


def test_apply_tells_programs_in_json(shop: Shop) -> None:
    document = json.loads(shop.good("apply", "--json").out)

    assert [each["revision"] for each in document["environments"]] == [1, 1]

    shop.edit("max_unavailable: 25%", "max_unavailable: 1")
    document = json.loads(shop.good("apply", "shop/prod", "--json").out)
    assert document["environments"] == [
        {
            "environment": "shop/prod",
            "revision_before": 1,
            "revision": 2,
            "hosts": 4,
            "changes": [{"path": "strategy.max_unavailable", "before": "25%", "after": "1"}],
        }
    ]


def test_apply_names_what_it_does_not_know(shop: Shop) -> None:
    assert "shop has no environment 'qa'" in shop("apply", "qa").err
    assert "other/prod is not of the application here" in shop("apply", "other/prod").err


def test_a_release_is_built_packed_and_stored_once(shop: Shop) -> None:
    said = shop.good("release", "create", "1.0")
    assert said.out == "shop 1.0\n"
    assert "Building: echo built > dist/built" in said.err
    assert "apollo deploy dev 1.0" in said.err
    assert (shop.folder / "dist" / "built").exists()

    shop.good("release", "create", "1.0")
    (shop.folder / "dist" / "new").write_text("x", encoding="utf-8")
    other = shop("release", "create", "1.0")
    assert (other.code, other.err.splitlines()[-2][:14]) == (5, "error[Refused]")


def test_a_release_may_be_packed_from_elsewhere(shop: Shop) -> None:
    (shop.folder / "app.bin").write_text("x", encoding="utf-8")

    document = json.loads(
        shop.good("release", "create", "1.0", "--artifact", "app.bin", "--json").out
    )

    assert document["release"]["version"] == "1.0"
    assert not (shop.folder / "dist" / "built").exists()


def test_a_build_that_fails_makes_no_release(shop: Shop) -> None:
    shop.edit("echo built > dist/built", "echo no; exit 7")

    said = shop("release", "create", "1.0")

    assert said.code == 3
    assert said.out == ""
    assert "error[BuildFailed] 'echo no; exit 7' ended with exit code 7" in said.err
    assert "no release yet" in shop.good("release", "list").err


def test_releases_are_listed_and_shown(applied: Shop) -> None:
    assert re.search(
        r"^1\.0 .* ada .*[0-9a-f]{12}  -  +-$", applied.good("release", "list").out, re.M
    )
    shown = applied.good("release", "show", "shop/1.0").out
    assert "health    http :{PORT}/health" in shown
    assert json.loads(applied.good("release", "list", "--json").out)["releases"]
    assert json.loads(applied.good("release", "show", "1.0", "--json").out)["deployments"] == []
    assert applied("release", "show", "9").code == 2


def test_a_plan_shows_waves_and_changes_nothing(applied: Shop) -> None:
    said = applied.good("plan", "prod", "1.0", "--limit", "fra1")

    assert said.out.splitlines() == [
        "shop on prod: nothing -> 1.0   2 hosts, 2 locations, stripe, at most 1 out "
        "(min healthy 3)",
        "",
        "  wave 1  1 host  web1  after approval, then bake 10m",
        "  wave 2  1 host  web2",
    ]
    assert "No host was changed. Start it: apollo deploy prod 1.0 --limit fra1" in said.err

    document = json.loads(applied.good("plan", "shop/prod", "1.0", "--json").out)
    assert document["schema"] == 1
    assert [host["host"] for host in document["hosts"]] == ["web1", "web3", "web2", "web4"]


def test_a_plan_says_when_the_files_differ(applied: Shop) -> None:
    applied.edit("max_unavailable: 25%", "max_unavailable: 50%")

    assert "apollo apply prod" in applied.good("plan", "prod", "1.0").err


@pytest.mark.parametrize(
    ("tokens", "code", "told"),
    [
        (("deploy", "prod"), 5, "only dev takes working trees: name a release for prod"),
        (("deploy", "prod", "v1-dirty.0123abcd"), 5, "v1-dirty.0123abcd was packed from one"),
        (("deploy", "prod", "9"), 2, "shop has no release '9'"),
        (("deploy", "prod", "1.0", "--limit", "role=db"), 5, "'role=db' matches no host"),
        (("deploy", "qa", "1.0"), 2, "no environment shop/qa was ever applied"),
        (("deploy", "other/prod"), 5, "there is no apollo.yaml of other here to pack"),
        (("deploy", "prod", "1.0"), 1, "no Temporal server answers at 127.0.0.1:1"),
        (("abort", "prod"), 2, "shop/prod has had no deployment"),
        (("hosts", "trust", "prod", "--replace", "web9"), 2, "shop/prod has no host web9"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    applied: Shop, tokens: tuple[str, ...], code: int, told: str
) -> None:
    said = applied(*tokens)

    assert said.code == code, said
    assert told in said.err


def test_deploy_refuses_what_is_not_applied_unless_told_to_apply(applied: Shop) -> None:
    applied.edit("max_unavailable: 25%", "max_unavailable: 50%")

    refused = applied("deploy", "prod", "1.0", "--yes")
    assert refused.code == 5
    assert "~ strategy.max_unavailable  25% → 50%" in refused.err
    assert "apollo apply prod, or deploy with --apply" in refused.err

    told = applied("deploy", "prod", "1.0", "--apply")
    assert told.code == 1, "no Temporal server answers"
    assert "Applied shop/prod, revision 2." in told.err


def test_deploy_to_the_first_stage_packs_the_working_tree(applied: Shop) -> None:
    assert applied("deploy", "dev").code == 1

    found = json.loads(applied.good("release", "list", "--json").out)["releases"]
    assert re.fullmatch(r"[0-9a-f]{8}", found[0]["release"]["version"])


def test_a_working_tree_is_named_after_gits_tag(applied: Shop) -> None:
    name = ("-c", "user.name=ada", "-c", "user.email=ada@example.com")
    for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "x"), ("tag", "rc/1.4")):
        subprocess.run(["git", *name, *words], cwd=applied.folder, check=True)

    assert applied("deploy", "dev").code == 1

    found = json.loads(applied.good("release", "list", "--json").out)["releases"]
    assert re.fullmatch(r"rc-1\.4-dirty\.[0-9a-f]{8}", found[0]["release"]["version"])


def test_without_a_file_the_application_must_be_named(
    applied: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(applied.home)

    said = applied("status", "prod")

    assert said.code == 2
    assert "write APPLICATION/ENV" in said.err
    assert "apollo deploy shop/prod 1.0" in applied.good("plan", "shop/prod", "1.0").err


def test_a_broken_file_does_not_keep_one_from_steering(applied: Shop) -> None:
    applied.edit("setup:", "setpu:")

    assert "shop/prod has had no deployment" in applied("abort", "prod").err
