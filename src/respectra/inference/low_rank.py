"""Cubes as coefficients and a basis, from methods that produce them that way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import require_image, to_track_values
from respectra.cubes import LowRankCube
from respectra.errors import ConfigError
from respectra.inference.predictors import Predictor, TablePredictor, TorchPredictor, make_predictor
from respectra.inference.tiling import run
from respectra.methods.network import LowRankNetwork

if TYPE_CHECKING:
    from respectra.inference.reconstructor import Reconstructor

FloatArray = npt.NDArray[np.float32]


def recover_low_rank(
    reconstructor: Reconstructor,
    image: xr.DataArray,
    *,
    rank: int | None = None,
    tolerance: float = 0.01,
) -> LowRankCube:
    """The cube behind an image, as coefficients and a basis.

    * A table: coefficients on the leading spectra of its nodes.
    * A network of coefficients and basis (``staffs-cvl``): its own, tile by tile.
    * A method affine in R, G, B (``pca``, ``wiener``, ``pseudo-inverse``): the pixel itself.

    Args:
        reconstructor: without guarantees, which change the spectra of single pixels.
        image: as for the reconstructor.
        rank: coefficients a pixel of a table; by default the least that keeps to ``tolerance``.
        tolerance: see :meth:`respectra.inference.tables.Table.basis`.

    Raises:
        ConfigError: the method gives no weights on a basis, or guarantees are asked for.
        DataError: as the reconstructor.
    """
    if reconstructor.guarantees:
        raise ConfigError("guarantees change single spectra; a low-rank cube cannot carry them")
    picture = require_image(image)
    if picture.attrs.get("encoding") == "srgb":
        picture = to_track_values(picture, "srgb")
    rgb = np.asarray(picture.values, dtype=np.float32)
    contract = reconstructor.contract
    clip = (contract.clip_low, contract.clip_high)
    predictor = make_predictor(reconstructor.weights, device=reconstructor.device)
    mean: FloatArray | None = None
    if isinstance(predictor, TablePredictor):
        table = predictor.table
        basis = table.basis(rank, tolerance=tolerance)
        coefficients = table.coefficients(rgb, basis)
        clip = (table.facts.clip_low, table.facts.clip_high)
    elif isinstance(predictor, TorchPredictor) and isinstance(predictor.network, LowRankNetwork):
        coefficients = _network_coefficients(reconstructor, predictor, rgb)
        basis = predictor.network.basis.detach().float().cpu().numpy()
    else:
        basis, mean = _affine(predictor, reconstructor.name)
        coefficients = np.ascontiguousarray(contract.prepare(rgb))
    facts: dict[str, Any] = {
        "quantity": contract.quantity,
        "source": f"reconstructed by {reconstructor.name}",
        "method": reconstructor.name,
        "track": contract.track,
    }
    return LowRankCube(
        coefficients, basis, contract.wavelengths_nm, mean=mean, clip=clip, attrs=facts
    )


def _network_coefficients(
    reconstructor: Reconstructor, predictor: TorchPredictor, rgb: FloatArray
) -> FloatArray:
    import torch

    network: Any = predictor.network
    bounds = (float(rgb.min()), float(rgb.max()))

    def predict(pixels: FloatArray) -> FloatArray:
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
            found = network.coefficients(batch.to(predictor.device))
            array: FloatArray = found[0].permute(1, 2, 0).float().cpu().numpy()
        return array

    def read(rows: slice, columns: slice) -> FloatArray:
        return reconstructor.contract.prepare(rgb[rows, columns], bounds=bounds)

    height, width = rgb.shape[:2]
    layout = reconstructor.layout(height, width, held=4 * height * width * len(network.basis))
    coefficients = np.empty((height, width, len(network.basis)), np.float32)
    for region, piece in run(predict, read, layout):
        coefficients[region] = piece
    return coefficients


def _affine(predictor: Predictor, name: str) -> tuple[FloatArray, FloatArray]:
    """Matrix (3, bands) and offset of a method that has no more to it.

    Raises:
        ConfigError: it has more to it.
    """
    if not isinstance(predictor, TorchPredictor):
        probes = np.random.default_rng(0).random((1, 60, 3), dtype=np.float32)
        corners = np.concatenate([np.zeros((1, 3)), np.eye(3)]).astype(np.float32)
        found = predictor(corners[None])[0]
        offset, matrix = found[0], found[1:] - found[0]
        expected = predictor(probes)[0]
        if np.allclose(probes[0] @ matrix + offset, expected, atol=1e-5 * np.abs(expected).max()):
            return matrix, offset
    raise ConfigError(
        f"{name} gives spectra, not weights on a basis; bake it into a table "
        "(respectra bake), which gives both"
    )
