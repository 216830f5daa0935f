"""Guarantees and references where the tile is, so that only finished spectra are copied back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor
from torch.nn import functional as F

from respectra.cameras import Track
from respectra.cameras.capture_camera import CaptureCamera
from respectra.inference import guarantees as host
from respectra.inference.on_device.nearest import BLOCK, move_into
from respectra.inference.reference_tables import FactorTable, TableArrays
from respectra.inference.soft_consistency import ROUNDS, WINDOW, mean_noise
from respectra.typing import FloatArray

if TYPE_CHECKING:
    from respectra.inference.corrections import Correction
    from respectra.inference.guarantees import Guarantees
    from respectra.methods import Contract

Floats = npt.NDArray[np.floating]


def finish(contract: Contract, spectra: Tensor) -> Tensor:
    """``Contract.finish`` for spectra (..., band) on a device."""
    with torch.inference_mode():
        if contract.clip_low is not None or contract.clip_high is not None:
            spectra = spectra.clamp(contract.clip_low, contract.clip_high)
        if contract.band_scale is not None:
            spectra = spectra * spectra.new_tensor(contract.band_scale)
        return spectra


def enforce(
    guarantees: Guarantees,
    cube: Tensor,
    image: xr.DataArray,
    factor: float,
    wavelengths_nm: Sequence[float],
) -> tuple[Tensor, host.Report]:
    """``Guarantees.enforce`` for a cube (y, x, band) on a device, finished, which may be changed.

    Its values are those that the processor computes to a few millionths of a spectrum's largest;
    single pixels beside a threshold, such as how rough a spectrum may be, may fall on its other
    side.

    Raises:
        DataError: the method gave values that are not finite.
    """
    with torch.inference_mode():  # of which the cube is
        return _enforce(guarantees, cube, image, factor, np.asarray(wavelengths_nm, np.float64))


def _enforce(
    guarantees: Guarantees, cube: Tensor, image: xr.DataArray, factor: float, grid: Floats
) -> tuple[Tensor, host.Report]:
    height, width, bands = cube.shape
    spectra = cube.float().contiguous().view(-1, bands)
    if factor != 1.0:
        spectra = spectra * factor
    sample = slice(None, None, host.sample_step(len(spectra)))
    before = spectra[sample].clone()
    if guarantees.correction is not None:
        _correct(guarantees.correction, spectra, image, grid)
    non_negative, smooth = ("non-negative" in guarantees.names), ("smooth" in guarantees.names)
    if smooth:
        _smooth(spectra, grid)
    if non_negative:
        spectra = spectra.clamp_min_(0.0)
    status = torch.zeros(len(spectra), dtype=torch.uint8, device=spectra.device)
    if guarantees.track is not None:
        status = _move(guarantees, guarantees.track, spectra, image, grid, non_negative)
    change = (spectra[sample] - before).norm(dim=1) / before.norm(dim=1).clamp_min(1e-6)
    unreachable = np.zeros((height, width), np.bool_)
    if bool((status == 2).any()):
        unreachable = (status == 2).view(height, width).cpu().numpy()
    report = host.Report(
        pixels=len(spectra),
        moved=int((status == 1).sum()),
        unreachable=unreachable,
        relative_change=float(change.mean()),
        rough=int((_roughness(spectra, grid) > 1.001 * host.ROUGHEST).sum()) if smooth else 0,
    )
    return spectra.view(height, width, bands), report


def _move(
    guarantees: Guarantees,
    track: Track | CaptureCamera,
    spectra: Tensor,
    image: xr.DataArray,
    grid: Floats,
    non_negative: bool,
) -> Tensor:
    camera = track.response_matrix(grid)
    low: Tensor | FloatArray
    high: Tensor | FloatArray
    if track.exact:
        low, high = (b.reshape(-1, 3) for b in guarantees.bounds(track, image))
    else:
        low = high = _denoised_values(track, image, spectra, camera).view(-1, 3)
    status = move_into(spectra, camera, low, high, non_negative=non_negative)
    host.require_finite(int((status == 3).sum()))
    return status


def _denoised_values(
    track: Track | CaptureCamera, image: xr.DataArray, spectra: Tensor, camera: FloatArray
) -> Tensor:
    """``soft_consistency.denoised_values`` on the device."""
    response = torch.as_tensor(camera, dtype=torch.float64, device=spectra.device)
    starts = range(0, len(spectra), BLOCK)
    seen = torch.cat([spectra[start : start + BLOCK].double() @ response for start in starts])
    values = seen.view(image.shape)
    codes = track.invert_codes(image)
    observed = torch.as_tensor(codes).to(spectra.device)
    tolerance = torch.as_tensor(mean_noise(track, codes)).to(spectra.device)
    clipped = torch.as_tensor(np.asarray(image.values) >= 1.0).to(spectra.device)
    for _ in range(ROUNDS):
        difference = observed - values
        difference = torch.where(clipped, difference.clamp_min(0.0), difference)
        local = _local_mean(difference)
        values = values + local.sign() * (local.abs() - tolerance).clamp_min(0.0)
    return values.clamp_min(0.0)


def _local_mean(values: Tensor) -> Tensor:
    """Means over the window around each pixel, (y, x, channel); the border is mirrored."""
    reach = WINDOW // 2
    for axis in (0, 1):
        length = values.shape[axis]
        place = torch.arange(-reach, length + reach, device=values.device) % (2 * length)
        place = torch.where(place < length, place, 2 * length - 1 - place)
        values = values.index_select(axis, place)
    means = F.avg_pool2d(values.permute(2, 0, 1)[None], WINDOW, stride=1)
    return means[0].permute(1, 2, 0)


def _smooth(spectra: Tensor, grid: Floats) -> None:
    """``guarantees.smooth`` in place."""
    differences = host.second_differences(grid)
    rough = (_roughness(spectra, grid) > host.ROUGHEST).nonzero()[:, 0]
    start = spectra[rough]
    for strength in host.STRENGTHS:
        if not len(rough):
            return
        penalty = np.eye(start.shape[1]) + strength * differences.T @ differences
        spectra[rough] = start @ start.new_tensor(np.linalg.inv(penalty).astype(np.float32))
        still = _roughness(spectra[rough], grid) > host.ROUGHEST
        rough, start = rough[still], start[still]


def _roughness(spectra: Tensor, grid: Floats) -> Tensor:
    """‖D s‖ / ‖s‖ of each spectrum; 0 where the spectrum is 0."""
    differences = spectra.new_tensor(host.second_differences(grid).astype(np.float32))
    sizes = spectra.norm(dim=1)
    curves = (spectra @ differences.T).norm(dim=1)
    return torch.where(sizes > 0, curves / sizes, 0.0)


def _correct(correction: Correction, spectra: Tensor, image: xr.DataArray, grid: Floats) -> None:
    """``Correction.apply`` in place."""
    correction.require_grid(grid)
    for part, some in correction.strips(image, spectra):
        rgb = np.ascontiguousarray(part.values, np.float32).reshape(-1, 3)
        if multiply(correction.table, some, rgb) and correction.response is not None:
            move_into(some, correction.response, *correction.bounds(part))


def multiply(table: FactorTable, spectra: Tensor, rgb: npt.NDArray[np.float32]) -> bool:
    """``FactorTable.multiply`` in place."""
    if table.unchanged:
        return False
    there = TableArrays(*(torch.as_tensor(a).to(spectra.device) for a in table.arrays))
    for first in range(0, len(spectra), BLOCK):
        part = slice(first, first + BLOCK)
        colours = torch.as_tensor(rgb[part]).to(spectra.device)
        spectra[part] *= _factors(there, colours)
    return not table.trivial


def _factors(table: TableArrays[Tensor], colours: Tensor) -> Tensor:
    """Shape (n, band): between the nodes of the table, and those of pinned colours."""
    nodes, levels, bands = table.factors.shape[1], table.factors.shape[2], table.factors.shape[3]
    shares = colours.clamp_min(0.0) / table.white
    total = shares.sum(dim=1, keepdim=True)
    chroma = torch.where(total > 0, shares[:, :2] / total, 1.0 / 3.0).double()
    bright = torch.log2(total / 3.0 + 1.0 / 512.0).double()
    place = ((torch.cat([chroma, bright], dim=1) - table.starts) * table.steps.double()).T
    place[:2].clamp_(0.0, nodes - 1)
    most = torch.tensor([nodes - 2, nodes - 2, levels - 2], device=colours.device)[:, None]
    below = torch.minimum(place.long().clamp_min(0), most)
    above = (place - below).float()
    above[2].clamp_(0.0, 1.0)
    flat = table.factors.reshape(-1, bands)
    found = torch.zeros(len(colours), bands, device=colours.device)
    for corner in range(8):
        step = [corner >> 2, (corner >> 1) & 1, corner & 1]
        share = torch.ones_like(above[0])
        for axis, upper in enumerate(step):
            share = share * (above[axis] if upper else 1.0 - above[axis])
        i, j, k = (below[axis] + step[axis] for axis in range(3))
        found += share[:, None] * flat[(i * nodes + j) * levels + k]
    return _with_pinned(table, colours, found)


def _with_pinned(table: TableArrays[Tensor], colours: Tensor, found: Tensor) -> Tensor:
    """Of colours that are pinned, their own factors; the first where there are several."""
    if not len(table.pinned):
        return found
    reds = table.pinned[:, 0].contiguous()
    red = colours[:, 0].contiguous()
    first = torch.searchsorted(reds, red - table.tolerance)
    count = torch.searchsorted(reds, red + table.tolerance, right=True) - first
    open_ = count > 0
    for step in range(int(count.max())):
        which = (open_ & (count > step)).nonzero()[:, 0]
        candidate = first[which] + step
        off = (table.pinned[candidate, 1:] - colours[which, 1:]).abs()
        hit = (off <= table.tolerance).all(dim=1)
        found[which[hit]] = table.left[candidate[hit]]
        open_[which[hit]] = False
    return found
