"""HTML and SVG that cannot be broken by what they say: all text is escaped unless it is markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from markupsafe import Markup, escape

__all__ = ["Attributes", "Child", "Markup", "join", "number", "tag"]

Child: TypeAlias = str | Iterable["Child"] | None
Attributes: TypeAlias = Mapping[str, str | float | bool | None]

#: Elements without an end.
_VOID = frozenset({"meta", "img", "br", "hr", "wbr"})


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
