"""Draws a trace as it came in: who did what when, below whom."""

from html import escape

from tests.support.otlp import Span

WIDTH, LABELS, ROW, TOP = 1000, 250, 22, 34
COLOURS = {"deployment": "#1f4e79", "batch": "#2e75b6", "turn": "#5b9bd5"}
CLIENT, STEP, FAILED = "#7f7f7f", "#a5c8ec", "#c00000"


def picture(spans: list[Span]) -> str:
    """One SVG, which reads on light and on dark pages."""
    rows = list(_rows(spans, ""))
    begin = min(span.began for span, _ in rows)
    seconds = (max(span.ended for span, _ in rows) - begin) / 1e9
    scale = (WIDTH - LABELS - 70) / seconds
    height = TOP + ROW * len(rows) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *_axis(seconds, scale, height),
    ]
    for number, (span, depth) in enumerate(rows):
        parts += _bar(span, depth, TOP + number * ROW, begin, scale)
    return "\n".join([*parts, "</svg>", ""])


def _rows(spans: list[Span], parent: str, depth: int = 0) -> list[tuple[Span, int]]:
    found: list[tuple[Span, int]] = []
    for span in sorted(spans, key=lambda each: (each.began, each.id)):
        if span.parent == parent:
            found += [(span, depth), *_rows(spans, span.id, depth + 1)]
    return found


def _axis(seconds: float, scale: float, height: int) -> list[str]:
    step = next(each for each in (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60) if seconds / each <= 10)
    parts = []
    for number in range(int(seconds / step) + 1):
        x = round(LABELS + number * step * scale, 1)
        parts.append(f'<line x1="{x}" y1="22" x2="{x}" y2="{height}" stroke="#e0e0e0"/>')
        parts.append(f'<text x="{x}" y="16" fill="#606060">{number * step:g} s</text>')
    return parts


def _bar(span: Span, depth: int, y: int, begin: int, scale: float) -> list[str]:
    x = round(LABELS + (span.began - begin) / 1e9 * scale, 1)
    took = (span.ended - span.began) / 1e9
    width = max(2.0, round(took * scale, 1))
    colour = FAILED if span.failed else _colour(span)
    return [
        f'<g class="{escape(span.name)}"><title>{escape(_label(span))}: {took:.3f} s</title>',
        f'<text x="{10 + 16 * depth}" y="{y + 14}" fill="#202020">{escape(_label(span))}</text>',
        f'<rect x="{x}" y="{y + 3}" width="{width}" height="{ROW - 7}" rx="2" fill="{colour}"/>',
        f'<text x="{x + width + 4}" y="{y + 14}" fill="#606060">{took:.2f}</text></g>',
    ]


def _colour(span: Span) -> str:
    return COLOURS.get(span.name, STEP if "apollo.step" in span.attributes else CLIENT)


def _label(span: Span) -> str:
    told = span.attributes
    if span.name == "deployment":
        return f"deployment {told['apollo.deployment']}"
    if span.name == "batch":
        return f"wave {told['apollo.wave']}, batch {told['apollo.batch']}"
    if span.name == "turn":
        return f"turn of {span.host}"
    if told.get("apollo.ahead"):
        return f"{span.name} on {span.host}, ahead"
    return span.name if "apollo.step" in told else f"apollo {span.name} (client)"
