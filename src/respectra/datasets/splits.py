"""Which scenes train, which select and which judge: the official splits, and splits by scene.

Sources: the challenge report (Arad et al. 2020); the file lists of the released code of AWAN
(validation and test scenes, and the image it calls bad) and of the MST++ toolbox (the 897 training
scenes of 2022); the ARAD_1K description (900, 50 and 50 scenes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from respectra.datasets.scenes import Collection, Scene
from respectra.errors import ConfigError, DataError, unknown_name

#: The shares of a split by scene, unless others are given.
DEFAULT_SHARES: Mapping[str, float] = MappingProxyType(
    {"train": 0.8, "validation": 0.1, "test": 0.1}
)


@dataclass(frozen=True)
class OfficialSplit:
    """A published division of a data set into named parts."""

    layout: str
    source: str
    parts: Mapping[str, tuple[str, ...]]
    """Names of the scenes of each part."""
    bad: Mapping[str, str] = field(default_factory=dict)
    """Scenes that those who published results left out, and what is known of why."""


def _names(prefix: str, numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple(f"{prefix}_{number:04d}" for number in numbers)


_ARAD_HS_BAD = {
    "ARAD_HS_0340": "AWAN's preparation skips it as a bad image, which leaves 449 to train on"
}
_ARAD_1K_BAD = dict.fromkeys(
    _names("ARAD_1K", (314, 340, 531)),
    "missing from the MST++ toolbox's training list, which leaves 897 of 900",
)

_OFFICIAL = {
    split.layout: split
    for split in (
        OfficialSplit(
            layout="arad-2020",
            source="NTIRE 2020: 450 scenes to train on, and those used in the online phases",
            parts={
                "train": tuple(
                    n for n in _names("ARAD_HS", range(1, 451)) if n not in _ARAD_HS_BAD
                ),
                "validation": _names("ARAD_HS", (451, 453, 455, 456, 457, 459, 462, 463, 464, 465)),
                "test-clean": _names("ARAD_HS", (466, 468, 471, 473, 476, 478, 497, 499, 508, 512)),
                "test-real-world": _names(
                    "ARAD_HS", (470, 477, 479, 485, 486, 490, 496, 498, 501, 502)
                ),
            },
            bad=_ARAD_HS_BAD,
        ),
        OfficialSplit(
            layout="arad-1k",
            source="NTIRE 2022: 900 scenes to train on, 50 to validate, 50 without published truth",
            parts={
                "train": tuple(
                    n for n in _names("ARAD_1K", range(1, 901)) if n not in _ARAD_1K_BAD
                ),
                "validation": _names("ARAD_1K", range(901, 951)),
                "test": _names("ARAD_1K", range(951, 1001)),
            },
            bad=_ARAD_1K_BAD,
        ),
    )
}


def official_split(layout: str) -> OfficialSplit:
    """The published split of a layout.

    Raises:
        ConfigError: nothing is published for it.

    Example:
        >>> type(official_split(list_official_splits()[0])).__name__
        'OfficialSplit'
    """
    if layout not in _OFFICIAL:
        raise unknown_name("official split", layout, _OFFICIAL)
    return _OFFICIAL[layout]


def list_official_splits() -> list[str]:
    """Layouts that have a published split.

    Example:
        >>> list_official_splits()
        ['arad-2020', 'arad-1k']
    """
    return list(_OFFICIAL)


def split_officially(collection: Collection) -> dict[str, Collection]:
    """The parts of the published split that the collection has scenes of; bad ones are left out.

    Raises:
        ConfigError: nothing is published for the collection's layout.
        DataError: none of the published scenes is there.

    Example:
        >>> import respectra as rs
        >>> from respectra.datasets.still_life import still_life
        >>> rs.save_cube(still_life(32, 32), "cubes/a.npz")
        >>> try:
        ...     split_officially(rs.open_collection("cubes"))
        ... except rs.RespectraError as error:
        ...     type(error).__name__
        'ConfigError'
    """
    split = official_split(collection.layout)
    there = {scene.name for scene in collection}
    parts = {
        part: collection.select(tuple(name for name in names if name in there))
        for part, names in split.parts.items()
        if there.intersection(names)
    }
    if not parts:
        raise DataError(
            f"{collection.name} holds none of the scenes of the official split "
            f"({split.source}); split it by scene instead"
        )
    return parts


def split_by_scene(
    collection: Collection, shares: Mapping[str, float] | None = None, *, seed: int = 0
) -> dict[str, Collection]:
    """Divide at random, so that files of one physical scene fall in one part.

    Args:
        collection: what to divide; known bad scenes are left out.
        shares: share of the scene groups in each part, summing to 1; 80, 10 and 10 % by default.
        seed: the same seed and the same names give the same split, on any machine.

    Returns:
        the parts that got scenes, in the order of ``shares``; every part with a positive share
        gets one when there are groups enough.

    Raises:
        ConfigError: shares that are negative or do not sum to 1, or a negative seed.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> for name in "abcd":
        ...     cube = rs.make_cube(np.full((32, 32, 31), 0.5), range(400, 701, 10))
        ...     rs.save_cube(cube, f"cubes/{name}.npz")
        >>> parts = split_by_scene(rs.open_collection("cubes"), {"train": 0.5, "test": 0.5})
        >>> {name: len(part) for name, part in parts.items()}
        {'train': 2, 'test': 2}
    """
    wanted = dict(DEFAULT_SHARES if shares is None else shares)
    total = sum(wanted.values())
    if not wanted or min(wanted.values()) < 0 or abs(total - 1) > 1e-6 or seed < 0:
        raise ConfigError(
            f"shares are not negative and sum to 1, and the seed is not negative; "
            f"got {wanted}, seed {seed}"
        )
    groups: dict[str, list[Scene]] = {}
    for scene in sorted(collection, key=lambda s: s.name):
        if not scene.bad:
            groups.setdefault(scene.group, []).append(scene)
    order = np.random.default_rng(seed).permutation(np.array(sorted(groups), dtype=object))
    counts = _whole_shares(list(wanted.values()), len(order))
    parts: dict[str, Collection] = {}
    start = 0
    for part, count in zip(wanted, counts, strict=True):
        chosen = sorted(order[start : start + count].tolist())
        start += count
        names = tuple(scene.name for group in chosen for scene in groups[group])
        if names:
            parts[part] = collection.select(names)
    return parts


def _whole_shares(shares: list[float], count: int) -> list[int]:
    """Whole numbers that sum to ``count`` and lie near the shares; none that is positive is 0."""
    least = [int(share > 0) for share in shares]
    if sum(least) > count:  # too few groups: the first parts get one each
        return [int(k < count and share > 0) for k, share in enumerate(shares)]
    ideal = [share * count for share in shares]
    whole = [max(low, int(value)) for low, value in zip(least, ideal, strict=True)]
    while sum(whole) != count:
        step = 1 if sum(whole) < count else -1
        gaps = [step * (value - have) for value, have in zip(ideal, whole, strict=True)]
        allowed = [k for k in range(len(whole)) if step > 0 or whole[k] > least[k]]
        whole[max(allowed, key=lambda k: gaps[k])] += step
    return whole
