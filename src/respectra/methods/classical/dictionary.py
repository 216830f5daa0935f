"""Dictionaries: orthogonal matching pursuit and K-SVD, both for many signals at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from respectra.errors import DataError
from respectra.methods.classical.base import Array

Indices = npt.NDArray[np.intp]
#: A residual below this share of its signal counts as explained.
_EXPLAINED = 1e-10
#: Signals that are coded at a time.
_BLOCK = 1024


def matching_pursuit(dictionary: Array, signals: Array, sparsity: int) -> tuple[Indices, Array]:
    """Orthogonal matching pursuit: atoms chosen one by one, refitted together each time.

    Args:
        dictionary: shape (atoms, d), rows of unit norm.
        signals: shape (n, d).
        sparsity: atoms a signal may use; never more than d are of use.

    Returns:
        Chosen atoms and their coefficients, both of shape (n, min(sparsity, d, atoms)); a
        coefficient is 0 where a signal needed fewer.
    """
    n, d = signals.shape
    steps = min(sparsity, d, len(dictionary))
    chosen = np.zeros((n, steps), dtype=np.intp)
    basis = np.zeros((n, steps, d))  # orthonormal, spans the chosen atoms
    triangle = np.broadcast_to(np.eye(steps), (n, steps, steps)).copy()
    heights = np.zeros((n, steps))  # the signal in that basis
    residual = signals.copy()
    tolerance = _EXPLAINED * np.linalg.norm(signals, axis=1)
    for step in range(steps):
        best = np.abs(residual @ dictionary.T).argmax(axis=1)
        atom = dictionary[best]
        shares = np.einsum("nkd,nd->nk", basis[:, :step], atom)
        direction = atom - np.einsum("nk,nkd->nd", shares, basis[:, :step])
        length = np.linalg.norm(direction, axis=1)
        useful = (np.linalg.norm(residual, axis=1) > tolerance) & (length > 1e-9)
        if not useful.any():
            break
        direction = np.where(useful, 1.0 / np.where(useful, length, 1.0), 0.0)[:, None] * direction
        height = np.einsum("nd,nd->n", direction, residual)
        residual -= height[:, None] * direction
        chosen[:, step] = np.where(useful, best, 0)
        basis[:, step] = direction
        heights[:, step] = height
        triangle[:, :step, step] = np.where(useful[:, None], shares, 0.0)
        triangle[:, step, step] = np.where(useful, length, 1.0)
    return chosen, _back_substitute(triangle, heights)


def _back_substitute(triangle: Array, heights: Array) -> Array:
    coefficients = np.zeros_like(heights)
    for row in range(heights.shape[1] - 1, -1, -1):
        known = np.einsum("nk,nk->n", triangle[:, row, row + 1 :], coefficients[:, row + 1 :])
        coefficients[:, row] = (heights[:, row] - known) / triangle[:, row, row]
    return coefficients


def k_svd(
    signals: Array, atoms: int, sparsity: int, iterations: int, rng: np.random.Generator
) -> Array:
    """Learn a dictionary by K-SVD (Aharon, Elad and Bruckstein 2006).

    Args:
        signals: shape (n, d).
        atoms: number of atoms; the first dictionary is as many signals drawn at random.
        sparsity: atoms a signal may use.
        iterations: rounds of coding and updating.
        rng: source of the first dictionary.

    Returns:
        Shape (atoms, d), rows of unit norm, signed so that their sum is not negative.

    Raises:
        DataError: there are fewer signals that are not zero than atoms.
    """
    signals = signals[np.linalg.norm(signals, axis=1) > 0]
    n = len(signals)
    if n < atoms:
        raise DataError(f"{atoms} atoms need as many pairs that are not black; got {n}")
    dictionary = _unit(signals[rng.choice(n, atoms, replace=False)])
    for _ in range(iterations):
        codes = np.zeros((n, atoms))
        for start in range(0, n, _BLOCK):
            block = signals[start : start + _BLOCK]
            chosen, coefficients = matching_pursuit(dictionary, block, sparsity)
            rows = np.arange(start, start + len(chosen))[:, None]
            np.add.at(codes, (rows, chosen), coefficients)
        residual = signals - codes @ dictionary
        for atom in range(atoms):
            _update(dictionary, codes, residual, signals, atom)
    dictionary[dictionary.sum(axis=1) < 0] *= -1.0
    return dictionary


def _update(dictionary: Array, codes: Array, residual: Array, signals: Array, atom: int) -> None:
    """Replace an atom and its coefficients by the best rank-one fit; keep the residual current."""
    users = np.flatnonzero(codes[:, atom])
    if users.size == 0:
        # An atom that nobody uses becomes the signal that is represented worst.
        worst = int((residual**2).sum(axis=1).argmax())
        dictionary[atom] = _unit(signals[worst])
        return
    target = residual[users] + np.outer(codes[users, atom], dictionary[atom])
    _, vectors = np.linalg.eigh(target.T @ target)
    direction = vectors[:, -1]
    codes[users, atom] = target @ direction
    residual[users] = target - np.outer(codes[users, atom], direction)
    dictionary[atom] = direction


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def unit_directions(rgb: Array) -> tuple[Array, Array]:
    """Pixels (n, 3) as directions of unit norm and norms (n, 1); black has the direction 0."""
    norms = np.linalg.norm(rgb, axis=1, keepdims=True)
    return rgb / np.where(norms > 0, norms, 1.0), norms
