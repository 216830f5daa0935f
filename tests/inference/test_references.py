"""References: what they correct, what they leave, and what is refused."""

import numpy as np
import pytest

import respectra as rs
from respectra.errors import DataError, FormatError, RespectraWarning
from respectra.inference.corrections import Correction
from respectra.inference.reference_process import Lengths, posterior, thin
from respectra.inference.reference_tables import FactorTable, axes, corners, features

GRID = np.arange(400.0, 701.0, 10.0)
CLEAN = rs.get_track("clean")


@pytest.fixture(scope="module")
def method():
    return rs.load("wiener")


@pytest.fixture(scope="module")
def scene():
    """Spectra whose error of a linear method depends on their colour."""
    rng = np.random.default_rng(3)
    knots = rng.uniform(0.05, 0.5, (24, 24, 4))
    places = np.linspace(0, 3, 31)
    left = np.minimum(places.astype(int), 2)
    values = knots[..., left] + (places - left) * (knots[..., left + 1] - knots[..., left])
    bump = 1 + 0.5 * np.exp(-0.5 * ((GRID - 680) / 12) ** 2)
    return rs.make_cube(values * bump, GRID)


@pytest.fixture(scope="module")
def spots(scene):
    rng = np.random.default_rng(0)
    y, x = rng.integers(0, 24, (2, 24))
    return rs.References(np.stack([y, x], axis=1), scene.values[y, x], GRID)


def error(cube, truth):
    return float((np.abs(cube.values - truth.values) / np.maximum(truth.values, 0.01)).mean())


def test_references_lower_the_error_of_the_others(method, scene, spots):
    image = CLEAN.render(scene)
    before, after = method(image), method(image, references=spots)
    assert error(after, scene) < 0.85 * error(before, scene)
    assert "24 references" in after.attrs["references"]


def test_a_reference_is_met_within_its_uncertainty(method, scene, spots):
    cube = method(CLEAN.render(scene), references=spots)
    y, x = spots.points[:, 0], spots.points[:, 1]
    np.testing.assert_allclose(cube.values[y, x], spots.spectra, rtol=0.03)


def test_two_references_are_met_and_say_why_they_correct_no_others(method, scene, spots):
    two = rs.References(spots.points[:2, :2], spots.spectra[:2], GRID)
    image = CLEAN.render(scene)
    cube, plain = method(image, references=two), method(image)
    assert "takes three" in cube.attrs["references"]
    y, x = two.points[:, 0], two.points[:, 1]
    np.testing.assert_allclose(cube.values[y, x], two.spectra, rtol=0.03)
    others = (image.values[:, :, None] != image.values[y, x]).any(axis=3).all(axis=2)
    np.testing.assert_allclose(cube.values[others], plain.values[others], rtol=1e-5)


def test_the_picture_is_put_back(method, scene, spots):
    image = CLEAN.render(scene)
    again = CLEAN.render(method(image, references=spots))
    np.testing.assert_array_equal(again, image)


def test_tiles_and_order_do_not_matter(method, scene, spots):
    image = CLEAN.render(scene)
    order = np.random.default_rng(1).permutation(len(spots))
    turned = rs.References(spots.points[order], spots.spectra[order], GRID)
    whole = method(image, references=spots)
    np.testing.assert_allclose(method(image, references=turned), whole, rtol=1e-4)
    tiled = rs.load("wiener", tile=7).with_references(image, spots)
    np.testing.assert_allclose(tiled(image), whole, rtol=1e-5)


def test_references_of_one_picture_serve_another(method, scene, spots, tmp_path):
    first = CLEAN.render(scene)
    corrected = method.with_references(first, spots)
    other = scene.copy(data=scene.values[::-1, ::-1].copy())
    image = CLEAN.render(other)
    assert error(corrected(image), other) < 0.85 * error(method(image), other)
    correction = corrected.guarantees.correction
    correction.save(tmp_path / "spots.json")
    again = method.with_correction(Correction.load(tmp_path / "spots.json", method))
    np.testing.assert_array_equal(again(image), corrected(image))
    measured = rs.References(None, spots.spectra, GRID, values=spots.measure(first.values).values)
    np.testing.assert_allclose(
        method(image, references=measured), corrected(image), rtol=0.05, atol=0.01
    )


def test_references_that_teach_nothing_of_others_are_applied_to_themselves_alone(method, scene):
    rng = np.random.default_rng(5)
    y, x = rng.integers(0, 24, (2, 8))
    image = CLEAN.render(scene)
    null = np.linalg.svd(CLEAN.response_matrix(GRID).T)[2][3:]
    wild = np.abs(method(image).values[y, x] + 0.05 * rng.standard_normal((8, 28)) @ null)
    refs = rs.References(np.stack([y, x], axis=1), wild, GRID, uncertainty=0.5)
    cube = method(image, references=refs)
    assert "would not help" in cube.attrs["references"]
    away = np.ones((24, 24), bool)
    away[y, x] = False
    np.testing.assert_allclose(cube.values[away], method(image).values[away], rtol=1e-6)


def test_the_deviation_shrinks_at_references(method, scene, spots):
    image = CLEAN.render(scene)
    cube, deviation = method.with_references(image, spots).with_uncertainty(image)
    assert deviation.shape == cube.shape
    assert float(deviation.min()) >= 0
    relative = (deviation / cube).values.mean(axis=2)
    y, x = spots.points[:, 0], spots.points[:, 1]
    assert relative[y, x].mean() < relative.mean()


def test_one_place_with_two_spectra_is_a_contradiction(method, scene):
    truth = scene.values[3, 4]
    bump = truth * (1 + 0.4 * np.sin(GRID / 9))
    refs = rs.References([[3, 4], [3, 4]], np.stack([truth, bump]), GRID)
    with pytest.raises(DataError, match=r"reference 2 at y=3, x=4 contradicts reference 1"):
        method(CLEAN.render(scene), references=refs)


def test_a_spectrum_that_is_not_the_pixels_is_named_with_how_far_it_is_off(method, scene, spots):
    spectra = spots.spectra.copy()
    spectra[2] *= 1.5
    with pytest.raises(DataError, match=r"reference 3 at y=.*, x=.* gives . = .*\(\+5\d%\)"):
        method(CLEAN.render(scene), references=spots.replace(spectra=spectra))


def test_of_photographs_whose_camera_is_assumed_it_is_a_warning(method, scene, spots):
    from respectra.cameras.capture_camera import CaptureCamera

    reflecting = scene.assign_attrs(quantity="reflectance")
    photo = CaptureCamera(rs.Capture.photograph()).render(reflecting)
    with pytest.warns(RespectraWarning, match="contradict the picture"):
        method(photo, references=spots.replace(spectra=1.3 * spots.spectra))


def test_references_on_bands_that_they_do_not_cover(method, scene, spots):
    short = rs.References(spots.points, spots.spectra[:, :20], GRID[:20])
    with pytest.raises(DataError, match=r"from 400 to 590 nm, the cube"):
        method(CLEAN.render(scene), references=short)


@pytest.mark.parametrize("text", ["{", "{}", '{"format": "respectra correction", "version": 9}'])
def test_damaged_corrections_are_refused(method, tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FormatError, match=r"a\.json"):
        Correction.load(tmp_path / "a.json", method)


def test_a_table_follows_its_function_between_nodes_and_meets_pinned_colours(rng):
    def posterior(nodes):
        logs = 0.3 * np.sin(3 * nodes[:, :1]) + 0.1 * nodes[:, 1:2] + 0.02 * nodes[:, 2:]
        return np.repeat(logs, 4, axis=1), np.full(len(nodes), 0.5)

    white = np.array([0.8, 1.0, 0.9])
    rgb = rng.uniform(0.01, 0.7, (500, 3)).astype(np.float32)
    at = axes(features(rgb, white), 0.25)
    table = FactorTable(white, 4, posterior, at)
    table.pin(rgb[:1].astype(float), np.log(np.full((1, 4), 7.0)), 1e-6)
    spectra = np.ones((500, 4), np.float32)
    assert table.multiply(spectra, rgb)
    np.testing.assert_allclose(spectra[0], 7.0, rtol=1e-6)
    expected = np.exp(posterior(features(rgb, white))[0])
    np.testing.assert_allclose(spectra[1:], expected[1:], rtol=2e-3)
    np.testing.assert_allclose(table.spread(rgb), 0.5, rtol=1e-6)
    nodes, weights = corners(features(rgb, white), at)
    logs = posterior(nodes.reshape(-1, 3))[0].reshape(500, 8, 4)
    between = np.einsum("nc,ncb->nb", weights, np.exp(logs))
    np.testing.assert_allclose(spectra[1:], between[1:], rtol=1e-4)


def test_between_references_that_differ_nothing_goes_further_than_they(rng):
    white, near = np.ones(3), 0.3 + 0.02 * rng.random((12, 3))
    ratios = rng.uniform(-0.5, 0.8, (12, 4))
    lengths = Lengths(chroma=0.06, brightness=9.0, constant=1.0, nugget=0.01, share=1.0)
    logs, _ = posterior(near, ratios, white, lengths)(features(rng.random((2000, 3)), white))
    assert (logs <= ratios.max(axis=0).clip(0) + 1e-12).all()
    assert (logs >= ratios.min(axis=0).clip(None, 0) - 1e-12).all()
    certain, doubtful = (
        posterior(near, ratios, white, lengths, noise)(features(near, white))[0]
        for noise in (0.0, 1000.0)
    )
    assert np.abs(doubtful).mean() < 0.3 * np.abs(certain).mean()


def test_similar_colours_of_different_spectra_are_not_made_worse(method, rng):
    """Left out, references gain what others gain: the same table is applied to both."""
    knots = rng.uniform(0.2, 0.8, (6, 5))
    spectra = np.stack([np.interp(GRID, np.linspace(400, 700, 5), k) for k in knots])
    level = rng.uniform(0.3, 1.0, (24, 24, 1))
    truth = rs.make_cube(spectra[rng.integers(0, 6, (24, 24))] * level, GRID)
    image = CLEAN.render(truth)
    places = rng.choice(24 * 24, 120, replace=False)
    y, x = places // 24, places % 24
    refs = rs.References(np.stack([y, x], axis=1), truth.values[y, x], GRID)
    corrected = method.with_references(image, refs)
    learned = corrected.guarantees.correction
    others = np.ones((24, 24), bool)
    others[y, x] = False
    before, after = (np.abs(c.values - truth.values) for c in (method(image), corrected(image)))
    before, after = ((e / truth.values)[others].mean() for e in (before, after))
    assert after / before < 1.1 * learned.after / learned.before


def test_many_references_are_thinned_far_from_one_another(rng):
    points = rng.random((300, 3))
    kept = thin(points, 20)
    assert len(set(kept.tolist())) == 20
    gaps = np.linalg.norm(points[kept][:, None] - points[kept], axis=2) + np.eye(20)
    assert gaps.min() > 0.1


def test_references_of_the_first_picture_serve_the_others_of_a_folder(
    method, scene, spots, tmp_path
):
    other = scene.copy(data=scene.values[::-1, ::-1].copy())
    (tmp_path / "shots").mkdir()
    for name, cube in (("a", scene), ("b", other)):
        rs.save_image(CLEAN.render(cube), tmp_path / "shots" / f"{name}.png")
    out = tmp_path / "cubes"
    rs.reconstruct_files(tmp_path / "shots", out, method, kind="clean", references=spots)
    for name, cube in (("a", scene), ("b", other)):
        found = rs.open_cube(out / f"{name}.zarr")
        assert "24 references" in found.attrs["references"]
        assert error(found, cube) < 0.85 * error(method(CLEAN.render(cube)), cube)


def test_spectra_of_a_colour_are_corrected_once_and_others_one_by_one(method, scene, spots, rng):
    """And it makes no difference to the bit."""
    image = CLEAN.render(scene)
    correction = method.with_references(image, spots).guarantees.correction
    large = image.isel(y=np.arange(288) % 24, x=np.arange(288) % 24)
    spectra = method(large).values.reshape(-1, 31)
    alike, each = spectra.copy(), spectra.copy()
    correction.apply(alike, large, GRID)
    correction._correct(large, each)
    np.testing.assert_array_equal(alike, each)
    assert not np.array_equal(alike, spectra)
    noisy = (spectra * rng.uniform(0.98, 1.02, (len(spectra), 1))).astype(np.float32)
    each = noisy.copy()
    correction.apply(noisy, large, GRID)
    correction._correct(large, each)
    np.testing.assert_array_equal(noisy, each)
    assert len(np.unique(noisy, axis=0)) > 24 * 24
