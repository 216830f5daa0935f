"""``reference_tables.FactorTable`` for spectra on a device."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from respectra.inference.on_device.nearest import BLOCK
from respectra.inference.reference_tables import FactorTable, TableArrays


def multiply(table: FactorTable, spectra: Tensor, rgb: npt.NDArray[np.float32]) -> bool:
    """As ``FactorTable.multiply``."""
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
