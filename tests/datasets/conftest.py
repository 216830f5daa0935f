"""Small folders of scenes, laid out as the data sets are."""

import cv2
import h5py
import numpy as np
import pytest
import scipy.io

import respectra as rs
from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM


@pytest.fixture
def write_mat5():
    """Write a MATLAB 5 file as the training cubes of 2020 are."""

    def write(path, values, name="cube"):
        path.parent.mkdir(parents=True, exist_ok=True)
        scipy.io.savemat(path, {name: values.astype(np.float64)})

    return write


@pytest.fixture
def write_mat73():
    """Write a MATLAB 7.3 file: HDF5 with the axes in reverse."""

    def write(path, values, name="cube"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w", userblock_size=512) as file:
            file[name] = values.transpose(2, 1, 0)
            file["bands"] = CHALLENGE_WAVELENGTHS_NM[:, None]
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")

    return write


@pytest.fixture
def arad(tmp_path, rng, write_mat5, write_mat73):
    """Seven scenes of 2020: cubes in both MATLAB versions, images of some in another folder."""
    root = tmp_path / "NTIRE2020"
    cubes = {}
    for number in (1, 2, 340, 451, 453, 466, 470):
        name = f"ARAD_HS_{number:04d}"
        values = rng.uniform(0.05, 0.9, (24, 32, 31)).astype(np.float32)
        cubes[name] = values
        write = write_mat5 if number < 400 else write_mat73
        write(root / "spectral" / f"{name}.mat", values)
        if number != 2:
            track = get_track("clean")
            codes = track.render_codes(rs.make_cube(values, CHALLENGE_WAVELENGTHS_NM))
            (root / "rgb").mkdir(exist_ok=True)
            cv2.imwrite(str(root / "rgb" / f"{name}_clean.png"), codes[:, :, ::-1])
    return root, cubes


@pytest.fixture
def scenes(tmp_path, rng):
    """Four NPZ cubes of different sizes without images; one of them with pixels not measured."""
    root = tmp_path / "scenes"
    root.mkdir()
    for k, shape in enumerate(((40, 48), (33, 37), (64, 40), (48, 48))):
        values = rng.uniform(0.02, 0.9, (*shape, 31))
        if k == 1:
            values[20:, 25:] = 0.0
        rs.save_cube(rs.make_cube(values, CHALLENGE_WAVELENGTHS_NM), root / f"scene{k}.npz")
    return root
