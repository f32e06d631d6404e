"""Draws what was measured as an SVG picture: one small bar chart for each job.

The picture needs no fonts and no scripts, and has a light and a dark form that follow the reader's setting, each with a
background of its own, so it can stand on any page.
"""

from collections.abc import Sequence
from html import escape

import attrs

from .jobs import Job, Mode
from .report import Row
from .servers import FLOOR, OURS, Peer

COLUMNS = 2
PANEL_WIDTH = 480
BAR_HEIGHT = 15
BAR_STEP = 21
NAME_WIDTH = 172
VALUE_WIDTH = 74
HEAD = 46
GAP = 28
MARGIN = 24

STYLE = """
  .page { fill: #ffffff; } .title { fill: #1b1f24; font-weight: 600; } .unit { fill: #57606a; }
  .name, .value { fill: #1b1f24; } .bar { fill: #a9b4c0; } .ours { fill: #0b6bcb; }
  .axis { stroke: #8c959f; } .mine { font-weight: 600; }
  .none { fill: #57606a; font-style: italic; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #161b22; } .title { fill: #f0f6fc; } .unit { fill: #9ea7b3; }
    .name, .value { fill: #f0f6fc; } .bar { fill: #57626f; } .ours { fill: #4aa3ff; }
    .axis { stroke: #7d8590; } .none { fill: #9ea7b3; }
  }
"""


@attrs.frozen
class Bar:
    """One line of a small chart."""

    name: str
    value: float | None
    """None where there is nothing to show."""

    text: str


@attrs.frozen
class Panel:
    """One small chart."""

    title: str
    unit: str
    bars: list[Bar]

    @property
    def height(self) -> int:
        return HEAD + len(self.bars) * BAR_STEP


def draw(rows: Sequence[Row], jobs: Sequence[Job], peers: Sequence[Peer]) -> str:
    """Return an SVG document with a small chart for each job, the best on top. The floor would dwarf some of them."""
    names = [peer.name for peer in peers if peer.name != FLOOR]
    panels = [_panel(job, [row for row in rows if row.job == job.name and row.peer in names]) for job in jobs]
    height = MARGIN
    body: list[str] = []
    for start in range(0, len(panels), COLUMNS):
        line = panels[start : start + COLUMNS]
        for number, panel in enumerate(line):
            body += _draw_panel(panel, MARGIN + number * (PANEL_WIDTH + GAP), height)
        height += max(panel.height for panel in line) + GAP
    width = 2 * MARGIN + COLUMNS * PANEL_WIDTH + (COLUMNS - 1) * GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, -apple-system, \'Segoe UI\', \'DejaVu Sans\', sans-serif" font-size="13" role="img">'
    )
    about = "<title>What the benchmarks measured, a bar chart for each job; the same numbers are in the tables</title>"
    background = f'<rect class="page" width="{width}" height="{height}" rx="8"/>'
    return "\n".join([head, about, f"<style>{STYLE}</style>", background, *body, "</svg>"]) + "\n"


def _panel(job: Job, rows: Sequence[Row]) -> Panel:
    idle = job.mode is Mode.IDLE
    bars = [_bar(row, idle=idle) for row in rows]
    order = sorted(bars, key=lambda bar: (bar.value is None, (bar.value or 0) * (1 if idle else -1)))
    if idle:
        unit = "KiB of resident memory for each connection, less is better"
    elif job.mode is Mode.CONNECT:
        unit = "clients per second"
    else:
        unit = "messages received per second"
    return Panel(job.title[0].upper() + job.title[1:], unit, order)


def _bar(row: Row, *, idle: bool) -> Bar:
    if row.median is None:
        return Bar(row.peer, None, "fails")
    if row.stalled:
        return Bar(row.peer, None, "stalled")
    value = row.median.connection_bytes / 1024 if idle and row.median.connection_bytes else row.median.rate
    if value is None:
        return Bar(row.peer, None, "not measured")
    number = f"{value:,.1f}" if idle else f"{value:,.0f}"
    return Bar(row.peer, value, f"≥ {number}" if row.generator_bound else number)


def _draw_panel(panel: Panel, x: int, y: int) -> list[str]:
    longest = max((bar.value for bar in panel.bars if bar.value is not None), default=0) or 1
    room = PANEL_WIDTH - NAME_WIDTH - VALUE_WIDTH
    bars_x = x + NAME_WIDTH
    lines = [
        f'<text class="title" x="{x}" y="{y + 14}" font-size="14">{escape(panel.title)}</text>',
        f'<text class="unit" x="{x}" y="{y + 32}" font-size="12">{escape(panel.unit)}</text>',
        f'<line class="axis" x1="{bars_x}" x2="{bars_x}" y1="{y + HEAD - 4}" y2="{y + panel.height - 2}"/>',
    ]
    for number, bar in enumerate(panel.bars):
        top = y + HEAD + number * BAR_STEP
        base = top + BAR_HEIGHT - 3
        mine = " mine" if bar.name == OURS else ""
        length = (bar.value or 0) / longest * room
        lines.append(
            f'<text class="name{mine}" x="{bars_x - 8}" y="{base}" text-anchor="end">{escape(bar.name)}</text>'
        )
        if bar.value is not None:
            kind = "bar ours" if mine else "bar"
            lines.append(f'<rect class="{kind}" x="{bars_x}" y="{top}" width="{length:.1f}" height="{BAR_HEIGHT}"/>')
        kind = "value" if bar.value is not None else "none"
        text_x = bars_x + length + 6
        lines.append(f'<text class="{kind}{mine}" x="{text_x:.1f}" y="{base}">{escape(bar.text)}</text>')
    return lines
