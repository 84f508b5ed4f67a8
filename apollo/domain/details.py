"""What the Temporal UI shows of a running deployment: a short text with waves × locations."""

from collections.abc import Iterable, Mapping

from apollo.domain.rollout import LocationCounts, Opened, Progress
from apollo.domain.status import DeploymentState


def deployment_details(
    opened: Opened, state: DeploymentState, detail: str, progress: Mapping[str, Progress]
) -> str:
    """Markdown: where the deployment stands, a table of waves × locations, the next words."""
    change = f"{opened.previous_release or 'nothing'} → {opened.release}"
    lines = [f"**{opened.label}** {change}: **{state}**"]
    if detail:
        lines.append(f"\n{_plain(detail)}")
    locations = list(opened.locations)
    lines += ["", f"| | {' | '.join(locations)} |", "|---" * (len(locations) + 1) + "|"]
    for title, counts in _rows(opened, progress.values()):
        cells = " | ".join(_cell(counts.get(location)) for location in locations)
        lines.append(f"| {title} | {cells} |")
    lines.append(f"\nSignals and updates: {', '.join(_words(state))}")
    return "\n".join(lines)


def _rows(
    opened: Opened, progress: Iterable[Progress]
) -> Iterable[tuple[str, dict[str, LocationCounts]]]:
    seen = list(progress)
    for wave in opened.waves:
        forward = [p for p in seen if p.phase == "forward" and p.wave == wave.number]
        yield f"wave {wave.number} ({wave.hosts} hosts)", _sum(forward)
    if back := [p for p in seen if p.phase == "rollback"]:
        yield "rollback", _sum(back)


def _sum(progress: Iterable[Progress]) -> dict[str, LocationCounts]:
    total: dict[str, LocationCounts] = {}
    for part in progress:
        for location, counts in part.locations.items():
            so_far = total.get(location, LocationCounts())
            total[location] = LocationCounts(
                ended=so_far.ended + counts.ended,
                failed=so_far.failed + counts.failed,
                unreachable=so_far.unreachable + counts.unreachable,
                out=so_far.out + counts.out,
            )
    return total


def _cell(counts: LocationCounts | None) -> str:
    if counts is None:
        return "·"
    parts = [f"{counts.ended} ended"]
    parts += [f"{counts.failed} failed"] if counts.failed else []
    parts += [f"{counts.unreachable} unreachable"] if counts.unreachable else []
    return ", ".join(parts)


def _words(state: DeploymentState) -> list[str]:
    if state is DeploymentState.PAUSED:
        return ["`resume`", "`abort`", "`rollback`"]
    if state is DeploymentState.AWAITING:
        return ["`approve`", "`abort`"]
    return ["`pause`", "`abort`", "`rollback`", "`pace`"]


def _plain(text: str) -> str:
    """Host-supplied text must not become markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "¦").replace("`", "'")
