"""Baking: a per-pixel method becomes a table, and its error is measured.

Guarantees can be part of a table. Interpolation takes means of nodes, whose weights are not
negative and sum to one. What is linear, or an upper or lower bound of single values, therefore
holds between nodes when it holds at them:

* ``consistent``: the spectra of the nodes are moved to where the camera sees the colour of their
  node, a little further than the lower bound of its code. The camera is linear, so it then sees
  every colour so, and an 8-bit image comes back bit for bit.
* ``non-negative``: a clip at 0.

The two together do not hold between nodes: the corners of the RGB cube are colours that no spectrum
without negative values has, and what is interpolated from them has not the colour of its pixel.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from respectra.cameras import Capture
from respectra.cubes import Quantity
from respectra.errors import ConfigError, RespectraError
from respectra.inference.backends.base import TABLE_BITS
from respectra.inference.backends.fitted import ClassicalBackend
from respectra.inference.backends.network import NetworkBackend
from respectra.inference.capture import bind
from respectra.inference.guarantees import Guarantee, camera_of, check_guarantees
from respectra.inference.tables.geometry import Geometry, node_colours, node_positions, row_count
from respectra.inference.tables.table import (
    MOST_NODES,
    BakingError,
    Deviation,
    Table,
    TableFacts,
)
from respectra.inference.tiling import Predictor
from respectra.methods import Contract, Tiling, Weights, get_method, is_classical
from respectra.methods.network import StandaloneNetwork
from respectra.renaming import renamed_arguments

#: Takes colours (n, 3) to spectra (n, bands) as the method gives them, before its clip.
Method = Callable[[npt.NDArray[np.floating]], npt.NDArray[np.float32]]

#: Nodes along an axis unless told otherwise. A table of rays has two axes and can afford more.
NODES: dict[Geometry, int] = {"cube": 33, "rays": 129}
#: Square roots tried when the spacing of the nodes is chosen.
_ROOTS = (0, 1, 2)
#: A table whose mean error stays below this is exact as far as float32 goes.
_EXACT = 1e-6
#: Relative departure from growing with the light that is rounding.
_ROUNDING = 2e-4
_PROBES = 20_000
_DARKEST = 0.01
_WIDTH = 256
_SMALLEST_SHARE = 0.01
#: Guarantees that no table keeps, and why.
_WHY_NOT: dict[str, str] = {
    "consistent-exact": "it depends on how many bits the codes have; 'consistent' can, for 8 bits",
    "exposure-invariant": "it depends on the brightest pixel of the image; methods that grow with "
    "the light keep it without being asked",
    "smooth": "spectra between smooth ones can be rougher than they are",
}


@renamed_arguments(weights="method")
def bake(
    method: Weights | str | os.PathLike[str],
    *,
    track: str = "clean",
    capture: Capture | None = None,
    quantity: Quantity | None = None,
    nodes: int | None = None,
    geometry: Geometry | Literal["auto"] = "auto",
    guarantees: Iterable[str] = (),
    seed: int = 0,
) -> Table:
    """Make a table of a method that looks at one pixel at a time.

    Args:
        method: what :func:`respectra.load` takes, or weights: of a classical method, of a network
            whose receptive field is one pixel, or of one that has an answer for a pixel without
            the others (``respectra``).
        track: as for :func:`respectra.load`.
        capture: as for :func:`respectra.load`.
        quantity: as for :func:`respectra.load`.
        nodes: along each axis, 2 to 513. By default 2 where that is exact (linear methods), else
            33 for ``cube`` and 129 for ``rays``.
        geometry: ``rays`` for a method whose spectrum grows with the light, ``cube`` for any;
            ``auto`` finds out which it is.
        guarantees: ``consistent`` or ``non-negative``, which the table then keeps by itself; see
            :mod:`respectra.inference.tables.baking`.
        seed: of the colours on which the error is measured.

    Returns:
        A table with its measured error. The spacing of its nodes is the one of three with the
        least mean error.

    Raises:
        ConfigError: the method looks at more than one pixel, is a table already, does not grow
            with the light where rays are asked for, the number of nodes is not allowed, or a
            guarantee cannot be part of a table.

    Example:
        >>> import respectra as rs
        >>> rs.bake("root-polynomial").save("table.lut")  # doctest: +SKIP
    """
    weights = _weights_of(method, track, capture, quantity)
    if nodes is not None and not 2 <= nodes <= MOST_NODES:
        raise ConfigError(f"a table has 2 to {MOST_NODES} nodes along an axis; got {nodes}")
    if geometry not in ("auto", *get_args(Geometry)):
        raise ConfigError(f"geometry is auto, cube or rays; got {geometry!r}")
    predict, contract = _per_pixel(weights), weights.contract
    kept = require_bakeable(guarantees, contract)

    scale = contract.band_scale
    # Its own clip comes before the scale of the bands, and both before the table.
    unscaled = contract if scale is None else contract.model_copy(update={"band_scale": None})

    def plain(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        found = _evaluate(predict, contract, rgb)
        return found if scale is None else found * np.asarray(scale, np.float32)

    rng = np.random.default_rng(seed)
    grows = _grows_with_light(plain, rng)
    if geometry == "rays" and not grows:
        raise ConfigError(
            f"the spectra of {weights.method} do not grow in proportion to the light, so rays from "
            "black do not describe it; bake it with geometry='cube'"
        )
    chosen: Geometry = ("rays" if grows else "cube") if geometry == "auto" else geometry
    clip = (contract.clip_low, contract.clip_high)
    if scale is not None and (clip[1] is not None or clip[0] not in (None, 0.0)):
        raise ConfigError(
            f"{weights.method} clips its spectra at {clip}, which a table for a capture cannot "
            "hold; reconstruct without a table"
        )
    answer = plain
    if "consistent" in kept:
        clip = (None, None)

        def answer(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
            spectra = unscaled.finish(plain(rgb))
            move_to_colours(spectra, rgb, contract, chosen)
            return spectra

    elif "non-negative" in kept:
        clip = (max(clip[0] or 0.0, 0.0), clip[1])
    draft = TableFacts(
        geometry=chosen,
        nodes=2,
        roots=0,
        clip_low=clip[0],
        clip_high=clip[1],
        guarantees=tuple(sorted(kept)),
        error=BakingError(anywhere=Deviation(probes=0, mean=0.0, p99=0.0, maximum=0.0)),
    )
    probes = _probes(rng)
    expected = np.clip(answer(probes), *clip)
    best: Table | None = None
    for count, roots in _candidates(chosen, nodes):
        facts = draft.model_copy(update={"nodes": count, "roots": roots})
        table = _table(weights, answer, facts)
        deviation = _deviation(table.apply(probes), expected)
        if best is None or deviation.mean < best.facts.error.anywhere.mean:
            facts = facts.model_copy(update={"error": BakingError(anywhere=deviation)})
            best = dataclasses.replace(table, facts=facts)
        if deviation.mean < _EXACT:
            break
    assert best is not None
    surfaces = _surfaces(contract, seed)
    if surfaces is None:
        return best
    deviation = _deviation(best.apply(surfaces), np.clip(answer(surfaces), *clip))
    error = BakingError(anywhere=best.facts.error.anywhere, surfaces=deviation)
    return dataclasses.replace(best, facts=best.facts.model_copy(update={"error": error}))


def _weights_of(
    method: Weights | str | os.PathLike[str],
    track: str,
    capture: Capture | None,
    quantity: Quantity | None,
) -> Weights:
    """The weights that are meant, bound to a capture where one is stated."""
    from respectra.inference.loading import find_weights

    weights = method if isinstance(method, Weights) else find_weights(method, track=track)
    if capture is None and quantity is None:
        return weights
    return bind(weights, capture or Capture(), quantity)


def _per_pixel(weights: Weights) -> Predictor:
    """What gives the spectrum of a pixel from nothing but the pixel.

    Raises:
        ConfigError: the method has no such answer; says on what its answer depends.
    """
    fits = weights.baked is None and weights.contract.keeps_exposure
    if fits and not is_classical(weights.method):
        backend = NetworkBackend(weights)
        network: object = backend.network
        if isinstance(network, StandaloneNetwork):
            return functools.partial(_alone, backend)
    require_per_pixel(weights)
    return ClassicalBackend(weights) if is_classical(weights.method) else NetworkBackend(weights)


def _alone(backend: NetworkBackend, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with backend.giving("alone"):
        return backend(pixels)


def require_per_pixel(weights: Weights) -> None:
    """Refuse methods whose answer at a pixel depends on more than that pixel.

    Raises:
        ConfigError: says on what it depends.
    """
    if weights.baked is not None:
        raise ConfigError(f"these weights are a table of {weights.method} already")
    if not weights.contract.keeps_exposure:
        raise ConfigError(
            f"these weights of {weights.method} stretch each image by its own range: "
            "what they give at a pixel depends on the others, so it cannot be a table"
        )
    method = get_method(weights.method)
    reach = method.halo(weights.config) if method.card.tiling is Tiling.EXACT else None
    if reach != 0:
        where = "the whole image" if reach is None else f"neighbours up to {reach} pixels away"
        raise ConfigError(
            f"{weights.method} looks at {where}: its answer does not follow from one colour, so it "
            "cannot be a table; methods that look at one pixel can"
        )


def require_bakeable(names: Iterable[str], contract: Contract) -> frozenset[Guarantee]:
    """The guarantees of these names, which a table can keep.

    Raises:
        ConfigError: an unknown name; one that does not follow from single colours, or does not
            hold between nodes; or the camera is not known, or not exact.
    """
    asked = check_guarantees(names)
    for name in sorted(asked):
        if name in _WHY_NOT:
            raise ConfigError(
                f"{name!r} cannot be part of a table: {_WHY_NOT[name]}; bake without it and give "
                "it when reconstructing"
            )
    if {"consistent", "non-negative"} <= asked:
        raise ConfigError(
            "'consistent' and 'non-negative' cannot both be part of a table: some of its nodes are "
            "colours that no spectrum without negative values has; bake one of them, or give both "
            "when reconstructing"
        )
    if "consistent" in asked and not camera_of(contract).exact:
        raise ConfigError(
            f"consistency with the track {contract.track!r} is one of neighbourhoods, because "
            "of its noise, so it cannot be part of a table; give it when reconstructing"
        )
    return asked


def move_to_colours(
    spectra: npt.NDArray[np.float32],
    rgb: npt.NDArray[np.floating],
    contract: Contract,
    geometry: Geometry,
) -> None:
    """Move spectra, in place and by the least relative change, to where the camera sees colours.

    With rays everything is in proportion to the light, so what is added to a colour has to be, too;
    part of it is in proportion to the largest channel, so that no other channel is rounded to less
    than nothing.

    Args:
        spectra: shape (n, bands).
        rgb: shape (n, 3), linear values in [0, 1] as images hold them.
        contract: of the weights; its camera is exact.
        geometry: of the table that the spectra are for.
    """
    from respectra.inference.nearest_spectra import move_into

    track = camera_of(contract)
    beyond = (0.5 if track.rounding == "truncate" else 0.25) / (2**TABLE_BITS - 1)
    seen = np.asarray(rgb, np.float64)
    if geometry == "rays":
        seen = seen + 0.5 * beyond * (seen + seen.max(axis=1, keepdims=True))
    else:
        seen = seen + beyond
    move_into(spectra, track.response_matrix(contract.wavelengths_nm), seen, seen)


def _candidates(geometry: Geometry, nodes: int | None) -> list[tuple[int, int]]:
    count = NODES[geometry] if nodes is None else nodes
    tried = [(count, roots) for roots in _ROOTS]
    return [(2, 0), *tried] if nodes is None else tried


def _table(weights: Weights, method: Method, facts: TableFacts) -> Table:
    contract = weights.contract
    colours = node_colours(facts.geometry, node_positions(facts.nodes, facts.roots))
    spectra = method(colours)
    assert spectra.shape == (row_count(facts.geometry, facts.nodes), contract.bands)
    # Scaling and order are part of the table now, and it clips by itself.
    own: dict[str, Any] = {"channel_order": "RGB", "scaling": "unit", "mean": None, "std": None}
    own |= {"camera_matrix": None, "band_scale": None}
    folded = Contract(**{**contract.model_dump(), **own, "clip_low": None, "clip_high": None})
    return Table(weights.method, weights.config, folded, facts, spectra, weights.provenance)


def _evaluate(
    predict: Predictor, contract: Contract, rgb: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Spectra (n, bands) of colours (n, 3), before the clip; the colours as rows of a picture."""
    spectra = np.empty((len(rgb), contract.bands), np.float32)
    for start in range(0, len(rgb), _WIDTH * _WIDTH):
        block = np.asarray(rgb[start : start + _WIDTH * _WIDTH], np.float32)
        rows = max(-(-len(block) // _WIDTH), 64)  # networks have a least size
        picture = np.full((rows * _WIDTH, 3), 0.5, np.float32)
        picture[: len(block)] = block
        prepared = np.ascontiguousarray(contract.prepare(picture.reshape(rows, _WIDTH, 3)))
        found = predict(prepared).reshape(-1, contract.bands)
        spectra[start : start + len(block)] = found[: len(block)]
    return spectra


def _grows_with_light(method: Method, rng: np.random.Generator) -> bool:
    """Whether k times the light gives k times the spectrum, as far as rounding shows."""
    colours = rng.random((500, 3))
    spectra = method(colours)
    return all(
        _relative(method(k * colours) / np.float32(k), spectra).max() < _ROUNDING
        for k in (0.5, 0.1, _DARKEST)
    )


def _probes(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Colours all over the cube at all levels; half of them along short lines within cells."""
    colours = rng.random((_PROBES // 2, 3)) * _DARKEST ** rng.random((_PROBES // 2, 1))
    starts = colours[: _PROBES // 20]
    steps = np.linspace(0.0, 1.0, 10)[:, None, None] * rng.uniform(-0.05, 0.05, (1, len(starts), 3))
    lines = np.clip(starts * (1.0 + steps), 0.0, 1.0).reshape(-1, 3)
    return np.concatenate([colours, lines]).astype(np.float32)


def _surfaces(contract: Contract, seed: int) -> npt.NDArray[np.float32] | None:
    from respectra.methods.fitting import measured_pairs, measured_values

    try:
        if contract.capture is not None:
            camera = camera_of(contract).response_matrix(contract.wavelengths_nm)
            reflecting = contract.quantity == "reflectance"
            rgb = measured_values(camera, contract.wavelengths_nm) if reflecting else None
            if rgb is None:
                return None
        else:
            rgb = measured_pairs(contract.track, count=_PROBES, seed=seed + 1).rgb
    except RespectraError:  # a camera of the user's own
        return None
    return np.clip(rgb, 0.0, 1.0).astype(np.float32)


def _relative(
    table: npt.NDArray[np.floating], method: npt.NDArray[np.floating]
) -> npt.NDArray[np.floating]:
    """|table - method| over |method|, at least 1 % of the pixel's brightest band."""
    size = np.abs(method)
    floor = np.maximum(_SMALLEST_SHARE * size.max(axis=1, keepdims=True), 1e-12)
    relative: npt.NDArray[np.floating] = np.abs(table - method) / np.maximum(size, floor)
    return relative


def _deviation(table: npt.NDArray[np.float32], method: npt.NDArray[np.float32]) -> Deviation:
    relative = _relative(table, method)
    return Deviation(
        probes=len(table),
        mean=float(relative.mean(dtype=np.float64)),
        p99=float(np.quantile(relative, 0.99)),
        maximum=float(relative.max()),
    )
