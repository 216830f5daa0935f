import numpy as np
import pytest

import respectra as rs
from respectra.cameras import colour, get_response, get_track, make_image
from respectra.colour import colour_matching, illuminant
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.errors import ConfigError, DataError


def photograph(values):
    return make_image(np.asarray(values, np.float32), encoding="srgb")


def test_srgb_curve(rng):
    science = pytest.importorskip("colour")
    values = np.concatenate([[0.0, 0.04045, 0.0404, 1.0], rng.random(200)])
    linear = science.models.eotf_sRGB(values)
    np.testing.assert_allclose(colour.decode_srgb(values), linear, rtol=2e-6)
    np.testing.assert_allclose(colour.encode_srgb(linear), values, atol=1e-4)


def test_observer_matrix_is_the_constrained_fit():
    """Least relative error over colour-science's measured reflectances; white is kept."""
    import colour as science
    from colour.quality.cfi2017 import load_TCS_CIE2017

    nm = np.arange(380.0, 781.0, 5.0)
    charts = [science.SDS_COLOURCHECKERS[name] for name in ("BabelColor Average", "ISO 17321-1")]
    chips = [np.interp(nm, sd.wavelengths, sd.values) for chart in charts for sd in chart.values()]
    samples = load_TCS_CIE2017(science.SpectralShape(380, 780, 5)).values.T
    reflectances = np.concatenate([chips, samples])
    light = illuminant("D65", nm)[:, None]
    two, ten = (colour_matching(observer, nm) * light for observer in ("cie1931", "cie1964"))
    a, b = reflectances @ (two / two.sum(0)), reflectances @ (ten / ten.sum(0))
    for channel in range(3):
        # Rows that sum to one: row = unit + c1 (1, -1, 0) + c2 (0, 1, -1).
        differences = np.stack([a[:, 0] - a[:, 1], a[:, 1] - a[:, 2]], 1) / b[:, [1]]
        target = (b - a)[:, channel] / b[:, 1]
        c1, c2 = np.linalg.lstsq(differences, target, rcond=None)[0]
        row = np.eye(3)[channel] + [c1, c2 - c1, -c2]
        np.testing.assert_allclose(colour.OBSERVER_2_TO_10[channel], row, atol=1e-6)
    np.testing.assert_allclose(colour.OBSERVER_2_TO_10.sum(1), 1.0, atol=2e-8)


def test_white_is_d65_in_the_clean_camera():
    response = get_response("cie-1964-ntire2020").values
    light = illuminant("D65", CHALLENGE_WAVELENGTHS_NM)
    signal = light @ response
    np.testing.assert_allclose(colour.CLEAN_WHITE_D65, signal / signal[1], atol=1e-8)
    # A white wall in D65, so bright that a perfect one gives G = 255, and a photograph of it.
    wall = np.broadcast_to(0.9 * light * 255 / signal[1], (1, 1, 31))
    rendered = get_track("clean").project(rs.make_cube(wall, CHALLENGE_WAVELENGTHS_NM))
    clean = colour.srgb_to_clean(photograph(np.ones((1, 1, 3))))
    np.testing.assert_allclose(clean, rendered, rtol=1e-6)


def test_colour_checker_is_close_to_its_rendering():
    """Photograph and rendering of 24 measured patches differ by under 2 % of white."""
    import colour as science

    nm = CHALLENGE_WAVELENGTHS_NM
    chart = science.SDS_COLOURCHECKERS["BabelColor Average"].values()
    patches = np.array([np.interp(nm, sd.wavelengths, sd.values) for sd in chart])
    light = illuminant("D65", nm)
    observer = colour_matching("cie1931", nm) * light[:, None]
    xyz = patches @ observer / observer[:, 1].sum()
    linear = xyz @ np.linalg.inv(colour.SRGB_TO_XYZ).T
    shown = (linear >= 0).all(1)
    assert shown.sum() >= 22  # cyan lies outside sRGB
    clean = colour.srgb_to_clean(photograph(colour.encode_srgb(linear[None, shown])))
    signal = light * 0.9 * 255 / (light @ get_response("cie-1964-ntire2020").values)[1]
    scene = rs.make_cube((patches[shown] * signal)[None], nm)
    rendered = get_track("clean").project(scene)
    assert float(abs(clean - rendered).max()) < 0.02


def test_every_srgb_colour_fits_and_comes_back(rng):
    corners = np.array(list(np.ndindex(2, 2, 2)), np.float32)[None]
    values = np.concatenate([corners, rng.random((1, 92, 3), dtype=np.float32)], axis=1)
    clean = colour.srgb_to_clean(photograph(values))
    assert (clean.attrs["track"], clean.attrs["bits"], clean.attrs["encoding"]) == (
        "clean",
        32,
        "linear",
    )
    back = colour.clean_to_srgb(clean)
    assert back.attrs["out_of_gamut"] == 0.0
    np.testing.assert_allclose(back.values, values, atol=2e-4)


def test_out_of_gamut_is_reported_and_stays_in_range():
    green = make_image(np.array([[[0.02, 0.4, 0.02], [0.4, 0.4, 0.4]]]), track="clean")
    mapped = colour.clean_to_srgb(green)
    assert mapped.attrs["out_of_gamut"] == 0.5
    linear = colour.decode_srgb(mapped.values)
    assert linear[0, 0].argmax() == 1
    assert colour.clean_to_srgb(green, gamut="clip").attrs["out_of_gamut"] == 0.5
    with pytest.raises(DataError, match=r"50\.00% of the pixels"):
        colour.clean_to_srgb(green, gamut="refuse")


def test_desaturation_keeps_luminance():
    values = np.array([[[0.1, 0.4, 0.1]]])
    linear = values @ np.linalg.inv(colour._to_clean_matrix(0.9)).T
    assert linear.min() < 0
    mapped = colour.decode_srgb(colour.clean_to_srgb(make_image(values, track="clean")).values)
    assert mapped @ colour.SRGB_TO_XYZ[1] == pytest.approx(linear @ colour.SRGB_TO_XYZ[1], rel=1e-4)


def test_too_high_an_exposure():
    white = photograph(np.ones((1, 1, 3)))
    with pytest.raises(DataError, match=r"use at most 0\.93"):
        colour.srgb_to_clean(white, exposure=1.0)
    with pytest.raises(ConfigError, match="positive"):
        colour.srgb_to_clean(white, exposure=0.0)


def test_input_kinds():
    encoded = photograph(np.full((1, 1, 3), 0.5))
    linear = make_image(np.full((1, 1, 3), 0.21404114), encoding="linear")
    np.testing.assert_allclose(
        colour.to_track_values(encoded, "srgb"), colour.to_track_values(linear, "linear"), rtol=1e-5
    )
    for kind in ("clean", "real-world"):
        passed = colour.to_track_values(linear, kind)
        assert passed.attrs["track"] == kind
        np.testing.assert_array_equal(passed.values, linear.values)
    with pytest.raises(DataError, match="open it with encoding='linear'"):
        colour.to_track_values(encoded, "clean")
    with pytest.raises(ConfigError, match="kind of input"):
        colour.to_track_values(linear, "raw")
