"""Score weights of Respectra's own network on measured scenes, and fit how unsure it says it is.

    RESPECTRA_DATA=... python scripts/score_respectra.py [FILE] [--report] [--fit] [--tails]

Prints by track and scene the MRAE with a floor of 0.01 and the shares of errors within one and two
standard deviations; of the shipped weights without FILE. Scenes are those that choose between
designs; with ``--report`` also those that chose nothing.

``--fit`` prints, by the scenes that choose, what the first of ``synthetic.uncertainty.factors``
(and of ``noisy_factors``) should be multiplied by, and what ``cell`` (and ``contrast``) should be:
the quantile losses of training, a site as heavy as another. It leaves out each site in turn as
well, and prints the shares of the errors there.

``--tails`` asks what brings the two shares together, by the same scenes: of the errors within two
deviations, the share where as many lie within one as is wanted. It does so for factors of both ends
of the spectrum and powers of the light (``factors`` and ``level`` of the recipe) beside those of
the weights; a site as heavy as another, each with a scale of its own, and with one for all. Last
come what the other sites choose for each, and what all should be multiplied by.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from fit_classical import CHOICE, FLOOR, REPORT, load_scenes
from scipy.optimize import minimize

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.inference.networks import build
from respectra.methods import Weights, load_weights
from respectra.methods.settings import TRACK_SETTINGS
from respectra.methods.shipped import open_shipped
from respectra.training.synthetic.module import quantile_loss, spread_of

#: The network states the mean size of the errors of a normal distribution: deviation over it.
_PER_MEAN = float(np.sqrt(np.pi / 2))
#: Pixels of a scene that the fit looks at.
_PIXELS = 3000
#: Scenes that choose by the place that they were taken at.
SITES = {name: "muufl" if name.startswith("muufl") else name for name in CHOICE}
#: What is added to the uncertainty on each track, by the name of its buffer and of its option.
ADDED = {"clean": ("cell_share", "cell"), "real-world": ("contrast_share", "contrast")}
#: Factors of both ends of the spectrum and powers of the light that ``--tails`` tries.
ENDS, POWERS = (1.0, 1.35, 1.8, 2.5), (0.0, 0.1, 0.2)
#: The share within one deviation at which they are compared, and the one that is aimed at.
COMPARED, AIM = 0.70, 0.72


@dataclass(frozen=True)
class Found:
    """Errors and standard deviations of the measured pixels of a scene, (pixel, band)."""

    mrae: float
    error: npt.NDArray[Any]
    sigma: npt.NDArray[Any]
    learned: npt.NDArray[Any]
    """The same with nothing added."""
    added: npt.NDArray[Any]
    """What a share of 1 would add to it, as variances add up."""
    level: npt.NDArray[Any]
    """Logarithm of the light over the scene's, (pixel, 1)."""

    @property
    def shares(self) -> tuple[float, float]:
        """Of the errors within one and two deviations."""
        return float((self.error <= self.sigma).mean()), float(
            (self.error <= 2 * self.sigma).mean()
        )


def find(
    weights: Weights, track: str, names: tuple[str, ...], folder: Path, *, step: float = 1 / 255
) -> dict[str, Found]:
    """What weights make of scenes, told that they are of a track, in codes of this width."""
    network: Any = build(weights)
    told = TRACK_SETTINGS[track] if network.told else {}
    response = torch.tensor(get_track(track).response_matrix(CHALLENGE_WAVELENGTHS_NM))
    network.set_capture(response, step=step, **told)
    result = {}
    for scene in load_scenes(track, names, folder):
        rgb = torch.from_numpy(scene.rgb).permute(2, 0, 1)[None]
        share = getattr(network, ADDED[track][0])
        with torch.inference_mode():
            estimate, sigma = network(rgb).clamp_min(0), deviation(network, rgb)
            chosen = share.clone()
            share.zero_()
            learned = deviation(network, rgb)
            share.fill_(1 / _PER_MEAN)
            added = (deviation(network, rgb) ** 2 - learned**2).clamp_min(0).sqrt()
            share.copy_(chosen)
            level = network.encode(network.middle(rgb))[1][0][:, -1:]
        truth = scene.truth[scene.valid]
        arrays = [
            v[0].permute(1, 2, 0).numpy()[scene.valid]
            for v in (estimate, sigma, learned, added, level)
        ]
        error = np.abs(arrays[0] - truth)
        mrae = float(np.mean(error / np.maximum(truth, FLOOR)))
        result[scene.name] = Found(mrae, error, *arrays[1:])
    return result


def deviation(network: Any, rgb: torch.Tensor) -> torch.Tensor:
    """The standard deviation that the network states."""
    return network.uncertainty(rgb) * _PER_MEAN


def thinned(found: Found) -> Found:
    """Some of the pixels."""
    chosen = np.random.default_rng(0).permutation(len(found.error))[:_PIXELS]
    arrays = (found.error, found.sigma, found.learned, found.added, found.level)
    return Found(found.mrae, *(values[chosen] for values in arrays))


def stated(found: Found, exponents: npt.NDArray[Any]) -> Found:
    """With a factor and a share in place of those of the weights."""
    factor, share = np.exp(exponents)
    sigma = np.hypot(factor * found.learned, share * found.added)
    return Found(found.mrae, found.error, sigma, found.learned, found.added, found.level)


def fit(scenes: dict[str, Found]) -> npt.NDArray[Any]:
    """Logarithms of the factor and of the share with the least loss; a site as heavy as another."""
    sites = [SITES[name] for name in scenes]

    def loss(exponents: npt.NDArray[Any]) -> float:
        total = 0.0
        for name, found in scenes.items():
            new = stated(found, exponents)
            excess = torch.from_numpy(np.log(new.error + 1e-5) - np.log(new.sigma + 1e-5))
            both = quantile_loss(excess, 0.683) + quantile_loss(excess - np.log(2), 0.954)
            total += float(both) / sites.count(SITES[name])
        return total

    start = np.array([0.0, -1.0]) + np.vstack([np.zeros(2), 0.4 * np.eye(2)])
    options = {"xatol": 0.01, "fatol": 1e-4, "initial_simplex": start}
    return minimize(loss, start[0], method="Nelder-Mead", options=options).x


def show_fit(track: str, scenes: dict[str, Found]) -> None:
    """Print what all sites ask for, and what each gets by what the others ask for."""
    few = {name: thinned(found) for name, found in scenes.items()}
    factor, share = np.exp(fit(few))
    print(f"{track:12}factor {factor:.3f}, {ADDED[track][1]} {share:.3f}")
    left_out = {}
    for site in dict.fromkeys(SITES.values()):
        chosen = fit({name: found for name, found in few.items() if SITES[name] != site})
        shares = [stated(few[n], chosen).shares for n in few if SITES[n] == site]
        left_out[site] = np.mean(shares, axis=0)
        print(f"{track:12}without {site:24}", *(f"{value:8.4f}" for value in left_out[site]))
    mean = np.mean(list(left_out.values()), axis=0)
    print(f"{track:12}{'mean of these':32}", *(f"{value:8.4f}" for value in mean))


def over(found: Found, ends: float, power: float) -> npt.NDArray[Any]:
    """Errors over the deviation with other factors of the ends and another power of the light."""
    factors = spread_of((1.0, ends, ends)).numpy() * np.exp(power * found.level)
    rest = found.sigma**2 - found.learned**2
    return found.error / np.sqrt((factors * found.learned) ** 2 + np.maximum(rest, 0.0))


def by_site(values: dict[str, float]) -> float:
    """The mean, a site as heavy as another."""
    sites = [SITES[name] for name in values]
    return float(
        np.average(list(values.values()), weights=[1 / sites.count(site) for site in sites])
    )


def scale_for(ratios: dict[str, npt.NDArray[Any]], share: float) -> float:
    """What deviations are to be multiplied by, so that this share lies within one."""
    low, high = -3.0, 3.0
    for _ in range(30):
        middle = (low + high) / 2
        within = by_site({n: float((r <= np.exp(middle)).mean()) for n, r in ratios.items()})
        low, high = (low, middle) if within > share else (middle, high)
    return float(np.exp((low + high) / 2))


def within_two(ratios: dict[str, npt.NDArray[Any]], *, own: bool) -> float:
    """The share within two deviations, of scales of each scene's own or of one for all."""
    one = scale_for(ratios, COMPARED)
    scales = {n: scale_for({n: r}, COMPARED) if own else one for n, r in ratios.items()}
    return by_site({n: float((r <= 2 * scales[n]).mean()) for n, r in ratios.items()})


def show_tails(track: str, scenes: dict[str, Found]) -> None:
    """Print what factors of the ends and powers of the light do for the tails."""
    few = {name: thinned(found) for name, found in scenes.items()}
    tried = {
        (ends, power): {name: over(found, ends, power) for name, found in few.items()}
        for ends in ENDS
        for power in POWERS
    }
    for (ends, power), ratios in tried.items():
        shares = within_two(ratios, own=True), within_two(ratios, own=False)
        scale = scale_for(ratios, AIM)
        print(
            f"{track:12}ends {ends:4.2f} power {power:3.1f}", *(f"{v:8.4f}" for v in shares), end=""
        )
        print(f"   times {scale:.3f} for {AIM}")
    for site in dict.fromkeys(SITES.values()):
        best = max(
            tried,
            key=lambda k: within_two(
                {n: r for n, r in tried[k].items() if SITES[n] != site}, own=True
            ),
        )
        there = [
            within_two({n: r for n, r in tried[k].items() if SITES[n] == site}, own=True)
            for k in ((1.0, 0.0), best)
        ]
        print(f"{track:12}without {site:24}", *best, *(f"{value:8.4f}" for value in there))


def main() -> None:
    """Print scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--report", action="store_true", help="score the other scenes too")
    parser.add_argument("--fit", action="store_true", help="fit the uncertainty")
    parser.add_argument("--tails", action="store_true", help="what brings both shares together")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(os.environ["RESPECTRA_DATA"])
    for track in TRACK_SETTINGS:
        weights = load_weights(options.file) if options.file else open_shipped(track)
        if track != "clean" and not getattr(weights.config, "told", False):
            continue
        for names in (CHOICE, REPORT) if options.report else (CHOICE,):
            scenes = find(weights, track, names, folder)
            rows = {name: (found.mrae, *found.shares) for name, found in scenes.items()}
            rows["mean"] = tuple(np.mean(list(rows.values()), axis=0))
            for name, row in rows.items():
                print(f"{track:12}{name:32}", *(f"{value:8.4f}" for value in row), flush=True)
            if options.fit and names is CHOICE:
                show_fit(track, scenes)
            if options.tails and names is CHOICE:
                show_tails(track, scenes)


if __name__ == "__main__":
    main()
