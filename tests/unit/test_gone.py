"""Hosts that leave the inventory while a batch is under way."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from apollo.domain.rolling import Rolling
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnRecord
from tests.unit.test_rolling import ENDS, batch, end, turn


def test_one_that_waits_is_skipped_and_one_in_its_turn_ends_it() -> None:
    turns = [turn(n) for n in range(6)]
    rolling = Rolling(batch(each=1), turns, {})
    begun = [each.host.name for each in rolling.begin()]
    assert begun == ["h0", "h1", "h2"]
    assert rolling.gone(["h0", "h5", "h9"])
    assert [(r.host, r.outcome, r.turn) for r in rolling.unrecorded] == [("h5", "skipped", 1)]
    assert not rolling.gone(["h0", "h5"]), "it is told once"
    for each in turns[:3]:
        end(rolling, each, Outcome.UPDATED)
    assert [each.host.name for each in rolling.begin()] == ["h3", "h4"]


def test_one_that_could_not_be_reached_gives_its_budget_back() -> None:
    turns = [turn(n) for n in (0, 3, 6)]
    rolling = Rolling(batch(each=1, unreachable=0), turns, {})
    rolling.begin()
    end(rolling, turns[0], Outcome.UNREACHABLE)
    assert rolling.exceeded
    assert rolling.begin() == []
    assert rolling.finished
    assert rolling.gone(["h0"])
    assert (rolling.unreachable, rolling.exceeded, rolling.failures) == (0, False, 0)
    assert rolling.unrecorded[-1].turn == 2, "the catalog takes it over the turn before"
    assert [each.host.name for each in rolling.begin()] == ["h3"], "nor does it take room"


def test_a_failure_stays_one() -> None:
    """It says something about the release, whatever became of the host."""
    rolling = Rolling(batch(failures=0), [turn(0)], {})
    rolling.begin()
    end(rolling, turn(0), Outcome.BROKEN)
    assert not rolling.gone(["h0"])
    assert rolling.exceeded


@given(st.integers(0, 12), st.integers(0, 10_000))
def test_every_host_has_one_final_record_and_none_that_is_gone_begins(
    count: int, seed: int
) -> None:
    random = Random(seed)
    turns = {f"h{n}": turn(n) for n in range(count)}
    rolling = Rolling(batch(each=2), turns.values(), {})
    running: list[str] = []
    told: set[str] = set()
    ends: dict[str, TurnRecord] = {}
    begun: list[tuple[str, bool]] = []
    while True:
        now = [each.host.name for each in rolling.begin()]
        begun += [(name, name in told) for name in now]
        running += now
        if rolling.finished:
            break
        if random.random() < 0.3 and turns:
            gone = random.sample(sorted(turns), random.randint(0, len(turns)))
            told |= set(gone)
            rolling.gone(gone)
        elif running:
            name = running.pop(random.randrange(len(running)))
            end(rolling, turns[name], random.choice(ENDS))
    for record in rolling.unrecorded:
        ends[record.host] = record
    result = rolling.result()
    stuck = set(turns) - set(ends)
    assert result.pending == len(stuck)
    assert not any(late for _, late in begun)
    assert not stuck & told
    assert result.unreachable == sum(r.outcome == "unreachable" for r in ends.values())
    assert result.failures == sum(r.outcome.failure for r in ends.values())
