"""Processes that train together, on one machine or several.

They are started by Lightning here, by ``torchrun``, or by SLURM's ``srun``; which of these it is,
Lightning detects. The first of all processes writes the run folder, and decides what depends on
what is in it; the others do as it says.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from respectra.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: number of this process among all; among nodes, where Lightning starts the rest.
        here: processes of this node.
        nodes: machines.
        environment: Lightning's, where others started the processes; None where Lightning does.
    """

    rank: int = 0
    here: int = 1
    nodes: int = 1
    environment: Any = None

    @property
    def size(self) -> int:
        """All processes."""
        return self.here * self.nodes

    @property
    def writes(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    @contextlib.contextmanager
    def joined(self, device: torch.device) -> Iterator[None]:
        """Connect those that others started, for as long as a run takes."""
        if self.environment is None:
            yield
            return
        environment, distributed = self.environment, torch.distributed
        os.environ["MASTER_ADDR"] = str(environment.main_address)
        os.environ["MASTER_PORT"] = str(environment.main_port)
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, rank=self.rank, world_size=self.size)
        try:
            yield
        finally:
            if distributed.is_initialized():
                distributed.destroy_process_group()

    def agree(self, decide: Callable[[], T]) -> T:
        """What the first process finds."""
        if self.environment is None:
            return decide()
        found = [decide() if self.writes else None]
        torch.distributed.broadcast_object_list(found, src=0, device=torch.device("cpu"))
        return found[0]  # type: ignore[return-value]

    def wait(self) -> None:
        """Until all processes are here."""
        self.agree(lambda: None)


def find_team(processes: int, nodes: int) -> Team:
    """Who trains: those that ``torchrun`` or ``srun`` started, or so many as are asked for.

    Args:
        processes: of each node, where Lightning starts them.
        nodes: machines, where Lightning starts them.

    Raises:
        ConfigError: several nodes that do not know of one another, or other numbers than those that
            were started.
    """
    environment = _environment()
    if environment is not None:
        world = environment.world_size()
        count = _nodes_started(world)
        asked = (processes, nodes)
        if asked not in ((1, 1), (world // count, count), (1, count)):
            raise ConfigError(
                f"{world} processes on {count} nodes were started already; leave out --processes "
                "and --nodes, torchrun and srun decide them"
            )
        return Team(environment.global_rank(), world // count, count, environment)
    if nodes == 1:
        return Team(0, processes, 1)
    missing = [n for n in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK") if n not in os.environ]
    if missing:
        raise ConfigError(
            f"{nodes} nodes find one another by {', '.join(missing)}: set MASTER_ADDR and "
            "MASTER_PORT to those of the first node and NODE_RANK to 0, 1, ... and run the same "
            "command on each; or start all of it by torchrun or srun"
        )
    return Team(int(os.environ["NODE_RANK"]), processes, nodes)


def _environment() -> Any:
    """That of torchrun or SLURM, where it started several processes."""
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    environment: Any = None
    if TorchElasticEnvironment.detect():
        environment = TorchElasticEnvironment()
    elif SLURMEnvironment.detect():
        try:
            environment = SLURMEnvironment(auto_requeue=False)
        except RuntimeError as error:  # of variables that contradict one another
            raise ConfigError(str(error)) from None
    return environment if environment is not None and environment.world_size() > 1 else None


def _nodes_started(world: int) -> int:
    here = os.environ.get("LOCAL_WORLD_SIZE")
    if here is not None:
        return max(1, world // int(here))
    for name in ("SLURM_NNODES", "SLURM_JOB_NUM_NODES"):
        if name in os.environ:
            return int(os.environ[name])
    return 1
