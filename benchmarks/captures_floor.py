"""How much of a camera's error no method can avoid: the best linear estimator of each very scene.

    RESPECTRA_DATA=... python benchmarks/captures_floor.py [--camera Sigma]

The estimator is fitted, by relative least squares, to the spectra that it is scored on, which no
method knows. Its error through a camera is divided by that through the clean track's observer under
equal energy; geometric means over the scenes that chose nothing, for codes of 8 bits with even
white and for exact values. See benchmarks/captures.py for scenes and codes.
"""

from __future__ import annotations

import argparse
import os
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

import respectra as rs


def floor_of(response: np.ndarray, scenes: list[np.ndarray], step: float) -> np.ndarray:
    """The error of each scene's own estimator, from codes of a width or exact values: 0."""
    errors = []
    for spectra in scenes:
        values = spectra @ response
        if step:
            values = (np.floor(np.minimum(values, 1.0) / step) + 0.5) * step
        known = np.hstack([values, np.ones((len(values), 1))])
        size = np.linalg.norm(spectra, axis=1, keepdims=True)
        matrix = np.linalg.lstsq(known / size, spectra / size, rcond=None)[0]
        errors.append(mrae(spectra, np.maximum(known @ matrix, 0.0)))
    return np.array(errors)


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
    for bits, step in (("8 bits", 1 / 255), ("exact", 0.0)):
        base = floor_of(seen(observer, "E"), scenes, step)
        for camera in cameras:
            if wanted in str(camera.attrs["name"]):
                ratios = {
                    li: mean(floor_of(seen(camera, li), scenes, step) / base) for li in LIGHTS
                }
                every = {light: round(ratio, 3) for light, ratio in ratios.items()}
                print(camera.attrs["name"], bits, every, "mean", round(mean(ratios.values()), 3))


def seen(camera: object, light: str) -> np.ndarray:
    """The effective response of a camera with even white."""
    return stored(rs.Capture(camera=camera, light=light), "balanced").effective_response(GRID)


if __name__ == "__main__":
    main()
