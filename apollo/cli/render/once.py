"""What runs once in a deployment, as a terminal and as JSON show it."""

from collections.abc import Iterator, Sequence
from typing import Any

from apollo.catalog.records import StoredDeployment, StoredOutput
from apollo.cli.render.turn import span
from apollo.domain.once import OnceOutline
from apollo.files.mistakes import one_line


def planned(once: Sequence[OnceOutline]) -> Iterator[tuple[str, ...]]:
    """Each with the host on which it shall run."""
    for each in once:
        on = f", the first that {each.on!r} matches" if each.on else ""
        yield each.step, one_line(each.run), f"on {each.host}{on}"


def facts(
    deployment: StoredDeployment, printed: Sequence[StoredOutput]
) -> Iterator[tuple[str, str]]:
    """What has become of each."""
    for each in _outlines(deployment):
        went = [_went(output) for output in printed if output.step == each.step]
        yield each.step, f"{one_line(each.run)}: {', '.join(went) or 'has not run'}"


def once_json(
    deployment: StoredDeployment, printed: Sequence[StoredOutput]
) -> list[dict[str, Any]]:
    """The same as JSON, with what was printed."""
    return [
        {
            "step": each.step,
            "run": each.run,
            "on": each.on,
            "ran": [
                output.model_dump(mode="json", include={"host", "exit", "seconds", "text", "cut"})
                for output in printed
                if output.step == each.step
            ],
        }
        for each in _outlines(deployment)
    ]


def _outlines(deployment: StoredDeployment) -> list[OnceOutline]:
    plan = deployment.plan or {}
    return [OnceOutline.model_validate(each) for each in plan.get("once", ())]


def _went(output: StoredOutput) -> str:
    code = "unknown" if output.exit is None else str(output.exit)
    return f"exit {code} on {output.host} after {span(output.seconds)}"
