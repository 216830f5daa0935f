"""ONNX: networks for other people's runtimes, and for ONNX Runtime as a backend of our own.

A file is made for one height and width: with sizes left open the runtime takes three to four
times the memory.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from respectra.errors import ConfigError, RespectraError
from respectra.files import atomic_path
from respectra.inference.networks import build, probe_image
from respectra.methods import Weights, get_card, is_classical, load_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Largest difference from PyTorch that an export may show, relative to the largest value.
TOLERANCE = 1e-4
_METADATA = "respectra"


def exportable(weights: Weights) -> bool:
    """Whether weights are of a network that, as configured, can be exported."""
    if is_classical(weights.method) or weights.baked is not None:
        return False
    by_table = getattr(weights.config, "attention", "exact") == "table"
    return get_card(weights.method).exports_onnx and not by_table


def export_onnx(
    weights: Weights | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    height: int = 512,
    width: int = 512,
    overwrite: bool = False,
) -> float:
    """Write a network as ONNX, checked against PyTorch on noise.

    The input ``image`` (1, channels, height, width) holds values as ``Contract.prepare`` gives
    them; the output ``cube`` is (1, bands, height, width). The metadata entry ``respectra`` is
    JSON: method, configuration, contract, provenance.

    Args:
        weights: of a network, or the file of such.
        path: where to.
        height: rows of the pictures it will take.
        width: columns.
        overwrite: replace what is there.

    Returns:
        The largest difference from PyTorch, relative to the largest value.

    Raises:
        ConfigError: a classical method, a size below the method's least, or a network that cannot
            be exported.
        RespectraError: the export does not give what PyTorch gives.

    Example:
        >>> import respectra as rs
        >>> weights = rs.methods.fresh_weights("hscnn-plus", preset="tiny")
        >>> rs.export_onnx(weights, "network.onnx", height=16, width=16) < 1e-4
        True
    """
    if not isinstance(weights, Weights):
        weights = load_weights(weights)
    weights.require_registered("an ONNX file")
    if is_classical(weights.method):
        raise ConfigError(
            f"{weights.method} is a classical method; ONNX is for networks. It can be baked into "
            "a look-up table instead"
        )
    card = get_card(weights.method)
    if not exportable(weights):
        raise ConfigError(
            f"{weights.method} as configured cannot be exported to ONNX; see respectra methods "
            f"{weights.method}"
        )
    least = card.native_tile or card.size_minimum
    if min(height, width) < least:
        raise ConfigError(
            f"{weights.method} takes pictures of at least {least} x {least} pixels; "
            f"got {height} x {width}"
        )
    network, image = build(weights), probe_image(weights, height, width)
    with atomic_path(path, overwrite=overwrite) as temporary:
        _write(network, image, temporary, weights)
        difference = _difference(network, image, temporary)
        if difference > TOLERANCE:
            raise RespectraError(
                f"the ONNX export of {weights.method} differs from PyTorch by {difference:.1e} of "
                f"its largest value, more than {TOLERANCE:.0e}; it was not kept"
            )
    return difference


def _write(network: nn.Module, image: Tensor, path: Path, weights: Weights) -> None:
    import onnx
    import torch

    with _quiet():
        program = torch.onnx.export(
            network,
            (image,),
            dynamo=True,
            verbose=False,
            input_names=["image"],
            output_names=["cube"],
        )
    assert program is not None
    model = program.model_proto
    header = {
        "method": weights.method,
        "config": weights.config.model_dump(mode="json"),
        "contract": weights.contract.model_dump(mode="json"),
        "provenance": dict(weights.provenance),
    }
    entry = model.metadata_props.add()
    entry.key, entry.value = _METADATA, json.dumps(header, sort_keys=True, default=str)
    onnx.save(model, path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters tell the terminal about every optional package that is absent."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def open_session(path: Path) -> Any:
    """ONNX Runtime with a file that ``export_onnx`` wrote, on the CPU."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _difference(network: nn.Module, image: Tensor, path: Path) -> float:
    import torch

    with torch.inference_mode():
        expected = network(image).numpy()
    (got,) = open_session(path).run(None, {"image": image.numpy()})
    return float(np.abs(got - expected).max() / max(np.abs(expected).max(), 1e-30))
