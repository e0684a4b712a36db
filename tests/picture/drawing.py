"""Draws the widgets of a dashboard as one SVG. It has its own background, so it looks the same on a dark page."""

import math
from datetime import UTC, datetime
from html import escape

from picture.dashboard import Line, Widget

COLUMN, ROW, GAP = 40, 36, 5  # pixels of the dashboard's grid, and around a widget
TEXT_WIDTH, TEXT_HEIGHT = 5.2, 14  # pixels: the average width of a character, and the distance of two lines
LEFT, TOP, RIGHT = 42, 30, 20  # of a chart in its widget
DASHES = 16  # pixels: the length of a line in the legend
COLORS = (
    "#1f77b4", "#d95f02", "#2ca02c", "#c2185b", "#7b52ab", "#8c564b", "#00838f", "#9e9d24",
    "#616161", "#ff9800", "#00c853", "#1a237e",
)  # fmt: skip
CAP_COLORS = ("#d32f2f", "#6a1b9a")
STATES = {"OK": "#2e7d32", "ALARM": "#d32f2f", "INSUFFICIENT_DATA": "#757575"}
STYLE = (
    "text{font:10px Helvetica,Arial,sans-serif;fill:#333}.t{font-weight:bold;font-size:12px}.e{text-anchor:end}"
    ".m{text-anchor:middle}.g{stroke:#e0e0e0}path{fill:none;stroke-width:1.5}.c{stroke-dasharray:5 3}"
)


def draw(widgets: list[Widget]) -> str:
    """Return the SVG of the widgets, each at its place on the grid."""
    width = max(widget.place.x + widget.place.width for widget in widgets) * COLUMN
    height = max(widget.place.y + widget.place.height for widget in widgets) * ROW
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#eceff1"/>',
        *(part for widget in widgets for part in draw_widget(widget)),
        "</svg>\n",
    ])  # fmt: skip


def draw_widget(widget: Widget) -> list[str]:
    """Return the parts of a widget: its frame, its title, and its table or chart."""
    place = widget.place
    width, height = place.width * COLUMN - 2 * GAP, place.height * ROW - 2 * GAP
    content = draw_rows(widget, width, height) if widget.rows else draw_chart(widget, width, height)
    return [
        f'<g transform="translate({place.x * COLUMN + GAP} {place.y * ROW + GAP})">',
        f'<rect width="{width}" height="{height}" rx="4" fill="#fff"/>',
        text(10, 18, widget.title, "t"),
        *content,
        "</g>",
    ]


def draw_rows(widget: Widget, width: int, height: int) -> list[str]:
    """Return a table. It has as many columns as it needs; an alarm's state is a color and a sign."""
    per_column = (height - TOP - 6) // TEXT_HEIGHT
    columns = math.ceil(len(widget.rows) / per_column)
    parts = []
    for number, (name, value) in enumerate(widget.rows):
        x = 10 + number // per_column * (width - 10) // columns
        y = TOP + 14 + number % per_column * TEXT_HEIGHT
        if value in STATES:
            parts.append(f'<rect x="{x}" y="{y - 8}" width="9" height="9" rx="2" fill="{STATES[value]}"/>')
            parts.append(text(x + 14, y, name if value == "OK" else f"{name}: {value}"))
        else:
            parts += [text(x, y, name), text(x + 200, y, value, "e")]
    return parts


class Axes:
    """The axes of a chart: time to the right, values up from zero."""

    def __init__(self, widget: Widget, right: int, bottom: int) -> None:
        self._start, self._end, self._right, self._bottom = widget.start, widget.end, right, bottom
        values = [value for line in widget.lines for value in line.values.values()]
        highest = max([*values, *widget.caps.values(), 1])
        self._step = tick_step(highest)
        self._top = self._step * math.ceil(highest / self._step)

    def x(self, time: float) -> float:
        """Return the place of a time in seconds."""
        return round(LEFT + (time - self._start) / (self._end - self._start) * (self._right - LEFT), 1)

    def y(self, value: float) -> float:
        """Return the place of a value."""
        return round(self._bottom - value / self._top * (self._bottom - TOP), 1)

    def path(self, value: float) -> str:
        """Return the path of a horizontal line."""
        return f"M{LEFT} {self.y(value)}H{self._right}"

    def draw(self) -> list[str]:
        """Return the horizontal lines, and the texts of both axes."""
        values = [number * self._step for number in range(round(self._top / self._step) + 1)]
        times = range(round(self._start), round(self._end) + 1, 300)
        hours = [(self.x(time), f"{datetime.fromtimestamp(time, UTC):%H:%M}") for time in times]
        return [
            *(f'<path class="g" d="{self.path(value)}"/>' for value in values),
            *(text(LEFT - 5, self.y(value) + 3.5, number_text(value), "e") for value in values),
            *(text(x, self._bottom + 14, hour, "m") for x, hour in hours),
        ]


def draw_chart(widget: Widget, width: int, height: int) -> list[str]:
    """Return a chart with its axes, its caps, its lines and its legend."""
    legend, legend_height = draw_legend(widget, width, height)
    axes = Axes(widget, width - RIGHT, height - legend_height - 22)
    parts = axes.draw()
    for cap, color in zip(widget.caps.values(), CAP_COLORS):
        parts.append(f'<path class="c" stroke="{color}" d="{axes.path(cap)}"/>')
    for line, color in zip(widget.lines, COLORS):
        for run in runs(line):
            points = "L".join(f"{axes.x(time)} {axes.y(value)}" for time, value in run)
            parts.append(f'<path stroke="{color}" d="M{points}"/>' if len(run) > 1 else dot(points, color))
    return parts + legend


def draw_legend(widget: Widget, width: int, height: int) -> tuple[list[str], int]:
    """Return the legend at the widget's bottom, and its height."""
    entries = [(line.label, color, "") for line, color in zip(widget.lines, COLORS)]
    entries += [(label, color, ' class="c"') for label, color in zip(widget.caps, CAP_COLORS)]
    parts, x, row = [], 10.0, 0
    for label, color, style in entries:
        needed = DASHES + 4 + len(label) * TEXT_WIDTH + 10
        if x + needed > width and x > 10:
            x, row = 10.0, row + 1
        y = row * TEXT_HEIGHT
        parts.append(f'<path{style} stroke="{color}" d="M{x:.0f} {y - 3}h{DASHES}"/>')
        parts.append(text(x + DASHES + 4, y, label))
        x += needed
    return [f'<g transform="translate(0 {height - 8 - row * TEXT_HEIGHT})">', *parts, "</g>"], (row + 1) * TEXT_HEIGHT


def runs(line: Line) -> list[list[tuple[float, float]]]:
    """Return the points of a line, divided where a minute has no data."""
    parts: list[list[tuple[float, float]]] = []
    for time, value in sorted(line.values.items()):
        if not parts or time - parts[-1][-1][0] > 60:
            parts.append([])
        parts[-1].append((time, value))
    return parts


def dot(point: str, color: str) -> str:
    """Return the mark of a minute without neighbours."""
    x, y = point.split()
    return f'<circle cx="{x}" cy="{y}" r="2" fill="{color}"/>'


def tick_step(top: float) -> float:
    """Return the distance of an axis's ticks: 1, 2 or 5 times a power of ten, for four ticks at most."""
    power = 10 ** math.floor(math.log10(top / 4))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power * 4 >= top)


def number_text(value: float) -> str:
    """Return a short text of a number, as in 1.5M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def text(x: float, y: float, content: str, kind: str = "") -> str:
    """Return a text, whose kind is a class of the style."""
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{style}>{escape(content, quote=False)}</text>'
