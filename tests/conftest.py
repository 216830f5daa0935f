"""What the whole suite shares: the optional folder of real data, seeded arrays."""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest

# The suite runs two processes on two cores: threads within them would fight over the same cores.
# Set before numpy and torch are imported, which is when they read it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Tests that start a process run this checkout, whichever one is installed.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1] / "src")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Threads are those of the suite, whatever a test before asked for: values to the bit depend
    on them. Windows has no SIGKILL, and links there need a right of their own.
    """
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if os.name == "nt" and item.get_closest_marker("posix"):
        pytest.skip("needs signals, limits or links as POSIX systems have them")


#: What the extras bring, as it is imported.
_EXTRAS = {
    "cluster": ("dask", "distributed", "s3fs"),
    "heif": ("pi_heif",),
    "raw": ("rawpy",),
    "serve": ("fastapi", "sse_starlette", "starlette", "uvicorn"),
    "spectra": ("earthlib",),
    "superpixels": ("skimage",),
    "tensorboard": ("tensorboard",),
    "video": ("av",),
}
_ABSENT = {
    extra: [name for name in names if importlib.util.find_spec(name) is None]
    for extra, names in _EXTRAS.items()
}
_INCOMPLETE = any(_ABSENT.values())
#: What was asked of them within the test that is running.
_MISSED: list[str] = []


def pytest_configure() -> None:
    """Without some extra: remember who asks for it, also where the command line says so."""
    from respectra.errors import MissingExtraError

    plain = MissingExtraError.__init__

    def remembered(self: MissingExtraError, library: str, extra: str, purpose: str) -> None:
        plain(self, library, extra, purpose)
        if _ABSENT.get(extra):
            _MISSED.append(str(self))

    if _INCOMPLETE:
        MissingExtraError.__init__ = remembered  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What fails for want of an extra that is not installed is skipped, and says which."""
    report = yield
    if report.failed and _INCOMPLETE:
        error = call.excinfo.value if call.excinfo else None
        if isinstance(error, ImportError):
            absent = itertools.chain.from_iterable(_ABSENT.values())
            _MISSED.extend(str(error) for name in absent if name in str(error))
        if _MISSED:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.reportinfo()[1] or 0, f"Skipped: {_MISSED[0]}")
    if call.when == "teardown":
        _MISSED.clear()
    return report


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests measure and fit does not end up in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESPECTRA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of measured data; tests that need it skip without it."""
    folder = os.environ.get("RESPECTRA_DATA")
    if not folder:
        pytest.skip("needs measured data: set RESPECTRA_DATA to its folder")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"RESPECTRA_DATA names no folder: {path}")
    return path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2020)


#: Tests that take more than a few seconds on two cores, by a part of their names: `make test-all`
#: runs them. One list, so that one sees at a glance what the quick suite leaves out.
_SLOW = (
    "exported_and_in_onnx_runtime_it_gives_the_same",
    "test_plugin.py",
    "test_committed_pages_are_up_to_date",
    "test_published_weights_reproject_onto_the_official_pictures",
    "test_more_clients_than_places_are_served",
    "test_two_processes_train_to_the_weights_of_one",
    "test_what_a_capture_took_and_gave_back_renders_to_the_same_codes",
    "test_no_half_results_are_left",
    "test_every_view_is_drawn",
    "test_a_limit_is_kept",
    "test_killed_and_resumed_it_ends_with_the_same_bytes",
    "test_memory_stays_within_the_limit_whatever_the_size",
    "test_a_scheduler_that_is_not_there",
    "test_drop_wait_hover_read",
    "test_rendering_gives_the_same_codes",
    "test_results_are_the_same_however_many_processes",
    "test_a_killed_process_is_taken_up",
    "test_a_scene_is_found_while_its_folder_moves",
    "test_one_method_is_imported_and_not_the_others",
    "test_tables_for_a_capture",
    "test_a_large_picture_shows_its_spectra_before_it_is_done",
    "test_another_process_with_one_thread_gives_the_same_files",
    "memory_of_one_frame_is_below_the_claim",
    "test_workers_write_what_one_process_writes",
    "input_beyond_the_radius_changes_nothing",
    "test_kills.py",
    "test_remote.py",
    "test_gpu_benchmark.py::test_all_of_it_runs",
    "test_files_are_those_of_one_process",
    "test_scores_are_those_of_one_process",
    "test_one_bad_cube_does_not_stop_the_rest",
    "test_two_processes_of_torchrun",
    "test_an_evaluation_in_a_bucket_is_that_of_one_machine",
    "test_a_full_disk_leaves_no_half_cube",
    "test_a_killed_run_continues_to_the_same_bytes",
    "test_a_bucket_gets_the_bytes_of_one_machine",
    "test_a_worker_that_is_not_alike_is_refused",
    "test_a_job_that_kills_every_worker",
    "test_the_method_is_sent_to_each_worker_once",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, before pytest leaves out what is not asked for."""
    for item in items:
        if any(part in item.nodeid for part in _SLOW):
            item.add_marker(pytest.mark.slow)
