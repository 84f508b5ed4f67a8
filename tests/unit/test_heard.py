"""What the answers to one attempt tell."""

import time

import pytest

from apollo.hosts.answer import Answer
from apollo.hosts.heard import Heard
from apollo.ports import Footing


def test_an_answer_that_waited_does_not_put_the_hosts_clock_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The host's clock is 100 s behind; the answers have been on their way for so long."""
    heard = Heard(Footing())
    assert heard.behind is None
    for sent, took in ((1000.0, 0.5), (1001.0, 0.01), (1002.0, 3.0)):
        monkeypatch.setattr(time, "time", lambda at=sent + took: at + 100)
        heard(Answer(now=sent))

    assert heard.behind == pytest.approx(100.01)
