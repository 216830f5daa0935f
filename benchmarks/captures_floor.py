"""How much of a camera's error is that of its codes: the best estimators of each very scene.

    RESPECTRA_DATA=... python benchmarks/captures_floor.py [--camera Sigma]

The estimators are fitted, by relative least squares, to the spectra that they are scored on, which
no method knows: linear ones, and polynomials of second and third degree. Their errors through a
camera are divided by those through the clean track's observer under equal energy; geometric means
over the scenes that chose nothing, for codes of 8 and of 12 bits with even white and for exact
values. The first line says how much the errors of codes grow on their way to the observer's
colours, where those of the observer itself stay as they are. See benchmarks/captures.py for scenes
and codes.
"""

from __future__ import annotations

import argparse
import os
from itertools import product
from pathlib import Path

import numpy as np
from captures import (
    CAMERA_PIXELS,
    GRID,
    LIGHTS,
    REPORT,
    mean,
    measured_cameras,
    mrae,
    scene,
    stored,
)
from clean_floor import powers

import respectra as rs

#: Widths of codes; 0: exact values.
CODES = (("8 bits", 1 / 255), ("12 bits", 1 / 4095), ("exact", 0.0))


def floor_of(
    response: np.ndarray, scenes: list[np.ndarray], step: float, degree: int
) -> np.ndarray:
    """The error of each scene's own estimator, from codes of a width or exact values: 0."""
    errors = []
    for spectra in scenes:
        values = spectra @ response
        if step:
            values = (np.floor(np.minimum(values, 1.0) / step) + 0.5) * step
        known = powers(values, degree)
        size = np.linalg.norm(spectra, axis=1, keepdims=True)
        matrix = np.linalg.lstsq(known / size, spectra / size, rcond=None)[0]
        errors.append(mrae(spectra, np.maximum(known @ matrix, 0.0)))
    return np.array(errors)


def growth(response: np.ndarray, observer: np.ndarray) -> float:
    """Of even errors of three values, on their way to the observer's: root of the mean square."""
    matrix = np.linalg.lstsq(response, observer, rcond=None)[0]
    return float(np.sqrt((matrix**2).sum() / 3))


def main() -> None:
    """Print ratios by light."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--camera", default="Sigma", help="a part of its name")
    wanted = parser.parse_args().camera
    data = Path(os.environ["RESPECTRA_DATA"])
    pairs = [scene(data, name, CAMERA_PIXELS) for name in REPORT]
    scenes = [values[usable].astype(np.float64) for values, usable in pairs]
    observer = rs.Capture(camera="cie-1964-ntire2020").camera
    cameras = measured_cameras(data / "spectra" / "camera_responses_48_400_700_10nm.npz")
    for camera in cameras:
        if wanted not in str(camera.attrs["name"]):
            continue
        grown = mean(growth(seen(camera, li), seen(observer, "E")) for li in LIGHTS)
        print(camera.attrs["name"], "errors of codes grow", round(grown, 2))
        for degree, (bits, step) in product((1, 2, 3), CODES):
            base = floor_of(seen(observer, "E"), scenes, 1 / 255 if step else 0.0, degree)
            ratios = {
                li: mean(floor_of(seen(camera, li), scenes, step, degree) / base) for li in LIGHTS
            }
            every = {light: round(ratio, 3) for light, ratio in ratios.items()}
            print(f"degree {degree}, {bits}", every, "mean", round(mean(ratios.values()), 3))


def seen(camera: object, light: str) -> np.ndarray:
    """The effective response of a camera with even white."""
    return stored(rs.Capture(camera=camera, light=light), "balanced").effective_response(GRID)


if __name__ == "__main__":
    main()
