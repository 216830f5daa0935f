"""References: their table, what is looked up for them, and what is refused."""

import numpy as np
import pytest

import respectra as rs
from respectra.errors import DataError, FormatError

GRID = np.arange(400.0, 701.0, 10.0)
HEADER = "y,x," + ",".join(f"{nm:g}" for nm in GRID)


def test_a_table_survives_its_file(tmp_path, rng):
    refs = rs.References([[1, 2], [3, 4]], rng.random((2, 31)), GRID, uncertainty=[0.01, 0.05])
    refs.to_csv(tmp_path / "spots.csv")
    again = rs.References.from_csv(tmp_path / "spots.csv")
    np.testing.assert_array_equal(again.points, [[1, 2, 1, 1], [3, 4, 1, 1]])
    np.testing.assert_allclose(again.spectra, refs.spectra, rtol=1e-7)
    np.testing.assert_allclose(again.uncertainty, refs.uncertainty)


def test_a_plain_table_with_its_columns_in_any_order(tmp_path):
    (tmp_path / "a.csv").write_text("x,y,500,400\n3,2,0.5,0.4\n\n")
    refs = rs.References.from_csv(tmp_path / "a.csv", uncertainty=0.1)
    assert refs.points.tolist() == [[2, 3, 1, 1]]
    assert refs.wavelengths_nm.tolist() == [400, 500]
    assert refs.spectra.tolist() == [[0.4, 0.5]]
    assert refs.uncertainty.tolist() == [[0.1, 0.1]]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_tables_of_spreadsheets_of_other_countries(tmp_path, mark):
    file = tmp_path / "spots.csv"
    rows = [["y", "x", "400", "410,5"], ["2", "3", "0,25", "0,5"]]
    file.write_text("".join(mark.join(row) + "\n" for row in rows), encoding="utf-8-sig")
    refs = rs.References.from_csv(file)
    assert refs.points[:, :2].tolist() == [[2, 3]]
    assert refs.wavelengths_nm.tolist() == [400, 410.5]
    assert refs.spectra.tolist() == [[0.25, 0.5]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no references"),
        (HEADER, "no references"),
        ("a,b,400\n1,2,3", "needs a header"),
        ("y,x\n1,2", "needs a header"),
        ("y,x,height,400\n1,2,3,1", "needs a header"),
        ("y,x,colour,400\n1,2,red,0.5", "colour"),
        ("y,x,400,500\n1,2,0.5", "line 2"),
        ("y,x,400,500\n1,2,0.5,none", "line 2"),
        ("y,x,400,500\n1,2,0.5,-1", "negative"),
        ("y,x,400,500\n1,2,0,0", "zero everywhere"),
        ("y,x,400,500\n-1,2,0.5,1", "outside the picture"),
        ("y,x,400,400\n1,2,0.5,1", "ascend"),
        ("y,x,400,500,uncertainty\n1,2,0.5,1,3", "uncertainty"),
    ],
)
def test_tables_that_are_none_are_one_clear_error(tmp_path, text, message):
    file = tmp_path / "spots.csv"
    file.write_text(text)
    with pytest.raises(FormatError, match=message) as caught:
        rs.References.from_csv(file)
    assert "spots.csv" in str(caught.value)


def test_values_are_means_over_rectangles(rng):
    picture = rng.random((10, 12, 3)) * 0.9
    refs = rs.References([[1, 2, 1, 1], [3, 4, 2, 5]], np.ones((2, 31)), GRID).measure(picture)
    np.testing.assert_allclose(refs.values[0], picture[1, 2])
    np.testing.assert_allclose(refs.values[1], picture[3:5, 4:9].mean(axis=(0, 1)))


@pytest.mark.parametrize(
    ("point", "level", "message"),
    [
        ([10, 0], 0.5, "reference 1 at y=10, x=0 lies outside the picture of 10 rows"),
        ([9, 9, 2, 1], 0.5, "outside"),
        ([1, 1], 1.0, "clipped"),
        ([1, 1], 0.0, "black"),
    ],
)
def test_places_that_cannot_serve(point, level, message):
    refs = rs.References([point], np.ones((1, 31)), GRID)
    with pytest.raises(DataError, match=message):
        refs.measure(np.full((10, 10, 3), level))


def test_other_grids_are_interpolated_or_refused():
    refs = rs.References([[0, 0]], [[0.0, 1.0]], [400, 700])
    np.testing.assert_allclose(refs.on(GRID).spectra[0], np.linspace(0, 1, 31))
    with pytest.raises(DataError, match=r"known from 400 to 700 nm, the cube's bands run from 390"):
        refs.on([390, 500])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 0]], [[1, 2, 3]], [400, 500]), "2 bands"),
        (([[0, 0, 0]], [[1, 2]], [400, 500]), "places"),
        (([[0.5, 0]], [[1, 2]], [400, 500]), "whole numbers"),
        ((None, [[1, 2]], [400, 500]), "need places"),
        (([[0, 0]], [["a", 2]], [400, 500]), "numbers"),
        (([[0, 0]], [[1, 2]], [400, 500], 0.0), "uncertainty"),
        (([[0, 0]], [[1, 2]], [400, 500], 0.1, [[1, 2]]), "R, G, B"),
    ],
)
def test_what_are_no_references(arguments, message):
    with pytest.raises(DataError, match=message):
        rs.References(*arguments)
