"""The correction by a Gaussian process: what it learns, where it stops, what its file may hold."""

import numpy as np
import pytest

from respectra.cameras import Capture, make_image
from respectra.cameras.calibration.charts import colours_of, open_chart
from respectra.cameras.calibration.fitting import cross_validate, fit_way
from respectra.cameras.correction import ProcessCorrection, correct, fit_process, light_of
from respectra.errors import ConfigError, FormatError

CHART = open_chart("classic24").spectra
TRUTH = np.clip(colours_of(CHART), 0.002, 1.0)


def developed(light):
    """What a camera that deepens colours and contrast makes of light."""
    grey = light.mean(axis=-1, keepdims=True)
    return np.clip(grey + 1.3 * (light - grey), 0.001, None) ** 1.2 * np.array([0.8, 0.7, 0.6])


VALUES = developed(TRUTH)
FITTED = fit_process(VALUES, TRUTH)


def test_colours_that_it_was_not_shown_come_out_better_than_by_gains():
    scores = cross_validate(CHART, VALUES, TRUTH, None)
    assert scores["gaussian-process"] < 0.7 * scores["tone"]
    assert set(scores) == {"tone", "matrix", "root-polynomial", "gaussian-process"}


def test_colours_that_it_was_shown_come_out_nearly_as_they_are():
    off = np.abs(light_of(VALUES, FITTED) - TRUTH).mean(axis=1) / TRUTH.mean(axis=1)
    gains = np.abs(light_of(VALUES, fit_way("tone", VALUES, TRUTH)) - TRUTH).mean(axis=1)
    assert off.mean() < 0.12
    assert off.mean() < 0.5 * (gains / TRUTH.mean(axis=1)).mean()


def test_far_from_the_chart_it_is_a_gain_a_channel():
    """Colours much purer than any of the chart's keep the order and nearly the ratio of values."""
    values = np.array([[0.9, 1e-3, 1e-3], [0.45, 5e-4, 5e-4]])
    light = light_of(values, FITTED)
    assert np.isfinite(light).all()
    assert 1.6 < light[0, 0] / light[1, 0] < 3.2
    gains = np.exp(FITTED.log_ratio(values))
    assert 0.1 < gains.min() < gains.max() < 10


def test_pictures_get_what_single_values_get():
    values = np.random.default_rng(0).uniform(0, 1, (40, 30, 3)).astype(np.float32)
    picture = correct(values, FITTED)
    exact = np.clip(light_of(values.reshape(-1, 3), FITTED), 0, 1).reshape(values.shape)
    np.testing.assert_allclose(picture, exact, rtol=0.02, atol=2e-4)
    np.testing.assert_array_equal(correct(values[7:19, 3:9], FITTED), picture[7:19, 3:9])
    assert picture.dtype == np.float32


def test_it_travels_in_a_capture(tmp_path):
    capture = Capture.photograph(correction=FITTED, way="gaussian-process")
    capture.save(tmp_path / "a.json")
    opened = Capture.load(tmp_path / "a.json")
    assert opened == capture
    assert hash(opened) == hash(capture)
    image = make_image(VALUES[None].astype(np.float32))
    np.testing.assert_array_equal(opened.linear(image).values, capture.linear(image).values)
    np.testing.assert_allclose(opened.linear(image).values[0], TRUTH, rtol=0.5, atol=0.02)


@pytest.mark.parametrize(
    "changes",
    [
        {"values": [[0.1, 0.2]]},
        {"values": [[0.1, 0.2, float("nan")]], "weights": [[0, 0, 0]]},
        {"values": [[0.1, 0.2, 0.3]]},
        {"weights": [[1e9, 0, 0]] * 24},
        {"values": [[0.1, 0.2, 0.3]] * 5000, "weights": [[0, 0, 0]] * 5000},
        {"values": []},
        {"values": "many"},
        {"curve_length": 0},
        {"curve": None},
        {"scale": True},
    ],
)
def test_what_is_no_process_is_refused(changes):
    record = Capture.photograph(correction=FITTED).to_json()
    record["correction"] = {**record["correction"], **changes}
    with pytest.raises(FormatError, match="correction"):
        Capture.from_json(record)


def test_constants_and_names():
    with pytest.raises(ConfigError, match="a weight for each value"):
        ProcessCorrection(FITTED.values, FITTED.weights[:3])
    record = Capture.photograph(correction=FITTED).to_json()
    record["correction"]["colours"] = 3
    with pytest.raises(FormatError, match="colours"):
        Capture.from_json(record)
