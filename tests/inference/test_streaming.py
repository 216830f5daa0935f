"""From file to file: the same cube as in memory, whole or not at all, and taken up again."""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import tifffile
from tests.inference.conftest import tiny_weights

import respectra as rs
from respectra.cameras import open_picture
from respectra.cubes.formats.envi import EnviWriter
from respectra.cubes.formats.zarr import ZarrWriter
from respectra.errors import ConfigError, DataError, FormatError, OutputError
from respectra.files import remove
from respectra.inference import Reconstructor, SelfEnsemble, reconstruct_file
from respectra.methods import save_weights

HEIGHT, WIDTH = 90, 75


@pytest.fixture
def codes(rng):
    return rng.integers(1, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def tiff(tmp_path, codes):
    path = tmp_path / "picture.tif"
    tifffile.imwrite(path, codes, photometric="rgb", rowsperstrip=16)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {"rowsperstrip": 7},
        {"rowsperstrip": HEIGHT},
        {"rowsperstrip": 13, "compression": "zlib", "predictor": True},
        {"tile": (32, 16), "compression": "zlib"},
        {"tile": (48, 64), "byteorder": ">"},
        {"compression": "zlib", "rowsperstrip": HEIGHT},
        {"planarconfig": "separate"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pieces_of_a_tiff_are_those_of_the_whole(tmp_path, codes, options, dtype):
    values = codes / np.float32(255) if dtype == np.float32 else codes.astype(dtype)
    if dtype == np.uint16:
        values *= 257
    stored = values.transpose(2, 0, 1) if "planarconfig" in options else values
    path = tmp_path / "p.tif"
    tifffile.imwrite(path, stored, photometric="rgb", **options)
    picture = open_picture(path, "clean")
    whole = rs.open_image(path).values
    for rows, columns in ((slice(0, 9), slice(0, WIDTH)), (slice(20, 71), slice(33, 70))):
        np.testing.assert_allclose(picture.read(rows, columns), whole[rows, columns], atol=1e-7)
    assert picture.bounds() == pytest.approx((whole.min(), whole.max()))


class StopError(Exception):
    pass


def stop_after(count):
    def progress(done, _, what):
        if done == count:
            raise StopError

    return progress


def test_only_what_must_be_is_read_whole(tmp_path, tiff, codes):
    assert open_picture(tiff, "srgb").by_rows
    one_strip = tmp_path / "one.tif"
    tifffile.imwrite(one_strip, codes, photometric="rgb", compression="zlib", rowsperstrip=HEIGHT)
    assert not open_picture(one_strip, "srgb").by_rows


@pytest.mark.parametrize("name", ["hscnn-r", "tic-rc", "mst-plus-plus", "lwrdanet"])
@pytest.mark.parametrize("suffix", ["zarr", "bip", "bil", "bsq"])
def test_a_streamed_cube_is_the_one_made_in_memory(tmp_path, tiff, name, suffix):
    rec = Reconstructor(tiny_weights(name), tile=32)
    expected = rec(rs.open_image(tiff, encoding="srgb"))
    calls = []
    done = reconstruct_file(
        rec, tiff, tmp_path / f"cube.{suffix}", progress=lambda *x: calls.append(x)
    )
    cube = rs.open_cube(done.path)
    np.testing.assert_allclose(cube.values, expected.values, rtol=0, atol=1e-6)
    assert cube.attrs["method"] == name
    assert cube.attrs.get("tiling") == expected.attrs.get("tiling")
    assert calls[-1] == (done.pieces, done.pieces, "piece")
    assert done.pieces >= 4
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", ["clean", "srgb"])
@pytest.mark.parametrize(
    "names",
    [["consistent"], ["consistent-exact", "non-negative"], ["exposure-invariant", "smooth"]],
    ids="+".join,
)
def test_guarantees_are_kept_piece_by_piece(tmp_path, codes, names, kind):
    tifffile.imwrite(tmp_path / "p.tif", codes // 2, photometric="rgb", rowsperstrip=16)
    rec = Reconstructor(tiny_weights("hscnn-r"), tile=32, guarantees=names)
    target = tmp_path / "cube.zarr"
    with pytest.raises(StopError):
        reconstruct_file(rec, tmp_path / "p.tif", target, kind=kind, progress=stop_after(3))
    done = reconstruct_file(rec, tmp_path / "p.tif", target, kind=kind)
    assert done.resumed == 3
    image = rs.open_image(tmp_path / "p.tif", encoding="srgb" if kind == "srgb" else "linear")
    expected = rec(image.assign_attrs(track="clean"))
    cube = rs.open_cube(target)
    scale = np.abs(expected.values).max()
    np.testing.assert_allclose(cube.values, expected.values, rtol=0, atol=1e-5 * scale)
    for name in ("guarantees", "unreachable_pixels"):
        assert cube.attrs.get(name) == expected.attrs.get(name)


def test_a_streamed_cube_that_is_consistent_gives_the_picture_back(tmp_path, tiff, codes):
    rec = Reconstructor(tiny_weights("mst-plus-plus"), tile=32, guarantees=["consistent"])
    reconstruct_file(rec, tiff, tmp_path / "cube.zarr", kind="clean")
    cube = rs.open_cube(tmp_path / "cube.zarr")
    again = np.floor(255 * rs.get_track("clean").project(cube).clip(max=1.0))
    wrong = (again != codes).any("channel")
    assert int(wrong.sum()) <= cube.attrs.get("unreachable_pixels", 0) < 10


def test_guarantees_that_look_at_neighbourhoods_are_refused(tmp_path, tiff):
    weights = rs.load("pseudo-inverse", track="real-world").weights
    rec = Reconstructor(weights, guarantees=["consistent"])
    with pytest.raises(ConfigError, match=r"looks at neighbourhoods.*reconstruct in memory"):
        reconstruct_file(rec, tiff, tmp_path / "cube.zarr", kind="real-world")


@pytest.mark.parametrize("symmetries", ["horizontal", "all"])
def test_tiles_of_a_self_ensemble_are_turned_one_by_one(tmp_path, tiff, symmetries):
    rec = SelfEnsemble(
        tiny_weights("hscnn-r"), symmetries=symmetries, tile=32, guarantees=["non-negative"]
    )
    expected = rec(rs.open_image(tiff, encoding="srgb"))
    reconstruct_file(rec, tiff, tmp_path / "cube.bip")
    values = rs.open_cube(tmp_path / "cube.bip").values
    np.testing.assert_allclose(values, expected.values, rtol=0, atol=1e-5 * expected.values.max())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tic-rc", "do not give what the turned picture gives"),
        ("staffs-cvl", "takes 16 x 16 pixels together"),
        ("fmnet", None),
    ],
)
def test_self_ensembles_that_need_the_whole_picture_say_so(tmp_path, tiff, name, message):
    rec = SelfEnsemble(tiny_weights(name), symmetries="flips", tile=32)
    reason = rec.whole_image_reason(HEIGHT, WIDTH)
    assert (reason is None) == (message is None)
    if message is not None:
        with pytest.raises(ConfigError, match=message):
            reconstruct_file(rec, tiff, tmp_path / "cube.zarr")


def test_numpy_arrays_are_pictures_too(tmp_path, codes):
    np.save(tmp_path / "p.npy", codes)
    rec = Reconstructor(tiny_weights("hscnn-r"), tile=32)
    reconstruct_file(rec, tmp_path / "p.npy", tmp_path / "c.zarr", kind="clean", dtype="float16")
    expected = rec(rs.make_image(codes / 255)).values
    values = rs.open_cube(tmp_path / "c.zarr").values
    np.testing.assert_allclose(values, expected.astype(np.float16), atol=1e-3)


@pytest.mark.parametrize("name", ["hscnn-r", "tic-rc", "mst-plus-plus"])
@pytest.mark.parametrize("suffix", ["zarr", "bil"])
@pytest.mark.parametrize("count", [1, 4])
def test_a_stopped_run_leaves_nothing_and_is_taken_up(tmp_path, tiff, name, suffix, count):
    rec = Reconstructor(tiny_weights(name), tile=32)
    target = tmp_path / f"cube.{suffix}"
    with pytest.raises(StopError):
        reconstruct_file(rec, tiff, target, progress=stop_after(count))
    assert not target.exists()
    with pytest.raises(FormatError):
        rs.open_cube(target)
    done = reconstruct_file(rec, tiff, target)
    assert done.resumed == count
    expected = rec(rs.open_image(tiff, encoding="srgb"))
    np.testing.assert_allclose(rs.open_cube(target).values, expected.values, rtol=0, atol=1e-6)


def test_another_picture_of_equal_name_size_and_time_does_not_take_up_a_stopped_run(
    tmp_path, tiff, codes
):
    rec = Reconstructor(tiny_weights("hscnn-r"), tile=32)
    target, time = tmp_path / "cube.zarr", tiff.stat().st_mtime_ns
    with pytest.raises(StopError):
        reconstruct_file(rec, tiff, target, progress=stop_after(3))
    tifffile.imwrite(tiff, codes[::-1], photometric="rgb", rowsperstrip=16)
    os.utime(tiff, ns=(time, time))
    assert reconstruct_file(rec, tiff, target).resumed == 0
    expected = rec(rs.open_image(tiff, encoding="srgb"))
    np.testing.assert_allclose(rs.open_cube(target).values, expected.values, rtol=0, atol=1e-6)


def test_a_piece_is_written_while_the_next_is_computed(tmp_path, tiff, monkeypatch):
    rec = Reconstructor(tiny_weights("hscnn-r"), tile=32)
    computed, write, calls = threading.Event(), EnviWriter.write, []

    def write_first(self, region, spectra):
        calls.append(region)
        assert len(calls) > 1 or computed.wait(60)
        write(self, region, spectra)

    read = rec.pieces

    def pieces(*arguments, **options):
        for number, piece in enumerate(read(*arguments, **options)):
            if number == 1:
                computed.set()
            yield piece

    monkeypatch.setattr(EnviWriter, "write", write_first)
    monkeypatch.setattr(rec, "pieces", pieces)
    monkeypatch.setattr(type(rec), "for_kind", lambda self, kind: self)
    reconstruct_file(rec, tiff, tmp_path / "cube.bip", kind="clean")
    assert len(calls) >= 4


@pytest.mark.parametrize("suffix", ["zarr", "hdr"])
def test_two_streams_do_not_write_one_cube(tmp_path, tiff, suffix):
    rec = Reconstructor(tiny_weights("hscnn-r"), tile=32)
    target = tmp_path / f"cube.{suffix}"

    def meddle(done, _, what):
        if done == 2:
            with pytest.raises(OutputError, match="is being written by this process"):
                reconstruct_file(rec, tiff, target)

    reconstruct_file(rec, tiff, target, progress=meddle)
    assert rs.open_cube(target).shape == (HEIGHT, WIDTH, 31)


def test_nothing_is_left_of_a_run_that_completed_nothing(tmp_path, tiff, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EnviWriter, "write", full)
    with pytest.raises(OutputError, match="No space left"):
        reconstruct_file(
            Reconstructor(tiny_weights("hscnn-r"), tile=32), tiff, tmp_path / "cube.bip"
        )
    assert [path.name for path in tmp_path.iterdir()] == [tiff.name]


def test_other_weights_do_not_take_up_a_stopped_run(tmp_path, tiff):
    target = tmp_path / "cube.zarr"
    with pytest.raises(StopError):
        reconstruct_file(
            Reconstructor(tiny_weights("hscnn-r"), tile=32), tiff, target, progress=stop_after(3)
        )
    done = reconstruct_file(Reconstructor(tiny_weights("rpan"), tile=32), tiff, target)
    assert done.resumed == 0


@pytest.mark.parametrize("sink", [EnviWriter, ZarrWriter])
def test_a_full_disk_is_one_sentence_and_keeps_what_is_done(tmp_path, tiff, monkeypatch, sink):
    rec = Reconstructor(tiny_weights("hscnn-r"), tile=32)
    target = tmp_path / ("cube.zarr" if sink is ZarrWriter else "cube.bip")
    write, calls = sink.write, []

    def full(self, region, spectra):
        calls.append(region)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        write(self, region, spectra)

    monkeypatch.setattr(sink, "write", full)
    with pytest.raises(OutputError, match=r"No space left.*run the same command again"):
        reconstruct_file(rec, tiff, target)
    assert not target.exists()
    monkeypatch.undo()
    assert reconstruct_file(rec, tiff, target).resumed == 2


@pytest.mark.parametrize("suffix", ["zarr", "bip"])
def test_a_vanished_folder_is_an_error_and_not_made_again(tmp_path, tiff, suffix):
    rec = Reconstructor(tiny_weights("hscnn-r"), tile=32)
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / f"cube.{suffix}"
    with pytest.raises(OutputError, match=r"cannot write .*run the same command again"):
        reconstruct_file(rec, tiff, target, progress=lambda *_: remove(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


_KILLED = """
import os, signal, sys
from respectra.inference import Reconstructor, reconstruct_file
from respectra.methods import load_weights

def stop(done, _, what):
    if done == 4:
        os.kill(os.getpid(), signal.SIGKILL)

reconstruct_file(Reconstructor(load_weights(sys.argv[1]), tile=32), *sys.argv[2:], progress=stop)
"""


@pytest.mark.posix
def test_a_killed_process_is_taken_up(tmp_path, tiff):
    save_weights(tiny_weights("hscnn-r"), tmp_path / "w.safetensors")
    target = tmp_path / "cube.zarr"
    paths = [str(path) for path in (tmp_path / "w.safetensors", tiff, target)]
    done = subprocess.run([sys.executable, "-c", _KILLED, *paths], check=False)
    assert done.returncode == -9
    assert not target.exists()
    assert reconstruct_file(rs.load(paths[0], tile=32), tiff, target).resumed == 4


def test_pictures_and_limits_that_are_too_small_say_so(tmp_path, tiff, codes):
    out = tmp_path / "c.zarr"
    small = tmp_path / "small.tif"
    tifffile.imwrite(small, codes[:8, :20], photometric="rgb")
    with pytest.raises(DataError, match=r"hrnet needs images of at least 9 x 9 .* got 8 x 20"):
        reconstruct_file(Reconstructor(tiny_weights("hrnet"), tile=32), small, out)
    with pytest.raises(ConfigError, match=r"10\.0 MB of memory is too little for hscnn-r"):
        reconstruct_file(Reconstructor(tiny_weights("hscnn-r"), max_memory="10MB"), tiff, out)
    assert not out.exists()


def test_an_existing_cube_is_refused_or_replaced(tmp_path, tiff):
    rec = Reconstructor(tiny_weights("hscnn-r"), tile=64)
    for name in ("cube.zarr", "cube.bsq"):
        reconstruct_file(rec, tiff, tmp_path / name)
        with pytest.raises(OutputError, match="exists already"):
            reconstruct_file(rec, tiff, tmp_path / name)
        reconstruct_file(rec, tiff, tmp_path / name, overwrite=True)
        assert rs.open_cube(tmp_path / name).shape == (HEIGHT, WIDTH, 31)


def test_formats_that_cannot_grow_are_refused(tmp_path, tiff):
    with pytest.raises(ConfigError, match=r"choose \.zarr"):
        reconstruct_file(Reconstructor(tiny_weights("hscnn-r")), tiff, tmp_path / "cube.mat")


def test_bad_pictures_are_refused(tmp_path, tiff, codes):
    rec = Reconstructor(tiny_weights("hscnn-r"), tile=32)
    out = tmp_path / "c.zarr"
    with pytest.raises(FormatError, match="there is no file"):
        reconstruct_file(rec, tmp_path / "none.tif", out)
    short = tmp_path / "short.tif"
    short.write_bytes(tiff.read_bytes()[:-4000])
    with pytest.raises(FormatError, match="cut short"):
        reconstruct_file(rec, short, out)
    wild = tmp_path / "wild.tif"
    tifffile.imwrite(wild, codes.astype(np.float32), photometric="rgb", rowsperstrip=8)
    with pytest.raises(DataError, match=r"wild\.tif.*\[0, 1\]"):
        reconstruct_file(rec, wild, out, kind="clean")
    clear = tmp_path / "clear.tif"
    alpha = np.full((HEIGHT, WIDTH, 1), 7, np.uint8)
    both = np.concatenate([codes, alpha], axis=2)
    tifffile.imwrite(clear, both, photometric="rgb", extrasamples=["unassalpha"], rowsperstrip=8)
    with pytest.raises(DataError, match="transparent"):
        reconstruct_file(rec, clear, out)
    assert not out.exists()


_RUN = """
import json, sys
import torch
torch.set_num_threads(1)
from respectra.inference import load, reconstruct_file
from respectra.methods.measure import peak_memory_bytes
rec = load(sys.argv[1], max_memory="600MB")
done = reconstruct_file(rec, sys.argv[2], sys.argv[3], kind="clean")
print(json.dumps([peak_memory_bytes(), done.pieces]))
"""


def test_memory_stays_within_the_limit_whatever_the_size(tmp_path):
    """Six megapixels make a cube of 0.7 GB in memory."""
    yy, xx = np.mgrid[:2000, :3000].astype(np.float32)
    picture = np.stack([yy / 2000, xx / 3000, 0 * yy + 0.5], axis=-1)
    tifffile.imwrite(
        tmp_path / "large.tif", (255 * picture).astype(np.uint8), photometric="rgb", rowsperstrip=64
    )
    del picture, yy, xx
    from respectra.methods.fitting import fit_on_measured_spectra

    save_weights(fit_on_measured_spectra("pseudo-inverse"), tmp_path / "w.safetensors")
    paths = [str(tmp_path / name) for name in ("w.safetensors", "large.tif", "cube.zarr")]
    command = [sys.executable, "-c", _RUN, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak, pieces = json.loads(done.stdout)
    assert pieces > 1
    assert peak < 600e6
