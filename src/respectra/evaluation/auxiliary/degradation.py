"""Degradation: more or less noise, and stronger or weaker compression than a track has."""

from __future__ import annotations

import numpy as np
import xarray as xr
from pydantic import Field

from respectra.cameras import Track, codec, sensor
from respectra.evaluation.auxiliary.base import Case, Challenge, InputTest


class AddedNoise(InputTest):
    """Shot noise at a given number of photo-electrons.

    The mean of the green pixels, as the real-world track counts. That track keeps its other
    properties; the clean one gets shot noise and nothing else; the exposed one as many electrons
    a unit of signal as lead to the same mean.
    """

    source = "the real-world track's sensor"
    name_form = "noise-{electrons:g}"
    title_form = "Noise {electrons:g} e⁻"
    electrons: float = Field(default=5000.0, gt=0)
    """Mean photo-electrons of the green pixels."""

    def repeats(self, track: Track) -> bool:
        """Where it is the real-world track's own level of light."""
        return getattr(track.options, "target_electrons", None) == self.electrons

    def challenge(self, case: Case) -> Challenge:
        """The noisy image of the same truth."""
        truth = case.need_truth()
        return Challenge(image=self._image(truth, case), truth=truth, valid=case.valid)

    def _image(self, truth: xr.DataArray, case: Case) -> xr.DataArray:
        track = case.track
        linear = np.maximum(track.project(truth).values, 0.0)
        per_unit = self.electrons / float(linear[..., 1].mean())
        noisy = track.with_electrons(self.electrons, per_unit)
        if noisy is not None:
            return noisy.render(truth, seed=case.seed, key=case.scene)
        codes = np.empty(linear.shape, np.uint8)
        sensor.expose(
            linear,
            per_unit,
            lambda electrons: codec.quantise(electrons * (255.0 / per_unit), track.rounding),
            out=codes,
            seed=case.seed,
            key=case.scene,
        )
        return track.label(codes, seed=case.seed, key=case.scene)


class Compression(InputTest):
    """JPEG of a given quality instead of the track's own file."""

    source = "the real-world track's codec"
    name_form = "jpeg-{quality}"
    title_form = "JPEG {quality}"
    quality: int = Field(default=80, ge=1, le=100)
    """OpenCV's quality, 1 to 100; the challenge's is 80."""

    def repeats(self, track: Track) -> bool:
        """Where it is the track's own quality."""
        return getattr(track.options, "jpeg_quality", None) == self.quality

    def challenge(self, case: Case) -> Challenge:
        """The compressed image of the same truth."""
        truth = case.need_truth()
        codes = case.track.render_codes(truth, seed=case.seed, key=case.scene)
        read = codec.decode(codec.encode_jpeg(codes, self.quality))
        image = case.track.label(read, seed=case.seed, key=case.scene)
        return Challenge(image=image, truth=truth, valid=case.valid)
