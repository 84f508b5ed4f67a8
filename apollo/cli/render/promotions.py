"""Promotions, as a terminal and as JSON show them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from apollo.catalog.records import StoredPromotion
from apollo.cli.exits import promotion_exit_code
from apollo.cli.places import Place, application_here
from apollo.cli.render.marks import PENDING, promotion_mark, stage_mark
from apollo.cli.render.terminal import SCHEMA, Cell, columns, moment
from apollo.domain.promotion import PromotionState, StageProgress
from apollo.files.mistakes import one_line


def render_promotions(promotions: Sequence[StoredPromotion]) -> Iterator[Cell]:
    """One line each."""
    rows: list[Sequence[Cell]] = [("PROMOTION", "STAGE", "STATE", "SINCE", "NEXT")]
    rows += [
        (
            each.label,
            each.stage,
            promotion_mark(each.state).text(),
            moment(each.since),
            next_words(each)[0],
        )
        for each in promotions
    ]
    yield from columns(rows)


def render_stages(promotion: StoredPromotion) -> Iterator[Cell]:
    """How a promotion ended, or stands: its stages."""
    yield Text.assemble(f"{promotion.label}  ", promotion_mark(promotion.state).text())
    if promotion.detail:
        yield f"  {one_line(promotion.detail)}"
    rows = [
        (
            stage.environment,
            stage_mark(stage.state).text(),
            stage.deployment or "-",
            moment(stage.since),
            f"approved by {one_line(stage.approved_by)}" if stage.approved_by else "",
        )
        for stage in promotion.stages
    ]
    yield from columns(rows, indent="  ")


def render_changes(before: StoredPromotion | None, now: StoredPromotion) -> Iterator[Cell]:
    """One line with a time for each change."""
    known = before.stages if before else ()
    for index, stage in enumerate(now.stages):
        old = known[index] if index < len(known) else StageProgress(environment="")
        if stage.state != PENDING.word and (stage.state, stage.deployment) != (
            old.state,
            old.deployment,
        ):
            here = stage.environment == now.stage and not now.state.ended
            yield _line(now, stage, now.detail if here else stage.deployment)
    if now.state is PromotionState.HELD and (before is None or before.state is not now.state):
        line = Text(f"{moment(datetime.now(UTC))} {now.label} ")
        yield line.append_text(promotion_mark(now.state).text()).append(f" {one_line(now.detail)}")


def _line(promotion: StoredPromotion, stage: StageProgress, detail: str) -> Text:
    at = stage.since or promotion.since
    line = Text(f"{moment(at)} {promotion.label} {stage.environment} ")
    line.append_text(stage_mark(stage.state).text())
    return line.append(f": {one_line(detail)}" if detail else "")


def next_words(promotion: StoredPromotion) -> list[str]:
    """What to do now: commands as they are typed here."""
    place = Place(promotion.application, promotion.stage).word
    state = promotion.state
    if state is PromotionState.AWAITING:
        return [f"apollo approve {place}", f"apollo reject {place}"]
    if state is PromotionState.HELD:
        return [f"apollo resume {place}", f"apollo reject {place}"]
    if state is PromotionState.DEPLOYING:
        return [f"apollo watch {place}", f"apollo hold {place}"]
    if state in (PromotionState.STOPPED, PromotionState.ABORTED, PromotionState.LOST):
        return [_again(promotion)]
    if state.ended:
        return ["-"]
    return [f"apollo hold {place}", f"apollo reject {place}"]


def _again(promotion: StoredPromotion) -> str:
    """The command that begins again at the stage where it ended."""
    here = promotion.application == application_here()
    names = [stage.environment for stage in promotion.stages]
    index = names.index(promotion.stage) if promotion.stage in names else 0
    asked = promotion.request.get("from") or ""
    before = names[index - 1] if index else asked
    release = promotion.release if here else f"{promotion.application}/{promotion.release}"
    from_ = f" --from {before}" if before else ""
    to = f" --to {promotion.request['to']}" if promotion.request.get("to") else ""
    return f"apollo promote {release}{from_}{to}"


def promotion_json(promotion: StoredPromotion) -> dict[str, Any]:
    """A promotion as a JSON object."""
    state = promotion.state
    document = promotion.model_dump(
        mode="json", exclude={"request", "at_gate", "superseded_by", "run_id"}
    )
    return {
        "schema": SCHEMA,
        "label": promotion.label,
        **document,
        "ended": state.ended,
        "exit_code": promotion_exit_code(state) if state.ended else None,
        "next": [word for word in next_words(promotion) if word != "-"],
    }
