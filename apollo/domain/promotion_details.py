"""What the Temporal UI shows of a running promotion: its stages and the next words."""

from urllib.parse import quote

from apollo.domain.details import plain
from apollo.domain.passage import WORDS, Passage
from apollo.domain.promotion import StageProgress


def promotion_details(application: str, release: str, passage: Passage) -> str:
    """Markdown: where the promotion stands, a table of its stages, the next words."""
    lines = [f"**{application} {release}**: **{passage.state}** at {passage.stage.environment}"]
    if passage.told:
        lines.append(f"\n{plain(passage.told)}")
    lines += ["", "| stage | state | deployment | since |", "|---|---|---|---|"]
    lines += [_row(stage) for stage in passage.stages]
    words = [f"`{word}`" for word in WORDS if passage.refusal(word) is None]
    if words:
        lines.append(f"\nSignals and updates: {', '.join(words)}")
    return "\n".join(lines)


def _row(stage: StageProgress) -> str:
    approved = f", approved by {plain(stage.approved_by)}" if stage.approved_by else ""
    since = f"{stage.since:%Y-%m-%d %H:%M:%S} UTC" if stage.since else "·"
    return f"| {stage.environment} | {stage.state}{approved} | {_deployment(stage)} | {since} |"


def _deployment(stage: StageProgress) -> str:
    if not stage.workflow_id:
        return "·"
    page = f"/namespaces/{{namespace}}/workflows/{quote(stage.workflow_id, safe='')}"
    return f"[{stage.deployment or 'under way'}]({page})"
