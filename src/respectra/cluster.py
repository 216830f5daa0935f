"""Workers of a dask cluster, here or elsewhere, that do independent jobs.

Nothing of ours schedules or retries: a job whose worker dies is given to another one by dask.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import itertools
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import respectra
from respectra.allocator import keep_malloc
from respectra.errors import ConfigError, MissingExtraError, RespectraError
from respectra.guards.limits import free_memory
from respectra.threads import limited_blocks

__all__ = ["Cluster", "open_cluster"]

#: Seconds to wait for a scheduler, and for its first worker.
_PATIENCE_S = 10
#: Memory of a worker that has loaded its libraries.
_WORKER_BYTES = 3 * 10**8
#: How often dask gives a job to another worker when one dies.
_RETRIES = 2
#: Tasks that wait at the scheduler for each thread of the workers.
_AHEAD = 8
#: Jobs that take less than this together are one task, seconds; and the most of them.
_TASK_S = 0.2
_MOST_JOBS = 64


class Cluster:
    """Workers that are there; made by :func:`open_cluster`."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._sent: dict[int, Any] = {}

    @property
    def dashboard(self) -> str | None:
        """Address of the page that shows what the workers do."""
        link = self._client.dashboard_link
        return str(link) if link else None

    @property
    def threads(self) -> int:
        """Jobs that are done at once."""
        return sum(self._client.nthreads().values()) or 1

    def send(self, value: Any) -> Any:
        """Send a value to every worker once; gives what stands for it in the arguments of jobs."""
        if id(value) not in self._sent:
            # In a list of its own: of a list, dask sends each element by itself.
            (sent,) = self._client.scatter([value], broadcast=True, hash=False)
            self._sent[id(value)] = value, sent
        return self._sent[id(value)][1]

    def run(
        self, function: Callable[..., Any], jobs: Iterable[tuple[Any, tuple[Any, ...]]]
    ) -> Iterator[tuple[Any, Any]]:
        """Call a function for each job on a worker, and give the results as they come.

        A job is what its result is given back with, and the arguments of the call. Jobs are taken
        as workers become free. Of one that raised an exception, that is the result.
        """
        from distributed import as_completed

        waiting = iter(jobs)
        labels: dict[str, list[Any]] = {}
        size = 1

        def submit(count: int) -> list[Any]:
            """Send so many tasks in one message."""
            tasks = (list(itertools.islice(waiting, size)) for _ in range(count))
            some = list(itertools.takewhile(bool, tasks))
            arguments = [[list(arguments) for _, arguments in task] for task in some]
            if not some:
                return []
            futures: list[Any] = self._client.map(
                _several, [function] * len(some), arguments, pure=False, retries=_RETRIES
            )
            for future, task in zip(futures, some, strict=True):
                labels[future.key] = [label for label, _ in task]
            return futures

        # Results come with the news that they are there, not each by a question of its own.
        queue = as_completed(submit(_AHEAD * self.threads), with_results=True, raise_errors=False)
        for batch in queue.batches():
            done: list[tuple[Any, Any]] = []
            for future, found in batch:
                known = labels.pop(future.key)
                if future.status == "finished":
                    seconds, results = found
                    size = max(1, min(_MOST_JOBS, int(_TASK_S * len(known) / max(seconds, 1e-6))))
                else:
                    results = [_explained(future.exception())] * len(known)
                future.release()
                done += zip(known, results, strict=True)
            try:
                queue.update(submit(len(batch)))
            finally:  # whatever comes of the next ones
                yield from done


def _several(function: Callable[..., Any], arguments: list[list[Any]]) -> tuple[float, list[Any]]:
    """On a worker: the results of some calls, or what they raised, and how long all of it took."""
    _prepare()
    start = time.perf_counter()
    results: list[Any] = []
    with limited_blocks(1):  # workers share the cores among themselves
        for one in arguments:
            try:
                results.append(function(*one))
            except Exception as error:  # which belongs to this job alone
                results.append(error)
    return time.perf_counter() - start, results


def _explained(error: BaseException) -> BaseException:
    if type(error).__name__ == "KilledWorker":
        return RespectraError(
            "the workers that tried it were killed, most likely for want of memory; give each "
            "worker more, or set a smaller --max-memory"
        )
    return error


@contextlib.contextmanager
def open_cluster(*, workers: int | None = None, address: str | None = None) -> Iterator[Cluster]:
    """Workers for a while.

    Args:
        workers: start so many on this machine, a thread each.
        address: of a scheduler that is there, such as ``tcp://host:8786``.

    Raises:
        ConfigError: both or neither, more workers than there is memory for, no scheduler or no
            worker within ten seconds, or a worker with another version of Respectra or without it.
        MissingExtraError: the extra ``cluster`` is not installed.
    """
    if (workers is None) == (address is None):
        raise ConfigError("give either a number of workers or the address of a scheduler")
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise MissingExtraError("distributed", "cluster", "a cluster") from None
    with contextlib.ExitStack() as stack:
        if workers is not None:
            _require_room(workers)
            local = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=":0",
                silence_logs=logging.ERROR,  # of a worker that takes its time to end
            )
            client = stack.enter_context(Client(stack.enter_context(local)))
        else:
            try:
                client = stack.enter_context(Client(address, timeout=_PATIENCE_S))
            except (OSError, TimeoutError, ValueError) as error:
                raise ConfigError(
                    f"no scheduler answers at {address} ({error}); start one: dask scheduler"
                ) from None
        _require_same_version(client)
        yield Cluster(client)


def _require_room(workers: int) -> None:
    room = max(1, free_memory() // _WORKER_BYTES)
    if workers > room:
        raise ConfigError(
            f"{workers} workers take some {workers * _WORKER_BYTES / 1e9:.0f} GB before their "
            f"first picture, and {free_memory() / 1e9:.1f} GB are free; take at most {room}"
        )


def _require_same_version(client: Any) -> None:
    try:
        client.wait_for_workers(1, timeout=_PATIENCE_S)
    except TimeoutError:
        raise ConfigError("the scheduler has no worker; start some: dask worker ADDRESS") from None
    found = client.run(_version, on_error="return")
    for worker, version in found.items():
        if isinstance(version, BaseException) or version is None:
            raise ConfigError(
                f"the worker {worker} cannot import respectra; install it there, version "
                f"{respectra.__version__}"
            )
        if version != respectra.__version__:
            raise ConfigError(
                f"the worker {worker} has version {version} of respectra and this is "
                f"{respectra.__version__}; install the same"
            )


def _version() -> str | None:
    """On a worker: its version, once it is known that networks run there."""
    if importlib.util.find_spec("torch") is None:
        return None
    try:
        import respectra as here
    except ImportError:
        return None
    _prepare()
    return str(here.__version__)


@functools.cache
def _prepare() -> None:
    """On a worker, once a process, also of those that come later: one thread a task."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    else:  # it reads this as it is loaded, where something needs it
        os.environ["OMP_NUM_THREADS"] = "1"
    keep_malloc()
