"""Scores of many scenes, and their means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from respectra.errors import DataError


@dataclass
class ScoreTable:
    """Scores by scene; its totals are means over scenes, each scene counting the same.

    Attributes:
        rows: scene -> metric -> score, in the order in which they were added.

    Example:
        >>> table = ScoreTable()
        >>> table.add("a", {"mrae": 0.04})
        >>> table.add("b", {"mrae": 0.06})
        >>> table.mean()
        {'mrae': 0.05}
    """

    rows: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, scene: str, scores: Mapping[str, float]) -> None:
        """Add the scores of one scene.

        Raises:
            DataError: the scene is there already, other metrics than the scenes before, or NaN.
        """
        if scene in self.rows:
            raise DataError(f"Expected each scene once, got {scene!r} again")
        if self.rows:
            expected = list(next(iter(self.rows.values())))
            if set(scores) != set(expected):
                raise DataError(
                    f"Expected the metrics {', '.join(expected)} for scene {scene!r}, "
                    f"got {', '.join(scores) or 'none'}"
                )
        broken = [name for name, value in scores.items() if math.isnan(value)]
        if broken:
            raise DataError(f"Expected numbers for scene {scene!r}, got NaN as {', '.join(broken)}")
        self.rows[scene] = dict(scores)

    def merge(self, others: Iterable[ScoreTable]) -> ScoreTable:
        """A new table with the scenes of this one and of others, such as other processes' shares.

        Raises:
            DataError: as `add`.
        """
        merged = ScoreTable()
        for table in (self, *others):
            for scene, scores in table.rows.items():
                merged.add(scene, scores)
        return merged

    def mean(self) -> dict[str, float]:
        """Mean over scenes of each metric, as the challenge ranks.

        Raises:
            DataError: there are no scenes.
        """
        if not self.rows:
            raise DataError("Expected the scores of one scene or more, got none")
        columns = next(iter(self.rows.values()))
        return {
            name: math.fsum(row[name] for row in self.rows.values()) / len(self.rows)
            for name in columns
        }
