"""Weights: a method with what it learned and what it expects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.config import Config
from respectra.errors import ConfigError
from respectra.methods.contract import Contract


@dataclass(frozen=True)
class Weights:
    """A method with what it learned and what it expects.

    Example:
        >>> import respectra as rs
        >>> weights = rs.methods.fresh_weights("awan", preset="tiny")
        >>> weights.method, weights.contract.bands
        ('awan', 31)
    """

    method: str
    """Name in the registry."""
    config: Config
    contract: Contract
    tensors: Mapping[str, npt.NDArray[Any]]
    """What was learned, by name: a state dict, or a classical method's arrays."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able facts: data, seed, steps, scores, versions, licence."""
    baked: Mapping[str, Any] | None = None
    """Set when the tensors are a look-up table of the method instead of what it learned: JSON-able
    facts of the table, see ``respectra.inference.tables``."""

    @property
    def parameters(self) -> int:
        """Number of stored values."""
        return sum(array.size for array in self.tensors.values())

    @property
    def registered(self) -> bool:
        """Whether the registry has the method, so that others can build it."""
        return True

    def require_registered(self, what: str) -> None:
        """Refuse what needs the method's name to mean something elsewhere.

        Args:
            what: that, as the message begins.

        Raises:
            ConfigError: the method is a module that only this process knows.
        """
        if not self.registered:
            raise ConfigError(
                f"{what} needs a registered method, and {self.method!r} is a module at hand; add "
                "the network as a method (docs/plugins.md), or keep its state_dict yourself"
            )


def weights_hash(weights: Weights) -> str:
    """One hash of all that the answers of weights depend on: 64 hexadecimal digits of SHA-256.

    That is method, configuration, contract and values; provenance and the card do not count.
    """
    sha = hashlib.sha256()
    head = [weights.method, weights.config.model_dump(mode="json")]
    sha.update(json.dumps([*head, weights.contract.model_dump(mode="json")]).encode())
    for name in sorted(weights.tensors):
        array = np.ascontiguousarray(weights.tensors[name])
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(array.data)
    return sha.hexdigest()
