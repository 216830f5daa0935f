"""What is gained and paid on a cluster: speed, overhead, memory, graphs; and by one machine.

Each row is measured in a process of its own and workers of one thread on this machine, on two cores
in about ten minutes; ``--only`` takes some of them, ``--share 0.1`` makes everything a tenth as
large. The scheduler lives in a process of its own where its memory is measured. Times mean
something on a machine that does nothing else; beside the time of one photograph stands that of
filling its cube, which a busy machine slows alike.

    python benchmarks/cluster.py --write docs/benchmarks/cluster.md
    python benchmarks/cluster.py --only speed,overhead --share 0.1
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pages

import respectra as rs
from respectra.allocator import keep_malloc
from respectra.cluster import Cluster, open_cluster
from respectra.threads import limited_blocks

#: What was measured, the figure, and the figure that is wanted.
Line = tuple[str, str, str]
Row = Callable[[float, Path], Iterator[Line]]
ROWS: dict[str, Row] = {}


def row(function: Row) -> Row:
    ROWS[function.__name__] = function
    return function


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(ROWS), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--share", type=float, default=1.0, help="of the full sizes")
    pages.add_option(parser)
    options = parser.parse_args()
    page = pages.Page(
        "Many pictures, large pictures, clusters",
        """The default method, workers of one thread on this machine. Each row is measured in a
        process of its own; beside what takes time stands what the machine takes for the least.""",
    )
    rows: list[Line] = []
    for name in options.only.split(","):
        # Each in a process of its own: the peak of a command that is started counts what the
        # process that starts it had.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            lines = process.submit(measure, name, options.share).result()
        for line in lines:
            print(f"{name}: {': '.join(line)}", flush=True)
        rows += lines
    page.table(("what", "measured", "wanted"), rows)
    page.write(options.write)


def measure(name: str, share: float) -> list[Line]:
    """The lines of a row."""
    with tempfile.TemporaryDirectory(prefix="respectra-") as folder:
        return list(ROWS[name](share, Path(folder)))


# --- many pictures -------------------------------------------------------------------------------


def photograph(pixels: int, seed: int) -> Any:
    """A picture in 8-bit codes with colours that repeat, as in photographs."""
    rng = np.random.default_rng(seed)
    side = max(16, int(pixels**0.5))
    palette = rng.integers(0, 256, (20_000, 3))
    coarse = rng.integers(0, len(palette), (side // 8 + 1, side // 8 + 1))
    place = np.kron(coarse, np.ones((8, 8), int))[:side, :side]
    codes = np.clip(palette[place] + rng.integers(-1, 2, (side, side, 3)), 0, 255)
    return rs.make_image(codes.astype(np.float32) / np.float32(255), encoding="srgb", bits=8)


def pictures(folder: Path, count: int, pixels: int = 250_000) -> Path:
    folder.mkdir()
    for k in range(count):
        rs.save_image(photograph(pixels, k), folder / f"{k:05d}.png")
    return folder


def seconds_of(inputs: Path | list[Path], output: Path, cluster: Cluster | None) -> float:
    start = time.perf_counter()
    outcomes = rs.reconstruct_files(inputs, output, suffix="npy", cluster=cluster)
    assert all(outcome.status == "done" for outcome in outcomes)
    return time.perf_counter() - start


@row
def speed(share: float, folder: Path) -> Iterator[Line]:
    """Two workers against one; and two processes that share nothing, which the machine decides."""
    inputs = pictures(folder / "in", max(4, round(200 * share)))
    warm = pictures(folder / "warm", 4, 10_000)
    found: dict[int, list[float]] = {1: [], 2: []}
    for workers in (1, 2, 1, 2):  # a virtual machine takes its time for what it first writes
        with open_cluster(workers=workers) as cluster:
            seconds_of(warm, folder / "warm-out", cluster)
            found[workers].append(seconds_of(inputs, folder / "out", cluster))
        for used in ("warm-out", "out"):
            shutil.rmtree(folder / used)
    files = sorted(inputs.iterdir())
    one, two = min(found[1]), min(found[2])
    figure = f"{one / two:.2f} x ({one:.1f} s, {two:.1f} s)"
    what = f"{len(files)} pictures of 0.25 MP, two workers against one, least of two turns"
    yield what, figure, "1.8 x"
    alone = apart(folder / "alone", warm, [files])
    both = apart(folder / "both", warm, [files[::2], files[1::2]])
    figure = f"{alone / both:.2f} x ({alone:.1f} s, {both:.1f} s)"
    yield "two plain processes with half the pictures each, against one", figure, "-"


def apart(folder: Path, warm: Path, shares: list[list[Path]]) -> float:
    """Seconds of as many processes as there are shares, all ready before any begins."""
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(len(shares) + 1)
    processes = [
        context.Process(target=plain_loop, args=(files, folder / str(k), warm, begin))
        for k, files in enumerate(shares)
    ]
    for process in processes:
        process.start()
    begin.wait()
    start = time.perf_counter()
    for process in processes:
        process.join()
    assert not any(process.exitcode for process in processes)
    return time.perf_counter() - start


def plain_loop(files: list[Path], output: Path, warm: Path, begin: Any) -> None:
    """What a worker does, in a process of one thread that knows nothing of another."""
    import torch

    torch.set_num_threads(1)
    keep_malloc()  # dask leaves its setting of the allocator to whatever is started after it
    with limited_blocks(1):
        seconds_of(warm, output / "warm", None)
        begin.wait()
        seconds_of(files, output / "out", None)


@row
def overhead(share: float, folder: Path) -> Iterator[Line]:
    """One worker against a plain loop, in turns."""
    import torch

    torch.set_num_threads(1)
    inputs = pictures(folder / "in", max(4, round(50 * share)))
    warm = pictures(folder / "warm", 2, 10_000)
    loops, tasks = [], []
    with open_cluster(workers=1) as cluster:
        seconds_of(warm, folder / "warm1", cluster)
        seconds_of(warm, folder / "warm0", None)
        for turn in range(3):
            with limited_blocks(1):  # as a worker has
                loops.append(seconds_of(inputs, folder / f"loop{turn}", None))
            tasks.append(seconds_of(inputs, folder / f"task{turn}", cluster))
    figure = f"{100 * (min(tasks) / min(loops) - 1):.1f} % ({min(loops):.2f}, {min(tasks):.2f} s)"
    yield "one worker against a plain loop, least of three turns", figure, "10 %"


# --- a lazy cube ---------------------------------------------------------------------------------


def peak_bytes() -> int:
    """On a worker: the largest memory it ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def block_of_codes(block_id: tuple[int, ...], side: int) -> np.ndarray:
    """A piece of a picture that is too large to be made at once."""
    return np.asarray(photograph(side * side, sum(block_id)).values, np.float32)


@row
def lazy(share: float, folder: Path) -> Iterator[Line]:
    """A large cube into Zarr: the graph of all of it, the memory of a quarter."""
    side = 512
    for part in (share, share / 4):
        across = max(2, round((400e6 * part) ** 0.5 / side))
        graph = lazy_graph(folder / f"{part:g}.zarr", side, across)
        if part == share:
            tasks = f"{len(dict(graph.__dask_graph__())) / across**2:.2f}"
            yield f"tasks a chunk, lazy cube of {pixels(side, across)} into Zarr", tasks, "3"
    with open_cluster(workers=2) as cluster:
        start = time.perf_counter()
        cluster._client.compute(graph).result()
        took = time.perf_counter() - start
        peaks = cluster._client.run(peak_bytes)
    figure = f"{max(peaks.values()) / 1e9:.2f} GB ({took:.0f} s)"
    yield f"peak of one of two workers, {pixels(side, across)} of it", figure, "2 GB"


def pixels(side: int, across: int) -> str:
    return f"{(side * across) ** 2 / 1e6:.0f} MP"


def lazy_graph(store_path: Path, side: int, across: int) -> Any:
    """What writes a cube of so many chunks across into a store."""
    import dask
    import dask.array as da
    import xarray as xr
    import zarr

    data = da.map_blocks(
        block_of_codes,
        chunks=((side,) * across, (side,) * across, (3,)),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
        side=side,
    )
    image = xr.DataArray(
        data,
        dims=("y", "x", "channel"),
        coords={"channel": ["R", "G", "B"]},
        attrs={"encoding": "srgb", "bits": 8, "track": "unknown"},
    )
    cube = rs.reconstruct_lazily(image, rs.load())
    store = zarr.create_array(
        store_path, shape=cube.shape, chunks=(side // 2, side // 2, 31), dtype="float32"
    )
    (graph,) = dask.optimize(cube.data.store(store, compute=False, lock=False))
    return graph


# --- very many pictures --------------------------------------------------------------------------


def _started(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


@row
def graph(share: float, folder: Path) -> Iterator[Line]:
    """Jobs of a hundred thousand pictures that take no time."""
    count = max(1000, round(100_000 * share))
    file = folder / "scheduler.json"
    arguments = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", ":0"]
    known = ["--scheduler-file", str(file)]
    scheduler = _started("dask_scheduler", *arguments, *known)
    workers = _started("dask_worker", *known, "--nworkers", "2", "--nthreads", "1")
    try:
        from distributed import Client

        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        with Client(scheduler_file=str(file), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            cluster = Cluster(client)
            start = time.perf_counter()
            jobs = ((k, (k,)) for k in range(count))
            done = sum(k == result for k, result in cluster.run(lambda k: k, jobs))
            took = time.perf_counter() - start
            peak = client.run_on_scheduler(
                lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            )
        assert done == count
        yield f"{count:,} jobs of a stub, submitted and done", f"{took:.0f} s", "60 s for 100,000"
        yield "memory of the scheduler at its peak", f"{peak / 1e9:.2f} GB", "2 GB"
    finally:
        for process in (workers, scheduler):
            process.terminate()
            process.wait()


# --- one machine ---------------------------------------------------------------------------------


@row
def photo(share: float, folder: Path) -> Iterator[Line]:
    """One photograph, into memory, three times; before each, filling an array of its cube's size.

    The first filling counts what a virtual machine takes to be given its memory, up to 2 s.
    """
    rec = rs.load()
    rec(photograph(10_000, 0))
    image = photograph(round(8.3e6 * share), 1)
    times: list[float] = []
    filling: list[float] = []
    shape = (*image.shape[:2], 31)
    for _ in range(3):
        start = time.perf_counter()
        np.empty(shape, np.float32).fill(1)
        filling.append(time.perf_counter() - start)
        start = time.perf_counter()
        cube = rec(image)
        times.append(time.perf_counter() - start)
        assert cube.shape == shape
        del cube
    colours = len(np.unique(np.rint(image.values.reshape(-1, 3) * 255) @ [1, 256, 65536]))
    figure = ", ".join(f"{took:.2f}" for took in times) + " s"
    size = f"{shape[0] * shape[1] / 1e6:.1f} MP, {colours:,} colours"
    yield f"one photograph of {size}, into memory, three times", figure, "2.5 s for 8.3 MP"
    figure = ", ".join(f"{took:.2f}" for took in filling) + " s"
    yield "filling an array as large as that cube, before each", figure, "-"


@row
def envi(share: float, folder: Path) -> Iterator[Line]:
    """A large picture from TIFF into ENVI, in a process of its own."""
    import tifffile

    side = round((100e6 * share) ** 0.5)
    codes = np.empty((side, side, 3), np.uint8)
    for y in range(0, side, 1000):
        part = photograph(1000 * 1000, y).values[: side - y]
        strip = np.tile(part, (1, side // 1000 + 1, 1))[:, :side]
        codes[y : y + len(strip)] = np.rint(strip * 255)
    tifffile.imwrite(folder / "survey.tif", codes, rowsperstrip=64, photometric="rgb")
    tifffile.imwrite(folder / "small.tif", codes[:640, :640], rowsperstrip=64, photometric="rgb")
    # What a pixel takes is measured once, in a process of its own that counts as a child's child.
    for name in ("small", "survey"):
        command = [sys.executable, "-m", "respectra", "reconstruct", str(folder / f"{name}.tif")]
        command += ["-o", str(folder / f"{name}.hdr"), "--max-memory", "1.5GB"]
        start = time.perf_counter()
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
        took, peak = time.perf_counter() - start, usage.ru_maxrss * 1024
    written = sum(file.stat().st_size for file in folder.glob("survey.*"))
    for file in folder.iterdir():
        file.unlink()
    yield f"{side**2 / 1e6:.0f} MP from TIFF into ENVI", f"{took:.0f} s", "80 s for 100 MP"
    figure = f"{filling(folder / 'zeros', written):.0f} s"
    yield f"as many zeros ({written / 1e9:.1f} GB) onto the same disk", figure, "-"
    yield "memory of that at its peak, --max-memory 1.5GB", f"{peak / 1e9:.2f} GB", "1.5 GB"


def filling(path: Path, size: int) -> float:
    """Seconds that bytes take until they are on the disk."""
    block = bytes(2**24)
    start = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(max(1, size // len(block))):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
