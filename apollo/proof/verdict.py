"""What is said of a rule: kept, broken with the evidence, or why the rows do not tell."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    """Whether a deployment kept a rule."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Breach:
    """What breaks a rule: where, when, and what was found."""

    what: str
    host: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Judgement:
    """A rule of the design, and whether the deployment kept it."""

    rule: int
    name: str
    verdict: Verdict
    found: str = ""
    """What was looked at, in numbers."""
    breaches: tuple[Breach, ...] = ()
    doubts: tuple[Breach, ...] = ()
    """What might break the rule: the rows do not tell."""
    untold: tuple[str, ...] = ()
    """What the rule says beside, and the catalog never shows."""


def judge(
    rule: int,
    name: str,
    found: str,
    *,
    breaches: Iterable[Breach] = (),
    doubts: Iterable[Breach] = (),
    untold: Iterable[str] = (),
) -> Judgement:
    """Broken by any breach; not recorded by any doubt; else kept."""
    broken, doubtful = tuple(breaches), tuple(doubts)
    verdict = Verdict.NOT_RECORDED if doubtful else Verdict.KEPT
    return Judgement(
        rule=rule,
        name=name,
        verdict=Verdict.BROKEN if broken else verdict,
        found=found,
        breaches=broken,
        doubts=doubtful,
        untold=tuple(untold),
    )
