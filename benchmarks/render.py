"""How fast the tracks render, against a plain transcription of the official steps.

    python benchmarks/render.py [--height 482] [--width 512] [--repeat 9]

Both sides get the same float32 cube of 31 bands and give the image as float32; JPEG tracks are
encoded and read back by both. PNG compression is left out on both sides: it is one library's call.
Each figure is the fastest of the repetitions, taken in turns so that both see the same machine:
wall-clock time, and processor time summed over threads, which other work disturbs less.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np
import pages

import respectra as rs
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM


def clean(cube, F, rng):
    rgb = np.dot(cube, F) / 256
    if rgb.min() < 0:
        raise ValueError("negative")
    codes = (np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    return (codes / 255).astype(np.float32)


def real_world(cube, F, rng):
    rgb = np.dot(cube, F)
    mosaic = np.zeros(rgb.shape[:2])
    mosaic[0::2, 0::2] = rgb[0::2, 0::2, 0]
    mosaic[1::2, 0::2] = rgb[1::2, 0::2, 1]
    mosaic[0::2, 1::2] = rgb[0::2, 1::2, 1]
    mosaic[1::2, 1::2] = rgb[1::2, 1::2, 2]
    gain = 5000 / np.mean([mosaic[1::2, 0::2], mosaic[0::2, 1::2]])
    electrons = mosaic * gain
    noisy = rng.poisson(electrons) + rng.normal(0, 10**2, electrons.shape)
    digital = np.round(noisy * (1 / gain)).clip(0, 65535)
    bgr = cv2.cvtColor(digital.astype(np.uint16), cv2.COLOR_BayerBG2BGR_EA)
    unit = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB) / 65535
    return through_jpeg((np.clip(unit, 0, 1) * 255).astype(np.uint8), 80)


def exposed(cube, F, rng):
    rgb = np.matmul(cube, F).clip(0, None)
    noisy = rng.poisson(rgb * 750) / 750
    noisy *= (0.18 / noisy.mean()) * 255
    return through_jpeg(noisy.clip(0, 255).astype(np.uint8), 65)


def through_jpeg(codes, quality):
    bgr = cv2.cvtColor(codes, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    back = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return (back / 255).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=482)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=9)
    pages.add_option(parser)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (arguments.height, arguments.width, 31)
    # A smooth scene, so that JPEG has the work that a picture gives it.
    rough = rng.random((shape[0] // 16 + 1, shape[1] // 16 + 1, 31)).astype(np.float32)
    smooth = [cv2.resize(rough[..., band], shape[1::-1]) for band in range(31)]
    values = np.ascontiguousarray(np.stack(smooth, -1))
    cube = rs.make_cube(values, CHALLENGE_WAVELENGTHS_NM)
    rows = []
    for name, plain in (("clean", clean), ("real-world", real_world), ("exposed", exposed)):
        track = rs.get_track(name)
        F = track.signal_matrix(CHALLENGE_WAVELENGTHS_NM)
        best = pages.in_turns(
            {
                "plain": lambda plain=plain, F=F: plain(values, F, rng),
                "ours": lambda track=track: track.render(cube),
            },
            arguments.repeat,
        )
        for kind, theirs, ours in zip(("wall", "CPU"), best["plain"], best["ours"], strict=True):
            shown = f"{1e3 * theirs:.1f}", f"{1e3 * ours:.1f}", f"{theirs / ours:.1f}×"
            rows.append((name, kind, *shown))
    page = pages.Page(
        "Photographing a cube",
        f"""One scene of {shape[0]} × {shape[1]} × 31 through the tracks, against a plain
        transcription of the organisers' steps with NumPy and OpenCV, in turns in one run. The
        fastest of {arguments.repeat}, in milliseconds. JPEG tracks are encoded and read back by
        both; PNG compression is left out by both.""",
    )
    page.table(("track", "time", "transcription", "respectra", "ratio"), rows)
    page.write(arguments.write)


if __name__ == "__main__":
    main()
