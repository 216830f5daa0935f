"""Weights for tests: tiny networks with every parameter moved off its initial value."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from respectra.methods import Contract, Weights, build_network, configure


def tiny_weights(name: str, *, preset: str = "tiny", **given: object) -> Weights:
    """Weights of a network; what is given is an option of the network or a term of its contract."""
    contract = {key: value for key, value in given.items() if key in Contract.model_fields}
    options = {key: value for key, value in given.items() if key not in contract}
    torch.manual_seed(1)
    network = build_network(name, preset=preset, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            scale = parameter.std().item() if parameter.numel() > 1 else 0.0
            parameter.add_(torch.randn_like(parameter) * max(0.5 * scale, 0.02))
    return Weights(
        method=name,
        config=configure(name, preset=preset, **options),
        contract=Contract(**contract),  # type: ignore[arg-type]
        tensors={key: tensor.numpy() for key, tensor in network.state_dict().items()},
    )


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
