"""What synthetic scenes are made of: measured materials, their metamers, and lights that meet."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from respectra.datasets.spectra import illuminants, list_illuminant_collections, reflectances
from respectra.errors import ConfigError, DataError, unknown_name
from respectra.typing import FloatArray

#: Collections of reflectances that every installation has.
DEFAULT_MATERIALS = (
    "rawtoaces",
    "cie-ces99",
    "pmc",
    "colorchecker-babelcolor",
    "cqs",
    "cie-tcs",
)
#: A light that leaves a band with less than this share of its mean power measures nothing there.
_LEAST_POWER = 0.02
#: Length scale of the curves to which a camera is blind.
_SMOOTHNESS_NM = 40.0
#: No material absorbs everything, and none returns more light than it gets.
_BLACKEST, _WHITEST = 0.004, 0.98
#: A large collection is drawn from more often, along this power of its size; the weights of all
#: sum to the concentration of a Dirichlet distribution: the lower, the fewer prevail in a scene.
_SIZE_EXPONENT, _CONCENTRATION_OF_FAMILIES = 0.35, 3.0
#: Exponents on a reflectance: a dye in another concentration absorbs along a power of it (Beer).
_CONCENTRATION = (0.6, 1.7)


@dataclass(frozen=True)
class Materials:
    """Measured reflectances in families, so that a large collection does not crowd out others."""

    reflectances: FloatArray
    """Shape (material, band)."""
    families: tuple[npt.NDArray[np.int64], ...]
    """Rows of each family."""
    weights: FloatArray
    """Of each family in a Dirichlet distribution: of a collection's many families a scene has
    few."""

    def draw(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Reflectances for one scene, shape (count, band): some families prevail in it.

        Each is a measured material, or two of them mixed, at a concentration of its dye.
        """
        shares = rng.dirichlet(self.weights)
        family = rng.choice(len(self.families), (2, count), p=shares)
        rows = [
            [self.families[f][rng.integers(len(self.families[f]))] for f in fs] for fs in family
        ]
        share = np.where(rng.random(count) < 0.5, rng.uniform(0.5, 1.0, count), 1.0)[:, None]
        mixed = share * self.reflectances[rows[0]] + (1 - share) * self.reflectances[rows[1]]
        low, high = np.log(_CONCENTRATION)
        exponent = np.exp(rng.uniform(low, high, (count, 1)))
        drawn: FloatArray = np.clip(mixed, _BLACKEST, _WHITEST) ** exponent
        return np.clip(drawn, _BLACKEST, _WHITEST)


@dataclass(frozen=True)
class Lights:
    """Measured and standard illuminants, each with a mean of 1."""

    names: tuple[str, ...]
    spectra: FloatArray
    """Shape (light, band)."""
    kinds: tuple[str, ...]
    """The collection that each light belongs to."""

    def rows(self, *kinds: str) -> npt.NDArray[np.int64]:
        """The lights of some collections; all of them where those have none."""
        rows = np.flatnonzero(np.isin(self.kinds, kinds))
        return rows if rows.size else np.arange(len(self.names))

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Lights of one scene: the ambient light first, then one to three lamps or the sun.

        Outdoors a warmer sun meets a bluer sky; indoors lamps light the room and its walls
        return them; by a window daylight meets a lamp.
        """
        place = rng.choice(["outdoors", "indoors", "window"], p=[0.6, 0.22, 0.18])
        day = self.rows("daylight")
        lamps = self.rows(str(rng.choice(["cie", "lamps", "blackbody"])))
        warm = lamps[self.spectra[lamps, -1] > self.spectra[lamps, 0]]
        lamps = warm if warm.size and rng.random() < 0.8 else lamps
        if place == "outdoors":
            sun, sky = np.sort(rng.choice(len(day), 2))
            return day[[sky, sun]]
        if place == "window":
            return np.array([rng.choice(day), rng.choice(day), rng.choice(lamps)])
        chosen = rng.choice(lamps, rng.integers(1, 4))
        return np.concatenate([chosen[:1], chosen])


@functools.lru_cache(maxsize=8)
def materials(sources: tuple[str, ...], grid_nm: tuple[float, ...]) -> Materials:
    """The materials of collections on a grid; errors are those of :func:`reflectances`."""
    if not sources:
        raise ConfigError("name at least one collection of reflectances to make materials of")
    blocks, families, weights, first = [], [], [], 0
    for source in sources:
        table = reflectances(source, grid_nm)
        values = np.asarray(table.values, dtype=np.float64)
        labels = np.zeros(len(values), dtype="U64")
        if "category" in table.coords:
            labels = np.array([str(c).rpartition("/")[0] for c in table["category"].values])
        kinds = np.unique(labels)
        families += [first + np.flatnonzero(labels == kind) for kind in kinds]
        weights += [len(values) ** _SIZE_EXPONENT / len(kinds)] * len(kinds)
        blocks.append(values)
        first += len(values)
    shares = np.array(weights) / sum(weights)
    return Materials(np.concatenate(blocks), tuple(families), _CONCENTRATION_OF_FAMILIES * shares)


@functools.lru_cache(maxsize=8)
def lights(names: tuple[str, ...], grid_nm: tuple[float, ...]) -> Lights:
    """Illuminants on a grid: all that are known, or those of some names.

    A light with next to no power in a band (sodium vapour) is left out unless it is named.
    """
    labels: list[str] = []
    kinds: list[str] = []
    rows: list[FloatArray] = []
    for kind in list_illuminant_collections():
        table = illuminants(kind, grid_nm)
        for name, power in zip(table["sample"].values, table.values, strict=True):
            if names or power.min() >= _LEAST_POWER * power.mean():
                labels.append(str(name))
                kinds.append(kind)
                rows.append(power / power.mean())
    for name in names:
        if name not in labels:
            raise unknown_name("illuminant", name, labels)
    keep = [labels.index(name) for name in names] if names else list(range(len(labels)))
    spectra = np.stack([rows[k] for k in keep])
    return Lights(tuple(labels[k] for k in keep), spectra, tuple(kinds[k] for k in keep))


def metamers(
    reflectances: npt.ArrayLike,
    response_matrix: npt.ArrayLike,
    wavelengths_nm: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    strength: float,
) -> FloatArray:
    """Change each reflectance by a smooth curve to which the camera is blind.

    The curve is a draw from a Gaussian process (squared exponential covariance K), conditioned on
    giving no response: g − K A (Aᵀ K A)⁻¹ Aᵀ g. It is as smooth as the process and lies in the
    null space of Aᵀ exactly. It is scaled down where the reflectance would leave [0, 1].

    Args:
        reflectances: shape (n, band), in (0, 1).
        response_matrix: A, shape (band, channel): the response times the light.
        wavelengths_nm: shape (band,).
        rng: where the curves come from.
        strength: standard deviation of the curves, as a share of each reflectance's mean.

    Raises:
        DataError: the shapes disagree.
        ConfigError: a negative strength, or a smoothness that is not positive.
    """
    r = np.asarray(reflectances, dtype=np.float64)
    a = np.asarray(response_matrix, dtype=np.float64)
    grid = np.asarray(wavelengths_nm, dtype=np.float64)
    if r.ndim != 2 or a.ndim != 2 or not r.shape[1] == a.shape[0] == grid.size:
        raise DataError(
            "reflectances (n, band), response_matrix (band, channel) and wavelengths (band,) "
            f"share their bands; got {r.shape}, {a.shape} and {grid.shape}"
        )
    if strength < 0:
        raise ConfigError(f"the strength of metamers is not negative; got {strength}")
    if strength == 0 or a.shape[1] >= grid.size:
        return r.copy()
    covariance = np.exp(-0.5 * ((grid[:, None] - grid) / _SMOOTHNESS_NM) ** 2)
    root = np.linalg.cholesky(covariance + 1e-8 * np.eye(grid.size))
    curves = rng.standard_normal(r.shape) @ root.T
    gain = np.linalg.solve(a.T @ covariance @ a, a.T @ covariance)
    curves -= curves @ a @ gain
    curves *= strength * r.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        up = np.where(curves > 0, (1.0 - r) / curves, np.inf).min(axis=1)
        down = np.where(curves < 0, r / -curves, np.inf).min(axis=1)
    # Short of the bound, so that a reflectance stays positive.
    reach = np.clip(0.9 * np.minimum(up, down), 0.0, 1.0)
    changed: FloatArray = r + reach[:, None] * curves
    return changed
