"""How a deployment ended, or stands: outcomes, errors that say the same together, next steps."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from apollo.cli.render.history import change, took
from apollo.cli.render.marks import outcome_mark, state_mark
from apollo.cli.render.rows import ErrorGroup, errors, outcomes_in_order
from apollo.cli.render.terminal import Cell, count, names
from apollo.cli.render.windows import override_line
from apollo.client import Status
from apollo.domain.controls import held_by_windows
from apollo.domain.status import DeploymentState
from apollo.files.mistakes import one_line

GROUPS = 10
_OUTPUT = 5


def render_summary(status: Status) -> Iterator[Cell]:
    """The deployment in a few lines."""
    yield from render_heading(status)
    yield from render_errors(errors(status.rows))


def render_heading(status: Status) -> Iterator[Cell]:
    """What it changed, how it ended or stands, and how its hosts came out."""
    deployment = status.deployment
    yield Text.assemble(
        f"{deployment.label}  {change(deployment)}  ",
        state_mark(deployment.state).text(),
        f"  {'in' if deployment.state.ended else 'for'} {took(deployment)}",
    )
    if deployment.detail:
        yield f"  {one_line(deployment.detail)}"
    yield from override_line(deployment)
    if status.outcomes:
        marks = [
            outcome_mark(word).text(f" {number}")
            for word, number in outcomes_in_order(status.outcomes)
        ]
        yield Text("  ").append_text(Text("   ").join(marks))


def render_errors(groups: Sequence[ErrorGroup], most: int = GROUPS) -> Iterator[Cell]:
    """What failed, where, with the words of the first host of each group."""
    for group in groups[:most]:
        yield ""
        yield from _error(group)
    if len(groups) > most:
        yield f"  and {count(len(groups) - most, 'other error')}"


def _error(group: ErrorGroup) -> Iterator[Cell]:
    first, said = group.rows[0], group.signature
    where = f" in {said.step}" if said.step else ""
    where += f", exit {said.exit}" if said.exit is not None else ""
    back = ", in the rollback" if group.phase == "rollback" else ""
    yield Text.assemble(
        "  ",
        (f"error[{said.error}]", "red"),
        f"{where}{back}: {count(len(group.rows), 'host')}: {names(group.hosts)}",
    )
    yield f"    {one_line(first.message)}"
    record = first.record
    if record is None:
        return
    if record.left:
        yield f"    left: {one_line(record.left)}"
    if record.hint:
        yield f"    next: {one_line(record.hint)}"
    if output := record.output.strip().splitlines():
        yield f"    output on {first.host}:"
        yield from (f"      {one_line(line)}" for line in output[-_OUTPUT:])


def next_steps(status: Status, word: str) -> list[str]:
    """What to do now; `word` names the environment as it is named from here."""
    deployment = status.deployment
    state, release = deployment.state, deployment.release
    back = f"apollo deploy {word} {deployment.previous_release}"
    again = f"apollo deploy {word} {release}"
    if deployment.kind in ("restart", "sync"):
        again = f"apollo {deployment.kind} {word}"
    if deployment.kind == "rollback":
        to = f" --to {release}" if deployment.request.get("release") else ""
        again = f"apollo rollback {word}{to}"
    if not state.ended:
        if held_by_windows(state, deployment.detail):
            again += " --override REASON --if-busy supersede"
            return ["It goes on when a window opens.", f"Or do not wait: {again}"]
        return _while_it_runs(state, word)
    steps = [again if state is not DeploymentState.SUCCEEDED else ""]
    if state is DeploymentState.PARTIAL and deployment.kind == "deploy":
        steps = [f"Hosts that still lack it: {again} --limit @outdated"]
    elif state is DeploymentState.REFUSED:
        steps = [f"Wait for it: {again} --if-busy wait", f"Watch it: apollo watch {word}"]
    elif state in (DeploymentState.ROLLED_BACK, DeploymentState.SUPERSEDED):
        steps = [f"What runs now: apollo hosts {word}"]
    elif steps[0]:
        steps = [f"Go on, failed hosts first: {again}"]
        steps += [f"Go back: {back}"] if deployment.previous_release not in ("", release) else []
        steps += [f"What runs now: apollo hosts {word}"]
    return [step for step in steps if step]


def _while_it_runs(state: DeploymentState, word: str) -> list[str]:
    if state is DeploymentState.AWAITING:
        return [f"Approve it: apollo approve {word}", f"Or end it: apollo abort {word}"]
    if state is DeploymentState.PAUSED:
        return [f"Go on: apollo resume {word}", f"Go back: apollo rollback {word}"]
    return [f"Watch it: apollo watch {word}"]
