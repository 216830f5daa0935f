"""Blind mode: a folder of submitted cubes against truths that the submitter has not seen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from respectra.cubes import open_cube, wavelengths_of
from respectra.cubes.io import peek_cube
from respectra.datasets.collections import Collection
from respectra.errors import DataError, RespectraError
from respectra.evaluation.auxiliary import PhysicalConsistency, WeightedAccuracy, score
from respectra.evaluation.protocol import EvaluationOptions
from respectra.evaluation.scenes import evaluation_scenes_of, even
from respectra.storage import local_folder

#: The variable of a submitted file, as the challenge named it.
VARIABLE = "cube"
#: Of the name of a submitted file.
_SUFFIX = ".mat"
#: An unlimited network may fall a little below zero, an unscaled one far; cubes are within [0, 1],
#: those in 8 or 12 bits are not.
_LOWEST, _HIGHEST = -0.5, 2.0


@dataclass(frozen=True)
class SubmissionProblem:
    """Why a submission is refused.

    Attributes:
        file: name of the file.
        what: one sentence.
    """

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def validate_submission(
    folder: str | os.PathLike[str], truth: Collection
) -> tuple[SubmissionProblem, ...]:
    """Check a submission as a challenge's server does: names, shapes, NaN, range.

    Args:
        folder: one file a scene, named as the scene: ``ARAD_HS_0466.mat``; nothing else.
        truth: the scenes.

    Returns:
        Every problem found; empty for a good submission.

    Raises:
        DataError: there is no such folder.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> from pathlib import Path
        >>> from respectra.datasets.collections import open_collection
        >>> Path("truth").mkdir()
        >>> cube = rs.make_cube(np.full((32, 32, 31), 0.5), range(400, 701, 10))
        >>> rs.save_cube(cube, "truth/a.mat")
        >>> validate_submission("truth", open_collection("truth"))
        ()
    """
    root = local_folder(folder)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; give the folder of submitted cubes")
    expected = {f"{scene.name}{_SUFFIX}": scene for scene in truth}
    present = {path.name for path in root.iterdir()}
    problems = [SubmissionProblem(name, "is missing") for name in expected if name not in present]
    problems += [
        SubmissionProblem(
            name, f"is not expected; a submission holds {len(expected)} files of given names"
        )
        for name in sorted(present - expected.keys())
    ]
    for name, scene in expected.items():
        if name in present:
            problems += _problems(root / name, scene.peek().shape)
    return tuple(problems)


def score_submission(
    folder: str | os.PathLike[str],
    truth: Collection,
    options: EvaluationOptions | None = None,
    *,
    cluster_cache: str | os.PathLike[str] | None = None,
) -> Mapping[str, Mapping[str, float]]:
    """Score a submission, by the same rules as everything else: mask, crop, even sizes.

    The metrics of the options; with the tests ``weighted`` and ``physical`` among them, those two
    as well, by the response of the options' first track.

    Returns:
        Scene -> metric -> score.

    Raises:
        DataError: the submission is not valid; names its first problems.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> from pathlib import Path
        >>> from respectra.datasets.collections import open_collection
        >>> Path("truth").mkdir()
        >>> cube = rs.make_cube(np.full((32, 32, 31), 0.5), range(400, 701, 10))
        >>> rs.save_cube(cube, "truth/a.mat")
        >>> score_submission("truth", open_collection("truth"))["a"]["mrae"]
        0.0
    """
    chosen, root = options or EvaluationOptions(), local_folder(folder)
    problems = validate_submission(root, truth)
    if problems:
        more = f", and {len(problems) - 3} more problems" if len(problems) > 3 else ""
        raise DataError("the submission is refused: " + "; ".join(map(str, problems[:3])) + more)
    judgements = [t for t in (WeightedAccuracy(), PhysicalConsistency()) if t.name in chosen.tests]
    cache = None if cluster_cache is None else Path(cluster_cache)
    scored: dict[str, dict[str, float]] = {}
    for subject in evaluation_scenes_of(truth):
        case = subject.open(chosen.tracks[0], chosen.seeds[0], chosen, cache)
        cube = case.need_truth()
        path, grid = root / f"{subject.name}{_SUFFIX}", wavelengths_of(cube)
        estimate = even(open_cube(path, key=VARIABLE, wavelengths_nm=grid))
        scores = score(cube, estimate, case, chosen.metrics, valid=case.valid)
        for test in judgements:
            scores |= test.score(case, estimate, lambda image: image)
        scored[subject.name] = scores
    return scored


def _problems(path: Path, shape: tuple[int, ...]) -> list[SubmissionProblem]:
    def because(what: str) -> list[SubmissionProblem]:
        return [SubmissionProblem(path.name, what)]

    try:
        _, stored = peek_cube(path, VARIABLE)
        # A submission need not say its bands; they are those of the truth.
        grid = np.arange(stored.shape[2]) + 400.0 if stored.wavelengths_nm is None else None
        cube = open_cube(path, key=VARIABLE, wavelengths_nm=grid).load()
    except RespectraError as error:
        return because(f"cannot be read: {error}")
    if cube.shape != shape:
        turned = cube.shape == (shape[1], shape[0], shape[2])
        hint = "; rows and columns are exchanged" if turned else ""
        return because(f"has shape {cube.shape}, its truth {shape}{hint}")
    bad = int((~np.isfinite(cube.values)).sum())
    if bad:
        return because(f"holds {bad} values that are NaN or infinite")
    low, high = float(cube.min()), float(cube.max())
    if low < _LOWEST or high > _HIGHEST:
        return because(
            f"has values from {low:.4g} to {high:.4g}; they must lie in "
            f"[{_LOWEST:g}, {_HIGHEST:g}], on the scale of the training data"
        )
    return []
