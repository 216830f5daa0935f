"""Proofs: what a table makes of a photograph's colours, as a ``.cube`` for other people's software.

Codes of sRGB go in and codes of sRGB come out. A colour is taken as a photograph under D65, its
spectrum is recovered, and seen again by the CIE 1931 observer: under D65, which shows how faithful
the spectrum is to its colour, or under another light. Either way the observer is adapted to the
light (Bradford), so that white stays white; what sRGB cannot show is clipped.
"""

from __future__ import annotations

import os

import numpy as np

from respectra.cameras import get_track, make_image, to_track_values, track_of_kind
from respectra.cameras.colour import EXPOSURE
from respectra.colour import encode_srgb, illuminant, open_light, resample_light, srgb_matrix
from respectra.errors import ConfigError
from respectra.files import atomic_path
from respectra.inference.tables.geometry import node_colours, node_positions
from respectra.inference.tables.table import Table
from respectra.typing import FloatArray


def proof_colours(table: Table, nodes: int = 33, *, light: str = "D65") -> FloatArray:
    """Colours in sRGB that the nodes of an evenly spaced grid over sRGB become.

    Returns:
        Shape (nodes**3, 3) in [0, 1], R varying slowest.

    Raises:
        ConfigError: as :func:`save_proof`.
    """
    track = track_of_kind("srgb")
    if table.contract.track != track:
        raise ConfigError(
            f"a proof takes photographs, which stand for images of the track {track!r}; this table "
            f"is for {table.contract.track!r}"
        )
    encoded = node_colours("cube", node_positions(nodes, 0)).astype(np.float32)
    picture = to_track_values(make_image(encoded[None], encoding="srgb"), "srgb")
    spectra = table.apply(np.asarray(picture.values))[0].astype(np.float64)
    grid = np.array(table.contract.wavelengths_nm)
    daylight = illuminant("D65", grid)
    # The level of light at which a perfect reflector reaches 255 / 256 of full scale in G.
    green = float(daylight @ get_track(track).response_matrix(grid)[:, 1])
    reflectances = spectra / (daylight * (255.0 / 256.0) / green) / EXPOSURE
    linear = reflectances @ srgb_matrix(resample_light(open_light(light), grid), grid)
    return np.asarray(encode_srgb(linear), np.float64)


def save_proof(
    table: Table,
    path: str | os.PathLike[str],
    *,
    nodes: int = 33,
    light: str = "D65",
    overwrite: bool = False,
) -> None:
    """Write what sRGB becomes through the spectra and back as an Iridas ``.cube`` file.

    Args:
        table: of a method for the clean track, whose images a photograph can take the place of.
        path: where to.
        nodes: along each axis of the file.
        light: an illuminant of ``respectra.list_illuminants()``, under which the colours are seen.
        overwrite: replace what is there.

    Raises:
        ConfigError: the table is for another track, or the light is unknown.
        OutputError: the file exists and ``overwrite`` is false, or cannot be written.

    Example:
        >>> import respectra as rs
        >>> table = rs.bake("pseudo-inverse")
        >>> rs.inference.tables.save_proof(table, "proof.cube", nodes=3, light="A")
        >>> open("proof.cube").read().splitlines()[1]
        'LUT_3D_SIZE 3'
    """
    colours = proof_colours(table, nodes, light=light).reshape(nodes, nodes, nodes, 3)
    lines = [
        f'TITLE "{table.method}: sRGB to spectrum to sRGB under {light}"',
        f"LUT_3D_SIZE {nodes}",
        *(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in colours.transpose(2, 1, 0, 3).reshape(-1, 3)),
    ]
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")
