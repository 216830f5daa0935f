"""Train Respectra's own network, from spectra that anybody can install.

    python scripts/train_respectra.py OUT.safetensors                  # as shipped, a few minutes
    python scripts/train_respectra.py OUT.safetensors --lights equal   # one of the ablations

It needs ``pip install 'respectra[spectra]'``. With ``RESPECTRA_DATA`` naming the folder of measured
scenes, the result is scored on those that decide between designs, and with ``--report`` on the
others. No scene is used for training. The same seed gives the same weights on one machine.
"""

from __future__ import annotations

import argparse
import copy
import importlib.metadata
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fit_classical import CHOICE, FLOOR, REPORT, load_scenes
from respectra_scenes import BANDS, LIGHTS, OBJECTS, Recipe, Sampler
from torch import Tensor

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.methods import Contract, ResponseRecord, Weights, save_weights
from respectra.methods.registry import get_network


def prepare(network: Any, sampler: Sampler) -> None:
    """Set the camera, the prior covariance and the first basis from drawn spectra."""
    with torch.no_grad():
        s = torch.cat([sampler.spectra_of_scenes() for _ in range(40)])
        s = s.reshape(-1, BANDS).double()
        s = s[torch.randperm(len(s), generator=sampler.g)]
        s = s / (s @ sampler.camera.double()).sum(dim=1, keepdim=True).clamp_min(1e-3)
        covariance = s.T @ s / len(s)
        covariance += 1e-4 * covariance.diagonal().mean() * torch.eye(BANDS).double()
        network.covariance.copy_(covariance)
        standard = get_track("clean").response_matrix(CHALLENGE_WAVELENGTHS_NM)
        network.standard.copy_(torch.tensor(standard))
        network.set_camera(sampler.camera)
        hidden = s @ (network.free.double())
        _, size, basis = torch.linalg.svd(hidden[:8000], full_matrices=False)
        rank = len(network.basis_spectra)
        scale = size[:rank, None] / len(hidden[:8000]) ** 0.5
        network.basis_spectra.copy_(basis[:rank] * scale)


def relative_error(estimate: Tensor, truth: Tensor, floor: float) -> Tensor:
    """The challenge's error, with a floor in its denominator."""
    return ((estimate - truth).abs() / truth.clamp_min(floor)).mean()


def train(recipe: Recipe, *, quiet: bool = False) -> Any:
    """A trained network."""
    torch.manual_seed(recipe.seed)
    sampler = Sampler(recipe, torch.Generator().manual_seed(recipe.seed))
    config = recipe.config
    network: Any = get_network("respectra").network(config)
    prepare(network, sampler)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.steps, pct_start=0.1
    )
    start, running = time.perf_counter(), 0.0
    for step in range(recipe.steps):
        batch = sampler.scenes()
        draw = float(sampler.uniform(1))
        if draw < recipe.forget:
            batch = batch.alone()
        elif recipe.noise and draw < recipe.forget + recipe.shuffle:
            batch = batch.shuffled(sampler.g)
        network.set_step(batch.step)
        loss = relative_error(network(batch.x), batch.truth, recipe.floor)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        running = 0.99 * running + 0.01 * loss.item() if step else loss.item()
        if not quiet and (step + 1) % 500 == 0:
            print(f"{step + 1:6d}  {running:.4f}  {time.perf_counter() - start:.0f} s", flush=True)
    learn_uncertainty(network, sampler)
    network.set_step(0.0)
    return network.eval()


def learn_uncertainty(network: Any, sampler: Sampler, steps: int = 300) -> None:
    """Fit the last layer of the uncertainty; what was learned before stays as it is.

    An error is taken as a draw from a Laplace distribution of that mean size. Afterwards each band
    is scaled so that the mean size is right on scenes that were not trained on.
    """
    parameters = list(network.uncertainty_head.parameters())
    optimiser = torch.optim.Adam(parameters, lr=3e-3)
    for _ in range(steps):
        batch = sampler.scenes()
        network.set_step(batch.step)
        with torch.no_grad():
            error = (network(batch.x) - batch.truth).abs()
        expected = network.uncertainty(batch.x) + 1e-4
        loss = (torch.log(expected) + error / expected).mean()
        grads = torch.autograd.grad(loss, parameters)
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        optimiser.step()
    with torch.no_grad():
        sums = torch.zeros(2, BANDS)
        for _ in range(30):
            batch = sampler.scenes()
            network.set_step(batch.step)
            sums[0] += (network(batch.x) - batch.truth).abs().sum(dim=(0, 2, 3))
            sums[1] += network.uncertainty(batch.x).sum(dim=(0, 2, 3))
        network.spread.mul_(sums[0] / sums[1])


def score(
    network: Any, track: str, names: tuple[str, ...], folder: Path, *, cells: bool = True
) -> dict[str, float]:
    """MRAE with the floor of each scene, as docs/classical-method.md measures it.

    Args:
        network: what ``train`` gave.
        track: of the images.
        names: of the scenes.
        folder: where they are.
        cells: whether the network is told that its values are 8-bit codes; of no account where
            noise is the larger.
    """
    result = {}
    if cells:
        network = copy.deepcopy(network)
        network.set_step(1 / 255)
    for scene in load_scenes(track, names, folder):
        rgb = torch.from_numpy(scene.rgb).permute(2, 0, 1)[None]
        with torch.inference_mode():
            estimate = network(rgb)[0].permute(1, 2, 0).clamp_min(0).numpy()[scene.valid]
        truth = scene.truth[scene.valid]
        result[scene.name] = float(np.mean(np.abs(estimate - truth) / np.maximum(truth, FLOOR)))
    return result


def to_weights(network: Any, recipe: Recipe, scores: dict[str, Any]) -> Weights:
    """The weights with everything that is known of them."""
    camera = get_track(recipe.track)
    contract = Contract(
        track=recipe.track,
        clip_low=0.0,
        response=ResponseRecord.of(camera.response),
    )
    provenance = {
        "made_by": "scripts/train_respectra.py",
        "recipe": asdict(recipe),
        "reflectances": [*OBJECTS, "earthlib"],
        "lights": LIGHTS[recipe.lights],
        "licence": "MIT; trained on spectra under BSD-3-Clause and MIT licences",
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("numpy", "torch", "colour-science", "earthlib")
        },
        "scores": scores,
    }
    tensors = {name: t.detach().numpy() for name, t in network.state_dict().items()}
    config = recipe.config
    return Weights("respectra", config, contract, tensors, provenance)


def main() -> None:
    """Train, score, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--preset", default="published")
    parser.add_argument("--option", action="append", default=[], help="NAME=VALUE of the network")
    parser.add_argument("--report", action="store_true", help="score the other scenes too")
    for name, kind in (
        ("track", str),
        ("lights", str),
        ("steps", int),
        ("seed", int),
        ("rate", float),
        ("rolloff", float),
        ("vary", float),
        ("forget", float),
        ("floor", float),
        ("stray", float),
        ("exact", float),
        ("noise", float),
        ("shuffle", float),
    ):
        parser.add_argument(f"--{name}", type=kind, default=getattr(Recipe, name))
    given = vars(parser.parse_args())
    output, report = given.pop("output"), given.pop("report")
    options = dict(pair.split("=", 1) for pair in given.pop("option"))
    recipe = Recipe(options={name: json.loads(value) for name, value in options.items()}, **given)
    torch.set_num_threads(1)
    network = train(recipe)
    scores: dict[str, Any] = {}
    if folder := os.environ.get("RESPECTRA_DATA"):
        for names in (CHOICE, REPORT) if report else (CHOICE,):
            found = score(network, recipe.track, names, Path(folder))
            print({name: round(value, 4) for name, value in found.items()})
            print(f"mean {np.mean(list(found.values())):.4f}")
            scores |= found
    save_weights(to_weights(network, recipe, scores), output, overwrite=True)


if __name__ == "__main__":
    main()
