"""The card: what is known of a method, and where each piece of that knowledge comes from."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from respectra.config import Config


class Origin(StrEnum):
    """Where an architectural decision comes from.

    Example:
        >>> [origin.value for origin in Origin]
        ['published', "authors' code", 'our reading']
    """

    PUBLISHED = "published"
    """Stated in the challenge report or in a paper."""
    CODE = "authors' code"
    """Read from what the authors ran; preferred to the paper where the two differ."""
    READING = "our reading"
    """Not disclosed anywhere: a reasonable choice of ours, and labelled so wherever it shows."""


class Tiling(StrEnum):
    """How a large image may be cut up for a method. Each value carries its meaning.

    Example:
        >>> import respectra as rs
        >>> rs.get_card("hscnn-plus").tiling.value
        'exact with halo'
    """

    EXACT = "exact with halo"
    """Every output pixel sees a bounded neighbourhood: tiles with that halo give the same cube."""
    STATISTICS = "exact after a first pass"
    """Tiles agree once statistics of the whole image (means, white balance) are given to them."""
    NATIVE = "tiles of its own"
    """The method is defined on tiles of a fixed size; cutting there is the method."""
    APPROXIMATE = "approximate"
    """Every output pixel sees the whole image; overlapping tiles are blended and differ from it."""
    WHOLE = "whole image only"
    """Cutting changes the answer too much to be offered."""


class Decision(Config):
    """One architectural decision and where it comes from.

    Example:
        >>> import respectra as rs
        >>> rs.get_card("awan").decisions[0].origin.value
        'published'
    """

    what: str
    origin: Origin
    source: str = ""
    """Section of the report, paper, or repository and file."""

    @classmethod
    def published(cls, what: str, source: str) -> Decision:
        """Stated in the report or in a paper."""
        return cls(what=what, origin=Origin.PUBLISHED, source=source)

    @classmethod
    def code(cls, what: str, source: str) -> Decision:
        """Read from what the authors ran."""
        return cls(what=what, origin=Origin.CODE, source=source)

    @classmethod
    def reading(cls, what: str, source: str = "") -> Decision:
        """Not disclosed anywhere; ours."""
        return cls(what=what, origin=Origin.READING, source=source)


class Score(Config):
    """A score as its authors reported it, on their data; never compared with ours in one table.

    Example:
        >>> import respectra as rs
        >>> rs.get_card("awan").reported["clean"].mrae
        0.0301
    """

    mrae: float
    rmse: float | None = None


class Card(Config):
    """What is known of a method. Counts (parameters, GMAC) are computed, never typed here.

    Example:
        >>> import respectra as rs
        >>> card = rs.get_card("awan")
        >>> card.kind, card.year, card.team
        ('network', 2020, 'IPIC_SSR')
    """

    name: str
    """Name in the registry, lower case with hyphens."""
    title: str
    """Name as its authors write it."""
    kind: Literal["classical", "network"] = "network"
    summary: str
    """One or two plain sentences: what it does and when one would use it."""
    reference: str
    """Paper or report section."""
    team: str | None = None
    """Team in the NTIRE 2020 challenge; None for methods from elsewhere."""
    year: int
    rank: dict[Literal["clean", "real-world"], int] = Field(default_factory=dict)
    """Rank in the 2020 challenge by track."""
    reported: dict[Literal["clean", "real-world", "arad-1k"], Score] = Field(default_factory=dict)
    """Scores as published; ``arad-1k`` is the validation set of 2022 with its centre crop."""
    decisions: tuple[Decision, ...]
    """Where each part of the design comes from."""
    tiling: Tiling
    tiling_reason: str
    """One sentence: why this policy."""
    size_minimum: int = 1
    """Smallest height and width accepted, pixels."""
    size_multiple: int = 1
    """It works at heights and widths that are multiples of this; it pads and crops by itself."""
    native_tile: int | None = None
    """Side of its own tiles in pixels, for Tiling.NATIVE."""
    exports_onnx: bool = True
    memory_gb: float | None = None
    """Claim: peak CPU memory of one 482 x 512 frame at the published size, whole process, GB."""
    licence_note: str = ""
    """Licence of published weights, where some exist."""

    @property
    def origin(self) -> Origin:
        """The weakest origin among the decisions: one guess makes the whole a reading."""
        order = [Origin.PUBLISHED, Origin.CODE, Origin.READING]
        if any(d.origin is Origin.READING for d in self.decisions):
            return Origin.READING
        return max((d.origin for d in self.decisions), key=order.index, default=Origin.PUBLISHED)
