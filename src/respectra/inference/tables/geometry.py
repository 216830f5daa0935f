"""Where the nodes of a table lie among the colours.

``cube``: nodes on a grid over R, G and B. Between them spectra are interpolated in tetrahedra.

``rays``: nodes on the three faces of the RGB cube that do not touch black. A colour is the point
where its ray from black meets a face, times the largest of its three values. For a method whose
spectrum grows with the light this loses nothing and gains much: every exposure has the accuracy
of the brightest, dark pixels included, from a table of two dimensions instead of three.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from respectra.typing import FloatArray

Geometry = Literal["cube", "rays"]


def node_positions(nodes: int, roots: int) -> FloatArray:
    """Positions in [0, 1] of two or more nodes along an axis.

    0 roots space them evenly; 1 their square roots, 2 their fourth roots, which puts more near 0.
    """
    positions: FloatArray = np.linspace(0.0, 1.0, nodes) ** (2**roots)
    return positions


def node_colours(geometry: Geometry, positions: FloatArray) -> FloatArray:
    """R, G, B of all nodes in the order of the table's rows, shape (rows, 3)."""
    if geometry == "cube":
        grid = np.meshgrid(positions, positions, positions, indexing="ij")
        return np.stack(grid, axis=-1).reshape(-1, 3)
    first, second = np.meshgrid(positions, positions, indexing="ij")
    faces = np.empty((3, *first.shape, 3))
    for face in range(3):
        faces[face, ..., face] = 1.0
        faces[face, ..., (face + 1) % 3] = first
        faces[face, ..., (face + 2) % 3] = second
    return faces.reshape(-1, 3)


def row_count(geometry: Geometry, nodes: int) -> int:
    """Rows of a table with so many nodes along an axis."""
    return int(nodes**3 if geometry == "cube" else 3 * nodes**2)
