"""Elements, and charts as SVG that follows the page's colours and needs no script.

All text is escaped unless it is markup: no name breaks the page. Every chart is drawn in its own
small coordinates and grows with its column. Lines and points carry a class a method (``m0``,
``m1``, ...), from which the page's style gives them colour and dashes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

__all__ = [
    "Child",
    "Markup",
    "Plot",
    "Scale",
    "join",
    "number",
    "plot",
    "show_value",
    "tag",
    "text",
]

Child: TypeAlias = str | Iterable["Child"] | None
Attributes: TypeAlias = Mapping[str, str | float | bool | None]
#: Elements without an end.
_VOID = frozenset({"meta", "img", "br", "hr", "wbr"})
#: Coordinates within a line are quarters of a unit: whole numbers are short.
_FINE = 4


def tag(name: str, attributes: Attributes | None = None, *children: Child) -> Markup:
    """An element.

    Args:
        name: of the element.
        attributes: True stands alone, None and False are left out, numbers are shortened.
        children: text, which is escaped; markup, which is not; None, which is nothing; or any of
            these in a row.
    """
    start = f"<{name}{_attributes(attributes or {})}>"
    return Markup(start if name in _VOID else f"{start}{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Children one after the other."""
    return Markup("".join(map(_text, children)))


def number(value: float) -> str:
    """A coordinate with at most one digit after the point: a tenth of a pixel is enough."""
    return f"{value:.1f}".removesuffix(".0")


def _text(child: Child) -> str:
    if child is None:
        return ""
    return escape(child) if isinstance(child, str) else join(child)


def _attributes(attributes: Attributes) -> str:
    parts = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        if value is True:
            parts.append(f" {name}")
        else:
            text = value if isinstance(value, str) else number(value)
            parts.append(f' {name}="{escape(text)}"')
    return "".join(parts)


@dataclass(frozen=True)
class Scale:
    """Values from ``low`` to ``high`` as coordinates from ``start`` to ``end``.

    Equal factors are equal distances where it is logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    @classmethod
    def over(
        cls,
        values: Iterable[float],
        start: float,
        end: float,
        *,
        logarithmic: bool = False,
        from_zero: bool = False,
        margin: float = 0.04,
    ) -> Scale:
        """A scale with room for all finite values (positive ones if logarithmic)."""
        kept = [v for v in values if math.isfinite(v) and (v > 0 or not logarithmic)]
        low, high = (min(kept), max(kept)) if kept else (1.0, 10.0)
        if logarithmic:
            if high / low < 2:
                middle = math.sqrt(low * high)
                low, high = min(low, middle / 1.6), max(high, middle * 1.6)
            room = (high / low) ** margin
            return cls(low / room, high * room, start, end, True)
        if from_zero:
            low = min(0.0, low)
        if high <= low:
            high = low + (abs(low) or 1.0)
        room = (high - low) * margin
        return cls(low if from_zero and low == 0 else low - room, high + room, start, end)

    def __call__(self, value: float) -> float:
        """The coordinate of a value; beyond the ends, the end."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values within the scale."""
        if self.logarithmic:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 2, 5), (1, 3), (1,)):
                found = [s * 10.0**d for d in decades for s in steps]
                found = [v for v in found if self.low <= v <= self.high]
                if len(found) <= most:
                    return found
            return found[:: -(-len(found) // most)]
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def show_value(value: float) -> str:
    """A value in three digits, without an exponent where it can be read without."""
    if not math.isfinite(value):
        return "–"
    if value != 0 and (abs(value) < 1e-4 or abs(value) >= 1e5):
        return f"{value:.2g}"
    text = f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}" if value else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True)
class Plot:
    """The field of a chart of some width and height, with its axes and their titles."""

    width: float
    height: float
    x: Scale
    y: Scale
    x_title: str = ""
    y_title: str = ""

    def axes(
        self,
        x_ticks: Sequence[tuple[float, str]] | None = None,
        y_ticks: Sequence[tuple[float, str]] | None = None,
    ) -> Markup:
        """Grid lines, values and titles."""
        bottom, left, right = self.y.start, self.x.start, self.x.end
        across = [(v, show_value(v)) for v in self.x.ticks()] if x_ticks is None else x_ticks
        up = [(v, show_value(v)) for v in self.y.ticks(5)] if y_ticks is None else y_ticks
        parts: list[Child] = [
            tag(
                "path",
                {
                    "class": "grid",
                    "d": "".join(
                        f"M{number(left)} {number(self.y(v))}H{number(right)}" for v, _ in up
                    ),
                },
            ),
            tag("path", {"class": "axis", "d": f"M{left:.1f} {bottom:.1f}H{right:.1f}"}),
        ]
        parts += [text(self.x(v), bottom + 15, label, "middle") for v, label in across]
        parts += [text(left - 5, self.y(v) + 4, label, "end") for v, label in up]
        if self.x_title:
            parts.append(text((left + right) / 2, bottom + 31, self.x_title, "middle", "title"))
        if self.y_title:
            parts.append(text(2, 11, self.y_title, "start", "title"))
        return join(parts)

    def line(
        self,
        xs: Sequence[float],
        ys: Sequence[float] | npt.NDArray[np.floating],
        kind: str,
        label: str = "",
    ) -> Markup:
        """A line through the points that are finite; broken where one is not."""
        path = ""
        last: tuple[int, int] | None = None
        for x, y in zip(xs, ys, strict=True):
            if not math.isfinite(y):
                last = None
                continue
            here = round(self.x(float(x)) * _FINE), round(self.y(float(y)) * _FINE)
            if last is None:
                path += f"M{here[0]} {here[1]}"
            else:
                dx, dy = here[0] - last[0], here[1] - last[1]
                path += f"l{dx}{'' if dy < 0 else ' '}{dy}"
            last = here
        title = tag("title", None, label) if label else None
        shape = {"class": f"line {kind}", "d": path, "transform": f"scale({1 / _FINE:g})"}
        return tag("path", shape, title)

    def bars(
        self, edges: Sequence[tuple[float, float]], heights: Sequence[float], kind: str
    ) -> Markup:
        """Bars from coordinate to coordinate."""
        base = self.y.start
        path = "".join(
            f"M{number(a)} {number(base)}V{number(self.y(h))}H{number(b)}V{number(base)}z"
            for (a, b), h in zip(edges, heights, strict=True)
            if h > 0
        )
        return tag("path", {"class": f"columns {kind}", "d": path})

    def figure(self, label: str, *content: Child, kind: str = "chart") -> Markup:
        """The chart; ``label`` says in words what it shows."""
        box = {"viewBox": f"0 0 {number(self.width)} {number(self.height)}"}
        return tag("svg", {"class": kind, **box, "role": "img", "aria-label": label}, content)


def plot(
    xs: Iterable[float],
    ys: Iterable[float],
    *,
    width: float = 360,
    height: float = 240,
    x_title: str = "",
    y_title: str = "",
    x_log: bool = False,
    y_log: bool = False,
    from_zero: bool = True,
    x_margin: float = 0.0,
) -> Plot:
    """A field with room for the values and for the titles of its axes."""
    left, right = 44, width - 14
    top, bottom = (22 if y_title else 8), height - (38 if x_title else 22)
    x = Scale.over(xs, left, right, logarithmic=x_log, margin=x_margin)
    room = 0.04 if from_zero else 0.12
    y = Scale.over(ys, bottom, top, logarithmic=y_log, from_zero=from_zero, margin=room)
    return Plot(width, height, x, y, x_title, y_title)


def text(
    x: float, y: float, content: str, anchor: str = "start", kind: str | None = None
) -> Markup:
    """Words at a place."""
    place = {"x": x, "y": y, "class": kind}
    return tag("text", {**place, "text-anchor": None if anchor == "start" else anchor}, content)
