"""Whether a deployment kept the rules, as a terminal and as JSON show it."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from apollo.catalog.records import StoredDeployment
from apollo.cli.render.history import change
from apollo.cli.render.marks import Mark
from apollo.cli.render.terminal import SCHEMA, Cell, columns, count, moment
from apollo.files.mistakes import one_line
from apollo.proof import Breach, Judgement, Verdict

_MARKS = {
    Verdict.KEPT: Mark("✔", "kept", "green"),
    Verdict.BROKEN: Mark("✘", "broken", "red"),
    Verdict.NOT_RECORDED: Mark("?", "not recorded", "yellow"),
}
_MOST = 5
"""Breaches of a rule that are shown."""


def render_proof(
    deployment: StoredDeployment, judged: Sequence[Judgement], *, everything: bool = False
) -> Iterator[Cell]:
    """One line for each rule; below it the evidence, and what the catalog never shows of it."""
    so_far = "" if deployment.state.ended else ", so far: turns under way are not in the catalog"
    yield f"{deployment.label}  {change(deployment)}  {deployment.state}{so_far}"
    yield ""
    table = columns(
        [
            (str(each.rule), each.name, _MARKS[each.verdict].text(), one_line(each.found))
            for each in judged
        ]
    )
    for line, each in zip(table, judged, strict=True):
        yield line
        yield from _breaches("broken", each.breaches, everything)
        yield from _breaches("not recorded", each.doubts, everything)
        yield from (f"    never shown: {one_line(untold)}" for untold in each.untold)
    yield ""
    yield _summary(judged)


def _breaches(word: str, found: Sequence[Breach], everything: bool) -> Iterator[str]:
    for each in found if everything else found[:_MOST]:
        where = " ".join(filter(None, (each.host, f"at {moment(each.at)}" if each.at else "")))
        yield f"    {word}: {f'{where}: ' if where else ''}{one_line(each.what)}"
    if not everything and len(found) > _MOST:
        yield f"    and {len(found) - _MOST} more: --all shows them"


def _summary(judged: Sequence[Judgement]) -> Text:
    line = Text()
    for verdict, mark in _MARKS.items():
        number = sum(each.verdict is verdict for each in judged)
        if number:
            line.append("  " if line else "")
            line.append_text(mark.text(f" {count(number, 'rule')}"))
    return line


def proof_json(deployment: StoredDeployment, judged: Sequence[Judgement]) -> dict[str, Any]:
    """The same; `broken` says whether any rule was."""
    return {
        "schema": SCHEMA,
        "deployment": deployment.label,
        "state": str(deployment.state),
        "ended": deployment.state.ended,
        "broken": any(each.verdict is Verdict.BROKEN for each in judged),
        "rules": [
            {
                "rule": each.rule,
                "name": each.name,
                "verdict": str(each.verdict),
                "found": each.found,
                "broken": [_breach_json(breach) for breach in each.breaches],
                "not_recorded": [_breach_json(doubt) for doubt in each.doubts],
                "never_shown": list(each.untold),
            }
            for each in judged
        ],
    }


def _breach_json(breach: Breach) -> dict[str, Any]:
    at = moment(breach.at) if breach.at else None
    return {"host": breach.host or None, "at": at, "what": breach.what}
