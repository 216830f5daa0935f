"""Train Respectra's own network, from spectra that anybody can install.

    python scripts/train_respectra.py OUT.safetensors                    # as shipped
    python scripts/train_respectra.py OUT.safetensors --lights equal     # with a change
    python scripts/train_respectra.py FILE.safetensors --score --report  # of a file that is there

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
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fit_classical import CHOICE, FLOOR, REPORT, load_scenes
from respectra_scenes import BANDS, LIGHTS, OBJECTS, Batch, Recipe, Sampler
from torch import Tensor

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.inference.networks import build
from respectra.methods import Contract, ResponseRecord, Weights, load_weights, save_weights
from respectra.methods.registry import get_network
from respectra.methods.settings import TRACK_SETTINGS

#: Types of the recipe's entries that can be given as an option.
_KINDS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": json.loads,
}
#: Units of the uncertainty's own layer, where weights get one anew.
UNCERTAINTY_UNITS = 20
#: What the batches of a step are of, in turn; see ``Sampler.scenes``.
KINDS = (
    ("clean", "told", "observer"),
    ("clean", "told", "camera"),
    ("clean", "told", "white"),
    ("clean", "told", "stranger"),
)


def prepare(network: Any, sampler: Sampler) -> None:
    """Set the camera, the prior covariance and the first basis from drawn spectra."""
    with torch.no_grad():
        camera = sampler.clean
        s = torch.cat([sampler.exposed(sampler.pixels(white=False), camera) for _ in range(80)])
        s = s.reshape(-1, BANDS).double()
        s = s[torch.randperm(len(s), generator=sampler.g)]
        s = s / (s @ camera.double()).sum(dim=1, keepdim=True).clamp_min(1e-3)
        covariance = s.T @ s / len(s)
        covariance += 1e-4 * covariance.diagonal().mean() * torch.eye(BANDS).double()
        network.covariance.copy_(covariance)
        network.standard.copy_(camera)
        network.set_camera(camera)
        hidden = s @ (network.free.double())
        _, size, basis = torch.linalg.svd(hidden[:8000], full_matrices=False)
        rank = len(network.basis_spectra)
        scale = size[:rank, None] / len(hidden[:8000]) ** 0.5
        network.basis_spectra.copy_(basis[:rank] * scale)


def relative_error(estimate: Tensor, truth: Tensor, floor: float) -> Tensor:
    """The challenge's error, with a floor in its denominator."""
    return ((estimate - truth).abs() / truth.clamp_min(floor)).mean()


def batches(sampler: Sampler, step: int) -> Iterator[Batch]:
    """What one step learns from."""
    recipe = sampler.recipe
    alone = sampler.chance(recipe.forget)
    kinds = KINDS[step % len(KINDS)] if recipe.told else ("clean", "clean")
    for kind in kinds:
        batch = sampler.scenes(kind)
        yield batch.alone() if alone else batch
    if sampler.chance(recipe.noisy):
        yield sampler.noisy()


def train(recipe: Recipe, *, quiet: bool = False, after: Any = None) -> Any:
    """A trained network; ``after(network)`` is called every tenth of the steps."""
    torch.manual_seed(recipe.seed)
    sampler = Sampler(recipe, torch.Generator().manual_seed(recipe.seed))
    network: Any = get_network("respectra").network(recipe.config)
    prepare(network, sampler)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.steps, pct_start=0.1
    )
    start, running = time.perf_counter(), np.zeros(4)
    for step in range(recipe.steps):
        optimiser.zero_grad()
        for i, batch in enumerate(batches(sampler, step)):
            network.set_capture(**batch.told)
            loss = relative_error(network(batch.x), batch.truth, recipe.floor)
            loss.backward()
            running[i] += 0.01 * (loss.item() - running[i]) if running[i] else loss.item()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if not quiet and (step + 1) % 500 == 0:
            seconds = time.perf_counter() - start
            print(f"{step + 1:6d}  {running.round(4)}  {seconds:.0f} s", flush=True)
        if after and (step + 1) % max(1, recipe.steps // 10) == 0:
            after(network)
    learn_uncertainty(network, recipe)
    network.set_capture(sampler.clean, step=0.0)
    return network.eval()


def learn_uncertainty(network: Any, recipe: Recipe) -> None:
    """Fit the layers of the uncertainty; what was learned before stays as it is.

    Their answer is to be the deviation that 68 % of errors stay below and 95 % below twice of it:
    the quantile losses of the errors' logarithms. Scenes have more grain than those before, for
    measured spectra are never clean; and they are others.
    """
    generator = torch.Generator().manual_seed(recipe.seed + 1)
    sampler = Sampler(replace(recipe, grain=recipe.doubt_grain), generator)
    heads = [network.uncertainty_head, *([network.uncertainty_layer] if network.doubt else [])]
    parameters = [p for head in heads for p in head.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.doubt_steps)
    for step in range(recipe.doubt_steps):
        optimiser.zero_grad()
        for batch in batches(sampler, step):
            network.set_capture(**batch.told)
            with torch.no_grad():
                error = torch.log((network(batch.x) - batch.truth).abs() + 1e-5)
            # ``uncertainty`` is the mean size of errors of a normal distribution.
            sigma = torch.log(network.uncertainty(batch.x) * float(np.sqrt(np.pi / 2)) + 1e-5)
            sigma = sigma - np.log(recipe.doubt_noisy if network.denoises else recipe.doubt_clean)
            loss = _quantile(error - sigma, 0.683) + _quantile(error - sigma - np.log(2), 0.954)
            grads = torch.autograd.grad(loss, parameters)
            for parameter, grad in zip(parameters, grads, strict=True):
                parameter.grad = grad if parameter.grad is None else parameter.grad + grad
        optimiser.step()
        schedule.step()


def relearn_uncertainty(weights: Weights, recipe: Recipe) -> Weights:
    """Weights whose answers stay as they are, with an uncertainty learned anew.

    Args:
        weights: of any version of the network; a layer of the uncertainty's own is added.
        recipe: ``told`` and ``noisy`` say on which pictures.
    """
    config = weights.config.model_copy(update={"doubt": UNCERTAINTY_UNITS})
    torch.manual_seed(recipe.seed)
    network: Any = get_network(weights.method).network(config)
    state = {name: torch.from_numpy(np.array(t)) for name, t in weights.tensors.items()}
    state = {n: t for n, t in state.items() if not n.startswith(("uncertainty", "doubt", "spread"))}
    network.load_state_dict(state, strict=False)
    learn_uncertainty(network, recipe)
    tensors = {name: t.detach().numpy() for name, t in network.state_dict().items()}
    facts = {**weights.provenance, "uncertainty": asdict(recipe)}
    return replace(weights, config=config, tensors=tensors, provenance=facts)


def _quantile(excess: Tensor, share: float) -> Tensor:
    return torch.maximum(share * excess, (share - 1) * excess).mean()


def score(
    network: Any, track: str, names: tuple[str, ...], folder: Path, *, cells: bool = True
) -> dict[str, tuple[float, float, float]]:
    """By scene: MRAE with the floor, as docs/classical-method.md measures it, and the shares of
    errors within one and two standard deviations.

    Args:
        network: what ``train`` gave.
        track: of the images.
        names: of the scenes.
        folder: where they are.
        cells: whether the network is told that its values are 8-bit codes.
    """
    network = copy.deepcopy(network).eval()
    response = get_track(track).response_matrix(CHALLENGE_WAVELENGTHS_NM)
    told = TRACK_SETTINGS[track] if network.told else {}
    network.set_capture(torch.tensor(response), step=cells / 255, **told)
    result = {}
    for scene in load_scenes(track, names, folder):
        rgb = torch.from_numpy(scene.rgb).permute(2, 0, 1)[None]
        with torch.inference_mode():
            estimate = network(rgb)[0].permute(1, 2, 0).clamp_min(0).numpy()[scene.valid]
            sigma = network.uncertainty(rgb)[0].permute(1, 2, 0).numpy()[scene.valid]
        truth = scene.truth[scene.valid]
        error = np.abs(estimate - truth)
        ratio = error / (sigma * np.sqrt(np.pi / 2))
        result[scene.name] = (
            float(np.mean(error / np.maximum(truth, FLOOR))),
            float((ratio <= 1).mean()),
            float((ratio <= 2).mean()),
        )
    return result


def to_weights(network: Any, recipe: Recipe, scores: dict[str, Any]) -> Weights:
    """The weights with everything that is known of them."""
    camera = get_track("clean")
    contract = Contract(
        track="clean",
        clip_low=0.0,
        response=ResponseRecord.of(camera.response),
    )
    provenance = {
        "made_by": "scripts/train_respectra.py",
        "recipe": asdict(recipe),
        "reflectances": [*OBJECTS, "earthlib"],
        "lights": {**LIGHTS[recipe.lights], "told": "respectra_captures.Lamps"},
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


def measure(network: Any, report: bool, tracks: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """MRAE by track and scene; prints it with the shares within one and two deviations."""
    scores: dict[str, dict[str, float]] = {}
    folder = os.environ.get("RESPECTRA_DATA")
    for track in tracks if folder else ():
        scores[track] = {}
        for names in (CHOICE, REPORT) if report else (CHOICE,):
            found = score(network, track, names, Path(str(folder)))
            for name, values in found.items():
                print(f"{track:12}{name:32}", *(f"{value:8.4f}" for value in values))
            means = np.mean(list(found.values()), axis=0)
            print(f"{track:12}{'mean':32}", *(f"{value:8.4f}" for value in means), flush=True)
            scores[track] |= {name: value[0] for name, value in found.items()}
    return scores


def main() -> None:
    """Train, score, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--option", action="append", default=[], help="NAME=VALUE of the network")
    parser.add_argument("--report", action="store_true", help="score the other scenes too")
    parser.add_argument("--uncertainty-of", type=Path, help="learn that of this file anew, only")
    parser.add_argument("--score", action="store_true", help="score OUTPUT, which is there already")
    for field in fields(Recipe):
        if kind := _KINDS.get(str(field.type)):
            name = f"--{field.name.replace('_', '-')}"
            parser.add_argument(name, type=kind, default=field.default)
    given = vars(parser.parse_args())
    output, report = given.pop("output"), given.pop("report")
    torch.set_num_threads(1)
    if given.pop("score"):
        measure(build(load_weights(output)), report, ("clean", "real-world"))
        return
    source = given.pop("uncertainty_of")
    options = dict(pair.split("=", 1) for pair in given.pop("option"))
    recipe = Recipe(options={name: json.loads(value) for name, value in options.items()}, **given)
    if source:
        found = relearn_uncertainty(load_weights(source), recipe)
        save_weights(found, output, overwrite=True)
        return
    network = train(recipe)
    tracks = ("clean", "real-world") if recipe.noisy else ("clean",)
    scores = measure(network, report, tracks)
    save_weights(to_weights(network, recipe, scores), output, overwrite=True)


if __name__ == "__main__":
    main()
