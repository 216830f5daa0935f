"""A picture through a method, rectangle by rectangle."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import InputKind, get_track, make_image
from respectra.cubes import make_cube
from respectra.datasets.pairs import render_pairs
from respectra.datasets.spectra import illuminants, reflectances
from respectra.inference import Reconstructor
from respectra.inference.backends.base import bits_of
from respectra.inference.colours import (
    count_colours,
    join_counts,
    layout_of_colours,
    weighted_rows,
)
from respectra.inference.tiling import Layout
from respectra.methods import Tiling
from respectra.progress import Progress, tracked, unseen
from respectra.typing import Float32Array
from respectra.viewer.blocks import ColourCodes, SceneBlock, Source
from respectra.viewer.seen_again import SeenAgain, eight_bits

#: Materials that colour-science brings, so that every install measures the same.
_REFLECTANCES = ("cie-ces99", "rawtoaces", "pmc")
_ILLUMINANTS = ("daylight",)
_MIXTURES, _SEED = 4000, 8
#: Methods say how far off they may be for the whole picture at once; for larger ones nobody asks.
_MOST_DEVIATING = 4_000_000
#: Loose pixels are asked about as pictures of this width.
_ROW = 256
#: Pixels whose colours are counted at a time.
_COUNTED = 8_000_000


def picture_source(
    image: xr.DataArray,
    kind: InputKind,
    reconstructor: Reconstructor,
    folder: Path,
    progress: Progress = unseen,
) -> Source:
    """The way in which a picture can be recovered rectangle by rectangle.

    Args:
        image: the picture as its file holds it.
        kind: what its values are.
        reconstructor: the method, for the picture's capture.
        folder: for what has to be kept meanwhile; its files may be removed afterwards.
        progress: counts pieces of work that concerns the whole picture; may raise to stop.
    """
    local = not reconstructor.guarantees.by_pixels
    stretched = not reconstructor.contract.keeps_exposure
    if reconstructor.sees_neighbours or stretched or local:
        return WholeSource(image, kind, reconstructor, folder, progress)
    if image.attrs.get("bits") == 8:
        return CodeSource(image, kind, reconstructor)
    return PixelSource(image, kind, reconstructor)


class _Picture:
    """What all of these have in common: the picture, and how the camera sees spectra."""

    pictures: tuple[str, ...] = ("picture", "rerendered", "difference")
    deviates = False

    def __init__(self, image: xr.DataArray, kind: InputKind, reconstructor: Reconstructor) -> None:
        self._image, self._kind, self._reconstructor = image, kind, reconstructor
        self.height, self.width = image.sizes["y"], image.sizes["x"]
        contract = reconstructor.contract
        self.wavelengths_nm = np.asarray(contract.wavelengths_nm, np.float64)
        self.quantity: str = contract.quantity
        self._again = SeenAgain(kind, reconstructor)
        capture = reconstructor.capture
        self.light: npt.NDArray[np.float64] | None = None
        if self.quantity == "radiance" and capture is not None:
            self.light = capture.power(self.wavelengths_nm)

    def _beside(
        self, part: xr.DataArray, spectra: Float32Array, deviation: Float32Array | None = None
    ) -> SceneBlock:
        """Spectra of a part of the picture, and the planes that go with them."""
        return SceneBlock(
            spectra.reshape(-1, spectra.shape[2]),
            deviation=None if deviation is None else deviation.reshape(-1, deviation.shape[2]),
            pictures=self._again.beside(part, spectra),
        )

    def _values(self, image: xr.DataArray) -> xr.DataArray:
        """Linear values of a part of the picture, as the method takes them."""
        return self._reconstructor.values_of(image, self._kind)


class PixelSource(_Picture):
    """A picture through a method that looks at one pixel at a time.

    Means over the whole picture may decide as well: they are taken first.
    """

    def __init__(self, image: xr.DataArray, kind: InputKind, reconstructor: Reconstructor) -> None:
        super().__init__(image, kind, reconstructor)
        brightest = np.unravel_index(int(image.values.argmax()), image.shape)[:2]
        self._brightest: Float32Array = image.values[brightest].reshape(1, 3)
        self.deviates = reconstructor.gives_uncertainty
        by_means = reconstructor.card.tiling is Tiling.STATISTICS
        self._needs_means = by_means and reconstructor.weights.baked is None
        self._means: Sequence[Float32Array] | None = None

    def block(self, rows: slice, columns: slice) -> SceneBlock:
        """The rectangle."""
        return self._recovered(self._image.values[rows, columns].reshape(-1, 3))

    def _recovered(
        self, values: Float32Array, known: Sequence[Float32Array] | None = None
    ) -> SceneBlock:
        """Pixels of the picture, shape (pixel, 3), given other means than the picture's or not."""
        if self._needs_means and known is None:
            self._means = known = self._means or self._compute_means()
        count = len(values)
        picture = self._arranged(values)
        method = self._reconstructor
        with contextlib.nullcontext() if known is None else method.given(known):
            track_values = self._values(picture)
            if self.deviates:
                cube, deviation = method.with_uncertainty(track_values)
            else:
                cube, deviation = method(track_values), None

        def pixels(array: xr.DataArray) -> Float32Array:
            flat = array.values.reshape(-1, 1, array.shape[2])[:count]
            return np.asarray(flat, np.float32)

        given = make_image(values[:, None], **cast(Any, self._image.attrs))
        return self._beside(given, pixels(cube), None if deviation is None else pixels(deviation))

    def _arranged(self, values: Float32Array) -> xr.DataArray:
        """Pixels in rows; the last are filled with the brightest of the picture.

        Exposure is that of the whole picture: its brightest pixel takes part in everything.
        """
        filled = np.repeat(self._brightest, _ROW - len(values) % _ROW, axis=0)
        together = np.concatenate([values, filled]).reshape(-1, _ROW, 3)
        return make_image(together, **cast(Any, self._image.attrs))

    def _compute_means(self) -> Sequence[Float32Array]:
        return self._means_in(self._image, self._reconstructor.layout(self.height, self.width))

    def _means_in(
        self, image: xr.DataArray, layout: Layout, weight: Float32Array | None = None
    ) -> Sequence[Float32Array]:
        """Over the pixels of an image, each as often as its weight says."""
        scaled = self._reconstructor.guarantees.scale(self._values(image))[0]
        rgb = np.asarray(scaled.values, np.float32)
        return self._reconstructor.compute_global_means(
            lambda y, x: rgb[y, x],
            layout,
            bounds=(0.0, 1.0),
            bits=bits_of(scaled),
            weigh=None if weight is None else (lambda y, x: weight[y, x]),
        )


class CodeSource(PixelSource):
    """An 8-bit picture through a method that looks at one pixel at a time."""

    def colours(self, rows: slice, columns: slice) -> ColourCodes:
        """Each pixel's codes as one number."""
        codes = eight_bits(self._image.values[rows, columns]).astype(np.int32)
        return (codes[..., 0] << 16) | (codes[..., 1] << 8) | codes[..., 2]

    def block_of(self, colours: ColourCodes) -> SceneBlock:
        """Pixels of these colours."""
        return self._recovered(_values_of(colours))

    def preview(
        self, colours: ColourCodes, counts: npt.NDArray[np.int64]
    ) -> tuple[SceneBlock, bool]:
        """Pixels of these colours in a picture that has no others."""
        if not self._needs_means:
            return self.block_of(colours), True
        values = _values_of(colours)
        return self._recovered(values, self._means_of(values, counts)), False

    def _compute_means(self) -> Sequence[Float32Array]:
        step = max(1, _COUNTED // self.width)
        rows = range(0, self.height, step)
        picture = self._image.values
        return self._means_of(
            *join_counts([count_colours(picture[top : top + step]) for top in rows])
        )

    def _means_of(
        self, values: Float32Array, counts: npt.NDArray[np.int64]
    ) -> Sequence[Float32Array]:
        """Over colours, shape (colour, 3), each as often as it occurs."""
        # The brightest of the picture, which decides its exposure, is there and counts for nothing.
        rows, weight = weighted_rows(
            np.concatenate([values, self._brightest]), np.append(counts, 0)
        )
        picture = make_image(rows, **cast(Any, self._image.attrs))
        return self._means_in(picture, layout_of_colours(*weight.shape), weight)


def _values_of(colours: ColourCodes) -> Float32Array:
    """Shape (colour, 3), as a file of such codes is opened."""
    codes = np.stack([colours >> 16, (colours >> 8) & 255, colours & 255], axis=-1)
    return np.asarray(codes.astype(np.float32) / np.float32(255))


class WholeSource(_Picture):
    """A picture through a method that looks at more than single pixels.

    It is reconstructed piece by piece when a part of it is first asked for, and waits in a file;
    a reduced picture, which rectangles with a step ask for, is reconstructed by itself.
    """

    def __init__(
        self,
        image: xr.DataArray,
        kind: InputKind,
        reconstructor: Reconstructor,
        folder: Path,
        progress: Progress,
    ) -> None:
        super().__init__(image, kind, reconstructor)
        self._file, self._progress = folder / "spectra.raw", progress
        self._spectra: Float32Array | None = None
        self._deviation: Float32Array | None = None
        self._factor = 1.0
        small = self.height * self.width <= _MOST_DEVIATING
        self.deviates = small and reconstructor.gives_uncertainty
        # Noise is told from detail by looking at neighbours: such cubes are made in one go.
        self._at_once = not reconstructor.guarantees.by_pixels or self.deviates

    def block(self, rows: slice, columns: slice) -> SceneBlock:
        """The rectangle."""
        part = self._image[rows, columns]
        if (rows.step or 1) > 1:
            spectra, deviation = self._answer(self._values(part))
        else:
            if self._spectra is None:
                self._reconstruct()
            assert self._spectra is not None
            spectra = self._guaranteed(np.array(self._spectra[rows, columns]), part)
            known = self._deviation
            deviation = None if known is None else known[rows, columns]
        return self._beside(part, np.asarray(spectra, np.float32), deviation)

    def _answer(self, picture: xr.DataArray) -> tuple[Float32Array, Float32Array | None]:
        if not self.deviates:
            return self._reconstructor(picture).values, None
        cube, deviation = self._reconstructor.with_uncertainty(picture)
        return cube.values, np.asarray(deviation.values, np.float32)

    def _reconstruct(self) -> None:
        picture = self._values(self._image)
        reconstructor = self._reconstructor
        if self._at_once:
            self._spectra, self._deviation = self._answer(picture)
            return
        scaled, self._factor = reconstructor.guarantees.scale(picture)
        rgb = np.asarray(scaled.values, np.float32)
        layout = reconstructor.layout(self.height, self.width)
        shape = (self.height, self.width, len(self.wavelengths_nm))
        kept = np.memmap(self._file, np.float32, "w+", shape=shape)
        bounds = (float(rgb.min()), float(rgb.max()))
        pieces = reconstructor.pieces(
            lambda y, x: rgb[y, x], layout, bounds=bounds, bits=bits_of(scaled)
        )
        for region, spectra in tracked(pieces, self._progress, "piece", layout.count):
            kept[region] = spectra
        self._spectra = kept

    def _guaranteed(self, spectra: Float32Array, part: xr.DataArray) -> Float32Array:
        guarantees = self._reconstructor.guarantees
        if self._at_once or not guarantees:
            return spectra
        cube = make_cube(spectra, self.wavelengths_nm)
        kept = guarantees.enforce(cube, self._values(part), self._factor)[0]
        values: Float32Array = kept.values
        return values


def typical_error(reconstructor: Reconstructor) -> npt.NDArray[np.float64] | None:
    """Standard deviation of the error in each band over the mean of the true spectrum.

    Measured on mixtures of measured materials under daylight, as the
    weights' camera sees them. Materials like these took part in fitting, so that it is
    a lower bound for surfaces that are like none of them. It depends on the light, which is why
    one profile serves all pixels.

    Returns:
        shape (band,), or None where the method looks at neighbours: loose pixels tell nothing.
    """
    if reconstructor.sees_neighbours:
        return None
    grid = np.asarray(reconstructor.contract.wavelengths_nm, np.float64)
    pairs = render_pairs(
        np.concatenate([reflectances(name, grid).values for name in _REFLECTANCES]),
        np.concatenate([illuminants(name, grid).values for name in _ILLUMINANTS]),
        get_track(reconstructor.contract.track).response_matrix(grid),
        _MIXTURES,
        seed=_SEED,
        exposure_range=(0.1, 1.0),
    )
    values = np.clip(pairs.rgb, 0.0, 1.0)[None]
    image = make_image(values, encoding="linear", bits=32, track=reconstructor.contract.track)
    error = reconstructor(image).values[0] - pairs.spectra
    relative = error / pairs.spectra.mean(axis=1, keepdims=True)
    return np.asarray(np.sqrt(np.mean(relative**2, axis=0)), np.float64)
