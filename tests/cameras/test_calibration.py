import json

import cv2
import numpy as np
import pytest

from respectra.cameras import Capture, Tone, make_image, open_image, resample_response
from respectra.cameras.calibration import calibrate, find_chart, measure_patches, open_chart
from respectra.cameras.calibration.charts import colours_of, smoothest_spectra
from respectra.cameras.calibration.figure import save_figure
from respectra.cameras.calibration.fitting import choose_way, fit_tone
from respectra.cameras.capture_records import open_camera
from respectra.cameras.response_prior import GRID_NM, light_seen
from respectra.cli import calibrate as _  # noqa: F401 - registers the command
from respectra.cli import reconstruct as _r  # noqa: F401
from respectra.cli.app import run
from respectra.colour import encode_srgb, open_light, resample_light, xyz_weights
from respectra.errors import ConfigError, DataError, FormatError

CHART = open_chart("classic24")
CAMERA = resample_response(open_camera("ampas-nikon-d70"), GRID_NM).values
CORNERS = np.array([[70, 70], [270, 70], [270, 190], [70, 190]], float)


def colours(light="D50", exposure=0.8):
    """Linear values of the chart's patches; white's brightest channel is the exposure."""
    seen = light_seen(CHART.spectra, light) @ CAMERA
    white = (light_seen(np.ones((1, GRID_NM.size)), light) @ CAMERA).max()
    return exposure * seen / white


def picture(patches, noise=0.002, seed=0):
    """A chart of 24 patches on black card, on a grey table."""
    values = np.full((260, 340, 3), 0.2)
    values[40:220, 40:300] = 0.02
    for index, colour in enumerate(patches):
        y, x = 55 + 40 * (index // 6), 55 + 40 * (index % 6)
        values[y : y + 30, x : x + 30] = colour
    values += np.random.default_rng(seed).normal(0, noise, values.shape)
    return np.clip(values, 0, 1)


def photograph(**options):
    return make_image(picture(colours(**options)), bits=16)


def test_the_chart_is_found():
    np.testing.assert_allclose(find_chart(photograph(), CHART), CORNERS, atol=4)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_whichever_way_it_lies(turns):
    image = photograph()
    turned = make_image(np.ascontiguousarray(np.rot90(image.values, turns)), bits=16)
    corners = find_chart(turned, CHART)
    patches = measure_patches(turned, CHART, corners)
    np.testing.assert_allclose(patches.values, colours(), atol=0.01)


def test_mirrored_and_absent_charts_are_refused():
    mirrored = make_image(np.ascontiguousarray(photograph().values[:, ::-1]), bits=16)
    with pytest.raises(DataError, match="mirrored"):
        find_chart(mirrored, CHART)
    with pytest.raises(DataError, match="no colour chart"):
        find_chart(make_image(np.full((200, 300, 3), 0.4)), CHART)


def test_upside_down_counts_from_the_same_patch():
    """Corners by hand may begin at the wrong end; what was found by the colours never does."""
    image = photograph()
    turned = make_image(np.ascontiguousarray(image.values[::-1, ::-1]), bits=16)
    corners = find_chart(turned, CHART)
    np.testing.assert_allclose(corners[0], [339 - 70, 259 - 70], atol=4)
    with pytest.raises(DataError, match="first patch"):
        calibrate([image], light="D50", corners=np.roll(CORNERS, 2, axis=0))
    with pytest.raises(DataError, match="mirrored"):
        calibrate([image], light="D50", corners=CORNERS[[1, 0, 3, 2]])


def test_two_charts_are_refused():
    both = np.concatenate([photograph().values, photograph().values], axis=1)
    with pytest.raises(DataError, match="2 charts"):
        find_chart(make_image(both, bits=16), CHART)


def test_clipped_patches_are_left_out():
    patches = colours(exposure=1.15)
    found = calibrate([make_image(picture(patches))], light="D50", corners=CORNERS)
    assert 19 in found.left_out
    assert np.isnan(found.residual[18])
    with pytest.raises(DataError, match="expose less"):
        calibrate([make_image(picture(np.full((24, 3), 1.2)))], light="D50", corners=CORNERS)


def test_patches_in_shadow_are_left_out():
    patches = colours()
    patches[[2, 14]] *= 0.4
    found = calibrate([make_image(picture(patches))], light="D50", corners=CORNERS)
    assert found.left_out == [3, 15]
    patches = colours()
    patches[::2] *= 0.1
    with pytest.raises(DataError, match=r"in shadow|follow the light|no light"):
        calibrate([make_image(picture(patches))], light="D50", corners=CORNERS)


def test_the_response_under_a_known_light():
    found = calibrate([photograph()], light="D50")
    assert found.left_out == []
    values = found.response.values / found.response.values.max()
    truth = CAMERA / CAMERA.max()
    assert np.sqrt(((values - truth) ** 2).mean()) < 0.05
    assert np.nanmax(found.residual) < 0.1
    assert found.noise.read < 0.01
    inside = np.abs(found.response.values / found.response.values.max() - truth)
    width = found.response.deviation / found.response.values.max()
    assert (inside < 3 * width + 0.02).mean() > 0.9


@pytest.mark.parametrize("light", ["planck:2856", "daylight:6500", "FL11"])
def test_an_unknown_light_is_told_from_others(light):
    found = calibrate([photograph(light=light)])
    kinds = {"planck:2856": "planck", "daylight:6500": "daylight", "FL11": "FL11"}
    assert found.response.light.startswith(kinds[light])


def test_developed_photographs_follow_the_process_and_linear_ones_what_predicts_best():
    assert choose_way({"tone": 0.1, "gaussian-process": 0.2}) == "gaussian-process"
    assert choose_way({"response": 0.3, "matrix": 0.2, "root-polynomial": 0.25}) == "matrix"


def test_the_capture_holds_every_way(tmp_path):
    found = calibrate([photograph().assign_attrs(camera_model="NIKON D70")], light="D50")
    assert set(found.scores) == {"response", "matrix", "root-polynomial"}
    assert found.capture.way == found.way == min(found.scores, key=found.scores.get)
    found.capture.save(tmp_path / "a.json")
    opened = Capture.load(tmp_path / "a.json")
    assert opened == found.capture
    assert set(opened.ways) == set(found.scores) - {found.way}
    response = opened.using("response")
    assert response.camera_name == "NIKON D70 (calibrated)"
    assert response.light.attrs["name"] == "D50"
    root = response.using("root-polynomial")
    assert root.is_photograph
    assert len(root.correction) == 6
    assert root.using(found.way) == found.capture
    assert {c.taken_by for c in (opened, response, root)} == {"NIKON D70"}
    asked = calibrate([photograph()], light="D50", use="matrix")
    assert asked.way == "matrix"
    assert len(asked.capture.correction) == 3
    with pytest.raises(ConfigError, match="unknown way"):
        calibrate([photograph()], light="D50", use="tone")
    with pytest.raises(ConfigError, match="unknown way of the capture"):
        opened.using("tone")


def test_several_photographs_of_other_exposures():
    dark, bright = photograph(exposure=0.3), photograph(exposure=0.95)
    found = calibrate([dark, bright], light="D50")
    assert len(found.patches) == 2
    np.testing.assert_allclose(found.measured, colours(exposure=0.3), rtol=0.05, atol=0.004)
    developed = make_image(encode_srgb(dark.values), encoding="srgb")
    with pytest.raises(DataError, match="one kind"):
        calibrate([dark, developed], light="D50")


def test_a_flat_field_takes_vignetting_out():
    y, x = np.mgrid[:260, :340]
    fall = (1 - 0.5 * (((y - 130) / 260) ** 2 + ((x - 170) / 340) ** 2) * 2)[..., None]
    dimmed = make_image((photograph().values * fall).astype(np.float32), bits=16)
    flat = make_image(np.broadcast_to(0.7 * fall, (260, 340, 3)).astype(np.float32), bits=16)
    found = calibrate([dimmed], light="D50", flat=flat)
    np.testing.assert_allclose(found.measured, colours(), rtol=0.05, atol=0.004)
    with pytest.raises(DataError, match="flat field has"):
        calibrate([dimmed], light="D50", flat=flat[:100])


def test_the_tone_of_a_developed_photograph(tmp_path):
    light = 0.8 * np.clip(colours_of(CHART.spectra), 0.001, 1)
    tone = Tone(0.35, 0.1, 0.003)
    # What the camera wrote: the values whose undoing gives the light.
    steps = np.linspace(0, 1, 5001)
    developed = np.interp(light, tone.undo(steps), steps)
    image = make_image(picture(encode_srgb(developed)), encoding="srgb", bits=8)
    found = calibrate([image])
    assert found.response is None
    assert found.capture.is_photograph
    assert found.capture.tone == found.tone
    save_figure(found, image, tmp_path / "tone.png")
    height, width = cv2.imread(str(tmp_path / "tone.png")).shape[:2]
    assert width > 2 * height

    def spread(values):
        return np.ptp(np.log((values / light)[18:23].mean(axis=1)))

    assert spread(found.tone.undo(developed)) < 0.1
    assert spread(developed) > 2 * spread(found.tone.undo(developed))


def test_tone_needs_no_white_balance():
    light = np.clip(colours(light="D65") / colours(light="D65").max(), 0.001, 1)
    found = fit_tone(CHART.spectra, light)
    assert np.abs(found.undo(np.array([0.1, 0.4])) - [0.1, 0.4]).max() < 0.12


def test_a_capture_with_a_correction():
    rows = np.zeros((6, 3))
    rows[:3] = np.eye(3) * 0.5
    rows[3, 0] = 0.25
    capture = Capture.photograph(correction=rows, tone=Tone(0.1, 0.0, 0.0))
    image = make_image(np.array([[[0.2, 0.4, 0.3]]]))
    v = np.array([0.2, 0.4, 0.3]) ** 1.1
    expected = 0.5 * v
    expected[0] += 0.25 * np.sqrt(v[0] * v[1])
    np.testing.assert_allclose(capture.linear(image).values[0, 0], expected, atol=1e-4)
    assert Capture.from_json(capture.to_json()) == capture
    with pytest.raises(ConfigError, match="3 or 6 rows"):
        Capture(correction=np.eye(2))
    with pytest.raises(ConfigError, match="tone='none'"):
        capture.linear(image.assign_attrs(tone="generic, undone as asked"))


def test_the_command(tmp_path, capsys):
    cv2.imwrite(
        str(tmp_path / "a.png"), np.rint(photograph().values[..., ::-1] * 65535).astype("u2")
    )
    out = tmp_path / "camera.json"
    line = ["calibrate", str(tmp_path / "a.png"), "--linear", "--light", "D50", "-o", str(out)]
    assert run([*line, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["way"] in facts["scores"]
    assert facts["light"] == "D50"
    assert (tmp_path / "camera.png").read_bytes().startswith(b"\x89PNG")
    assert run(line) == 1
    assert "exists already" in capsys.readouterr().err
    capture = Capture.load(out)
    image = open_image(tmp_path / "a.png")
    assert capture.linear(image).shape == image.shape
    cube = tmp_path / "cube.npz"
    done = ["reconstruct", str(tmp_path / "a.png"), "-o", str(cube), "--kind", "camera"]
    assert run([*done, "--capture", str(out), "--method", "pseudo-inverse"]) == 0
    assert run([*line[:-1], str(tmp_path / "b.json"), "--corners", "1,2,3"]) == 1


def test_charts_of_ones_own(tmp_path):
    path = tmp_path / "mine.csv"
    lines = [",".join(["patch", *map(str, GRID_NM)])]
    lines += [",".join([str(n), *map(str, row)]) for n, row in enumerate(CHART.spectra)]
    path.write_text("\n".join(lines))
    np.testing.assert_allclose(open_chart(path).spectra, CHART.spectra)
    path.write_text("\n".join(lines[:20]))
    with pytest.raises(FormatError, match="24 or 140"):
        open_chart(path)
    with pytest.raises(ConfigError, match="unknown chart"):
        open_chart("classic12")


def test_corners_that_lie_on_something_else():
    rng = np.random.default_rng(4)
    image = make_image(picture(np.exp(rng.uniform(-4, -0.3, (24, 3)))), encoding="srgb")
    with pytest.raises(DataError, match="is it this chart"):
        calibrate([image], corners=CORNERS)


def test_corners_outside_the_picture():
    with pytest.raises(DataError, match="outside"):
        measure_patches(photograph(), CHART, CORNERS + 400)
    with pytest.raises(DataError, match="photograph it larger"):
        measure_patches(photograph(), CHART, CORNERS / 30 + 10)


LARGE = open_chart("sg140")


def test_the_large_chart_has_the_smoothest_spectra_of_its_colours():
    """Spectra so made have their colours, and are near measured ones as cameras see them."""
    weights = xyz_weights(resample_light(open_light("D50"), GRID_NM), GRID_NM)
    made = smoothest_spectra(CHART.spectra @ weights)
    np.testing.assert_allclose(made @ weights, CHART.spectra @ weights, atol=1e-6)
    ratio = (light_seen(made, "planck:2856") @ CAMERA) / (
        light_seen(CHART.spectra, "planck:2856") @ CAMERA
    )
    assert np.sqrt(np.mean((ratio - 1) ** 2)) < 0.05
    assert LARGE.spectra.shape == (140, 31)
    assert LARGE.spectra.min() > 0
    assert LARGE.spectra.max() < 1
    assert LARGE.error > CHART.error


def large_picture():
    seen = light_seen(LARGE.spectra, "D50") @ CAMERA
    values = np.full((312, 404, 3), 0.25)
    values[30:282, 30:374] = 0.02
    for index, colour in enumerate(0.8 * seen / seen.max()):
        y, x = 36 + 24 * (index // 14), 36 + 24 * (index % 14)
        values[y : y + 21, x : x + 21] = colour
    values += np.random.default_rng(1).normal(0, 0.001, values.shape)
    return make_image(np.clip(values, 0, 1), bits=16)


def test_the_large_chart_is_found_and_calibrates():
    """Turned by a quarter; OpenCV's detector alone does not say which way it lies."""
    turned = make_image(np.ascontiguousarray(np.rot90(large_picture().values)), bits=16)
    found = calibrate([turned], chart="sg140", light="D50")
    assert found.scores[found.way] < 0.05
    wanted = CAMERA / CAMERA.max()
    assert found.response is not None
    fitted = found.response.values / found.response.values.max()
    assert np.sqrt(np.mean((fitted - wanted) ** 2)) < 0.05


def test_a_large_chart_of_ones_own(tmp_path):
    spectra = np.random.default_rng(2).uniform(0.05, 0.9, (140, 31))
    lines = [",".join(["patch", *map(str, GRID_NM)])]
    lines += [",".join([f"{n}", *(f"{v:.4f}" for v in row)]) for n, row in enumerate(spectra)]
    (tmp_path / "sg.csv").write_text("\n".join(lines))
    large = open_chart(tmp_path / "sg.csv")
    assert large.spectra.shape == (140, 31)
    wide = make_image(np.zeros((300, 420, 3)), bits=16)
    colours = np.random.default_rng(3).uniform(0.05, 0.8, (10, 14, 3)).astype(np.float32)
    wide.values[:, :] = np.kron(colours, np.ones((30, 30, 1), np.float32))
    corners = np.array([[15, 15], [405, 15], [405, 285], [15, 285]], float)
    measured = measure_patches(wide, large, corners)
    np.testing.assert_allclose(measured.values, colours.reshape(140, 3), atol=1e-4)
