"""The two options of commands whose work can be shared."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from respectra.cli.app import echo
from respectra.cli.help import RUNNING
from respectra.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from respectra.cluster import Cluster

WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        help="Processes that share the work.",
        show_default="this one",
        rich_help_panel=RUNNING,
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="URL",
        help="Scheduler of a dask cluster that shares the work: tcp://HOST:8786.",
        show_default="none",
        rich_help_panel=RUNNING,
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
