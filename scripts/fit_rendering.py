"""Train the network that undoes what cameras do for beauty, on simulated photographs alone.

    python scripts/fit_rendering.py [OUT.safetensors] [--steps 2000]

No photograph is used, nor the spectra of a colour chart that photographs are scored on. Materials
(colour-science, earthlib, greys) are seen by measured cameras under lamps and daylight, balanced
for white and brought to Rec. 2020 by the best matrix of that camera and light, as raw converters
do. Then comes what cameras add: exposure, an error of the balance, flare, a tone curve with
shoulder and toe (Naka-Rushton; for each channel, or for brightness, or between), crushed blacks,
more colour, hues that are turned, and the codes' range in sRGB or Display P3. What is
learned is what, put through the network that ships (``rs.load()``), gives spectra that are right in
relative error beside a grey of the scene.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn import functional as F

import respectra as rs
from respectra.cameras.correction import FLOOR
from respectra.cameras.pictures.tone import SHIPPED
from respectra.cameras.responses import list_responses, native_response, resample_response
from respectra.colour import open_light, resample_light, rgb_space, srgb_matrix, xyz_weights
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM as GRID
from respectra.datasets.spectra import reflectances
from respectra.methods.networks.respectra_network import Respectra

Array = npt.NDArray[np.float64]

#: Materials and how often they are drawn; greys are spectra without a colour, a little tilted.
SHARES = {"rawtoaces": 2.0, "cie-ces99": 2.0, "cqs": 0.5, "earthlib": 1.0, "grey": 1.0}
#: Bounds of reflectances; nothing is blacker than black velvet or whiter than paper.
DARKEST, BRIGHTEST = 0.015, 0.95
LIGHTS = (
    "planck:2856", "planck:3400", "daylight:4500", "daylight:5000", "daylight:5500",
    "daylight:6000", "daylight:6500", "daylight:6500", "daylight:7500", "FL2", "FL11", "LED-B2",
    "LED-B4",
)  # fmt: skip
#: Sizes of what cameras do: means and standard deviations of logarithms, shares of full scale.
EXPOSURE, EXPOSURE_SPREAD = -0.25, 0.35
BALANCE, HUE, FLARE, CRUSHED = 0.04, 0.03, 0.008, 0.008
POWER, POWER_SPREAD = 0.18, 0.15
HALFWAY = (0.4, 5.0)
COLOUR, COLOUR_SPREAD = 0.12, 0.15
UNEVEN, UNEVEN_COLOUR, GRAIN = 0.1, 0.03, 0.0007
BY_BRIGHTNESS, WIDE = 0.4, 0.35
CLIPPED = 0.985
MATERIALS, BATCH, PIXELS, RATE = 5000, 32, 32, 4e-3
WIDTH = 32
GREYS = torch.tensor([0.005, 0.02, 0.1, 0.3, 0.6, 1.0])[:, None].expand(-1, 3)
SCORED = torch.tensor((GRID >= 420) & (GRID <= 680))


def matrix(start: str, end: str) -> Array:
    """Linear R, G, B of one space to those of another, for rows; adapted to one white."""
    return np.asarray(np.linalg.solve(rgb_space(end).to_xyz_d65, rgb_space(start).to_xyz_d65).T)


#: Spectra to linear Rec. 2020 under D65.
CAMERA: Array = srgb_matrix(resample_light(open_light("D65"), GRID), GRID) @ matrix(
    "srgb", "rec2020"
)


def draw(count: int, rng: np.random.Generator) -> Array:
    """Materials: a quarter two of a kind mixed, half of them at another concentration."""
    found = {name: reflectances(name).values for name in SHARES if name != "grey"}
    shares = np.array(list(SHARES.values()))
    kinds = rng.choice(len(SHARES), count, p=shares / shares.sum())
    out = np.empty((count, GRID.size))
    for number, name in enumerate(SHARES):
        mine = np.flatnonzero(kinds == number)
        if name == "grey":
            level = np.exp(rng.uniform(np.log(0.02), np.log(0.92), (mine.size, 1)))
            tilt = rng.normal(0, 0.03, (mine.size, 1)) * np.linspace(-1, 1, GRID.size)
            out[mine] = level * np.exp(tilt)
            continue
        spectra = found[name]
        out[mine] = spectra[rng.integers(len(spectra), size=mine.size)]
        mixed = mine[rng.random(mine.size) < 0.25]
        share = rng.uniform(0.5, 1.0, (mixed.size, 1))
        other = spectra[rng.integers(len(spectra), size=mixed.size)]
        out[mixed] = share * out[mixed] + (1 - share) * other
    power = np.where(rng.random(count) < 0.5, np.exp(rng.uniform(-0.5, 0.5, count)), 1.0)
    return np.clip(np.clip(out, 0.004, 0.98) ** power[:, None], DARKEST, BRIGHTEST)


def seen_by_cameras(spectra: Array) -> Array:
    """Linear Rec. 2020 as each camera gives it under each light, (pair, material, 3)."""
    wanted = spectra @ CAMERA
    weight = 1 / (wanted.mean(axis=1, keepdims=True) + 0.02)
    out = []
    for name in list_responses():
        if not (name.startswith("ampas-") or name.endswith("-npl")):
            continue
        response = resample_response(native_response(name), GRID).values
        for light in LIGHTS:
            power = resample_light(open_light(light), GRID)
            raw = (spectra * power) @ response / (power @ response)
            # The best matrix in relative error that leaves white as it is.
            apart = (raw[:, :2] - raw[:, 2:]) * weight
            rest = np.linalg.lstsq(apart, (wanted - raw[:, 2:]) * weight, rcond=None)[0]
            out.append(raw @ np.vstack([rest, 1 - rest.sum(axis=0)]))
    return np.array(out)


class Cameras:
    """Develops linear Rec. 2020 as cameras may."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.out = [torch.tensor(matrix("rec2020", s)).float() for s in ("srgb", "display-p3")]
        self.back = [torch.tensor(matrix(s, "rec2020")).float() for s in ("srgb", "display-p3")]
        brightness = xyz_weights(np.ones(GRID.size), GRID)[:, 1] @ np.linalg.pinv(CAMERA).T
        self.brightness = torch.tensor(brightness / brightness.sum()).float()

    def normal(self, *shape: int) -> Tensor:
        """Of a standard normal distribution."""
        return torch.randn(*shape, generator=self.generator)

    def uniform(self, *shape: int) -> Tensor:
        """From 0 to 1."""
        return torch.rand(*shape, generator=self.generator)

    def bright(self, light: Tensor) -> Tensor:
        """Brightness of Rec. 2020, (…, 1)."""
        return (light * self.brightness).sum(-1, keepdim=True)

    def __call__(self, light: Tensor) -> tuple[Tensor, Tensor]:
        """Linear Rec. 2020 of the developed picture, and which pixels are not clipped."""
        scenes, pixels, _ = light.shape
        exposure = torch.exp(EXPOSURE + EXPOSURE_SPREAD * self.normal(scenes, 1, 1))
        light = light * torch.exp(
            UNEVEN * self.normal(scenes, pixels, 1) + UNEVEN_COLOUR * self.normal(scenes, pixels, 3)
        )
        light = light * torch.exp(BALANCE * self.normal(scenes, 1, 3)) * exposure
        light = light - torch.log(self.uniform(scenes, 1, 1) + 1e-6) * FLARE * exposure
        turn = HUE * self.normal(scenes, 3, 3)
        turn = turn - turn.mean(dim=2, keepdim=True)
        light = (light + light @ turn.transpose(1, 2)).clamp_min(1e-5)
        developed = self._toned(light, scenes)
        black = (CRUSHED * self.normal(scenes, 1, 1)).clamp_min(-0.3 * CRUSHED)
        developed = (developed - black) / (1 - black)
        more = torch.exp(COLOUR + COLOUR_SPREAD * self.normal(scenes, 1, 1))
        grey = self.bright(developed)
        developed = grey + more * (developed - grey)
        return self._written(developed, scenes)

    def _toned(self, light: Tensor, scenes: int) -> Tensor:
        power = torch.exp(POWER + POWER_SPREAD * self.normal(scenes, 1, 1))
        low, high = np.log(HALFWAY)
        halfway = torch.exp(low + self.uniform(scenes, 1, 1) * (high - low)) ** power

        def curve(values: Tensor) -> Tensor:
            return (1 + halfway) * values**power / (values**power + halfway)

        grey = self.bright(light).clamp_min(1e-5)
        share = self.uniform(scenes, 1, 1) * 2 * BY_BRIGHTNESS
        share = share * (self.uniform(scenes, 1, 1) < 0.5)
        return curve(light) * (1 - share) + light * curve(grey) / grey * share

    def _written(self, developed: Tensor, scenes: int) -> tuple[Tensor, Tensor]:
        wide = (self.uniform(scenes, 1, 1) < WIDE).float()
        codes = developed @ self.out[0] * (1 - wide) + developed @ self.out[1] * wide
        codes = codes + GRAIN * self.normal(*codes.shape)
        whole = (codes < CLIPPED).all(dim=-1)
        codes = codes.clamp(0, 1)
        return codes @ self.back[0] * (1 - wide) + codes @ self.back[1] * wide, whole


class Network(nn.Module):
    """Light of a developed pixel, from its own values."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, 3)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, values: Tensor) -> Tensor:
        """Light of linear values, both (…, 3) in Rec. 2020."""
        hidden = F.silu(self.second(F.silu(self.first(features(values)))))
        return torch.exp(torch.log(values.clamp_min(0) + FLOOR) + self.last(hidden))


def features(values: Tensor) -> Tensor:
    """Logarithms, and those over their mean."""
    logs = torch.log(values.clamp_min(0) + FLOOR)
    return torch.cat([logs / 2 + 1, logs - logs.mean(dim=-1, keepdim=True)], dim=-1)


def recovery() -> Respectra:
    """The network that ships, behind Rec. 2020 under D65."""
    backend: Any = rs.load(engine="torch").backend
    network = Respectra(backend.weights.config)
    network.load_state_dict({k: v.clone() for k, v in backend.network.state_dict().items()})
    network.set_capture(torch.tensor(CAMERA).float(), step=0.0, light="told")
    return network.eval().requires_grad_(False)


def train(steps: int, seed: int) -> Network:
    """The network."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    spectra = draw(MATERIALS, np.random.default_rng(seed))
    seen = torch.tensor(seen_by_cameras(spectra)).float()
    truth = torch.tensor(spectra).float()
    cameras, network, behind = Cameras(seed), Network(), recovery()
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    mean = 0.0
    for step in range(steps):
        loss = _loss(network, behind, cameras, seen, truth)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
        if step % 200 == 199:
            print(f"step {step + 1}: {mean:.4f}", flush=True)
    return network


def _loss(
    network: Network, behind: Respectra, cameras: Cameras, seen: Tensor, truth: Tensor
) -> Tensor:
    """Mean relative error of spectra over that of a grey of the same scene."""
    pair = torch.randint(len(seen), (BATCH, 1), generator=cameras.generator)
    chosen = torch.randint(len(truth), (BATCH, PIXELS), generator=cameras.generator)
    grey = 0.3 + 0.5 * cameras.uniform(BATCH, 1, 1)
    light = torch.cat([seen[pair, chosen], grey.expand(-1, -1, 3)], dim=1)
    goal = truth[chosen] / grey
    values, whole = cameras(light)
    undone = network(values)
    found = behind(undone.permute(0, 2, 1)[:, :, None, :])[:, :, 0].permute(0, 2, 1)
    relative = found[:, :PIXELS] / found[:, PIXELS:].clamp_min(1e-4)
    off = ((relative - goal).abs() / goal)[..., SCORED].mean(dim=-1)
    counts = (whole[:, :PIXELS] & whole[:, PIXELS:]).float()
    # Spectra over a grey leave open what is full scale, and white: the brightest code, and greys.
    logs = torch.log(network(GREYS))
    kept = 0.1 * (logs - logs.mean(dim=-1, keepdim=True)).square().mean()
    kept = kept + 0.02 * logs[-1].square().mean()
    return (off * counts).sum() / counts.sum() + kept


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, nargs="?", default=SHIPPED)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    network = train(chosen.steps, chosen.seed)
    arrays = {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}
    facts = {"steps": str(chosen.steps), "seed": str(chosen.seed), "materials": ", ".join(SHARES)}
    save_file(arrays, chosen.path, metadata=facts)


if __name__ == "__main__":
    main()
