"""Tests in which a method is told the camera, the light or a few spectra."""

import numpy as np
import pytest

import respectra as rs
from respectra.datasets.spectra import reflectances
from respectra.errors import ConfigError
from respectra.evaluation.auxiliary import (
    Case,
    KnownSpectra,
    Light,
    OtherCamera,
    ToldCamera,
    select_tests,
)

GRID = np.arange(400.0, 701.0, 10.0)


@pytest.fixture(scope="module")
def case():
    values = np.concatenate([reflectances(n, GRID).values for n in ("pmc", "rawtoaces")])[:150]
    truth = rs.make_cube(0.9 * np.clip(values, 0.005, 1).reshape(10, 15, 31), GRID)
    track = rs.get_track("clean")
    return Case("surfaces", truth, track.render(truth), track)


@pytest.fixture(scope="module")
def method():
    return rs.load()


def test_telling_the_camera_is_better_than_a_matrix_and_that_than_nothing(case, method):
    blind = OtherCamera(number=4).score(case, method)["mrae"]
    matrix = ToldCamera(number=4, how="matrix").score(case, method)["mrae"]
    told = ToldCamera(number=4).score(case, method)["mrae"]
    assert told < matrix < blind


def test_telling_the_light(case, method):
    told, blind = (Light(light="FL11", told=t).score(case, method)["mrae"] for t in (True, False))
    assert told < 0.5 * blind


def test_known_spectra(case, method):
    estimate = method(case.image)
    plain = float((abs(estimate - case.truth) / np.maximum(case.truth, 1e-9)).mean())
    known = KnownSpectra(count=24).score(case, estimate, method)["mrae"]
    assert known < plain
    with pytest.raises(ConfigError, match="only a reconstructor"):
        KnownSpectra(count=5).score(case, estimate, lambda image: estimate)


def test_they_are_asked_for_by_name_alone():
    assert not {"camera-told-01", "light-A", "references-5"} & {t.name for t in select_tests("all")}
    names = [test.name for test in select_tests("light-told,references-24,camera-matrix-03")]
    assert set(names) >= {"light-told-HP1", "references-24", "camera-matrix-03"}
