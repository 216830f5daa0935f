"""Proofs, as other people's software reads them."""

import colour
import numpy as np
import pytest

from respectra.cli import bake as command  # noqa: F401 - registers it
from respectra.cli.app import run
from respectra.errors import ConfigError
from respectra.inference import find_weights
from respectra.inference.tables import bake
from respectra.inference.tables.cube_lut import proof_colours, save_proof


@pytest.fixture(scope="module")
def table():
    return bake(find_weights("pca"))


def test_a_consistent_method_gives_colours_back(table, tmp_path):
    save_proof(table, tmp_path / "proof.cube", nodes=9)
    lut = colour.read_LUT(str(tmp_path / "proof.cube"))
    assert lut.size == 9
    greys = np.linspace(0.1, 1, 7)[:, None] * np.ones(3)
    muted = np.array([[0.6, 0.5, 0.4], [0.4, 0.55, 0.45], [0.4, 0.45, 0.6]])
    for colours in (greys, muted):
        np.testing.assert_allclose(lut.apply(colours), colours, atol=0.03)


def test_red_is_the_first_axis(table):
    colours = proof_colours(table, 3).reshape(3, 3, 3, 3)
    assert colours[2, 0, 0].argmax() == 0
    assert colours[0, 0, 2].argmax() == 2


def test_white_stays_white_under_another_light(table):
    greys = proof_colours(table, 2, light="A")[[0, -1]]
    np.testing.assert_allclose(greys, [[0, 0, 0], [1, 1, 1]], atol=0.03)


def test_tables_for_other_cameras_are_refused(table):
    contract = table.contract.model_copy(update={"track": "real-world"})
    other = type(table)(table.method, table.config, contract, table.facts, table.spectra)
    with pytest.raises(ConfigError, match="images of the track 'clean'"):
        proof_colours(other)


def test_the_command_writes_both(tmp_path):
    files = [str(tmp_path / name) for name in ("m.lut", "proof.cube")]
    assert run(["bake", "pca", "-o", files[0], "--cube-file", files[1], "--proof-light", "A"]) == 0
    assert colour.read_LUT(files[1]).size == 33
