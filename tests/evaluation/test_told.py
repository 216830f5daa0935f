"""Tests in which a method is told the camera, the light or a few spectra."""

import numpy as np
import pytest

import respectra as rs
from respectra.cameras import get_response
from respectra.datasets.spectra import reflectances
from respectra.errors import ConfigError
from respectra.evaluation import EvaluationOptions, Protocol, Results, Row, auxiliary
from respectra.evaluation.auxiliary import (
    Case,
    KnownSpectra,
    Light,
    OtherCamera,
    ToldCamera,
    choose_cameras,
    select_tests,
)
from respectra.evaluation.tables import further_table

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


def test_tables_keep_cameras_blind_by_a_matrix_and_told_apart():
    names = [f"camera-{way}{n:02d}" for way in ("", "told-", "matrix-") for n in (1, 2, 3)]
    cameras = choose_cameras(get_response(f"ampas-nikon-{n}") for n in ("d70", "d200"))
    options = EvaluationOptions(tests=tuple(names), cameras=cameras)
    protocol = Protocol(options=options, collections={"main": "mine"}, scenes=())
    errors = dict(zip(names, (0.4, 0.6, None, 0.1, 0.3, None, 0.2, 0.4, None), strict=True))
    rows = [
        Row("main", "a", "clean", 0, "wiener", name, scores={"mrae": error})
        for name, error in {"plain": 0.1, **errors}.items()
        if error is not None
    ]
    table = further_table(Results(protocol, tuple(rows)), "clean")
    assert {title: cell.split()[0] for title, cell in table.rows} == {
        "2 other cameras": "0.50000",
        "2 other cameras, told": "0.20000",
        "2 other cameras, by matrix": "0.30000",
    }
    assert table.notes == ("Other cameras: ampas-nikon-d70, ampas-nikon-d200.",)


def test_any_number_of_references_is_a_test():
    (test,) = select_tests("references-7")
    assert (test.name, test.count, test.title) == ("references-7", 7, "7 references")
    assert EvaluationOptions(tests=("references-7", "references-7")).tests == ("references-7",)
    for name in ("references-0", "references-07", "references-5000", "references-x"):
        with pytest.raises(ConfigError, match="did you mean"):
            select_tests(name)


def test_tests_keep_their_former_names():
    with pytest.warns(DeprecationWarning, match="AddedNoise"):
        assert auxiliary.Noise is auxiliary.AddedNoise
