import gzip
import json

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

import respectra as rs
from respectra.errors import FormatError

GRID = [400.0, 500.0, 600.0, 700.0]
VALUES = np.random.default_rng(0).random((4, 6, 4)).astype(np.float32)


def make(path, version=3, values=VALUES, **options):
    group = zarr.open_group(path, mode="w", zarr_format=version)
    for name, data, dims in (("cube", values, ("y", "x", "wavelength")), ("wavelength", np.array(GRID), ("wavelength",))):  # fmt: skip # noqa: E501
        more = {"dimension_names": dims} if version == 3 else {}
        chosen = options if name == "cube" else {}
        array = group.create_array(
            name, shape=data.shape, dtype=data.dtype, **{"chunks": data.shape, **chosen}, **more
        )
        array[...] = data
        array.attrs["_ARRAY_DIMENSIONS"] = list(dims)
    return path


def edit(path, change):
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("version", "options"),
    [
        (3, {}),
        (3, {"compressors": GzipCodec()}),
        (3, {"compressors": BloscCodec(cname="lz4", shuffle="shuffle")}),
        (3, {"compressors": ZstdCodec(checksum=True)}),
        (3, {"compressors": None}),
        (3, {"chunks": (2, 3, 4), "shards": (4, 6, 4)}),
        (3, {"chunks": (2, 3, 4), "shards": (4, 6, 4), "compressors": GzipCodec()}),
        (2, {}),
        (2, {"compressors": None}),
    ],
)
def test_stores_of_every_packing_are_let_through(tmp_path, version, options):
    make(tmp_path / "a.zarr", version, **options)
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.zarr"), VALUES)


def test_zeros_of_version_2_are_zeros(tmp_path):
    codes = (VALUES * 1000).astype(np.uint16)
    codes[0, 0] = 0
    make(tmp_path / "a.zarr", 2, codes)
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.zarr"), codes)


def test_a_missing_value_of_version_2_that_is_no_zero(tmp_path):
    codes = (VALUES * 1000).astype(np.int16)
    codes[0, 0] = -9999
    make(tmp_path / "a.zarr", 2, codes, fill_value=-9999)
    cube = rs.open_cube(tmp_path / "a.zarr").values
    assert np.isnan(cube[0, 0]).all()
    assert not np.isnan(cube[1:]).any()


@pytest.mark.parametrize("codec", ["pickle", "json2", "vlen-utf8", "bz2", "something"])
@pytest.mark.parametrize("place", ["compressor", "filters"])
def test_codecs_that_are_not_known_to_be_safe_are_never_called(tmp_path, codec, place):
    make(tmp_path / "a.zarr", 2)
    value = {"id": codec} if place == "compressor" else [{"id": codec}]
    edit(tmp_path / "a.zarr" / "cube" / ".zarray", lambda facts: facts.update({place: value}))
    with pytest.raises(FormatError, match=rf"its codec '{codec}' is not read"):
        rs.open_cube(tmp_path / "a.zarr", key="cube")


def test_codecs_of_version_3_as_well(tmp_path):
    make(tmp_path / "a.zarr")
    added = {"name": "numcodecs.pickle", "configuration": {}}
    edit(tmp_path / "a.zarr" / "cube" / "zarr.json", lambda facts: facts["codecs"].append(added))
    with pytest.raises(FormatError, match="its codec 'pickle' is not read"):
        rs.open_cube(tmp_path / "a.zarr", key="cube")


def test_an_array_beside_the_cube_that_is_not_read_does_not_keep_it_from_being_read(tmp_path):
    make(tmp_path / "a.zarr")
    make(tmp_path / "b.zarr", 2)
    edit(tmp_path / "b.zarr" / "cube" / ".zarray", lambda f: f.update(filters=[{"id": "pickle"}]))
    (tmp_path / "b.zarr" / "cube").rename(tmp_path / "a.zarr" / "other")
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.zarr"), VALUES)


@pytest.mark.posix
@pytest.mark.parametrize("what", ["chunk", "folder", "metadata"])
def test_links_are_not_followed(tmp_path, what):
    make(tmp_path / "a.zarr", compressors=None)
    secret = tmp_path / "secret"
    secret.write_bytes(b"s3cret " * 100)
    place = tmp_path / "a.zarr" / "cube" / "c" / "0" / "0" / "0"
    if what == "folder":
        (tmp_path / "a.zarr" / "x").symlink_to(tmp_path)
    else:
        place = place if what == "chunk" else tmp_path / "a.zarr" / "cube" / "zarr.json"
        place.unlink()
        place.symlink_to(secret)
    with pytest.raises(FormatError, match="is a link"):
        rs.open_cube(tmp_path / "a.zarr")


@pytest.mark.parametrize("compressor", [GzipCodec(), ZstdCodec(), BloscCodec()])
def test_chunks_that_unpack_to_more_than_they_promise(tmp_path, compressor):
    make(tmp_path / "a.zarr", values=np.ones((512, 512, 4), np.float32), compressors=compressor)
    edit(
        tmp_path / "a.zarr" / "cube" / "zarr.json",
        lambda facts: (
            facts.update(shape=[4, 6, 4]),
            facts["chunk_grid"]["configuration"].update(chunk_shape=[4, 6, 4]),
        ),
    )
    with pytest.raises(FormatError, match="where 384 are promised"):
        rs.open_cube(tmp_path / "a.zarr").load()


def test_a_second_member_of_a_gzip_chunk_is_refused(tmp_path):
    make(tmp_path / "a.zarr", compressors=GzipCodec())
    chunk = tmp_path / "a.zarr" / "cube" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes() + gzip.compress(bytes(10_000)))
    with pytest.raises(FormatError, match="cannot be unpacked"):
        rs.open_cube(tmp_path / "a.zarr")[:, 0].load()


def with_chunks(sides, shape=None):
    def change(facts):
        facts["chunk_grid"]["configuration"]["chunk_shape"] = sides
        facts["shape"] = shape or facts["shape"]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_chunks([1, 1, 1], [9**5, 9**5, 4]), "would grow"),
        (with_chunks([1, 1, 1], [100, 100, 4]), "40,000 pieces"),
        (with_chunks([9**5, 9**5, 4]), "would grow"),
        (with_chunks([0, 1, 1]), "sizes that cannot be"),
        (with_chunks([1, 1]), "another number of dimensions"),
        (lambda facts: facts.update(shape=[-1, 6, 4]), "sizes that cannot be"),
        (lambda facts: facts.update(shape="abc"), "sizes that cannot be"),
        (lambda facts: facts.update(data_type="object"), "is not read"),
        (lambda facts: facts.pop("codecs"), "codecs"),
    ],
)
def test_metadata_that_cannot_be(tmp_path, change, message):
    make(tmp_path / "a.zarr", compressors=None)
    edit(tmp_path / "a.zarr" / "cube" / "zarr.json", change)
    with pytest.raises(FormatError, match=message):
        rs.open_cube(tmp_path / "a.zarr", key="cube", wavelengths_nm=GRID).load()


def test_metadata_nested_without_end(tmp_path):
    make(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "cube" / "zarr.json").write_text("[" * 100_000)
    with pytest.raises(FormatError, match="nested too deeply"):
        rs.open_cube(tmp_path / "a.zarr")


def test_groups_and_single_arrays(tmp_path):
    make(tmp_path / "root.zarr" / "deep")
    zarr.open_group(tmp_path / "root.zarr", mode="a")
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "root.zarr", key="deep/cube"), VALUES)
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "root.zarr"), VALUES)
    array = zarr.create_array(tmp_path / "one.zarr", shape=VALUES.shape, dtype="f4")
    array[...] = VALUES
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "one.zarr", wavelengths_nm=GRID), VALUES)
