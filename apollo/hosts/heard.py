"""What the answers to one attempt have told, beside what comes next."""

import time
from dataclasses import dataclass, field

from apollo.hosts.answer import Answer, StepRecord
from apollo.ports import Footing


@dataclass
class Heard:
    """Listens to every answer, and knows nothing of who asks: neither keeps the other."""

    footing: Footing
    printed: dict[str, StepRecord] = field(default_factory=dict)
    """What each step has printed, as it was heard last."""
    behind: float | None = None
    """Seconds that the host's clock is behind the worker's, by the answer that came soonest."""

    def __call__(self, answer: Answer) -> None:
        """Take in an answer."""
        self.printed.update(answer.steps)
        if answer.now:
            behind = time.time() - answer.now
            self.behind = behind if self.behind is None else min(self.behind, behind)
        if answer.attached and answer.attached not in self.footing.attached:
            self.footing.attached.append(answer.attached)
