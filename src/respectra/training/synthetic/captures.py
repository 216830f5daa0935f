"""Random captures: cameras, lights, and noise.

Cameras are those that anybody may use (the observers, the organisers' example camera, what
colour-science has) with smooth random variations, and random ones of the shape that filters and
silicon give. Lights are those of colour-science, daylights and black bodies, and random lamps:
diodes with and without phosphor, fluorescent tubes, sodium lamps, and mixtures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from respectra.cameras import codec
from respectra.cameras.responses import get_response
from respectra.cameras.sensor import demosaic, mosaic
from respectra.datasets.spectra import illuminants
from respectra.methods.settings import TRACK_SETTINGS
from respectra.training.synthetic.materials import BANDS, GRID, Randomness, smooth_factor

#: Standard deviation of what JPEG at a quality of 80 adds, as is told.
JPEG_NOISE = TRACK_SETTINGS["real-world"]["noise"][0]
#: Cameras that are drawn from, under licences that let anybody do so.
KNOWN_CAMERAS = (
    "cie-1964-ntire2020",
    "ntire2020-example-d40",
    "cie-1931-2deg",
    "cie-1964-10deg",
    "nikon-5100-npl",
    "sigma-sdmerill-npl",
    "ampas-arri-d21",
    "ampas-canon-eos-5d-mark-ii",
    "ampas-canon-powershot-s90",
    "ampas-canon-xti",
    "ampas-nikon-d200",
    "ampas-nikon-d5100",
    "ampas-nikon-d70",
    "ampas-nikon-d700",
    "ampas-nikon-d7000",
    "ampas-sony-ilce-7rm2",
    "ampas-sony-ilce-7sm2",
)
#: Lines of mercury, and of the phosphors of fluorescent lamps, in nm, with their strength.
_MERCURY = ((404.7, 0.4), (435.8, 1.0), (487.0, 0.5), (546.1, 1.6), (578.0, 0.5), (611.0, 1.6))
#: Lines of sodium at high pressure, broad at 589 nm, likewise.
_SODIUM = (
    (467.0, 0.05),
    (498.0, 0.15),
    (515.0, 0.05),
    (568.0, 0.6),
    (582.0, 0.8),
    (595.0, 1.2),
    (616.0, 0.4),
    (668.0, 0.1),
)


class Cameras(Randomness):
    """Draws responses (band, 3), each channel with a sum of 1."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__(generator)
        tables = [
            torch.tensor(get_response(name).values, dtype=torch.float32) for name in KNOWN_CAMERAS
        ]
        self.known = torch.stack([table / table.sum(dim=0) for table in tables])
        self.bend = smooth_factor(70.0)

    def draw(self) -> Tensor:
        """A camera."""
        if self.chance(0.45):
            table = self.known[self.pick(len(self.known))]
            if self.chance(0.85):
                table = self._varied(table)
        else:
            table = self._made()
        if self.chance(0.3):
            mix = torch.eye(3) + 0.15 * torch.randn(3, 3, generator=self.g).abs()
            table = table @ mix
        return table / table.sum(dim=0)

    def _varied(self, table: Tensor) -> Tensor:
        """Shifted, stretched and bent."""
        centre = 0.5 * (BANDS - 1)
        at = (torch.arange(BANDS) - centre) * self.number(0.9, 1.1) + centre
        at = (at + self.number(-1.2, 1.2)).clamp(0, BANDS - 1.001)
        left = at.long()
        table = table[left] + (table[left + 1] - table[left]) * (at - left)[:, None]
        bend = self.bend @ torch.randn(BANDS, 3, generator=self.g)
        return table * torch.exp(0.15 * bend)

    def _made(self) -> Tensor:
        """Filters of three colours, over silicon, behind filters of ultraviolet and infrared."""
        columns = []
        for low, high, least, most in ((580, 625, 25, 50), (515, 555, 28, 50), (440, 475, 20, 40)):
            peak = self.number(low, high)
            widths = self.uniform(2, low=least, high=most)
            side = torch.where(peak > GRID, widths[0], widths[1])
            lobe = torch.exp(-0.5 * ((GRID - peak) / side).abs() ** self.number(1.6, 2.6))
            leak = torch.exp(-0.5 * ((GRID - self.number(400, 700)) / self.number(20, 80)) ** 2)
            columns.append(lobe + self.number(0, 0.12) * leak + self.number(0, 0.03))
        table = torch.stack(columns, dim=1)
        blue = torch.sigmoid((GRID - self.number(385, 425)) / self.number(3, 10))
        red = torch.sigmoid((self.number(640, 720) - GRID) / self.number(5, 20))
        bend = self.bend @ torch.randn(BANDS, 1, generator=self.g)
        return table * (blue * red)[:, None] * torch.exp(0.1 * bend)


class Lamps(Randomness):
    """Draws lights (band), each with a mean of 1 and no band without any light."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__(generator)
        self.collections = [
            torch.tensor(found[found.min(axis=1) >= 0], dtype=torch.float32)
            for found in (illuminants(n).values for n in ("cie", "lamps", "daylight", "blackbody"))
        ]

    def draw(self) -> Tensor:
        """A light."""
        kind = self.number()
        if kind < 0.2:
            light = torch.ones(BANDS)
        elif kind < 0.65:
            of = self.collections[0 if kind < 0.45 else 1 + self.pick(3)]
            light = of[self.pick(len(of))]
        elif kind < 0.82:
            light = self._diode()
        elif kind < 0.93:
            light = self._tube(_MERCURY, 0.3, 1.0)
        else:
            light = self._tube(_SODIUM, 0.1, 0.3)
        if self.chance(0.2):
            other = self.collections[self.pick(4)]
            second = other[self.pick(len(other))]
            share = self.number()
            light = share * light / light.mean() + (1 - share) * second / second.mean()
        light = light / light.mean()
        # Stray daylight: nothing is quite without any light.
        light = light + 0.002
        return light / light.mean()

    def _diode(self) -> Tensor:
        if self.chance(0.3):  # three colours
            peaks = (self.number(445, 470), self.number(510, 540), self.number(600, 640))
            return sum(
                (self.number(0.3, 1.0) * _lobe(p, self.number(8, 18)) for p in peaks),
                torch.zeros(BANDS),
            )
        blue = self.number(0.1, 1.2) * _lobe(self.number(440, 462), self.number(7, 12))
        return blue + _lobe(self.number(535, 620), self.number(40, 70))

    def _tube(self, lines: tuple[tuple[float, float], ...], even: float, broad: float) -> Tensor:
        """Lines over an even continuum and a broad lobe, each of up to these heights."""
        light = even * self.number() * torch.ones(BANDS)
        light += broad * self.number() * _lobe(self.number(530, 620), self.number(35, 60))
        for at, strength in lines:
            peak = float(strength * torch.exp(0.6 * torch.randn(1, generator=self.g)))
            # A line falls into the two bands that it lies between.
            light += peak * (1 - (GRID - at).abs() / 10).clamp_min(0.0)
        return light + 0.01


def _lobe(peak: float, width: float) -> Tensor:
    return torch.exp(-0.5 * ((GRID - peak) / width) ** 2)


def effective(camera: Tensor, light: Tensor, white: Tensor) -> Tensor:
    """The response (band, 3) that sees reflectance under a light, and white as ``white``."""
    seen = light[:, None] * camera
    return seen / seen.sum(dim=0) * white


@dataclass(frozen=True)
class Sensor:
    """Noise, mosaic and JPEG of a camera, on the scale of values from 0 to 1."""

    read: float
    """Standard deviation of dark values."""
    gain: float
    """Variance for each unit of value: what one electron gives."""
    mosaic: bool
    quality: int | None
    """Of the JPEG file; None: there is none."""

    @property
    def told_read(self) -> float:
        """The standard deviation of dark values with what JPEG adds to it."""
        added = JPEG_NOISE * (1.0 if self.quality is None or self.quality < 90 else 0.5)
        return self.read if self.quality is None else float(np.hypot(self.read, added))

    def __call__(self, signal: npt.NDArray[np.float32], rng: np.random.Generator) -> Any:
        """Values (y, x, 3) -> values (y, x, 3) of 8-bit codes."""
        electrons = rng.poisson(signal / self.gain) * self.gain
        noisy = electrons + self.read * rng.standard_normal(signal.shape)
        raw = np.rint(np.clip(noisy, 0.0, 1.0) * 65535).astype(np.uint16)
        if self.mosaic:
            raw = demosaic(mosaic(raw))
        codes = (raw // np.uint16(257)).astype(np.uint8)
        if self.quality is not None:
            codes = codec.decode(codec.encode_jpeg(codes, self.quality))
        return (codes / np.float32(255)).astype(np.float32)
