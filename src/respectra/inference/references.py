"""References: spectra that are known in a picture correct whatever method recovered the others.

The error of a method, log(true / recovered) in each band, is taken as a smooth function of a
pixel's chromaticity and log-brightness: a Gaussian process, which the references are samples of.
Its lengths are chosen by leaving out each reference in turn. Where that says that the correction
does not help, there is none. Afterwards each spectrum makes the least relative change that puts
the pixel's R, G, B back. At the references' own pixels the answer is the reference itself.
"""

from __future__ import annotations

import copy
import itertools
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import Capture, References, Track, make_image
from respectra.cameras.capture_camera import CaptureCamera
from respectra.errors import ConfigError, DataError, FormatError, RespectraWarning
from respectra.files import atomic_path
from respectra.guards.text import read_object
from respectra.inference.cache import fingerprint
from respectra.inference.guarantees import METRIC_FLOOR, camera_of
from respectra.inference.reference_tables import FactorTable, features
from respectra.inference.tiling import Reader
from respectra.methods import Tiling

if TYPE_CHECKING:
    from respectra.cameras.pictures import Picture
    from respectra.inference.reconstructor import Reconstructor

FloatArray = npt.NDArray[np.float64]
Camera = Track | CaptureCamera

FORMAT, VERSION = "respectra correction", 1
#: Lengths that are tried, of chromaticity (0 to 1) and of log2 of brightness; relative variance of
#: what is the same for all colours; and of what no colour explains.
_CHROMA = (0.06, 0.12, 0.25, 0.5)
_BRIGHTNESS = (1.0, 3.0, 9.0)
_CONSTANT = (0.0, 1.0)
_NUGGET = (0.01, 0.1, 0.4, 1.5)
_SHARES = (0.5, 1.0)
#: With fewer references than this, half of the posterior is the most that is applied.
_ENOUGH = 8
#: A correction has to lower the error of left-out references by this share to be made.
_WORTH = 0.03
#: References by which lengths are chosen, and by which spectra are corrected; more are thinned.
_CHOOSING, _MOST = 200, 1000
#: Pixels that are corrected at a time.
_STRIP = 2**18
#: Values that differ by less, in full scale, are one colour.
_SAME_COLOUR = 1e-4
#: Relative errors are taken over values not below this share of a spectrum's mean.
_FLOOR = 0.05
#: An error below this counts as this.
_LEAST = 1e-4
#: A log ratio beyond this is a reference that says nothing of others.
_MOST_LOG = 2.0
#: Standard deviations beyond which a reference contradicts its pixel.
_CONTRADICTION = 4.0


@dataclass(frozen=True)
class Lengths:
    """Hyper-parameters of the process."""

    chroma: float
    brightness: float
    constant: float
    nugget: float
    share: float
    """Of the posterior mean that is applied; 0: nothing is."""


@dataclass(frozen=True, eq=False)
class Correction:
    """What references taught of a method's errors.

    Attributes:
        values: shape (n, 3), linear R, G, B of the references' pixels.
        ratios: shape (n, band), log(true / recovered).
        wavelengths_nm: shape (band,).
        white: shape (3,), R, G, B of a perfect white.
        response: shape (band, 3), or None where the camera is not known.
        lengths: chosen by cross-validation.
        before: mean relative error of left-out references without a correction.
        after: and with it.
        camera: what explains the picture's codes; None where it is not known.
    """

    values: FloatArray
    ratios: FloatArray
    wavelengths_nm: FloatArray
    white: FloatArray
    response: FloatArray | None
    lengths: Lengths
    before: float
    after: float
    camera: Camera | None = None

    @property
    def key(self) -> str:
        """A short name; another correction has another."""
        return fingerprint(self.values.tolist(), self.ratios.tolist(), str(self.lengths))

    @property
    def summary(self) -> str:
        """In words, for a cube's attributes."""
        count = f"{len(self.values)} references"
        if self.lengths.share == 0:
            return f"{count}: no correction, which cross-validation says would not help"
        return (
            f"{count}: error of left-out ones {self.before:.3f} without the correction, "
            f"{self.after:.3f} with it"
        )

    def apply(
        self, spectra: npt.NDArray[np.float32], image: xr.DataArray, wavelengths_nm: npt.ArrayLike
    ) -> None:
        """Correct spectra in place and put the picture's R, G, B back.

        Args:
            spectra: shape (n, band), of the pixels in their order.
            image: the picture, linear values, n pixels.
            wavelengths_nm: shape (band,).

        Raises:
            DataError: other wavelengths than the references'.
        """
        if not np.allclose(wavelengths_nm, self.wavelengths_nm):
            raise DataError("the correction was made for cubes of other wavelengths; fit it again")
        width = image.sizes["x"]
        rows = max(1, _STRIP // width)
        for top in range(0, image.sizes["y"], rows):  # bounds of the whole would take memory
            part = image[top : top + rows]
            some = spectra[top * width : (top + rows) * width]
            rgb = np.ascontiguousarray(part.values, np.float32).reshape(-1, 3)
            if self._table.multiply(some, rgb) and self.response is not None:
                self._put_back(some, part)

    def deviation(
        self, cube: xr.DataArray, image: xr.DataArray, own: npt.NDArray[np.float32] | None
    ) -> npt.NDArray[np.float32]:
        """Standard deviation of the error of each value: posterior, after the references.

        Args:
            cube: corrected.
            image: the picture, linear values.
            own: what the method says of itself without references, or None.
        """
        rgb = np.ascontiguousarray(image.values, np.float32).reshape(-1, 3)
        left = self._table.spread(rgb).reshape(*cube.shape[:2], 1)
        if own is not None:
            return np.asarray(own * left, np.float32)
        # The spread of the method's own errors at the references is the prior.
        prior = np.sqrt(np.mean(self.ratios**2, axis=0)).astype(np.float32)
        return np.asarray(np.abs(cube.values) * prior * left, np.float32)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write one JSON file, for other pictures of the same capture and method.

        Raises:
            OutputError: the file exists and ``overwrite`` is false, or cannot be written.
        """
        record = {
            "format": FORMAT,
            "version": VERSION,
            "values": self.values.tolist(),
            "ratios": self.ratios.tolist(),
            "wavelengths_nm": self.wavelengths_nm.tolist(),
            "white": self.white.tolist(),
            "lengths": self.lengths.__dict__,
            "before": self.before,
            "after": self.after,
        }
        with atomic_path(path, overwrite=overwrite) as temporary:
            temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str], reconstructor: Reconstructor) -> Correction:
        """Read what :meth:`save` wrote, for a reconstructor of the same capture.

        Raises:
            FormatError: no such file, not a correction, of another version, or damaged.
        """
        file = Path(path)
        try:
            record = read_object(file)
            if record["format"] != FORMAT or record["version"] != VERSION:
                raise FormatError(f"{file} is not a correction of version {VERSION}; fit it again")
            arrays = {k: np.array(record[k]) for k in ("values", "ratios", "wavelengths_nm")}
            camera, response = _camera_of(reconstructor)
            return cls(
                **arrays,
                white=np.array(record["white"]),
                response=response,
                lengths=Lengths(**record["lengths"]),
                before=float(record["before"]),
                after=float(record["after"]),
                camera=camera,
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"{file} cannot be read as a correction: {error}") from None

    @property
    def _table(self) -> FactorTable:
        table: FactorTable | None = self.__dict__.get("_made")
        if table is None:
            table = _factor_table(self)
            object.__setattr__(self, "_made", table)
        return table

    def _put_back(self, spectra: npt.NDArray[np.float32], image: xr.DataArray) -> None:
        from respectra.inference.nearest_spectra import move_into

        assert self.camera is not None
        assert self.response is not None
        if self.camera.exact:
            low, high = self.camera.code_bounds(image)
        else:
            low = high = np.asarray(image.values, np.float64)
        move_into(
            spectra,
            self.response,
            np.ascontiguousarray(low.reshape(-1, 3)),
            np.ascontiguousarray(high.reshape(-1, 3)),
            non_negative=False,
            metric_floor=METRIC_FLOOR,
        )


def fit_references(
    reconstructor: Reconstructor, image: xr.DataArray, references: References
) -> Correction:
    """What references in a picture teach of a reconstructor's errors.

    Args:
        reconstructor: for the picture's capture.
        image: the picture in which the references' places are.
        references: their spectra in the quantity that the reconstructor gives.

    Raises:
        DataError: references outside the picture, on clipped or black pixels, that contradict one
            another or the picture, or do not cover the bands.
    """
    from respectra.inference.reconstructor import bits_of

    picture = reconstructor.picture_of(image)
    scaled, factor = reconstructor.guarantees.scale(picture)
    rgb = np.asarray(scaled.values, np.float32)
    measured = references.measure(np.asarray(picture.values, np.float64))
    height, width = rgb.shape[:2]
    scene = Scene(height, width, lambda y, x: rgb[y, x], bits_of(scaled), factor)
    recovered = spectra_at(reconstructor, scene, measured)
    return fit_correction(reconstructor, measured, recovered, picture.attrs)


def correct_picture(
    reconstructor: Reconstructor, picture: Picture, references: References
) -> Correction:
    """As :func:`fit_references`, of a picture on disk that is read piece by piece.

    Raises:
        DataError: as :func:`fit_references`.
    """
    from respectra.inference.reconstructor import EXACT_BITS

    top = picture.bounds()[1] if reconstructor.guarantees.scales else 1.0
    factor = top if top > 0 else 1.0
    measured = references.measure_in(picture.height, picture.width, picture.read)
    bits = picture.value_bits if factor == 1.0 else EXACT_BITS
    scene = Scene(
        picture.height,
        picture.width,
        lambda y, x: picture.read(y, x) / np.float32(factor),
        bits,
        factor,
    )
    recovered = spectra_at(reconstructor, scene, measured)
    corner = picture.image(slice(0, 1), slice(0, 1))
    return fit_correction(reconstructor, measured, recovered, corner.attrs)


def fit_correction(
    reconstructor: Reconstructor,
    references: References,
    recovered: FloatArray,
    codes: Mapping[Any, Any] | None = None,
) -> Correction:
    """A correction from references with values and what a method recovered there.

    Args:
        reconstructor: for the capture of the references.
        references: with the values of their pixels.
        recovered: shape (n, band), what the reconstructor gives at them.
        codes: attributes of the picture, which say how its values were quantised; None: they are
            exact.

    Raises:
        DataError: references that contradict one another or their pixels, or do not cover the
            bands.
    """
    grid = np.array(reconstructor.contract.wavelengths_nm)
    known = references.on(grid)
    _check_each_other(known)
    camera, response = _camera_of(reconstructor)
    if response is not None:
        _check_values(known, response, reconstructor.capture)
    white = np.ones(3) if response is None else response.sum(axis=0)
    values = np.asarray(known.values, np.float64)
    ratios = _log_ratios(known.spectra, recovered)
    kept = _thin(features(values, white), _MOST)
    values, ratios, spectra = values[kept], ratios[kept], recovered[kept]
    before_and_after = _Errors(values, spectra, known.spectra[kept], response, camera, codes)
    lengths, before, after = choose_lengths(
        features(values, white), ratios, before_and_after, known.uncertainty[kept]
    )
    return Correction(values, ratios, grid, white, response, lengths, before, after, camera=camera)


@dataclass(frozen=True)
class Scene:
    """A picture as the method sees it, to be read in parts."""

    height: int
    width: int
    read: Reader
    bits: int
    factor: float
    """What its cube has to be multiplied by."""


def spectra_at(reconstructor: Reconstructor, scene: Scene, references: References) -> FloatArray:
    """What a reconstructor gives at references, without recovering the rest of the picture.

    Args:
        reconstructor: its guarantees and corrections play no part.
        scene: the picture.
        references: with the values of their pixels.

    Returns:
        shape (n, band).
    """
    factor = scene.factor
    if reconstructor.sees_neighbours and references.points is not None:
        return factor * _spectra_in_tiles(reconstructor, scene, references)
    values = np.asarray(references.values, np.float32) / np.float32(factor)
    side = max(reconstructor.card.size_minimum, 1)
    if reconstructor.sees_neighbours:  # values alone: an even field of each
        side = max(side, 16)
        found = [
            reconstructor.predict(np.broadcast_to(v, (side, side, 3)).copy()).mean(axis=(0, 1))
            for v in values
        ]
        return factor * np.asarray(found, np.float64)
    patch = np.repeat(values[:, None], max(side, 1), axis=1)
    patch = np.concatenate([patch, np.repeat(patch[-1:], max(side - len(patch), 0), axis=0)])
    by_means = reconstructor.card.tiling is Tiling.STATISTICS
    if by_means and reconstructor.weights.baked is None:
        layout = reconstructor.layout(scene.height, scene.width)
        means = reconstructor.compute_global_means(
            scene.read, layout, bounds=(0.0, 1.0), bits=scene.bits
        )
        with reconstructor.given(means):
            spectra = reconstructor.predict(patch, bits=scene.bits)
    else:
        spectra = reconstructor.predict(patch, bits=scene.bits)
    return factor * np.asarray(spectra[: len(values), 0], np.float64)


def _spectra_in_tiles(
    reconstructor: Reconstructor, scene: Scene, references: References
) -> FloatArray:
    """Means over the references' rectangles."""
    layout = reconstructor.layout(scene.height, scene.width)
    totals = np.zeros((len(references), reconstructor.contract.bands))
    bounds = (0.0, 1.0)
    if not reconstructor.contract.keeps_exposure:
        own = reconstructor.contract.own_values(
            scene.read(slice(0, scene.height), slice(0, scene.width))
        )
        bounds = (float(own.min()), float(own.max()))
    pieces = reconstructor.pieces(
        scene.read,
        layout,
        bounds=bounds,
        bits=scene.bits,
        output=reconstructor.for_pieces(layout, scene.bits),
    )
    for (rows, columns), spectra in pieces:
        for number, (y, x, tall, wide) in enumerate(references.points):
            top, left = max(y, rows.start), max(x, columns.start)
            bottom, right = min(y + tall, rows.stop), min(x + wide, columns.stop)
            if top < bottom and left < right:
                part = spectra[
                    top - rows.start : bottom - rows.start,
                    left - columns.start : right - columns.start,
                ]
                totals[number] += part.sum(axis=(0, 1), dtype=np.float64)
    return np.asarray(totals / references.points[:, 2:].prod(axis=1)[:, None], np.float64)


def choose_lengths(
    points: FloatArray, ratios: FloatArray, errors: _Errors, uncertainty: FloatArray
) -> tuple[Lengths, float, float]:
    """Lengths with the least error of references that were left out, one at a time.

    Args:
        points: shape (n, 3), features of the references.
        ratios: shape (n, band), log(true / recovered).
        errors: of the references after corrections.
        uncertainty: shape (n, band), relative, of the references.

    Returns:
        the lengths, with share 0 where no correction is better; the mean relative error without a
        correction, and with it.
    """
    none = Lengths(_CHROMA[0], _BRIGHTNESS[0], 0.0, 1.0, 0.0)
    some = _thin(points, _CHOOSING)
    points, ratios, errors = points[some], ratios[some], errors.of(some)
    stated = np.mean(uncertainty[some] ** 2, axis=1)
    before = errors(np.zeros_like(ratios))
    unchanged = float(before.mean())
    if len(points) < 3:  # too few to leave one out
        return none, unchanged, unchanged
    best, least, after = none, 0.0, before
    for chroma, brightness, constant in itertools.product(_CHROMA, _BRIGHTNESS, _CONSTANT):
        kernel = _kernel(points, points, chroma, brightness, constant)
        for nugget in _NUGGET:
            left_out = _left_out(kernel, ratios, nugget, stated)
            for share in _SHARES if len(points) >= _ENOUGH else _SHARES[:1]:
                found = errors(share * left_out)
                gain = float(np.log(found / before).mean())
                if gain < least:
                    best = Lengths(chroma, brightness, constant, nugget, share)
                    least, after = gain, found
    gains = np.log(before / after)
    doubt = gains.std(ddof=1) / np.sqrt(len(gains))
    if least > np.log(1.0 - _WORTH) or gains.mean() < 0.5 * doubt:
        return none, unchanged, unchanged
    return best, unchanged, float(after.mean())


class _Errors:
    """Mean relative errors of references after a correction and the return to their R, G, B."""

    def __init__(
        self,
        values: FloatArray,
        recovered: FloatArray,
        truth: FloatArray,
        response: FloatArray | None,
        camera: Camera | None,
        codes: Mapping[Any, Any] | None,
    ) -> None:
        self._recovered, self._truth, self._response = recovered, truth, response
        self._floor = np.maximum(truth, _FLOOR * truth.mean(axis=1, keepdims=True))
        self._low = self._high = np.ascontiguousarray(values, np.float64)
        if camera is not None and camera.exact and codes is not None:
            picture = make_image(np.clip(values, 0.0, 1.0)[:, None], bits=32)
            known = {k: codes[k] for k in ("bits", "code_bits", "code_curve") if k in codes}
            low, high = camera.code_bounds(picture.assign_attrs(known))
            self._low, self._high = (np.ascontiguousarray(b[:, 0]) for b in (low, high))

    def of(self, some: npt.NDArray[np.int64]) -> _Errors:
        """The errors of some of the references."""
        other = copy.copy(self)
        for name in ("_recovered", "_truth", "_floor", "_low", "_high"):
            setattr(other, name, np.ascontiguousarray(getattr(self, name)[some]))
        return other

    def __call__(self, logs: FloatArray) -> FloatArray:
        """Shape (n,), of corrections in logarithms (n, band)."""
        from respectra.inference.nearest_spectra import move_into

        spectra = np.ascontiguousarray(self._recovered * np.exp(logs), np.float32)
        if self._response is not None and logs.any():
            move_into(
                spectra,
                self._response,
                self._low,
                self._high,
                non_negative=False,
                metric_floor=METRIC_FLOOR,
            )
        off = np.abs(spectra - self._truth) / self._floor
        return np.asarray(np.maximum(off.mean(axis=1), _LEAST))


def _kernel(
    left: FloatArray, right: FloatArray, chroma: float, brightness: float, constant: float
) -> FloatArray:
    """Covariance of the process between features (n, 3) and (m, 3)."""
    gap = (left[:, None] - right[None]) / np.array([chroma, chroma, brightness])
    return np.asarray(np.exp(-0.5 * (gap**2).sum(axis=2)) + constant)


def _left_out(
    kernel: FloatArray, ratios: FloatArray, nugget: float, stated: FloatArray
) -> FloatArray:
    """Posterior mean at each sample from all the others."""
    size = max(float(np.mean(ratios**2)), 1e-8)
    noise = nugget + stated / size
    inverse = np.linalg.inv(kernel + np.diag(noise))
    return np.asarray(ratios - (inverse @ ratios) / np.diag(inverse)[:, None])


def _factor_table(correction: Correction) -> FactorTable:
    """The posterior over all colours, and what is left at the references' own."""
    lengths = correction.lengths
    points = features(correction.values, correction.white)
    kernel = _kernel(points, points, lengths.chroma, lengths.brightness, lengths.constant)
    inverse = np.linalg.inv(kernel + lengths.nugget * np.eye(len(points)))
    weights = lengths.share * (inverse @ correction.ratios)
    prior = 1.0 + lengths.constant

    def logs_and_spread(nodes: FloatArray) -> tuple[FloatArray, FloatArray]:
        across = _kernel(nodes, points, lengths.chroma, lengths.brightness, lengths.constant)
        variance = prior - np.einsum("ij,ij->i", across @ inverse, across)
        ratio = (np.maximum(variance, 0.0) + lengths.nugget) / (prior + lengths.nugget)
        spread = np.sqrt(ratio) if lengths.share > 0 else np.ones(len(nodes))
        return across @ weights, spread

    table = FactorTable(correction.white, correction.ratios.shape[1], logs_and_spread)
    table.pin(correction.values, correction.ratios, _SAME_COLOUR)
    return table


def _camera_of(reconstructor: Reconstructor) -> tuple[Camera | None, FloatArray | None]:
    """What explains the picture's codes, and its response; None where it is not known."""
    contract = reconstructor.contract
    try:
        camera = camera_of(contract)
    except ConfigError:
        return None, None
    return camera, camera.response_matrix(contract.wavelengths_nm)


def _log_ratios(truth: FloatArray, recovered: FloatArray) -> FloatArray:
    floor = 0.1 * _FLOOR * truth.mean(axis=1, keepdims=True)
    logs = np.log(np.maximum(truth, floor) / np.maximum(recovered, floor))
    return np.asarray(np.clip(logs, -_MOST_LOG, _MOST_LOG))


def _thin(points: FloatArray, most: int) -> npt.NDArray[np.int64]:
    """Samples far from one another, in their order: each next is the farthest from those before."""
    if len(points) <= most:
        return np.arange(len(points))
    scaled = points / np.array([0.25, 0.25, 3.0])
    chosen, distance = [0], np.full(len(points), np.inf)
    while len(chosen) < most:
        gap = ((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1)
        distance = np.minimum(distance, gap)
        chosen.append(int(distance.argmax()))
    return np.sort(np.array(chosen))


def _check_each_other(references: References) -> None:
    """Refuse references of one place that state different spectra."""
    if references.points is None:
        return
    first: dict[tuple[int, ...], int] = {}
    for number, place in enumerate(references.points):
        other = first.setdefault(tuple(place.tolist()), number)
        if other == number:
            continue
        one, two = references.spectra[other], references.spectra[number]
        spread = np.hypot(references.uncertainty[other], references.uncertainty[number])
        off = np.abs(one - two) / np.maximum(0.5 * (one + two), 1e-9)
        if np.median(off / spread) > _CONTRADICTION:
            raise DataError(
                f"{references.name(number)} contradicts reference {other + 1} of the same place: "
                f"their spectra differ by {np.median(off):.0%}, {np.median(spread):.0%} is their "
                "uncertainty; keep one of them, or state a larger uncertainty"
            )


def _check_values(references: References, response: FloatArray, capture: Capture | None) -> None:
    """Refuse references whose spectra do not give the R, G, B of their pixels."""
    seen = references.spectra @ response
    values = np.asarray(references.values)
    spread = references.uncertainty.mean(axis=1, keepdims=True)
    noise: FloatArray = np.zeros(1)
    if capture is not None and capture.noise:
        noise = CaptureCamera(capture).deviation(values)
    size = np.maximum(seen, values)
    expected = np.sqrt((spread * size) ** 2 + noise**2) + 1.0 / 255.0 / _CONTRADICTION
    off = np.abs(seen - values) / expected
    off[values >= 0.995] = 0.0
    wrong = np.flatnonzero(off.max(axis=1) > _CONTRADICTION)
    if not wrong.size:
        return
    parts = []
    for number in wrong[:3]:
        channel = int(off[number].argmax())
        parts.append(
            f"{references.name(number)} gives {'RGB'[channel]} = {seen[number, channel]:.3f}, the "
            f"picture has {values[number, channel]:.3f} "
            f"({seen[number, channel] / max(values[number, channel], 1e-6) - 1:+.0%})"
        )
    more = f" and {wrong.size - 3} more" if wrong.size > 3 else ""
    message = (
        f"references contradict the picture by more than their uncertainty: {'; '.join(parts)}"
        f"{more}. Check the camera, the light and the white, whether the spectra are of this "
        "quantity, or state a larger uncertainty"
    )
    told = capture is None or (capture.light is not None and not capture.is_photograph)
    if told:
        raise DataError(message)
    warnings.warn(message, RespectraWarning, stacklevel=2)
