"""show: a cube from Python."""

import json
import urllib.request

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="needs the extra serve")

import respectra as rs
from respectra.errors import DataError


def test_a_cube_is_served_until_the_view_is_closed(rng):
    cube = rs.make_cube(rng.random((9, 8, 31)), np.arange(400, 701, 10))
    with rs.viewer.show(cube, truth=cube, name="<b>mine</b>", open_browser=False) as view:
        base, job = view.url.split("#job=")
        assert base.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{base}api/jobs/{job}/recovered/spectra?at=2,3") as answer:
            values = json.load(answer)["values"][0]
        np.testing.assert_allclose(values, cube.values[2, 3], atol=2e-3)
        assert "<iframe" in view._repr_html_()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(base, timeout=2)


def test_a_truth_of_another_size_is_refused(rng):
    cube = rs.make_cube(rng.random((9, 8, 31)), np.arange(400, 701, 10))
    with pytest.raises(DataError, match="same pixels"):
        rs.viewer.show(cube, truth=cube[:5], open_browser=False)
