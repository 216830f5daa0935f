"""Consistency with a camera that adds noise, interpolates colours and compresses.

The pixel values of such an image are not those of the scene, so a cube that reproduced them would
reproduce their noise. What can be asked of a cube is that it agrees with the image *on average*:
means over 5 × 5 pixels, which is about as far as demosaicing and JPEG spread a value, of what the
camera sees in the cube and of the image may differ by no more than the noise of such a mean. Larger
differences are taken away, which leaves the detail of the estimate as it is.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from respectra.cameras import Track
from respectra.cameras.capture_camera import CaptureCamera
from respectra.typing import FloatArray

#: Side of the square over which is averaged, in pixels.
WINDOW = 5
#: Share of the pixels of a window that measured each channel of an RGGB mosaic.
_MEASURED = np.array([0.25, 0.5, 0.25])
#: How often differences are taken away.
ROUNDS = 4


def denoised_values(
    track: Track | CaptureCamera, image: xr.DataArray, seen: FloatArray
) -> FloatArray:
    """Linear values near those of an estimate, whose local means agree with the image's.

    Options that the camera lacks (electrons, dark noise) count as none. The image is linear;
    ``seen`` (y, x, 3) is what the camera sees in the estimate, without noise. The result has that
    shape and is not negative.
    """
    observed = track.invert_codes(image)
    clipped = np.asarray(image.values) >= 1.0
    tolerance = mean_noise(track, observed)
    values = seen.copy()
    for _ in range(ROUNDS):
        # A channel at the top of its range says only that there was at least as much.
        difference = observed - values
        np.maximum(difference, 0.0, out=difference, where=clipped)
        local = local_mean(difference)
        values += np.sign(local) * np.maximum(np.abs(local) - tolerance, 0.0)
    return np.maximum(values, 0.0)


def mean_noise(track: Track | CaptureCamera, values: FloatArray) -> FloatArray:
    """Standard deviation of the noise of local means; the shape of ``values``.

    Shot and dark noise by the track's options, averaged over the pixels of a window that measured
    the channel, and half a code for rounding and compression.
    """
    if isinstance(track, CaptureCamera):
        variance = track.deviation(values) ** 2
        return np.asarray(0.5 / 255 + np.sqrt(local_mean(variance)) / WINDOW)
    options = track.options
    electrons = float(getattr(options, "target_electrons", 0.0))
    level = float(values[..., 1].mean())
    noise = np.full(values.shape, 0.5 / 255)
    if electrons > 0 and level > 0:
        per_unit = electrons / level
        dark = float(getattr(options, "dark_noise_e", 0.0))
        dark = dark**2 if getattr(options, "dark_noise_spread", "") == "squared" else dark
        variance = (np.maximum(values, 0.0) * per_unit + dark**2) / per_unit**2
        noise += np.sqrt(local_mean(variance) / (WINDOW**2 * _MEASURED))
    return noise


def local_mean(values: FloatArray) -> FloatArray:
    """Means over the window around each pixel; the border is mirrored."""
    from scipy.ndimage import uniform_filter

    means: FloatArray = uniform_filter(values, size=(WINDOW, WINDOW, 1), mode="reflect")
    return means
