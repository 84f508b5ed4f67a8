"""When a location counts as slow."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from apollo.domain.progress import Pulse

START = datetime(2026, 11, 26, tzinfo=UTC)
DEADLINE = timedelta(seconds=10)
MOVES = st.lists(
    st.tuples(st.sampled_from(["begin", "end", "rest"]), st.sampled_from("abc"), st.integers(0, 8)),
    max_size=40,
)


@given(MOVES)
def test_a_location_is_slow_when_nothing_ended_there_for_the_deadline(
    moves: list[tuple[str, str, int]],
) -> None:
    """Against a model that keeps all moments; a location without turns under way is never slow."""
    pulse, now = Pulse(DEADLINE), START
    running: list[str] = []
    last: dict[str, datetime] = {}
    for what, place, seconds in moves:
        now += timedelta(seconds=seconds)
        if what == "begin":
            if place not in running:
                last[place] = now
            running.append(place)
            pulse.begun(place, now)
        elif what == "end" and place in running:
            running.remove(place)
            last[place] = now
            pulse.ended(place, now, running)
        elif what == "rest":
            last = dict.fromkeys(last, now)
            pulse.rest(now)
        slow = {each for each in set(running) if now - last[each] >= DEADLINE}
        assert set(pulse.slow(now)) == slow
        assert pulse.stalled(now) == (bool(running) and slow == set(running))
        assert pulse.busy == bool(running)
        look = pulse.next_look(now)
        if slow != set(running):
            before = now + look - timedelta(microseconds=1)
            assert set(pulse.slow(before)) == slow
            assert set(pulse.slow(now + look)) > slow
