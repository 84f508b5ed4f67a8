"""The pipeline, what may be said to a promotion when, and which of two releases gives way."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo.domain.details import GAP
from apollo.domain.passage import WORDS, Passage, Rival, superseded_by
from apollo.domain.pipeline import (
    Stage,
    names_of,
    of_working_tree,
    read_pipeline,
    stages_between,
    stored_pipeline,
)
from apollo.domain.promotion import PromotionRequest, PromotionState
from apollo.domain.promotion_details import promotion_details

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)


def at(index: int, state: PromotionState = PromotionState.WAITING) -> Passage:
    passage = Passage()
    passage.open(read_pipeline(["dev", "staging", "prod"]))
    passage.index = index
    passage.go(state, "", NOW)
    return passage


def allowed(passage: Passage) -> set[str]:
    return {word for word in WORDS if passage.refusal(word) is None}


def test_what_may_be_said_when() -> None:
    assert allowed(at(0)) == {"reject", "hold"}
    assert allowed(at(2, PromotionState.AWAITING)) == {"approve", "reject", "hold"}
    assert allowed(at(1, PromotionState.DEPLOYING)) == {"hold"}
    assert allowed(at(1, PromotionState.BAKING)) == {"reject", "hold"}

    held = at(2, PromotionState.AWAITING)
    held.hold("lunch")
    assert (held.state, held.told) == ("held", "held: lunch")
    assert allowed(held) == {"approve", "reject", "resume"}
    held.resume()
    assert held.state == "awaiting"


@pytest.mark.parametrize("state", [state for state in PromotionState if state.ended])
def test_nothing_may_be_said_to_one_that_has_ended(state: PromotionState) -> None:
    assert allowed(at(0, state)) == set()


def test_nothing_may_be_said_to_one_that_is_ending() -> None:
    ending = at(0)
    ending.end("reject", "no")
    assert allowed(ending) == set()
    assert ending.refusal("hold") == "the promotion is already ending: reject was asked for"


def test_a_deployment_under_way_is_not_hidden_by_a_hold() -> None:
    deploying = at(1, PromotionState.DEPLOYING)
    deploying.hold("")
    assert (deploying.state, deploying.told) == ("deploying", "held")


def test_a_stage_keeps_the_time_at_which_it_came_into_its_state() -> None:
    passage = at(0)
    passage.go(PromotionState.WAITING, "another reason", NOW + timedelta(hours=1))
    assert passage.stage.since == NOW
    passage.go(PromotionState.BAKING, "", NOW + timedelta(hours=2))
    assert passage.stage.since == NOW + timedelta(hours=2)


def test_the_details_are_a_small_table_and_no_markup_gets_in() -> None:
    passage = at(2, PromotionState.AWAITING)
    passage.approve("<b>eve|</b>")
    passage.update(workflow_id="deployment/shop/prod/1")
    text = promotion_details("shop", "1.0", passage)
    assert text.startswith("**shop 1.0**: **awaiting** at prod")
    row = "| prod | awaiting, approved by \\<b>eve¦\\</b> | [under way](/namespaces"
    assert row in text.replace(GAP, "")
    assert "deployment%2Fshop%2Fprod%2F1" in text
    assert text.endswith("Send an Update: `approve`, `reject`, `hold`")
    assert len(text.splitlines()) == 9


@given(NAMES, st.sampled_from(["", *"abcdefg"]), st.sampled_from(["", *"abcdefg"]))
def test_stages_between_are_those_after_from_up_to_to(
    names: list[str], from_: str, to: str
) -> None:
    wanted, passed, reached = [], not from_, False
    for name in names:
        if passed and not reached:
            wanted.append(name)
        passed = passed or name == from_
        reached = reached or name == to
    known = {"", *names}
    if from_ in known and to in known and wanted and (not to or to in wanted):
        assert names_of(stages_between(read_pipeline(names), from_, to)) == tuple(wanted)
    else:
        with pytest.raises(ValueError, match=r"no (pipeline|stage)|nothing comes after"):
            stages_between(read_pipeline(names), from_, to)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**6))))
def test_a_pipeline_is_stored_and_read_again(entries: list[tuple[str, int]]) -> None:
    stages = tuple(Stage(environment=n, bake=timedelta(seconds=s)) for n, s in entries)
    stored = stored_pipeline(stages)
    assert read_pipeline(stored) == stages
    assert all(
        isinstance(each, str) for each, (_, bake) in zip(stored, entries, strict=True) if not bake
    )


def test_what_was_packed_from_a_working_tree_is_known_by_its_name() -> None:
    assert of_working_tree("v1.2-3-gabc-dirty.0123abcd")
    assert not of_working_tree("1.2-dirty.0123abcde")
    assert not of_working_tree("1.2-dirty")


def test_a_request_is_what_people_write() -> None:
    request = PromotionRequest.model_validate({"application": "shop", "from": "staging"})
    assert (request.from_, request.release) == ("staging", None)


MADE = st.integers(0, 5)
RIVALS = st.lists(st.tuples(MADE, st.one_of(st.none(), st.integers(0, 10))), max_size=6)


@given(MADE, st.integers(0, 10), RIVALS)
def test_the_newest_that_is_there_or_came_since_supersedes(
    mine: int, opened: int, rivals: list[tuple[int, int | None]]
) -> None:
    def moment(hour: int) -> datetime:
        return NOW + timedelta(hours=hour)

    def rival(made: int, since: int | None = None) -> Rival:
        return Rival(f"r{made}", (moment(made), ""), None if since is None else moment(since))

    found = superseded_by(rival(mine), moment(opened), [rival(*each) for each in rivals])
    best = -1
    for made, since in rivals:
        if made > mine and not (since is not None and since < opened) and made > best:
            best = made
    assert found == (f"r{best}" if best >= 0 else None)
