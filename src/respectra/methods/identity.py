"""What a set of weights is: one hash of everything that its answers depend on."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from respectra.methods.weights import Weights


def weights_hash(weights: Weights) -> str:
    """SHA-256 of method, configuration, contract and values, as 64 hexadecimal digits.

    Provenance and the card do not count: the same answers have the same hash.
    """
    sha = hashlib.sha256()
    head = [weights.method, weights.config.model_dump(mode="json")]
    sha.update(json.dumps([*head, weights.contract.model_dump(mode="json")]).encode())
    for name in sorted(weights.tensors):
        array = np.ascontiguousarray(weights.tensors[name])
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(array.data)
    return sha.hexdigest()
