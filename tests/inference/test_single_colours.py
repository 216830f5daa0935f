import numpy as np
import pytest

import respectra as rs
from respectra.cameras.calibration.charts import colours_of
from respectra.colour import decode_srgb, encode_srgb
from respectra.errors import DataError, FormatError
from respectra.inference.single_colours import recover_colours

CODES = np.random.default_rng(0).integers(0, 256, (3000, 3)).astype(np.uint8)
EDGES = np.stack(np.meshgrid(*[[0, 1, 7, 128, 254, 255]] * 3), -1).reshape(-1, 3).astype(np.uint8)


def rendered(spectra):
    return encode_srgb(np.clip(colours_of(np.asarray(spectra, float)), 0, 1))


@pytest.mark.parametrize("codes", [CODES, EDGES])
def test_every_colour_renders_to_its_code(codes):
    spectra = recover_colours(codes)
    assert spectra.dims == ("colour", "wavelength")
    assert spectra.values.min() > 0
    assert spectra.values.max() <= 1
    np.testing.assert_array_equal(np.rint(rendered(spectra) * 255), codes)


def test_other_depths_are_met_as_exactly():
    deep = np.random.default_rng(1).integers(0, 65536, (500, 3)).astype(np.uint16)
    assert np.abs(rendered(recover_colours(deep)) * 65535 - deep).max() < 8
    values = (CODES[:500] / 255).astype(np.float32)
    assert np.abs(colours_of(recover_colours(values).values) - decode_srgb(values)).max() < 1e-4
    light = decode_srgb(values).astype(np.float32)
    same = recover_colours(light, encoding="linear")
    np.testing.assert_allclose(same, recover_colours(values), atol=1e-3)


def test_greys_are_nearly_flat():
    greys = np.repeat(np.array([[40], [120], [200]], np.uint8), 3, axis=1)
    spectra = recover_colours(greys).values[:, 2:-2]
    assert (spectra.max(axis=1) / spectra.min(axis=1)).max() < 1.3


def test_a_chart_comes_near_its_spectra():
    from respectra.datasets.spectra import reflectances

    truth = reflectances("colorchecker-babelcolor").values
    light = colours_of(truth)
    truth = truth[(light.min(axis=1) >= 0) & (light.max(axis=1) <= 1)]
    codes = np.rint(encode_srgb(colours_of(truth)) * 255).astype(np.uint8)
    error = np.abs(recover_colours(codes).values - truth) / truth
    assert error.mean() < 0.1


def test_shapes():
    picture = CODES[:12].reshape(3, 4, 3)
    cube = rs.recover_colours(picture)
    assert cube.dims == ("y", "x", "wavelength")
    np.testing.assert_array_equal(cube.values.reshape(12, -1), recover_colours(CODES[:12]).values)
    assert recover_colours(CODES[0]).dims == ("wavelength",)


def test_the_answer_depends_on_no_neighbour():
    np.testing.assert_array_equal(recover_colours(CODES)[2000:].values,
                                  recover_colours(CODES[2000:]).values)  # fmt: skip


def test_bad_input(tmp_path):
    for colours, words in (
        ([[1, 2, 3]], "np.uint8"),
        ([[0.1, 0.2]], "shape"),
        ([[0.1, 0.2, 1.2]], "between 0 and 1"),
        ([[0.1, 0.2, np.nan]], "between 0 and 1"),
        (np.zeros((0, 3)), "shape"),
    ):
        with pytest.raises(DataError, match=words):
            recover_colours(colours)
    with pytest.raises(DataError, match="srgb or linear"):
        recover_colours(CODES, encoding="rec709")
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(FormatError, match=r"a\.safetensors"):
        recover_colours(CODES, weights=tmp_path / "a.safetensors")
