"""What the Temporal UI shows of a running promotion: its stages and the next words."""

from urllib.parse import quote

from apollo.domain.details import SPACE, columns_of, next_words, plain
from apollo.domain.passage import WORDS, Passage
from apollo.domain.promotion import StageProgress


def promotion_details(application: str, release: str, passage: Passage, ignored: str = "") -> str:
    """Markdown: where the promotion stands, a table of its stages, the next words.

    `ignored` is what was said last by a signal, and why it was not heard.
    """
    lines = [f"**{application} {release}**: **{passage.state}** at {passage.stage.environment}"]
    if passage.told:
        lines.append(f"\n{plain(passage.told)}")
    head = ["stage", "state", "deployment", "since"]
    lines += ["", *columns_of(head, *(_row(stage) for stage in passage.stages))]
    if ignored:
        lines.append(f"\n{plain(ignored)}")
    if words := [word for word in WORDS if passage.refusal(word) is None]:
        lines.append(f"\n{next_words(words)}")
    return "\n".join(lines)


def _row(stage: StageProgress) -> list[str]:
    approved = f", approved by {plain(stage.approved_by)}" if stage.approved_by else ""
    since = f"{stage.since:%d %b %H:%M} UTC".replace(" ", SPACE) if stage.since else "·"
    return [stage.environment, f"{stage.state}{approved}", _deployment(stage), since]


def _deployment(stage: StageProgress) -> str:
    if not stage.workflow_id:
        return "·"
    page = f"/namespaces/{{namespace}}/workflows/{quote(stage.workflow_id, safe='')}"
    return f"[{stage.deployment or 'under way'}]({page})"
