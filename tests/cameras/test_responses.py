import numpy as np
import pytest

from respectra import cameras
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.errors import ConfigError, DataError


def test_clean_response_sums_to_255_and_follows_the_observer():
    response = cameras.get_response("cie-1964-ntire2020")
    assert response.dims == ("wavelength", "channel")
    np.testing.assert_allclose(response.sum("wavelength"), 255.0, rtol=1e-15)
    # CIE 015 table of the 10° observer at 550 nm: 0.529826, 0.991761, 0.003988.
    observer = cameras.get_response("cie-1964-10deg").sel(wavelength=550)
    np.testing.assert_allclose(observer, [0.529826, 0.991761, 0.003988], atol=1e-6)


def test_published_responses(data_dir):
    published = np.load(data_dir / "spectra" / "ntire2020_responses.npz")
    for name, key in (
        ("cie-1964-ntire2020", "cie_1964_w_gain"),
        ("ntire2020-example-d40", "example_D40_camera_w_gain"),
    ):
        ours = cameras.get_response(name).values
        np.testing.assert_allclose(ours, published[key], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", cameras.list_responses())
def test_every_response_covers_the_challenge_grid(name):
    response = cameras.get_response(name)
    assert response.shape == (31, 3)
    assert response.attrs["name"] == name
    assert response.attrs["source"]
    peak = CHALLENGE_WAVELENGTHS_NM[response.values.argmax(axis=0)]
    assert peak[0] > peak[1] > peak[2]


def test_every_camera_of_colour_science_is_there():
    names = cameras.list_responses()
    import colour

    for title in colour.MSDS_CAMERA_SENSITIVITIES:
        assert any(cameras.native_response(n).attrs["source"].startswith(title) for n in names)


def test_unknown_name_suggests():
    with pytest.raises(ConfigError, match=r"did you mean 'nikon-5100-npl'"):
        cameras.get_response("nikon-5100")


def test_resampling_is_linear_inside():
    response = cameras.make_response([[0, 1, 2], [2, 3, 1], [0, 0, 0]], [400, 500, 600], name="t")
    between = cameras.resample_response(response, [450, 550])
    np.testing.assert_allclose(between, [[1, 2, 1.5], [1, 1.5, 0.5]])


def test_resampling_fills_with_zeros_only_where_the_end_is_dark():
    response = cameras.make_response([[0, 0, 0], [1, 1, 1], [0.5, 0, 0]], [400, 500, 600], name="t")
    assert (cameras.resample_response(response, [390, 500]).values[0] == 0).all()
    with pytest.raises(DataError, match=r"ends at 600 nm with 50% of its peak"):
        cameras.resample_response(response, [500, 610])


def test_band_weights_do_not_depend_on_the_sampling():
    assert (cameras.band_weights(CHALLENGE_WAVELENGTHS_NM) == 1.0).all()
    np.testing.assert_allclose(cameras.band_weights(np.arange(400, 701, 5.0)), 0.5)
    matrix = cameras.get_track("clean").response_matrix
    coarse, fine = (matrix(np.arange(360, 831, step)).sum(0) for step in (10.0, 2.0))
    np.testing.assert_allclose(coarse, fine, rtol=1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((3, 4)), "columns R, G, B"),
        (np.full((3, 3), np.nan), "not finite"),
        (np.eye(3) * [1, 1, 0], "without any sensitivity"),
    ],
)
def test_refused_responses(values, message):
    with pytest.raises(DataError, match=message):
        cameras.make_response(values, [400, 500, 600], name="t")


def test_require_response_says_what_is_missing():
    with pytest.raises(DataError, match=r"make_response"):
        cameras.require_response(np.ones((31, 3)))
