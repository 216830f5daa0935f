"""Kinds of files that are read: how a small valid one is made, and how it is read."""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

_GRID = np.arange(400.0, 701.0, 10.0)
#: What a file may take: seconds of processor time, and memory unless ten times the file is more.
LONGEST_S, LARGEST_BYTES = 5.0, 256 * 2**20


@dataclass(frozen=True)
class Kind:
    """A kind of file: how a valid one is made, and how it is read."""

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    accepted: bool = True
    """Whether the file is read when it is not damaged; some are refused for what is in them."""


# --- valid files -----------------------------------------------------------------------------


def _values(bands: int = 31) -> np.ndarray:
    return np.random.default_rng(3).random((6, 5, bands), np.float32)


def _cube() -> Any:
    import respectra as rs

    return rs.make_cube(_values(), _GRID, source="x", note=[1, {"a": 2}])


def _saved(name: str, form: str | None = None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import respectra as rs

        rs.save_cube(_cube(), folder / name, format=form)
        return folder / name

    return make


def _hdf5(name: str, **options: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import h5py

        with h5py.File(folder / name, "w", userblock_size=512, libver="latest") as file:
            data = file.create_dataset("scene/cube", data=_values(), chunks=(3, 5, 8), **options)
            data.attrs["units"] = "1"
            file["scene/wavelength"] = _GRID
            file["scene/wavelength"].attrs["units"] = "nm"
            file["links"] = h5py.SoftLink("/scene")
        return folder / name

    return make


def _mat5(name: str, **options: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import scipy.io

        parts = {"cube": _values(), "bands": _GRID, "name": "text"}
        cells = np.array([_values(3), "text"], dtype=object)
        content = {"cube": _values(), "bands": _GRID, "scene": parts, "cells": cells}
        scipy.io.savemat(folder / name, content, **options)
        return folder / name

    return make


def _zarr(version: int, **options: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import zarr

        group = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=version)
        for name, data, dims in (
            ("cube", _values(), ("y", "x", "wavelength")),
            ("wavelength", _GRID, ("wavelength",)),
        ):
            more = {"dimension_names": dims} if version == 3 else {}
            chunked = options if name == "cube" else {}
            array = group.create_array(
                name,
                shape=data.shape,
                dtype=data.dtype,
                **{"chunks": data.shape, **chunked},
                **more,
            )
            array[...] = data
            array.attrs["_ARRAY_DIMENSIONS"] = list(dims)
        return folder / "a.zarr"

    return make


def _npz(folder: Path) -> Path:
    np.savez_compressed(
        folder / "a.npz", cube_u16=(_values() * 9999).astype(np.uint16), scale=1e-4, bands=_GRID
    )
    return folder / "a.npz"


def _tiff(name: str, values: np.ndarray, **options: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import tifffile

        tifffile.imwrite(folder / name, values, **options)
        return folder / name

    return make


def _picture(name: str, bits: int = 8) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import cv2

        codes = (np.random.default_rng(1).random((24, 32, 3)) * (2**bits - 1)).astype(
            np.uint8 if bits == 8 else np.uint16
        )
        cv2.imwrite(str(folder / name), codes)
        return folder / name

    return make


def _heic(folder: Path) -> Path:
    from tests.cameras.heic_file import heic

    (folder / "a.heic").write_bytes(heic())
    return folder / "a.heic"


def _dng(folder: Path) -> Path:
    from tests.cameras.dng_file import write_dng

    codes = np.random.default_rng(5).integers(512, 4096, (24, 32))
    path: Path = write_dng(folder / "a.dng", codes)
    return path


def _clip(folder: Path) -> Path:
    from tests.inference.clips import write_clip

    frames = np.random.default_rng(6).integers(0, 256, (3, 16, 24, 3), dtype=np.uint8)
    write_clip(folder / "a.mkv", frames)
    return folder / "a.mkv"


def _read_clip(path: Path) -> None:
    from respectra.inference.video_reader import Clip

    clip = Clip(path)
    for _ in clip.frames(on_bad_frame="skip"):
        pass


_CODES = (np.random.default_rng(2).random((24, 32, 3)) * 255).astype(np.uint8)


def _table(text: str, name: str = "a.csv") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(text, "utf-8")
        return folder / name

    return make


_RESPONSE_TEXT = "nm,R,G,B\n" + "".join(f"{w:g},{w / 700},0.5,{1 - w / 800}\n" for w in _GRID)


def _response_npz(folder: Path) -> Path:
    np.savez(folder / "a.npz", ssf=_values()[0, :3].T + 0.1, wavelengths=_GRID)
    return folder / "a.npz"


def _response_mat(folder: Path) -> Path:
    import scipy.io

    scipy.io.savemat(folder / "a.mat", {"filters": _values()[0, :3].T + 0.1, "bands": _GRID})
    return folder / "a.mat"


def _response_hdf5(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "a.mat", "w") as file:
        file.create_dataset("filters", data=_values()[0, :3] + 0.1, compression="gzip")
        file["bands"] = _GRID[:, None]
    return folder / "a.mat"


def _small_weights(folder: Path) -> Path:
    from respectra.methods import fresh_weights
    from respectra.methods.weights_files import save_weights

    save_weights(fresh_weights("hscnn-r", preset="tiny"), folder / "a.safetensors")
    return folder / "a.safetensors"


def _keras(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "a.hdf5", "w") as file:
        for layer in ("conv2d_1", "conv2d_2"):
            kernel = np.ones((3, 3, 4, 4), np.float32)
            file[f"model_weights/{layer}/{layer}/kernel:0"] = kernel
    return folder / "a.hdf5"


def _checkpoint(folder: Path) -> Path:
    import torch

    torch.save({"state_dict": {"a.weight": torch.ones(3, 3)}, "epoch": 3}, folder / "a.pth")
    return folder / "a.pth"


def _store(folder: Path) -> Path:
    import respectra as rs
    from respectra.datasets import PrepareOptions, plan_store, prepare_store
    from respectra.datasets.collections import open_collection

    (folder / "scenes").mkdir()
    for number in range(2):
        cube = rs.make_cube(np.random.default_rng(number).random((16, 16, 31), np.float32), _GRID)
        rs.save_cube(cube, folder / "scenes" / f"s{number}.npz")
    plan = plan_store({"train": open_collection(folder / "scenes")}, PrepareOptions())
    prepare_store(plan, folder / "store")
    shutil.rmtree(folder / "scenes")
    return folder / "store"


def _read_store(path: Path) -> None:
    from respectra.datasets.store import open_store

    store = open_store(path)
    for split in store.splits:
        part = store[split]
        part.verify()


def _light_npz(folder: Path) -> Path:
    np.savez(folder / "a.npz", wavelengths=_GRID, power=_values()[0, 0] + 0.1)
    return folder / "a.npz"


_LIGHT_TEXT = "wavelength (nm);power\n" + "".join(f"{w:g};{w / 700:.4f}\n" for w in _GRID)
_LIGHT_CGATS = (
    'SPECT\n\nSPECTRAL_BANDS "31"\nSPECTRAL_START_NM "400"\nSPECTRAL_END_NM "700"\n'
    "BEGIN_DATA_FORMAT\n" + " ".join(f"SPEC_{w:g}" for w in _GRID) + "\nEND_DATA_FORMAT\n"
    "BEGIN_DATA\n" + " ".join("1.5" for _ in _GRID) + "\nEND_DATA\n"
)
_LIGHT_XML = (
    '<?xml version="1.0"?><IESTM2714><SpectralDistribution>'
    + "".join(f'<SpectralData wavelength="{w:g}">0.5</SpectralData>' for w in _GRID)
    + "</SpectralDistribution></IESTM2714>"
)


def _capture(folder: Path) -> Path:
    from respectra.cameras.capture import Capture

    Capture(camera="cie-1964-ntire2020", light="D65", bits=8).save(folder / "a.json")
    return folder / "a.json"


def _look_up_table(folder: Path) -> Path:
    from respectra.inference.tables.baking import bake
    from respectra.methods import build_classical
    from respectra.methods.contract import Contract

    rng = np.random.default_rng(0)
    spectra, response = rng.random((50, 31)), rng.random((31, 3)) / 31
    method = build_classical("pseudo-inverse")
    method.fit(spectra @ response, spectra, response=response)
    bake(method.to_weights(Contract())).save(folder / "a.lut")
    return folder / "a.lut"


_RECIPE = """
name: mine
extends: hscnn-r-clean
optimizer:
  lr: 1.0e-4
length:
  epochs: 3
"""


def _recipe(folder: Path) -> Path:
    (folder / "mine.yaml").write_text(_RECIPE)
    return folder / "mine.yaml"


def _results(folder: Path) -> Path:
    from respectra.evaluation.protocol import EvaluationOptions, Protocol, SceneRecord
    from respectra.evaluation.results import Results, Row, save_results

    record = SceneRecord(name="s", truth="0" * 64)
    protocol = Protocol(options=EvaluationOptions(), collections={"main": "x"}, scenes=(record,))
    row = Row.from_dict(
        {"role": "main", "scene": "s", "track": "clean", "method": "pca", "test": "plain",
         "fingerprint": "f", "note": "", "seed": 0, "seconds": 0.1, "peak_memory_mib": 1.0,
         "height": 6, "width": 5, "jobs": 1, "mrae": 0.1}
    )  # fmt: skip
    (folder / "run").mkdir()
    save_results(Results(protocol, (row,), methods={"pca": {"guarantees": []}}), folder / "run")
    return folder / "run"


def _read_results(path: Path) -> None:
    from respectra.evaluation.results import load_results

    results = load_results(path)
    for name in results.names:
        results.guarantees(name)
        results.mean(name, "clean", "plain", "mrae")


def _journal(folder: Path) -> Path:
    from respectra.journal import Journal

    journal = Journal(folder / "journal", {"a": 1, "b": [1, 2]})
    journal.begin()
    for number in range(5):
        journal.append({"done": number, "name": "x"})
    return folder / "journal"


def _read_journal(path: Path) -> None:
    from respectra.journal import Journal

    Journal.resume(path, {"a": 1, "b": [1, 2]})


# --- readers ---------------------------------------------------------------------------------


def _read_cube(key: str | None = None, grid: Any = None) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        import respectra as rs
        from respectra.cubes import inspect, require_cube
        from respectra.errors import RespectraError

        with contextlib.suppress(RespectraError):
            inspect(path, key=key)
        require_cube(rs.open_cube(path, key=key, wavelengths_nm=grid)).load()

    return read


def _by(module: str, name: str) -> Callable[[Path], Any]:
    """What reads, imported when it is called."""
    return lambda path: attrgetter(name)(importlib.import_module(module))(path)


def _read_image(path: Path) -> None:
    import respectra as rs

    rs.open_image(path, encoding="srgb")


def _read_photograph(path: Path) -> None:
    """As ``_read_image``; what is taken is taken by the decoder's process."""
    from respectra.cameras.pictures import child

    forker = child._FORKER
    assert forker is not None

    def ask(question: dict[str, Any]) -> Any:
        answer = type(forker).ask(forker, question)
        if answer.seconds > LONGEST_S or answer.peak_bytes > LARGEST_BYTES:
            raise RuntimeError(f"the decoder took {answer.seconds} s, {answer.peak_bytes} bytes")
        return answer

    with mock.patch.object(forker, "ask", ask):
        _read_image(path)


def _read_table(path: Path) -> None:
    from respectra.inference.tables.table import Table
    from respectra.methods import load_weights

    Table.from_weights(load_weights(path))


def _read_checkpoint(path: Path) -> None:
    from respectra.methods.official import import_official

    import_official("awan", path)


def kinds() -> tuple[Kind, ...]:
    """Every kind of file that is read."""
    cube = _read_cube()
    inside = _read_cube("scene/cube")
    response = _by("respectra.cameras", "open_responses")
    light = _by("respectra.colour", "open_light")
    return (
        Kind("cube matlab 7.3", _saved("a.mat"), cube),
        Kind("cube matlab 5", _saved("a.mat", "matlab-v5"), cube),
        Kind("cube matlab 5 parts", _mat5("a.mat"), inside),
        Kind("cube matlab 5 deflated", _mat5("a.mat", do_compression=True), inside),
        Kind("cube envi", _saved("a.hdr"), cube),
        Kind("cube netcdf", _saved("a.nc"), cube),
        Kind("cube hdf5 gzip", _hdf5("a.h5", compression="gzip", shuffle=True), inside),
        Kind("cube hdf5 lzf", _hdf5("a.he5", compression="lzf", fletcher32=True), inside),
        Kind("cube zarr 3", _saved("a.zarr"), cube),
        Kind("cube zarr 3 shards", _zarr(3, chunks=(3, 5, 31), shards=(6, 5, 31)), cube),
        Kind("cube zarr 2", _zarr(2), cube),
        Kind("cube npz", _saved("a.npz"), cube),
        Kind("cube npz deflated", _npz, cube),
        Kind("cube npy", _saved("a.npy"), _read_cube(grid=_GRID)),
        Kind("cube tiff", _saved("a.tif"), cube),
        Kind("cube tiff deflated", _tiff(
            "a.tif", _values(), photometric="minisblack", planarconfig="contig", compression="zlib"
        ), _read_cube(grid=_GRID)),
        Kind("cube folder of png", _saved("a", "png"), cube),
        Kind("image png", _picture("a.png"), _read_image),
        Kind("image png 16 bits", _picture("a.png", 16), _read_image),
        Kind("image jpeg", _picture("a.jpg"), _read_image),
        Kind("image tiff", _tiff("a.tif", _CODES, photometric="rgb"), _read_image),
        Kind("image tiff deflated", _tiff(
            "a.tif", _CODES, photometric="rgb", compression="zlib", tile=(16, 16)
        ), _read_image),
        Kind("image tiff lzw", _tiff(
            "a.tif", _CODES, photometric="rgb", compression="lzw", rowsperstrip=8
        ), _read_image),
        *([Kind("image heic", _heic, _read_photograph)] if find_spec("pi_heif") else []),
        *([Kind("image raw", _dng, _read_photograph)] if find_spec("rawpy") else []),
        *([Kind("clip", _clip, _read_clip)] if find_spec("av") else []),
        Kind("response csv", _table(_RESPONSE_TEXT), response),
        Kind("response npz", _response_npz, response),
        Kind("response matlab 5", _response_mat, response),
        Kind("response matlab 7.3", _response_hdf5, response),
        Kind("light csv", _table(_LIGHT_TEXT), light),
        Kind("light npz", _light_npz, light),
        Kind("light cgats", _table(_LIGHT_CGATS, "a.sp"), light),
        Kind("light tm-27", _table(_LIGHT_XML, "a.spdx"), light),
        Kind("capture", _capture, _by("respectra.cameras.capture", "Capture.load")),
        Kind("look-up table", _look_up_table, _read_table),
        Kind("weights", _small_weights, _by("respectra.methods", "load_weights")),
        Kind("weights keras", _keras, _by("respectra.methods.keras_hdf5", "read_keras_weights")),
        Kind("weights pytorch", _checkpoint, _read_checkpoint, accepted=False),
        Kind("store", _store, _read_store),
        Kind("results", _results, _read_results),
        Kind("journal", _journal, _read_journal),
        Kind("recipe", _recipe, _by("respectra.training", "load_recipe")),
    )  # fmt: skip
