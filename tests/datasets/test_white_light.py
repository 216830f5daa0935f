from __future__ import annotations

import numpy as np
import pytest

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.spectra import illuminants
from respectra.datasets.white_light import light_of_white
from respectra.errors import DataError

CAMERA = get_track("clean").response_matrix(CHALLENGE_WAVELENGTHS_NM)


@pytest.mark.parametrize(("name", "most"), [("D65", 0.12), ("HP1", 0.1), ("A", 0.5)])
def test_the_light_is_nearer_than_equal_energy(name: str, most: float) -> None:
    light = illuminants("cie").sel(sample=name).values
    light = light / light.mean()
    found = light_of_white(CAMERA, light @ CAMERA)
    assert found.mean() == pytest.approx(1.0)
    off = np.linalg.norm(found - light) / np.linalg.norm(light)
    assert off < most
    assert off < np.linalg.norm(1 - light) / np.linalg.norm(light)


def test_the_scale_of_white_says_nothing_and_no_light_may_be_near() -> None:
    np.testing.assert_allclose(
        light_of_white(CAMERA, [1.0, 0.8, 0.5]), light_of_white(CAMERA, [2.0, 1.6, 1.0])
    )
    purple = light_of_white(CAMERA, [1.0, 0.02, 1.0])
    assert np.isfinite(purple).all()
    assert purple.min() >= 0


@pytest.mark.parametrize("white", [[1.0, 0.0, 1.0], [1.0, np.nan, 1.0], [1.0, 1.0]])
def test_what_is_no_white_is_refused(white: list[float]) -> None:
    with pytest.raises(DataError, match="white"):
        light_of_white(CAMERA, white)
