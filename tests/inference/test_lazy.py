"""Pictures on dask's chunks give what pictures in memory give."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr
import zarr

import respectra as rs
from respectra.errors import ConfigError, DataError
from respectra.inference import Reconstructor
from respectra.methods import fresh_weights

da = pytest.importorskip("dask.array")

GRID = np.arange(400.0, 701.0, 10.0)


@pytest.fixture
def photo() -> xr.DataArray:
    """A picture in 8-bit codes that is not the same everywhere."""
    rng = np.random.default_rng(1)
    palette = rng.integers(0, 200, (40, 3))
    codes = palette[rng.integers(0, len(palette), (84, 100))]
    codes[:, 60:] = codes[:, 60:] // 2
    return rs.make_image(codes.astype(np.float32) / np.float32(255), encoding="srgb", bits=8)


def lazily(image: xr.DataArray, rec: Reconstructor, **options: object) -> xr.DataArray:
    return rs.reconstruct_lazily(image.chunk({"y": 32, "x": 40}), rec, **options)


def same(lazy: xr.DataArray, whole: xr.DataArray) -> None:
    assert lazy.dims == whole.dims
    assert lazy.attrs["quantity"] == whole.attrs["quantity"]
    np.testing.assert_allclose(lazy, whole, rtol=0, atol=1e-5 * float(whole.max()))


@pytest.mark.parametrize("method", ["default", "default-classical"])
def test_a_photograph(photo: xr.DataArray, method: str):
    rec = rs.load(method)
    cube = lazily(photo, rec)
    assert cube.chunks is not None
    assert cube.chunks[2] == (31,)
    same(cube, rec(photo))


@pytest.mark.parametrize("guarantee", ["consistent", "non-negative", "exposure-invariant"])
def test_with_guarantees(photo: xr.DataArray, guarantee: str):
    rec = rs.load(guarantees=[guarantee])
    same(lazily(photo, rec), rec(photo))


def test_with_references(photo: xr.DataArray):
    linear = rs.make_image(photo.values, encoding="linear", bits=8)
    rec = rs.load("wiener")
    rng = np.random.default_rng(0)
    y, x = rng.integers(0, 84, 30), rng.integers(0, 100, 30)
    true = rec(linear).values[y, x] * np.linspace(0.8, 1.2, 31)
    spots = rs.References(np.stack([y, x], axis=1), np.maximum(true, 1e-3), GRID, uncertainty=0.5)
    taught = rec.with_references(linear, spots)
    whole = taught(linear)
    assert float(abs(whole - rec(linear)).max()) > 0.01
    lazy = lazily(linear, taught)
    same(lazy, whole)


def test_with_a_capture(photo: xr.DataArray):
    capture = rs.Capture(camera=rs.list_cameras()[0], light="A")
    linear = rs.make_image(photo.values, encoding="linear", bits=8)
    rec = rs.load()
    lazy = lazily(linear, rec, capture=capture)
    same(lazy, rec(linear, capture=capture))
    assert lazy.attrs["quantity"] == "reflectance"


@pytest.mark.parametrize("name", ["hscnn-r", "hrnet", "lwrdanet", "hinet"])
@pytest.mark.filterwarnings("ignore:.*")
def test_neighbours_and_means_are_those_of_the_picture(photo: xr.DataArray, name: str):
    rec = Reconstructor(fresh_weights(name, preset="tiny"))
    linear = rs.make_image(photo.values, encoding="linear", bits=8)
    same(rs.reconstruct_lazily(linear.chunk({"y": 40, "x": 64}), rec), rec(linear))


def test_values_without_codes_have_means_by_pixel():
    rng = np.random.default_rng(2)
    image = rs.make_image(rng.random((70, 80, 3)).astype(np.float32), encoding="linear", bits=32)
    rec = rs.load()
    same(lazily(image, rec), rec(image))


def test_nothing_is_computed_until_it_is_asked_for(photo: xr.DataArray):
    read: list[int] = []

    def block(values: np.ndarray) -> np.ndarray:
        read.append(1)
        return values

    watched = photo.chunk({"y": 42, "x": 50}).copy()
    watched.data = watched.data.map_blocks(block, dtype=np.float32, meta=np.empty((0, 0, 0), "f4"))
    rec = rs.load("default-classical")
    cube = rs.reconstruct_lazily(watched, rec)
    assert read == []
    corner = cube.isel(y=slice(0, 4), x=slice(0, 4)).sel(wavelength=550)
    np.testing.assert_allclose(
        corner, rec(photo).isel(y=slice(0, 4), x=slice(0, 4)).sel(wavelength=550), atol=1e-5
    )
    assert sum(read) == 1


@pytest.mark.parametrize("exchanged", [False, True])
def test_chunks_are_read_again_where_they_are_only_read(photo: xr.DataArray, exchanged: bool):
    read: list[int] = []

    def block(values: np.ndarray) -> np.ndarray:
        read.append(1)
        return values

    empty = np.empty((0, 0, 0), "f4")
    watched = photo.chunk({"y": 42, "x": 50}).copy()
    watched.data = watched.data.map_blocks(block, dtype=np.float32, meta=empty)
    if exchanged:
        watched = watched.chunk({"y": 84, "x": 25})
    rec = rs.load()
    same(rs.reconstruct_lazily(watched, rec), rec(photo))
    assert sum(read) == (4 if exchanged else 8)


def test_a_chunk_that_raises_leaves_nothing(photo: xr.DataArray, tmp_path):
    broken = [True]

    def block(values: np.ndarray, block_id: tuple[int, ...]) -> np.ndarray:
        if broken[0] and block_id[:2] == (1, 0):
            raise OSError("this chunk cannot be read")
        return values

    watched = photo.chunk({"y": 42, "x": 50}).copy()
    watched.data = watched.data.map_blocks(block, dtype=np.float32, meta=np.empty((0, 0, 0), "f4"))
    rec = rs.load("default-classical")
    cube, target = rs.reconstruct_lazily(watched, rec), tmp_path / "cube.zarr"
    with pytest.raises(OSError, match="cannot be read"):
        rs.save_cube(cube, target)
    assert not list(tmp_path.iterdir())
    np.testing.assert_allclose(cube[:42], rec(photo)[:42], atol=1e-5)
    broken[0] = False
    rs.save_cube(cube, target)
    same(cube, rs.open_cube(target))


def test_two_tasks_a_chunk(photo: xr.DataArray, tmp_path):
    rows, columns = 20, 20
    codes = np.tile(photo.values, (3, 3, 1))[: 12 * rows, : 12 * columns]
    image = rs.make_image(codes, encoding="srgb", bits=8)
    stored = da.from_array(image.values, chunks=(rows, columns, 3))
    stored.to_zarr(str(tmp_path / "image.zarr"))
    opened = image.copy(data=da.from_zarr(str(tmp_path / "image.zarr")))
    import dask

    cube = rs.reconstruct_lazily(opened, rs.load())
    target = zarr.create_array(
        tmp_path / "cube.zarr", shape=cube.shape, chunks=(rows, columns, 31), dtype="float32"
    )
    (stored_cube,) = dask.optimize(cube.data.store(target, compute=False))
    chunks = cube.data.npartitions
    # Read and count colours; read, recover and store; and a tree that puts the colours together.
    assert len(dict(stored_cube.__dask_graph__())) <= 2.1 * chunks + 10


def test_a_cube_goes_to_a_store_piece_by_piece(photo: xr.DataArray, tmp_path):
    rec = rs.load()
    cube = lazily(photo, rec)
    cube.to_dataset(name="cube").to_zarr(tmp_path / "cube.zarr")
    np.testing.assert_allclose(rs.open_cube(tmp_path / "cube.zarr"), rec(photo), atol=1e-5)


def test_a_method_can_be_sent_to_another_process(photo: xr.DataArray):
    rec = rs.load(guarantees=["non-negative"]).with_capture(rs.Capture(light="D50"))
    again = pickle.loads(pickle.dumps(rec))
    assert again.guarantees.names == rec.guarantees.names
    linear = rs.make_image(photo.values, encoding="linear", bits=8)
    np.testing.assert_array_equal(again(linear), rec(linear))


def test_what_needs_the_whole_picture_is_refused_in_pieces(photo: xr.DataArray):
    rec = Reconstructor(fresh_weights("mst-plus-plus", preset="tiny"))
    linear = rs.make_image(photo.values, encoding="linear", bits=8)
    with pytest.raises(ConfigError, match=r"looks at the whole picture.*cut into 3 x 3 chunks"):
        lazily(linear, rec)
    one = rs.reconstruct_lazily(linear.chunk(), rec)
    same(one, rec(linear))
    with pytest.raises(ConfigError, match="places in a picture"):
        lazily(linear, rec, capture=rs.Capture(white=(1, 1, 4, 4)))
    with pytest.raises(DataError, match="dims"):
        rs.reconstruct_lazily(photo.transpose("x", "y", "channel").chunk(), rec)


def count_methods(dask_worker: object) -> None:
    """On a worker: count how often a reconstructor is made there."""
    made = dask_worker.made = []  # type: ignore[attr-defined]
    plain = Reconstructor.__init__

    def counted(self: Reconstructor, *arguments: object, **options: object) -> None:
        made.append(1)
        plain(self, *arguments, **options)

    Reconstructor.__init__ = counted  # type: ignore[method-assign]


def methods_made(dask_worker: object) -> int:
    return len(dask_worker.made)  # type: ignore[attr-defined]


def test_the_method_is_sent_to_each_worker_once(photo: xr.DataArray):
    distributed = pytest.importorskip("distributed")
    rec = rs.load("wiener")
    cube = rs.reconstruct_lazily(photo.chunk({"y": 10, "x": 10}), rec)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as local,
        distributed.Client(local) as client,
    ):
        client.run(count_methods)
        data = client.compute(cube.data).result()
        made = client.run(methods_made)
    np.testing.assert_allclose(data, rec(photo).values, atol=1e-5)
    assert sorted(made.values()) == [1, 1]
