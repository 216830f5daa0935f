"""Files of ours that somebody edited end in one clear error."""

import json
import shutil

import numpy as np
import pytest
from benchmarks.fuzz_kinds import kinds
from safetensors.numpy import save_file

from respectra.errors import ConfigError, FormatError, RespectraError
from respectra.evaluation.results import load_results
from respectra.methods import load_weights
from respectra.training import load_recipe

HEADER = {
    "format": 1, "method": "pca", "config": {}, "contract": {}, "card": {}, "provenance": {},
}  # fmt: skip


def write_weights(path, header):
    text = header if isinstance(header, str) else json.dumps(HEADER | header)
    save_file({"a": np.ones(3, np.float32)}, path, metadata={"respectra": text})


@pytest.mark.parametrize(
    "header",
    [
        {"method": 5}, {"method": None}, {"method": ["pca"]}, {"method": "none such"},
        {"format": "1"}, {"format": None}, {"format": 99}, {"config": 5}, {"contract": []},
        {"contract": {"wavelengths_nm": "x"}}, "[" * 50_000, "{", "[]", "5",
    ],
)  # fmt: skip
def test_weights_whose_header_is_edited(tmp_path, header):
    write_weights(tmp_path / "a.safetensors", header)
    with pytest.raises((FormatError, ConfigError)):
        load_weights(tmp_path / "a.safetensors")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return next(kind for kind in kinds() if kind.name == "results").make(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (name, text)
        for name in ("protocol.json", "costs.json", "methods.json")
        for text in ("", "5", "null", "[5]", '{"a": 5}', "[" * 50_000, "\0", '{"format": 1}')
    ],
)
def test_results_whose_json_is_edited(tmp_path, stored, name, text):
    shutil.copytree(stored, tmp_path / "run")
    (tmp_path / "run" / name).write_text(text)
    with pytest.raises(RespectraError):
        load_results(tmp_path / "run")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("plain", "pl\0ain"), (",s,", ",../../../x,"), ("0.1", "much"), ("main", "a\nb"),
        ("role", "rule"), ("clean", "x" * 200_000), (",s,", ",a/b,"),
    ],
)  # fmt: skip
def test_results_whose_table_is_edited(tmp_path, stored, old, new):
    shutil.copytree(stored, tmp_path / "run")
    table = tmp_path / "run" / "results.csv"
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(RespectraError):
        load_results(tmp_path / "run")


@pytest.mark.parametrize(
    "text",
    [
        "extends: ../x", "extends: /etc/passwd", "extends: [a]", "extends: mine",
        "5: 6\nmethod: pca",
        "[1]", "{", "a: *b", "method: 5", "method: [hscnn-r]", "extends: hscnn-r-clean\nlength: 5",
    ],
)  # fmt: skip
def test_recipes_that_are_edited(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    (tmp_path.parent / "x.yaml").write_text("method: pca\n")
    with pytest.raises((FormatError, ConfigError)):
        load_recipe(tmp_path / "mine.yaml")
