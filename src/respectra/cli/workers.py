"""The two options of commands whose work can be shared."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

from respectra.cli.app import echo
from respectra.cli.help import RUNNING
from respectra.cli.options import option
from respectra.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from respectra.cluster import Cluster

WorkersOption = Annotated[
    int | None, option("N", "Processes that share the work.", RUNNING, unset="this one", min=1)
]
ClusterOption = Annotated[
    str | None,
    option(
        "URL",
        "Scheduler of a dask cluster that shares the work: tcp://HOST:8786.",
        RUNNING,
        unset="none",
    ),
]


@contextlib.contextmanager
def open_workers(workers: int | None, address: str | None) -> Iterator[Cluster | None]:
    """The workers that were asked for, with where they can be watched; None where none were.

    Raises:
        ConfigError: both options, or no scheduler at this address.
    """
    if workers is not None and address is not None:
        raise ConfigError("--workers and --cluster exclude each other; give one")
    if workers is None and address is None:
        yield None
        return
    from respectra.cluster import open_cluster

    with open_cluster(workers=workers, address=address) as cluster:
        if cluster.dashboard:
            echo(f"the workers show what they do at {cluster.dashboard}")
        yield cluster
