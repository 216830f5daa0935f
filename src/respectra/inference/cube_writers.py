"""Cubes that are written piece by piece, in any order of the pieces."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from respectra.cubes.formats import FORMATS
from respectra.cubes.formats.base import encode_attrs
from respectra.cubes.formats.envi import ORDERS, write_header
from respectra.cubes.model import DIMS
from respectra.errors import ConfigError
from respectra.files import move_into_place
from respectra.inference.predictors import FloatArray
from respectra.inference.tiling import Layout, Region

CubeType = Literal["float32", "float16"]
#: A chunk of a Zarr store has at most this many rows and columns.
_CHUNK = 192


class Sink(ABC):
    """A cube that grows in a folder until it is complete, and is then moved into its place.

    Args:
        folder: where it grows.
        target: where it will be.
        layout: how it comes in pieces.
        wavelengths_nm: of its bands.
        dtype: of its values.
    """

    #: Whether the cube takes the room of all its values from the beginning.
    needs_full_room = True

    def __init__(
        self,
        folder: Path,
        target: Path,
        layout: Layout,
        wavelengths_nm: npt.NDArray[np.float64],
        dtype: CubeType,
    ) -> None:
        self.folder, self.target, self.layout = folder, target, layout
        self.wavelengths_nm, self.dtype = wavelengths_nm, np.dtype(dtype)
        self.shape = (layout.height, layout.width, wavelengths_nm.size)

    @abstractmethod
    def create(self) -> None:
        """Begin an empty cube with these attributes."""

    @abstractmethod
    def write(self, region: Region, spectra: FloatArray) -> None:
        """Write one piece, (y, x, band)."""

    @property
    @abstractmethod
    def moves(self) -> list[tuple[Path, Path]]:
        """What lies in the folder and where it belongs; what makes the cube visible is first."""

    @abstractmethod
    def complete(self, attrs: Mapping[str, Any]) -> None:
        """Write down what is known of the cube, of which all pieces are written."""

    def finish(self, attrs: Mapping[str, Any], *, overwrite: bool) -> None:
        """Complete the cube and move it into its place; the caller holds the lock of that.

        A run that is killed in between can do it again.
        """
        self.complete(attrs)
        move_into_place(self.moves, overwrite=overwrite)


def sink_for(target: Path) -> type[Sink] | None:
    """What writes a cube at this path piece by piece; None where its format cannot be."""
    with contextlib.suppress(ConfigError):
        name = FORMATS.for_writing(target).name
        if name == "zarr":
            import zarr  # noqa: F401 - before anyone measures what this process holds

            return ZarrSink
        if name == "envi":
            return EnviSink
    return None


class ZarrSink(Sink):
    """A Zarr store whose chunks no two pieces share."""

    needs_full_room = False

    def create(self) -> None:
        """Begin an empty store."""
        import zarr

        group = zarr.create_group(self._store, zarr_format=3, overwrite=True)
        group.create_array(
            "cube",
            shape=self.shape,
            chunks=(*(_chunk(side) for side in self.layout.sides), self.shape[2]),
            dtype=self.dtype,
            dimension_names=DIMS,
        )
        grid = group.create_array(
            "wavelength",
            shape=self.wavelengths_nm.shape,
            dtype="float64",
            dimension_names=("wavelength",),
            attributes={"units": "nm"},
        )
        grid[:] = self.wavelengths_nm

    @property
    def _store(self) -> Path:
        return self.folder / "cube.zarr"

    def write(self, region: Region, spectra: FloatArray) -> None:
        """Write one piece."""
        import zarr

        group = zarr.open_group(self._store, mode="r+")
        group["cube"][region] = spectra.astype(self.dtype, copy=False)  # type: ignore[index]

    @property
    def moves(self) -> list[tuple[Path, Path]]:
        """The store."""
        return [(self._store, self.target)]

    def complete(self, attrs: Mapping[str, Any]) -> None:
        """Write the attributes."""
        import zarr

        plain = {k: v for k, v in attrs.items() if k in ("quantity", "units", "source")}
        array = zarr.open_array(self._store, path="cube", mode="r+")
        array.update_attributes({**plain, "attributes": encode_attrs(attrs)})


def _chunk(side: int) -> int:
    """Side of chunks that divide a tile."""
    parts = -(-side // _CHUNK)
    best = next((side // n for n in range(parts, 2 * parts + 1) if side % n == 0), side)
    return max(1, best)


class EnviSink(Sink):
    """An ENVI file, interleaved as its suffix says, by pixel where it does not."""

    @property
    def _files(self) -> tuple[Path, Path]:
        header, data = FORMATS.get("envi").files(self.target)
        return header, data

    @property
    def _interleave(self) -> str:
        suffix = self._files[1].suffix.lower().removeprefix(".")
        return suffix if suffix in ORDERS else "bip"

    @property
    def _data(self) -> Path:
        return self.folder / "cube.raw"

    @property
    def _header(self) -> Path:
        return self.folder / "cube.hdr"

    def create(self) -> None:
        """Begin an empty file of the full size."""
        if self.dtype != np.float32:
            raise ConfigError(
                f"ENVI has no {self.dtype}; write float32, or a Zarr store (.zarr) for float16"
            )
        with self._data.open("wb") as file:
            file.truncate(4 * int(np.prod(self.shape, dtype=np.int64)))

    def write(self, region: Region, spectra: FloatArray) -> None:
        """Write one piece, line by line: mapped memory would count as ours."""
        rows, columns = region
        _, width, bands = self.shape
        first = rows.start
        with self._data.open("r+b") as file:

            def put(position: int, values: npt.NDArray[Any]) -> None:
                file.seek(4 * position)
                file.write(np.ascontiguousarray(values, "<f4").data)

            interleave = self._interleave
            for y, row in enumerate(spectra, first):
                if interleave == "bip":
                    put((y * width + columns.start) * bands, row)
                    continue
                lines = np.ascontiguousarray(row.T)
                for band, line in enumerate(lines):
                    at = (y * bands + band) if interleave == "bil" else (band * self.shape[0] + y)
                    put(at * width + columns.start, line)

    @property
    def moves(self) -> list[tuple[Path, Path]]:
        """The header and the values."""
        header, data = self._files
        return [(self._header, header), (self._data, data)]

    def complete(self, attrs: Mapping[str, Any]) -> None:
        """Write the header."""
        write_header(self._header, self.shape, self.wavelengths_nm, attrs, self._interleave)
