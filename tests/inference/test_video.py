"""Clips: every frame as if it were a picture, in bounded memory, and taken up where a run ended."""

import builtins
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import xarray as xr
from tests.inference.clips import write_clip
from tests.inference.conftest import tiny_weights

import respectra as rs
from respectra.errors import ConfigError, DataError, FormatError, MissingExtraError, OutputError
from respectra.inference import Reconstructor, find_weights
from respectra.inference.tables import bake
from respectra.inference.video import _ahead, reconstruct_video
from respectra.inference.video_reader import Clip
from respectra.inference.video_store import VideoStore

av = pytest.importorskip("av")
COUNT, HEIGHT, WIDTH = 5, 36, 50


@pytest.fixture
def frames(rng):
    return rng.integers(20, 200, (COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def clip(tmp_path, frames):
    return write_clip(tmp_path / "clip.mkv", frames)


@pytest.fixture(scope="module")
def linear():
    return rs.load("pseudo-inverse", tile=16)


def alone(reconstructor, codes):
    return reconstructor(rs.make_image(codes / np.float32(255), encoding="srgb")).values


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", ["hscnn-r", "tic-rc", "mst-plus-plus"])
def test_each_frame_is_what_it_would_be_alone(tmp_path, clip, frames, name, dtype):
    rec = Reconstructor(tiny_weights(name), tile=32)
    seen = []
    done = reconstruct_video(
        rec, clip, tmp_path / "out.zarr", dtype=dtype, progress=lambda *x: seen.append(x)
    )
    assert (done.frames, done.resumed, done.skipped_s) == (COUNT, 0, ())
    assert seen[-1] == (COUNT, COUNT, "frame")
    video = xr.open_zarr(tmp_path / "out.zarr", consolidated=False).cube
    assert video.dims == ("time", "y", "x", "wavelength")
    np.testing.assert_allclose(video.time, np.arange(COUNT) / 25, atol=1e-3)
    np.testing.assert_array_equal(video.wavelength, rec.contract.wavelengths_nm)
    expected = np.stack([alone(rec, codes) for codes in frames])
    tolerance = 2e-6 if dtype == "float32" else 1e-3
    np.testing.assert_allclose(video, expected, rtol=tolerance, atol=tolerance)
    assert not list(tmp_path.glob(".*"))


def test_flicker_is_the_change_beyond_that_of_the_clip(tmp_path, clip, frames, linear):
    done = reconstruct_video(linear, clip, tmp_path / "out.zarr")
    video = xr.open_zarr(tmp_path / "out.zarr", consolidated=False).cube
    images = [
        linear.for_kind("srgb").values_of(rs.make_image(f / np.float32(255), encoding="srgb"))
        for f in frames
    ]

    def change(series):
        pairs = itertools.pairwise(series)
        return np.mean([2 * np.abs(b - a).sum() / (abs(a) + abs(b)).sum() for a, b in pairs])

    assert done.flicker.spectra == pytest.approx(change(video.values), rel=1e-5)
    assert done.flicker.image == pytest.approx(change([i.values for i in images]), rel=1e-5)
    assert done.flicker.excess == done.flicker.spectra - done.flicker.image


def test_a_still_clip_does_not_flicker(tmp_path, frames, linear):
    still = write_clip(tmp_path / "still.mkv", frames[:1].repeat(3, 0))
    flicker = reconstruct_video(linear, still, tmp_path / "out.zarr").flicker
    assert (flicker.spectra, flicker.image) == (0, 0)
    one = write_clip(tmp_path / "one.mkv", frames[:1])
    assert reconstruct_video(linear, one, tmp_path / "one.zarr").flicker is None


def test_flicker_of_large_frames_is_taken_on_a_grid(tmp_path, rng, linear, monkeypatch):
    monkeypatch.setattr("respectra.inference.video_store.FLICKER_PIXELS", 120)
    frames = rng.integers(20, 200, (3, 47, 61, 3), dtype=np.uint8)
    clip = write_clip(tmp_path / "clip.mkv", frames)
    done = reconstruct_video(linear, clip, tmp_path / "out.zarr")
    step = 5  # the least whose grid of 10 x 13 has about 120 pixels
    spectra = xr.open_zarr(tmp_path / "out.zarr", consolidated=False).cube[:, ::step, ::step].values
    sums = np.abs(np.diff(spectra, axis=0)).sum((1, 2, 3))
    whole = np.abs(spectra).sum((1, 2, 3))
    expected = np.mean(2 * sums / (whole[1:] + whole[:-1]))
    assert done.flicker.spectra == pytest.approx(expected, rel=1e-5)


class StopError(Exception):
    pass


@pytest.mark.parametrize("count", [1, 3, COUNT])
def test_a_stopped_run_leaves_nothing_and_goes_on_at_the_next_frame(tmp_path, clip, linear, count):
    def stop(done, _, what):
        if done == count:
            raise StopError

    whole = reconstruct_video(linear, clip, tmp_path / "whole.zarr")
    target = tmp_path / "out.zarr"
    with pytest.raises(StopError):
        reconstruct_video(linear, clip, target, progress=stop)
    assert not target.exists()
    done = reconstruct_video(linear, clip, target)
    assert (done.frames, done.resumed) == (COUNT, count)
    assert done.flicker == whole.flicker
    first, second = (xr.open_zarr(path, consolidated=False).cube for path in (target, whole.path))
    xr.testing.assert_identical(first.load(), second.load())


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_coefficients_are_stored_with_their_basis(tmp_path, clip, frames, dtype):
    weights = bake(find_weights("root-polynomial"), nodes=17).to_weights()
    rec, target = Reconstructor(weights), tmp_path / "out.zarr"

    def run(progress=None):
        return reconstruct_video(rec, clip, target, low_rank=True, dtype=dtype, progress=progress)

    def stop(done, _, what):
        if done == 2:
            raise StopError

    with pytest.raises(StopError):
        run(stop)
    done = run()
    assert done.resumed == 2
    stored = xr.open_zarr(target, consolidated=False)
    assert stored.coefficients.dims == ("time", "y", "x", "component")
    assert stored.coefficients.dtype == dtype
    assert stored.sizes["component"] < 31
    video = xr.dot(stored.coefficients, stored.basis) + stored.mean_spectrum
    expected = np.stack([alone(rec, codes) for codes in frames])
    peaks = np.abs(expected).max(axis=-1, keepdims=True)
    np.testing.assert_array_less(np.abs(video.values - expected) / peaks, 0.03)
    whole = reconstruct_video(rec, clip, tmp_path / "whole.zarr")
    assert done.flicker.spectra == pytest.approx(whole.flicker.spectra, rel=0.01)
    assert done.flicker.image == pytest.approx(whole.flicker.image, rel=1e-6)


def test_methods_without_coefficients_say_what_to_do(tmp_path, clip):
    rec = Reconstructor(tiny_weights("hscnn-r"))
    with pytest.raises(ConfigError, match="bake it into a table"):
        reconstruct_video(rec, clip, tmp_path / "out.zarr", low_rank=True)


def test_another_method_begins_anew(tmp_path, clip, linear):
    def stop(done, _, what):
        raise StopError

    target = tmp_path / "out.zarr"
    with pytest.raises(StopError):
        reconstruct_video(linear, clip, target, progress=stop)
    assert reconstruct_video(rs.load("wiener"), clip, target).resumed == 0


_RUN = """
import sys, time
import respectra as rs
from respectra.inference.video import reconstruct_video
def slow(done, total, what):
    print(done, flush=True)
    time.sleep(3600 if done == 2 else 0)  # it is killed here, however busy the machine
reconstruct_video(rs.load("pseudo-inverse", tile=16), sys.argv[1], sys.argv[2], progress=slow)
"""


@pytest.mark.posix
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
def test_a_killed_process_is_taken_up(tmp_path, clip, linear):
    target = tmp_path / "out.zarr"
    command = [sys.executable, "-c", _RUN, str(clip), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "1\n"
        assert process.stdout.readline() == "2\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not target.exists()
    with pytest.raises(FormatError):
        rs.open_cube(target)
    done = reconstruct_video(linear, clip, target)
    assert done.frames == COUNT
    assert done.resumed >= 1


def test_a_full_disk_keeps_complete_frames(tmp_path, clip, linear, monkeypatch):
    write = VideoStore.write

    def full(self, index, *piece):
        if index == 2:
            raise OSError(28, "No space left on device")
        write(self, index, *piece)

    target = tmp_path / "out.zarr"
    monkeypatch.setattr(VideoStore, "write", full)
    with pytest.raises(OutputError, match=r"No space left.*run the same command again"):
        reconstruct_video(linear, clip, target)
    assert not target.exists()
    monkeypatch.undo()
    assert reconstruct_video(linear, clip, target).resumed == 2


def test_a_vanished_folder_is_an_error_and_not_made_again(tmp_path, clip, linear):
    folder = tmp_path / "mounted"
    gone = tmp_path / "gone"

    def vanish(done, _, what):
        if done == 2:
            folder.rename(gone)

    with pytest.raises(OutputError, match="cannot write"):
        reconstruct_video(linear, clip, folder / "out.zarr", progress=vanish)
    assert not (folder / "out.zarr").exists()
    remains = gone / ".out.zarr.part" / "journal"
    assert len(remains.read_text().splitlines()) == 4  # facts, store, two frames


@pytest.fixture
def damaged(tmp_path, rng):
    """Frames that all stand alone, of which one has lost its content."""
    frames = rng.integers(20, 200, (COUNT, 64, 64, 3), dtype=np.uint8)
    path = write_clip(tmp_path / "damaged.mov", frames, codec="png", pixels="rgb24")
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][3]
        position = packet.pos
    data = bytearray(path.read_bytes())
    data[position + 8 : position + 120] = bytes(112)
    path.write_bytes(data)
    return path


def test_an_unreadable_frame_stops_or_is_skipped(tmp_path, damaged, linear):
    target = tmp_path / "out.zarr"
    with pytest.raises(FormatError, match=r"frame at 0\.120 s cannot be decoded"):
        reconstruct_video(linear, damaged, target)
    done = reconstruct_video(linear, damaged, target, on_bad_frame="skip")
    assert (done.frames, done.resumed) == (COUNT - 1, 3)
    assert done.skipped_s == pytest.approx([0.12])
    times = xr.open_zarr(target, consolidated=False).time
    np.testing.assert_allclose(times, [0, 0.04, 0.08, 0.16])


def test_a_clip_that_is_cut_short_is_noticed(tmp_path, rng, linear):
    frames = rng.integers(20, 200, (COUNT, 64, 64, 3), dtype=np.uint8)
    path = write_clip(tmp_path / "short.avi", frames, codec="png", pixels="rgb24")
    path.write_bytes(path.read_bytes()[: int(0.7 * path.stat().st_size)])
    with pytest.raises(FormatError, match="cannot be decoded"):
        reconstruct_video(linear, path, tmp_path / "out.zarr")
    done = reconstruct_video(linear, path, tmp_path / "out.zarr", on_bad_frame="skip")
    assert 0 < done.frames < COUNT
    assert done.skipped_s


@pytest.mark.parametrize(("matrix", "signal_range"), [(1, 1), (1, 2), (5, 1), (5, 2)], ids=str)
def test_matrix_and_range_are_those_that_the_clip_names(tmp_path, rng, matrix, signal_range):
    frames = rng.integers(0, 256, (2, 3, 4, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    path = write_clip(
        tmp_path / "clip.mp4",
        frames,
        codec="libx264",
        pixels="yuv444p",
        options={"qp": "0"},
        colorspace=matrix,
        color_range=signal_range,
    )
    for frame, codes in zip(Clip(path).frames(), frames, strict=True):
        assert np.abs(frame.codes.astype(int) - codes).max() <= 2


def test_files_that_are_no_clips_are_refused(tmp_path, clip, linear, frames):
    out = tmp_path / "out.zarr"
    with pytest.raises(FormatError, match="there is no file"):
        reconstruct_video(linear, tmp_path / "none.mp4", out)
    (tmp_path / "text.mp4").write_text("no clip")
    with pytest.raises(FormatError, match="not a video clip"):
        reconstruct_video(linear, tmp_path / "text.mp4", out)
    grey = write_clip(tmp_path / "grey.mkv", frames, pixels="gray")
    with pytest.raises(DataError, match="grey"):
        reconstruct_video(linear, grey, out)
    hdr = write_clip(tmp_path / "hdr.mkv", frames, color_trc=16)
    with pytest.raises(DataError, match="high dynamic range"):
        reconstruct_video(linear, hdr, out)
    with pytest.raises(ConfigError, match=r"NAME\.zarr"):
        reconstruct_video(linear, clip, tmp_path / "out.hdr")
    small = write_clip(tmp_path / "small.mkv", frames[:, :8, :8])
    with pytest.raises(DataError, match="at least"):
        reconstruct_video(Reconstructor(tiny_weights("hrnet")), small, out)
    assert not out.exists()


def test_a_coding_that_nobody_decodes(tmp_path, clip, linear):
    data = clip.read_bytes()
    assert b"V_FFV1" in data
    (tmp_path / "a.mkv").write_bytes(data.replace(b"V_FFV1", b"V_QQV1"))
    with pytest.raises(FormatError, match="coding"):
        reconstruct_video(linear, tmp_path / "a.mkv", tmp_path / "out.zarr")


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile other.mkv\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.mkv\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_list_of_other_files_is_no_clip(tmp_path, clip, linear, text):
    shutil.copy(clip, tmp_path / "other.mkv")
    (tmp_path / "list.mkv").write_text(text)
    with pytest.raises(FormatError, match="is not a video clip"):
        reconstruct_video(linear, tmp_path / "list.mkv", tmp_path / "a.zarr")


@pytest.mark.parametrize("name", ["a b%20.mkv", "concat:x.mkv", "é#?.mkv"])
def test_a_name_is_a_name(tmp_path, clip, linear, name):
    shutil.copy(clip, tmp_path / name)
    reconstruct_video(linear, tmp_path / name, tmp_path / "a.zarr")
    assert (tmp_path / "a.zarr").is_dir()


def test_without_pyav_the_error_says_what_to_install(tmp_path, clip, linear, monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **named):
        if name.split(".")[0] == "av":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r"respectra\[video\]"):
        reconstruct_video(linear, clip, tmp_path / "out.zarr")


def test_guarantees_hold_for_every_frame(tmp_path, clip, frames):
    rec = rs.load("pseudo-inverse", guarantees=["non-negative"])
    reconstruct_video(rec, clip, tmp_path / "out.zarr")
    video = xr.open_zarr(tmp_path / "out.zarr", consolidated=False).cube
    np.testing.assert_allclose(video[2], alone(rec, frames[2]), atol=1e-6)


def test_work_overlaps_and_no_more_waits_than_asked():
    made, seen = [], []

    def items():
        for number in range(8):
            made.append(number)
            yield number

    for number in _ahead(items(), 2):
        seen.append(number)
        time.sleep(0.01)
        assert len(made) - len(seen) <= 4
    assert seen == list(range(8))


def test_closing_early_ends_the_thread_and_errors_arrive_in_order():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    ahead = _ahead(endless(), 1)
    next(ahead)
    ahead.close()
    assert closed.is_set()

    def failing():
        yield 1
        yield 2
        raise StopError

    ahead = _ahead(failing(), 4)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(StopError):
        next(ahead)


def test_references_of_the_first_frame_serve_the_whole_clip(tmp_path, clip, frames, linear):
    first = rs.make_image(frames[0] / np.float32(255), encoding="srgb")
    bound = linear.with_capture(rs.Capture.photograph())
    places = np.array([[y, x] for y in (4, 18, 30) for x in (6, 20, 33, 45)])
    bump = 1 + 0.5 * np.exp(-0.5 * ((np.arange(400.0, 701.0, 10.0) - 690) / 10) ** 2)
    spectra = np.maximum(bound(first).values[tuple(places.T)], 0.01) * bump
    refs = rs.References(places, spectra, np.arange(400.0, 701.0, 10.0), uncertainty=0.2)
    rs.reconstruct_files(clip, tmp_path / "out.zarr", linear, references=refs)
    video = xr.open_zarr(tmp_path / "out.zarr", consolidated=False).cube
    assert "12 references" in video.attrs["attributes"]
    corrected = bound.with_references(first, refs)
    for k in (0, COUNT - 1):
        frame = rs.make_image(frames[k] / np.float32(255), encoding="srgb")
        np.testing.assert_allclose(video[k], corrected(frame), rtol=1e-3, atol=1e-4)
        assert not np.allclose(video[k], bound(frame), rtol=0.05)
