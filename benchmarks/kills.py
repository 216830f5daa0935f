"""Every command that writes, killed at every system call that touches its output, and run again.

After the kill nothing half may be seen: every output is as it was before, or as it is at the end.
Then the same command runs again, and leaves what a run leaves that nobody disturbed, and nothing
else. A command that does not go on where it was refuses an output that is whole already; it is
then run with --overwrite. Writes are also torn: a half of the data is written before the kill.

What a process leaves that is killed before a call is what its folder holds at that moment. So the
command runs once, is stopped before every call, and the folder is copied; from every copy that
differs from the others the command goes on. Every tenth copy is compared with a process that is
really killed there.

Swept at every call on 27 November 2026, 0 half results: convert --resample 47 kills, train
192, train further 119, train classical 85, evaluate 422, evaluate another 344. At every second
call: demo 140, all that is put by URL 228 as file systems and 114 as object stores do.

    python benchmarks/kills.py                        all of it
    python benchmarks/kills.py --only prepare,train   some commands
    python benchmarks/kills.py --every 7              every seventh call
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gc
import hashlib
import importlib
import io
import json
import os
import pkgutil
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import killing, mounts

State = dict[str, str]
_ROOTS = ("zarr.json", ".zgroup", ".zarray")
_CUBES = (".npz", ".mat", ".nc", ".zarr", ".hdr", ".tif", ".npy")
#: One copy of so many is compared with a real kill.
_REALLY = 10
#: What differs from run to run: times, and the order in which lines came.
_UNSTABLE = ("seconds", "peak_memory_mib", "seal")


@dataclass(frozen=True)
class Command:
    """A command line; ``{out}`` is the folder that is watched, ``{in}`` one with inputs.

    ``mount://{out}`` and ``oss://{out}`` are the watched folder by URL; see ``mounts``.
    """

    name: str
    line: str
    old: str | None = None
    """A command line that leaves an older output there first."""
    growing: tuple[str, ...] = ()
    """Outputs that grow in place, line by line or step by step, by patterns."""
    ignored: tuple[str, ...] = ()
    """Outputs whose bytes differ from run to run."""
    by_url: bool = False
    """Whether the output is put by URL: what is replaced is gone for a moment, header first."""
    overwrites: bool = True
    """Whether there is --overwrite for an output that is whole already."""


_TWO = "convert {in}/new.npz {in}/old.npz -o {out}/d"
_CONVERT = "convert {in}/new.npz -o {out}/c"
_OLD = "convert {in}/old.npz -o {out}/c"
_SLOW = "reconstruct {in}/big.tif --weights {in}/{w} --tile 24 --max-memory 900MB -o {out}/c"
_LINEAR, _NETWORK = (
    _SLOW.replace("{w}", "linear.safetensors"),
    _SLOW.replace("{w}", "mst.safetensors"),
)
_FOLDER = (
    "reconstruct {in}/a.png {in}/b.png --weights {in}/linear.safetensors -o {out}/cubes --format"
)
_EVALUATE = "evaluate pseudo-inverse --data {in}/few --timing-runs 0"
_TRAIN = "train {in}/recipe.yaml --data {in}/scenes -o {out}/t --device cpu --resume"
_ONE = "reconstruct {in}/a.png --weights {in}/linear.safetensors -o {out}/c"
#: To a path and to a URL by the same line.
_ANYWHERE = (
    Command("prepare", "data prepare {in}/scenes -o {out}/store"),
    Command(
        "prepare --overwrite",
        "data prepare {in}/scenes -o {out}/store --dtype float16 --overwrite",
        "data prepare {in}/scenes -o {out}/store --split test=1",
    ),
    Command("simulate", "simulate {in}/new.npz {in}/old.npz -o {out}/s --track real-world"),
)
_BY_URL = (
    *(
        Command(f"convert{s} --overwrite", f"{_CONVERT}{s} --overwrite", f"{_OLD}{s}")
        for s in (".npz", ".hdr", ".zarr")
    ),
    Command("picture.hdr --preview", f"{_ONE}.hdr --preview"),
    Command("stream.zarr", f"{_LINEAR}.zarr"),
    Command("folder npz", f"{_FOLDER} npz", growing=("*manifest.jsonl",)),
    Command("folder zarr", f"{_FOLDER} zarr", growing=("*manifest.jsonl",)),
    *_ANYWHERE,
    Command(
        "synthesize",
        "data synthesize -o {out}/s -n 2 --size 16x16 --suffix .hdr --layers {out}/layers",
        overwrites=False,
    ),
    Command(
        "evaluate",
        f"{_EVALUATE} -o {{out}}/e --aux shuffle",
        growing=("*",),
        overwrites=False,
    ),
    Command("report", "report {in}/evaluation -o {out}/report.html"),
)


def _by_url(command: Command, scheme: str) -> Command:
    """The same command, putting what it makes into the watched folder by URL."""
    line, old = (
        None if text is None else text.replace("{out}", f"{scheme}://{{out}}")
        for text in (command.line, command.old)
    )
    name = f"{scheme}: {command.name}"
    return replace(command, name=name, line=line or "", old=old, by_url=True)


COMMANDS = (
    *(_by_url(command, scheme) for scheme in ("mount", "oss") for command in _BY_URL),
    *(
        Command(f"convert{s}", f"{_CONVERT}{s}")
        for s in (".npz", ".mat", ".nc", ".zarr", ".bil", ".tif")
    ),
    *(
        Command(f"convert{s} --overwrite", f"{_CONVERT}{s} --overwrite", f"{_OLD}{s}")
        for s in (".npz", ".mat", ".nc", ".zarr", ".bil", ".hdr", ".tif")
    ),
    Command("convert two", f"{_TWO} --format netcdf"),
    Command(
        "convert two --overwrite",
        f"{_TWO} --format netcdf --overwrite",
        f"{_TWO} --format netcdf --resample 410:690:20",
    ),
    Command(
        "convert png --overwrite", f"{_CONVERT} --format png --overwrite", f"{_OLD} --format png"
    ),
    *(Command(f"stream{s}", f"{_LINEAR}{s}") for s in (".zarr", ".bip", ".hdr")),
    *(
        Command(f"stream{s} --overwrite", f"{_LINEAR}{s} --overwrite", f"{_OLD}{s}")
        for s in (".zarr", ".bip")
    ),
    Command("stream with means", f"{_NETWORK}.zarr --engine plain"),
    *(
        Command(f"folder {s}", f"{_FOLDER} {s}", growing=("*manifest.jsonl",))
        for s in ("npz", "bip", "hdr", "zarr")
    ),
    Command("folder --preview", f"{_FOLDER} nc --preview", growing=("*manifest.jsonl",)),
    *(
        Command(f"picture{s}", f"{_ONE}{s}")
        for s in (".npz", ".npy", ".mat", ".nc", ".zarr", ".bil", ".hdr", ".tif")
    ),
    *(Command(f"picture{s} --preview", f"{_ONE}{s} --preview") for s in (".npz", ".hdr", ".zarr")),
    Command(
        "picture.hdr --preview --overwrite",
        f"{_ONE}.hdr --preview --overwrite",
        "reconstruct {in}/b.png --weights {in}/linear.safetensors -o {out}/c.hdr --preview",
    ),
    Command(
        "low-rank", "reconstruct {in}/a.png --weights {in}/pca.safetensors --low-rank -o {out}/c.nc"
    ),
    Command("clip", "reconstruct {in}/clip.mkv --weights {in}/linear.safetensors -o {out}/c.zarr"),
    Command(
        "clip --overwrite",
        "reconstruct {in}/clip.mkv --weights {in}/linear.safetensors -o {out}/c.zarr --overwrite",
        "reconstruct {in}/clip.mkv --weights {in}/wiener.safetensors -o {out}/c.zarr",
    ),
    *_ANYWHERE,
    Command(
        "synthesize",
        "data synthesize -o {out}/s -n 2 --size 16x16 --suffix .bip --layers {out}/layers",
        overwrites=False,
    ),
    Command(
        "simulate --overwrite",
        "simulate {in}/new.npz -o {out}/s --track exposed --overwrite",
        "simulate {in}/new.npz -o {out}/s --track exposed --seed 3",
    ),
    Command(
        "evaluate",
        f"{_EVALUATE} -o {{out}}/e --aux shuffle,weighted",
        growing=("*",),
        overwrites=False,
    ),
    Command("report", "report {in}/evaluation -o {out}/report.html"),
    Command("leaderboard", "leaderboard {in}/evaluation --format html -o {out}/board.html"),
    Command(
        "evaluate another",
        _EVALUATE.replace("pseudo-inverse", "wiener") + " -o {out}/e --aux none",
        f"{_EVALUATE} -o {{out}}/e --aux none",
        growing=("*",),
        overwrites=False,
    ),
    Command(
        "train",
        _TRAIN,
        growing=("*",),
        ignored=("*.ckpt", "*tensorboard*"),
        overwrites=False,
    ),
    Command(
        "train further",
        f"{_TRAIN} --steps 3",
        _TRAIN,
        growing=("*",),
        ignored=("*.ckpt", "*tensorboard*"),
        overwrites=False,
    ),
    Command(
        "train classical",
        "train pca --data {in}/scenes -o {out}/t --resume",
        growing=("*",),
        overwrites=False,
    ),
    Command("convert --resample", f"{_CONVERT}.nc --resample 410:690:20"),
    Command("relight", "relight {in}/reflectance.npz -o {out}/c.hdr --light A"),
    Command(
        "import-weights", "import-weights awan {in}/net.pth --track clean -o {out}/w.safetensors"
    ),
    Command("calibrate", "calibrate {in}/chart.png --linear --light D50 -o {out}/camera.json"),
    Command("bench", "bench pseudo-inverse --sizes 0.01 -o {out}/b", ignored=("*",)),
    Command(
        "bake into two folders",
        "bake pseudo-inverse -o {out}/t/t.lut --nodes 5 --cube-file {out}/p/p.cube",
    ),
    Command("bake", "bake pseudo-inverse -o {out}/t.lut --nodes 5 --cube-file {out}/p.cube"),
    Command("export", "export {in}/w.safetensors -o {out}/n.onnx --height 16 --width 16"),
    Command("demo", "demo --output {out}/d --overwrite"),
)


def make_inputs(folder: Path) -> None:
    """Small inputs of every kind."""
    import cv2
    import tifffile
    import torch
    from tests.cameras.test_calibration import colours, picture
    from tests.inference.clips import write_clip
    from tests.inference.conftest import tiny_weights
    from tests.methods.golden import load_golden

    import respectra as rs
    from respectra.datasets.still_life import still_life
    from respectra.methods import save_weights
    from respectra.training import change_recipe, load_recipe, save_recipe

    rng = np.random.default_rng(1)
    (folder / "scenes").mkdir(parents=True)
    for k in range(4):
        rs.save_cube(still_life(32, 32 + 4 * k, seed=k), folder / "scenes" / f"scene{k}.npz")
    rs.save_cube(still_life(16, 20, seed=8), folder / "old.npz")
    rs.save_cube(still_life(12, 14, seed=9), folder / "new.npz")
    (folder / "few").mkdir()
    for name in ("old", "new"):
        shutil.copy(folder / f"{name}.npz", folder / "few")
    reflectance = rs.make_cube(rng.random((6, 7, 31)), np.arange(400, 701, 10))
    reflectance.attrs["quantity"] = "reflectance"
    rs.save_cube(reflectance, folder / "reflectance.npz")
    torch.save(load_golden("awan_w16_b2")[0], folder / "net.pth")
    chart = (picture(colours()) * 65535).astype(np.uint16)
    cv2.imwrite(str(folder / "chart.png"), chart[..., ::-1])
    for name in "ab":
        cv2.imwrite(str(folder / f"{name}.png"), rng.integers(0, 255, (6, 7, 3), dtype=np.uint8))
    codes = rng.integers(1, 255, (40, 34, 3), dtype=np.uint8)
    tifffile.imwrite(folder / "big.tif", codes, photometric="rgb", rowsperstrip=8)
    write_clip(folder / "clip.mkv", rng.integers(0, 255, (3, 16, 24, 3), dtype=np.uint8))
    save_weights(tiny_weights("hscnn-r"), folder / "w.safetensors")
    save_weights(tiny_weights("mst-plus-plus"), folder / "mst.safetensors")
    for name, method in (("linear", "pseudo-inverse"), ("pca", "pca"), ("wiener", "wiener")):
        save_weights(rs.load(method).weights, folder / f"{name}.safetensors")
    changes = {
        "preset": "tiny",
        "patches": {"size": 16},
        "batch": 2,
        "loss": {"mrae": {"floor": 0.01}},
        "length": {"steps": 2},
        "validation": {"every": 1, "floor": 0.01},
    }
    save_recipe(change_recipe(load_recipe("lwrdanet-clean"), changes), folder / "recipe.yaml")


def call(line: str, inputs: Path, out: Path) -> int:
    """Run a command line in this process; gives its exit code."""
    from respectra.cli.app import run

    sys.argv = [
        "respectra",
        *(p.replace("{in}", str(inputs)).replace("{out}", str(out)) for p in line.split()),
    ]
    with open(out.parent / "log", "a") as log:  # noqa: PTH123
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    return run()


# --- what is there -----------------------------------------------------------------------------


def state_of(out: Path, ignored: tuple[str, ...] = ()) -> State:
    """Every output that can be seen, by its name: what it holds, or why it cannot be used."""
    found: State = {}
    for path in _outputs(out):
        name = path.relative_to(out).as_posix()
        if not any(fnmatch(name, pattern) for pattern in ignored):
            found[name] = content_of(path)
    return found


def _outputs(folder: Path) -> list[Path]:
    files: list[Path] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        if path.suffix == ".zarr" and not any((path / name).exists() for name in _ROOTS):
            continue  # what is put there by URL has its root last, and is nothing before
        whole = (
            path.suffix == ".zarr"
            or (path / "index.json").is_file()
            or (path / "cube.json").is_file()
        )
        if path.is_dir() and not whole:
            files += _outputs(path)
        elif not (path.is_file() and path.with_suffix(".hdr").is_file() and path.suffix != ".hdr"):
            files.append(path)
    return files


def _is_opened(path: Path) -> bool:
    """Whether a file is one that is opened, and not data whose header or index is missing."""
    if path.suffix == ".img":
        return path.with_suffix(".hdr").is_file()
    return path.suffix != ".bin" or (path.parent / "index.json").is_file()


def content_of(path: Path) -> str:
    """A name for what an output holds, as its reader sees it."""
    import respectra as rs
    from respectra.datasets.store import open_store
    from respectra.errors import RespectraError

    try:
        if path.name == "manifest.jsonl":
            return _last_lines(path)
        if path.name == "scores.json":
            return _digest(json.dumps(_stable(json.loads(path.read_text()))))
        if path.suffix == ".jsonl":
            return _digest(*sorted(json.dumps(_stable(json.loads(line))) for line in path.open()))
        if path.name == "results.csv":
            rows = csv.DictReader(io.StringIO(path.read_text()))
            return _digest(*(json.dumps(_stable(row)) for row in rows))
        if path.suffix == ".zarr" and not (path / "cube").is_dir():
            return "no cube"
        if path.suffix == ".zarr" and (path / "time").is_dir():
            import xarray as xr

            with xr.open_zarr(path, consolidated=False) as clip:
                values = [clip[name].values.tobytes() for name in ("cube", "time")]
                return _digest(*_listing(path), *values)
        if path.suffix in _CUBES or (path / "cube.json").is_file():
            if "details" in path.parts or "clusters" in path.parts:
                return _digest(path.read_bytes())
            cube = rs.open_cube(path)
            values = cube.values.tobytes(), cube.wavelength.values.tobytes()
            return _digest(*_listing(path), *values, json.dumps(cube.attrs, default=str))
        if path.is_dir():
            store = open_store(path)
            for split in store.splits:
                store[split].verify()
            names = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
            return _digest(*names, (path / "index.json").read_bytes())
        if path.suffix == ".bil" or path.suffix == ".bip":
            return "values without a header"
        return _digest(path.read_bytes())
    except (RespectraError, ValueError, KeyError) as error:
        return f"cannot be used: {str(error)[:200]}"


def _listing(path: Path) -> list[str]:
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*"))


def _last_lines(path: Path) -> str:
    last = {entry["output"]: _stable(entry) for entry in map(json.loads, path.open())}
    return _digest(json.dumps(last))


def _stable(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in _UNSTABLE}


def _digest(*parts: bytes | str) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part if isinstance(part, bytes) else part.encode())
        whole.update(b"\0")
    return whole.hexdigest()[:16]


def hidden(out: Path, *, folders: bool = True) -> list[str]:
    """Leftovers that nobody needs any more; without folders that hold nothing."""
    found = (p for p in out.rglob(".*") if folders or p.is_file() or any(p.iterdir()))
    return sorted(p.relative_to(out).as_posix() for p in found)


def _anonymous(names: list[str]) -> list[str]:
    """Names without the machine, the process and the number that unfinished files have."""
    return sorted(re.sub(r"\.[0-9a-f]+-[0-9a-f]+-[0-9a-f]+\.part", ".part", name) for name in names)


# --- the sweep ---------------------------------------------------------------------------------


@dataclass
class Result:
    """What a command did under kills."""

    command: str
    calls: int = 0
    kills: int = 0
    states: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Moment:
    """What an output folder held before a call."""

    at: int
    call: str
    torn: bool
    kept: Path


class _Moments:
    """Copies of a folder before every call on it; of equal ones the first."""

    def __init__(self, folder: Path, kept: Path, every: int, only: frozenset[int]) -> None:
        self.folder, self.kept, self.every, self.only = folder, kept, every, only
        self.distinct: dict[str, Moment] = {}
        self.count = 0
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)

    def take(self, at: int, what: str, half: killing.Half | None) -> None:
        """Copy the folder, and once more with the half of a write."""
        if (at - 1) % self.every or (self.only and at not in self.only):
            return
        for torn in (False, True) if half is not None else (False,):
            place = self.kept / f"{at}{'t' if torn else ''}"
            self._copy(place)
            if torn and half is not None:
                if not (place / half.file).is_file():
                    shutil.rmtree(place)
                    continue
                half.do(place)
            self.count += 1
            digest = _digest(
                *(
                    f"{name}".encode() + b"\0" + (place / name).read_bytes()
                    if (place / name).is_file()
                    else name
                    for name in _listing(place)
                )
            )
            if digest in self.distinct:
                shutil.rmtree(place)
            else:
                self.distinct[digest] = Moment(at, what, torn, place)

    def _copy(self, place: Path) -> None:
        """Copy the folder; threads that were not stopped yet may still move files of it."""
        while True:
            try:
                shutil.copytree(self.folder, place, symlinks=True)
            except shutil.Error:
                shutil.rmtree(place)
            else:
                return


def _fork(work: Callable[[], int]) -> int:
    """Run a function in a forked process; gives its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(killing.fork(work), 0)[1])


class Sweep:
    """Kills of commands; everything that writes runs in a fork of this process.

    Args:
        folder: for inputs and outputs.
    """

    def __init__(self, folder: Path) -> None:
        self.inputs, self.out, self.kept = folder / "in", folder / "out", folder / "old"
        mounts.register(folder)
        _import_everything()
        self._forked(lambda: make_inputs(self.inputs) or 0, "inputs")
        line = f"{_EVALUATE} -o {{in}}/evaluation --aux none"
        self._forked(lambda: call(line, self.inputs, self.out), "an evaluation")

    def _forked(self, work: Callable[[], int], what: str) -> None:
        if _fork(work) != 0:
            raise SystemExit(f"{what} could not be made; see {self.out.parent / 'log'}")

    def sweep(
        self, command: Command, *, every: int = 1, only: frozenset[int] = frozenset()
    ) -> Result:
        """Kill a command at every call, or every few, or only at some."""
        result, start = Result(command.name), time.perf_counter()
        self._begin(command)
        before = state_of(self.out)
        self._learn_imports(command)
        self._begin(command)
        moments = _Moments(self.out, self.out.parent / "moments", every, only)
        undisturbed = killing.run(
            lambda: call(command.line, self.inputs, self.out), self.out, None, on_call=moments.take
        )
        if undisturbed.code != 0:
            result.problems.append(f"without a kill: exit code {undisturbed.code}")
            return result
        after = state_of(self.out, command.ignored)
        if left := self._hidden(command):
            result.problems.append(f"without a kill: leaves {left}")
        result.calls, result.kills = len(undisturbed.calls), moments.count
        for number, moment in enumerate(moments.distinct.values()):
            self._restore(moment.kept)
            problem = self._go_on(command, before, after)
            if not problem and number % _REALLY == _REALLY // 2:
                problem = self._really_kill(command, moment, before, after)
            if problem:
                what = moment.call + (" (torn)" if moment.torn else "")
                result.problems.append(f"killed at {moment.at}, {what}: {problem}")
        result.states = len(moments.distinct)
        result.seconds = time.perf_counter() - start
        return result

    def _begin(self, command: Command) -> None:
        """An output folder as it is before the command."""
        old = self.kept / hashlib.sha256((command.old or "").encode()).hexdigest()[:12]
        if not old.is_dir():
            shutil.rmtree(self.out, ignore_errors=True)
            self.out.mkdir(parents=True)
            if command.old is not None and self._run(command.old) != 0:
                raise SystemExit(f"{command.old} failed; see {self.out.parent / 'log'}")
            shutil.copytree(self.out, old)
        self._restore(old)

    def _restore(self, kept: Path) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.copytree(kept, self.out, symlinks=True)

    def _learn_imports(self, command: Command) -> None:
        """Import here what the command imports, so that forks need not."""
        names = self.out.parent / "modules"

        def work() -> int:
            call(command.line, self.inputs, self.out)
            names.write_text("\n".join(sys.modules))
            return 0

        self._forked(work, command.name)
        for name in names.read_text().splitlines():
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        gc.collect()
        gc.freeze()

    def _run(self, line: str) -> int:
        return _fork(lambda: call(line, self.inputs, self.out))

    def _go_on(self, command: Command, before: State, after: State) -> str:
        """What is wrong with what a kill left, or with what the next run makes of it."""
        problem = self._half(command, before, after)
        if problem:
            return problem
        code = self._run(command.line)
        refused = code == 1 and command.overwrites and "--overwrite" not in command.line
        if refused and "--overwrite" in self._last_words():
            code = self._run(f"{command.line} --overwrite")
        if code != 0:
            return f"again: exit code {code}: {self._last_words()}"
        now = state_of(self.out, command.ignored)
        if now != after:
            names = sorted(n for n in now.keys() | after.keys() if now.get(n) != after.get(n))
            return f"again: {', '.join(f'{n}: {now.get(n)}' for n in names)} differ"
        left = self._hidden(command)
        return f"again: leaves {left}" if left else ""

    def _hidden(self, command: Command) -> list[str]:
        return hidden(self.out, folders="oss://" not in command.line)  # object stores have none

    def _really_kill(self, command: Command, moment: Moment, before: State, after: State) -> str:
        """What is wrong with what a process leaves that is killed there.

        It leaves what was copied, or, where threads write in whatever order, something as good.
        """
        self._begin(command)
        work = lambda: call(command.line, self.inputs, self.out)  # noqa: E731
        if killing.run(work, self.out, moment.at, torn=moment.torn).code != -9:
            return ""  # a run of fewer calls, by chance: nothing was killed
        really = moment.kept.with_name("really")
        shutil.rmtree(really, ignore_errors=True)
        shutil.copytree(self.out, really, symlinks=True)
        left = self._left(command)
        self._restore(moment.kept)
        if left == self._left(command):
            return ""
        self._restore(really)
        problem = self._go_on(command, before, after)
        return f"really killed: {problem}" if problem else ""

    def _left(self, command: Command) -> tuple[State, list[str]]:
        return state_of(self.out, command.ignored), _anonymous(self._hidden(command))

    def _half(self, command: Command, before: State, after: State) -> str:
        """What is seen after a kill that is neither old nor new."""
        from respectra.files import recover

        for name in before.keys() | after.keys():  # as whoever opens it
            recover(self.out / name)
            recover(self.out / name / "index.json", others="*.bin")
        seen = state_of(self.out)
        for name, content in seen.items():
            if any(fnmatch(name, pattern) for pattern in command.ignored):
                continue
            grows = any(fnmatch(name, pattern) for pattern in command.growing)
            if command.by_url and not _is_opened(self.out / name):
                continue
            if not grows and content not in (before.get(name), after.get(name)):
                return f"half a result: {name}: {content}"
        for name in () if command.by_url else before:
            if name not in seen:
                return f"{name} is gone"
        return ""

    def _last_words(self) -> str:
        return (self.out.parent / "log").read_text()[-600:].replace("\n", " ")


def _import_everything() -> None:
    """So that forks need not."""
    import h5netcdf  # noqa: F401
    import lightning  # noqa: F401
    import torch
    import zarr  # noqa: F401

    import respectra
    import respectra.cli

    torch.set_num_threads(1)
    for package in (respectra.cli, respectra):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__") and ".viewer" not in module.name:
                importlib.import_module(module.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="commands whose names begin so, with commas")
    parser.add_argument("--every", type=int, default=1, help="kill at every n-th call only")
    parser.add_argument("--folder", help="where to work; in memory by default")
    options = parser.parse_args()
    if not killing.available():
        raise SystemExit("this system cannot stop a process at its system calls")
    wanted = [c for c in COMMANDS if c.name.startswith(tuple(options.only.split(",")))]
    results = []
    # Not on the disk of other temporary files: a library that writes there and copies is noticed.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=options.folder or memory) as name:
        os.environ["RESPECTRA_CACHE"] = f"{name}/cache"
        sweep = Sweep(Path(name))
        for command in wanted:
            result = sweep.sweep(command, every=options.every)
            results.append(result)
            print(
                f"{result.command:28} {result.calls:5} calls {result.kills:5} kills "
                f"{result.states:5} states "
                f"{len(result.problems):4} problems {result.seconds:7.1f} s",
                flush=True,
            )
            for problem in result.problems[:5]:
                print(f"    {problem}", flush=True)
    kills, problems = sum(r.kills for r in results), sum(len(r.problems) for r in results)
    print(f"{len(results)} commands, {kills} kills, {problems} half results or failures to go on")
    sys.exit(problems > 0)


if __name__ == "__main__":
    main()
