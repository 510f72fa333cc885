"""Charts as inline SVG: plain shapes and text, readable at the width of a phone.

Every chart is drawn in its own 360 units of width and shown at 460 pixels at most, so that its text
stays about as large as the page's. Nothing is told by colour alone: series differ in dashes and
markers too, and what was not shown is drawn hollow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

# Okabe and Ito, "Color Universal Design" (2008, jfly.uni-koeln.de/color): told apart with the
# common forms of colour blindness. Without yellow, which is too light for lines on white.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#222222", "#8a8a8a"
SERIES_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
_MARKERS = ("circle", "square", "diamond", "triangle")

WIDTH = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 20, 12, 40
_LABELS = 128
_ROW = 24


@dataclass(frozen=True, slots=True)
class Point:
    """A value at a place, with the ends of its interval where they are known."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together, in the order of x."""

    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class ForestRow:
    """An effect: its interval, and the smallest effect that would have been found."""

    label: str
    value: float
    low: float | None
    high: float | None
    detectable: float | None
    shown: bool


def line_chart(
    series: Sequence[Series], *, x_label: str, y_label: str, title: str, zero: bool = True
) -> str:
    """Returns lines with bands, and a legend below where there is more than one."""
    height = 210
    points = [point for one in series for point in one.points]
    xs = _ticks([point.x for point in points], pad=False)
    ys = _ticks(_extremes(points) + ([0.0] if zero else []))
    x_at, y_at = _scale(xs, _LEFT, WIDTH - _RIGHT), _scale(ys, height - _BOTTOM, _TOP)
    parts = _axes(xs, ys, x_at, y_at, height, x_label, y_label)
    for number, one in enumerate(series):
        colour = SERIES_COLOURS[number % len(SERIES_COLOURS)]
        dash = _DASHES[number // 2 % len(_DASHES)]
        band = [point for point in one.points if point.low is not None and point.high is not None]
        if len(band) > 1:
            edge = [(point.x, point.high) for point in band]
            edge += [(point.x, point.low) for point in reversed(band)]
            corners = " ".join(f"{x_at(x):.1f},{y_at(y or 0):.1f}" for x, y in edge)
            parts.append(f'<polygon points="{corners}" fill="{colour}" opacity="0.16"/>')
        line = " ".join(f"{x_at(point.x):.1f},{y_at(point.y):.1f}" for point in one.points)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
        )
        parts.extend(
            _marker(number, x_at(point.x), y_at(point.y), colour, filled=True)
            for point in one.points
        )
    legend = _legend([one.label for one in series]) if len(series) > 1 else ""
    return _figure(title, parts, height, legend)


def forest_plot(rows: Sequence[ForestRow], *, x_label: str, title: str) -> str:
    """Returns effects with intervals, one a row; ticks mark the smallest detectable effect."""
    height = _TOP + _ROW * len(rows) + _BOTTOM
    ends = [0.0]
    for row in rows:
        ends += [row.value, *(end for end in (row.low, row.high) if end is not None)]
        if row.detectable is not None:
            ends += [row.detectable, -row.detectable]
    xs = _ticks(ends, count=4)
    x_at = _scale(xs, _LABELS, WIDTH - _RIGHT)
    floor = height - _BOTTOM
    parts = [_tick_mark(x_at(x), _TOP, floor, _number(x, xs)) for x in xs]
    parts.append(
        f'<line x1="{x_at(0):.1f}" x2="{x_at(0):.1f}" y1="{_TOP}" y2="{floor}" stroke="{BLACK}"/>'
    )
    for number, row in enumerate(rows):
        y = _TOP + _ROW * (number + 0.5)
        colour = GREY if not row.shown else (BLUE if row.value > 0 else VERMILION)
        parts.append(f'<text x="0" y="{y + 4:.1f}">{escape(row.label)}</text>')
        if row.low is not None and row.high is not None:
            parts.append(
                f'<line x1="{x_at(row.low):.1f}" x2="{x_at(row.high):.1f}" y1="{y:.1f}" '
                f'y2="{y:.1f}" stroke="{colour}" stroke-width="2.5"/>'
            )
        for sign in (-1, 1) if row.detectable is not None else ():
            x = x_at(sign * (row.detectable or 0))
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 6:.1f}" y2="{y + 6:.1f}" '
                f'stroke="{GREY}" stroke-dasharray="2 2"/>'
            )
        parts.append(_marker(0, x_at(row.value), y, colour, filled=row.shown))
    parts.append(_caption((_LABELS + WIDTH - _RIGHT) / 2, height - 6, x_label))
    return _figure(title, parts, height, "")


def scatter(series: Sequence[Series], *, x_label: str, y_label: str, title: str) -> str:
    """Returns paths through a plane, their points numbered in order, with a legend below."""
    height = 270
    points = [point for one in series for point in one.points]
    xs = _ticks([*(point.x for point in points), 0.0])
    ys = _ticks([*(point.y for point in points), 0.0])
    x_at, y_at = _scale(xs, _LEFT, WIDTH - _RIGHT), _scale(ys, height - _BOTTOM, _TOP)
    parts = _axes(xs, ys, x_at, y_at, height, x_label, y_label)
    parts.append(
        f'<line x1="{x_at(0):.1f}" x2="{x_at(0):.1f}" y1="{_TOP}" y2="{height - _BOTTOM}" '
        f'stroke="{BLACK}"/>'
    )
    for number, one in enumerate(series):
        colour = SERIES_COLOURS[number % len(SERIES_COLOURS)]
        line = " ".join(f"{x_at(point.x):.1f},{y_at(point.y):.1f}" for point in one.points)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5" '
            f'stroke-dasharray="{_DASHES[number % len(_DASHES)]}"/>'
        )
        for place, point in enumerate(one.points, 1):
            parts.append(_marker(number, x_at(point.x), y_at(point.y), colour, filled=True))
            if len(one.points) > 1:
                parts.append(
                    f'<text x="{x_at(point.x) + 7:.1f}" y="{y_at(point.y) - 5:.1f}" '
                    f'class="small">{place}</text>'
                )
    return _figure(title, parts, height, _legend([one.label for one in series]))


def diverging(value: float, most: float) -> tuple[str, str]:
    """Returns background and text colour: blue above 0, vermilion below, white at 0."""
    share = 0.0 if most == 0 else max(-1.0, min(1.0, value / most))
    end = (0, 114, 178) if share > 0 else (213, 94, 0)
    mixed = [round(255 + (channel - 255) * abs(share)) for channel in end]
    return "#{:02x}{:02x}{:02x}".format(*mixed), "#ffffff" if abs(share) > 0.62 else BLACK


def _figure(title: str, parts: Sequence[str], height: float, legend: str) -> str:
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {height:.0f}" '
        f'role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>{legend}</figure>'
    )


def _legend(labels: Sequence[str]) -> str:
    entries = []
    for number, label in enumerate(labels):
        colour = SERIES_COLOURS[number % len(SERIES_COLOURS)]
        mark = _marker(number, 8, 8, colour, filled=True)
        entries.append(
            f'<li><svg viewBox="0 0 16 16" class="key" aria-hidden="true">{mark}</svg>'
            f"{escape(label)}</li>"
        )
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _marker(number: int, x: float, y: float, colour: str, *, filled: bool) -> str:
    style = f'fill="{colour if filled else "#ffffff"}" stroke="{colour}" stroke-width="1.6"'
    shape = _MARKERS[number % len(_MARKERS)]
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" {style}/>'
    if shape == "square":
        return f'<rect x="{x - 3.4:.1f}" y="{y - 3.4:.1f}" width="6.8" height="6.8" {style}/>'
    corners = {
        "diamond": ((0, -4.8), (4.8, 0), (0, 4.8), (-4.8, 0)),
        "triangle": ((0, -4.6), (4.4, 3.6), (-4.4, 3.6)),
    }[shape]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" {style}/>'


def _axes(
    xs: Sequence[float],
    ys: Sequence[float],
    x_at: "_Scale",
    y_at: "_Scale",
    height: float,
    x_label: str,
    y_label: str,
) -> list[str]:
    floor = height - _BOTTOM
    parts = [_tick_mark(x_at(x), _TOP, floor, _number(x, xs)) for x in xs]
    for y in ys:
        colour = BLACK if y == 0 else "#e3e3e3"
        parts.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y_at(y):.1f}" y2="{y_at(y):.1f}" '
            f'stroke="{colour}"/><text x="{_LEFT - 6}" y="{y_at(y) + 4:.1f}" '
            f'text-anchor="end" class="small">{_number(y, ys)}</text>'
        )
    parts.append(_caption((_LEFT + WIDTH - _RIGHT) / 2, height - 6, x_label))
    middle = (_TOP + floor) / 2
    parts.append(
        f'<text x="11" y="{middle:.1f}" text-anchor="middle" class="small" '
        f'transform="rotate(-90 11 {middle:.1f})">{escape(y_label)}</text>'
    )
    return parts


def _tick_mark(x: float, top: float, floor: float, label: str) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{floor}" stroke="#f0f0f0"/>'
        f'<text x="{x:.1f}" y="{floor + 14:.1f}" text-anchor="middle" class="small">{label}</text>'
    )


def _caption(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" class="small">{escape(text)}</text>'


class _Scale:
    """From values to places, linear."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._span = low, (high - low) or 1.0
        self._start, self._length = start, end - start

    def __call__(self, value: float) -> float:
        """Returns the place of a value."""
        return self._start + (value - self._low) / self._span * self._length


def _scale(ticks: Sequence[float], start: float, end: float) -> _Scale:
    return _Scale(ticks[0], ticks[-1], start, end)


def _extremes(points: Sequence[Point]) -> list[float]:
    ends = [point.y for point in points]
    ends += [end for point in points for end in (point.low, point.high) if end is not None]
    return ends


def _ticks(values: Sequence[float], count: int = 5, *, pad: bool = True) -> list[float]:
    """Returns round numbers from below the smallest value to above the largest."""
    low, high = min(values), max(values)
    if low == high:
        low, high = (low - 1, high + 1) if pad else (low, high + 1)
    rough = (high - low) / max(count - 1, 1)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _number(value: float, ticks: Sequence[float]) -> str:
    if max(abs(tick) for tick in ticks) >= 1000:
        for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
            if max(abs(tick) for tick in ticks) >= size:
                return f"{value / size:g}{unit}" if value else "0"
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step * 10**digits, 6) != round(step * 10**digits):
        digits += 1
    return f"{value:.{digits}f}".replace("-", "−") if abs(value) > 1e-12 else "0"
