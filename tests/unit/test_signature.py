"""Errors that say the same of different hosts make one group; others do not."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo.domain.signature import blurred, signature
from apollo.domain.turn import Step

HOSTS = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,8}[0-9]{1,4}(\.[a-z]{2,5}){0,2}", fullmatch=True)
NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.decimals(0, 10**4, places=2).map(str),
    st.ip_addresses(v=4).map(str),
)
NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=12)
PATHS = st.lists(NAMES, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))
WORDS = st.lists(
    st.sampled_from(["disk", "full", "of", "refused", "by", "peer", "(no room)", "at:", "=>"]),
    max_size=6,
)


@st.composite
def sentences(draw: st.DrawFn) -> list[str]:
    """Kinds of words in some order; each host fills in its own."""
    fixed = draw(WORDS)
    kinds = draw(st.lists(st.sampled_from(["HOST", "NUMBER", "PATH"]), max_size=5))
    return draw(st.permutations(fixed + kinds))


def told(draw: st.DrawFn, sentence: list[str], host: str) -> str:
    fill = {"HOST": st.just(host), "NUMBER": NUMBERS, "PATH": PATHS}
    return " ".join(draw(fill[word]) if word in fill else word for word in sentence)


@st.composite
def same(draw: st.DrawFn) -> tuple[tuple[str, str], tuple[str, str]]:
    """What two hosts say of the same trouble, each with its own names, numbers and paths."""
    sentence = draw(sentences())
    one, two = draw(HOSTS), draw(HOSTS)
    return (one, told(draw, sentence, one)), (two, told(draw, sentence, two))


@given(same())
def test_names_numbers_and_paths_do_not_split_a_group(
    pair: tuple[tuple[str, str], tuple[str, str]],
) -> None:
    (one, first), (two, second) = pair

    assert signature("NotHealthy", "verify", first, own=[one]) == signature(
        "NotHealthy", "verify", second, own=[two]
    )


@given(sentence=WORDS, more=st.sampled_from(["timeout", "denied"]), host=HOSTS)
def test_other_words_do(sentence: list[str], more: str, host: str) -> None:
    one = signature("NotHealthy", "verify", " ".join([host, *sentence]), own=[host])
    two = signature("NotHealthy", "verify", " ".join([host, *sentence, more]), own=[host])

    assert one != two
    assert one != one._replace(error="HookLost")


@given(code=st.integers(1, 255), other=st.integers(1, 255), host=HOSTS, last=st.text(max_size=40))
def test_a_hooks_exit_code_says_it_all(code: int, other: int, host: str, last: str) -> None:
    def failed(exit: int, message: str) -> object:
        steps = (Step(name="stop", exit=0), Step(name="start", exit=exit))
        return signature("HookFailed", "start", message, own=[host], steps=steps)

    assert failed(code, f"{host}: start exit {code}, expected 0: {last}") == failed(code, "x")
    assert (failed(code, "x") == failed(other, "x")) is (code == other)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("web1: GET http://10.0.0.1:8080/health: 503", "*: GET URL #"),
        ("web1: no space on /srv/shop (1.2 GiB free)", "*: no space on PATH (# GiB free)"),
        ("web1: bin/start: 12:04:01.5 lost", "*: PATH: # lost"),
        ("key 0a1b2c3d4e5f is not 99aabbccdd", "key # is not #"),
        ("[2001:db8::1] refused", "[#] refused"),
        ("deadbeef dead beef", "deadbeef dead beef"),
        ("web10 and web1", "web# and *"),
    ],
)
def test_what_is_left_of_a_message(message: str, expected: str) -> None:
    assert blurred(message, ["web1", "fra1"]) == expected


def test_a_title_is_short() -> None:
    step = Step(name="start", exit=3)
    assert signature("HookFailed", "start", "x", steps=[step]).title == "HookFailed start exit 3"
    assert signature("HookFailed", "start", "h: start exit 4, expected 0").exit == 4
    assert signature("NotHealthy", "verify", "x").title == "NotHealthy verify"
