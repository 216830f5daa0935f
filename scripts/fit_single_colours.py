"""Train the small network behind ``respectra.recover_colours`` on measured reflectances.

    RESPECTRA_DATA=... python scripts/fit_single_colours.py [OUT.safetensors] [--steps 4000]
    RESPECTRA_DATA=... python scripts/fit_single_colours.py FILE --choose

It learns from what colour-science and earthlib bring and from the papers and paints of the Simon
Fraser University database (``sfu_1995``, MIT, in the folder of measured spectra), without whatever
is nearly a spectrum of the sets that are reported (``REPORT``) or of ``sfu1993_objects``, and
without ``sfu1993_krinov``. ``--choose`` prints the error on the sets that decided between designs.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import save_file

from respectra.colour import encode_srgb, open_light, resample_light, srgb_matrix
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM as GRID
from respectra.datasets.spectra import reflectances
from respectra.inference.single_colours import CELL, SHIPPED, recover_colours

Array = npt.NDArray[np.float64]

#: Sets that benchmarks/photographs.py reports: nothing near them is learned from.
REPORT = ("ptb_nickerson462", "ptb_vrhel170", "vrhel_dupont120", "sfu1993_additional")
#: Sets that decided between designs; spectra near those learned from or reported are left out.
CHOOSE = ("luxpy_iestm30_4880", "luxpy_opstelten215", "luxpy_cri2012_r210")
#: Families of materials and how often each is drawn from.
CHARTS = ("pmc", "colorchecker-babelcolor", "cqs", "cie-tcs")
SHARES = {"rawtoaces": 2.0, "cie-ces99": 1.0, "charts": 1.0, "sfu": 2.0, "earthlib": 1.0}
#: Largest difference of two measurements of one thing.
SAME = 0.012
WIDTH, BATCH, DRAWN, RATE = 64, 768, 200_000, 4e-3
DARKEST, BRIGHTEST = 0.004, 0.98
#: Standard deviation of a shift along the wavelengths in nm, and of a tilt.
SHIFT_NM, TILT = 8.0, 0.05
CAMERA: Array = srgb_matrix(resample_light(open_light("D65"), GRID), GRID)


def measured(name: str) -> Array:
    """Spectra of a set in the folder of measured spectra."""
    table = np.load(Path(os.environ["RESPECTRA_DATA"]) / "spectra/reflectances_400_700_10nm.npz")
    return np.asarray(table[name] * float(table["scale"]))


def near(spectra: Array, others: Array, limit: float = SAME) -> npt.NDArray[np.bool_]:
    """Which of the spectra differ from one of the others by less than a limit everywhere."""
    return np.array([np.abs(others - s).max(axis=1).min() < limit for s in spectra])


def families() -> dict[str, Array]:
    """What is learned from, by family."""
    found = {n: reflectances(n).values for n in ("rawtoaces", "cie-ces99", "earthlib")}
    found["charts"] = np.concatenate([reflectances(n).values for n in CHARTS])
    sfu = measured("sfu_1995")
    left_out = [*REPORT, "sfu1993_objects", "sfu1993_krinov"]
    taken = near(sfu, np.concatenate([measured(n) for n in left_out]))
    found["sfu"] = sfu[~taken & (sfu.min(axis=1) > 0.002)]
    return {name: found[name] for name in SHARES}


def draw(found: dict[str, Array], count: int, rng: np.random.Generator) -> Array:
    """Materials: half of them at another concentration, a quarter two of a family mixed."""
    shares = np.array([SHARES[name] for name in found])
    family = rng.choice(len(found), count, p=shares / shares.sum())
    out = np.empty((count, GRID.size))
    for number, spectra in enumerate(found.values()):
        mine = np.flatnonzero(family == number)
        out[mine] = spectra[rng.integers(len(spectra), size=mine.size)]
        mixed = mine[rng.random(mine.size) < 0.25]
        share = rng.uniform(0.5, 1.0, (mixed.size, 1))
        other = spectra[rng.integers(len(spectra), size=mixed.size)]
        out[mixed] = share * out[mixed] + (1 - share) * other
    power = np.where(rng.random(count) < 0.5, np.exp(rng.uniform(-0.51, 0.53, count)), 1.0)
    out = np.clip(out, DARKEST, BRIGHTEST) ** power[:, None]
    places = np.arange(GRID.size) - rng.normal(0, SHIFT_NM, (count, 1)) / 10
    places = np.clip(places, 0, GRID.size - 1)
    left = np.minimum(places.astype(int), GRID.size - 2)
    share = places - left
    out = (1 - share) * np.take_along_axis(out, left, 1) + share * np.take_along_axis(
        out, left + 1, 1
    )
    out = out * np.exp(rng.normal(0, TILT, (count, 1)) * np.linspace(-1, 1, GRID.size))
    out = np.clip(out, DARKEST, BRIGHTEST)
    light = out @ CAMERA
    return out[(light.min(axis=1) >= 0) & (light.max(axis=1) <= 1)]


def basis_of(spectra: Array) -> Array:
    """Directions, of logits, along which a colour is moved: what real spectra do, softened."""
    logits = np.log(spectra / (1 - spectra))
    covariance = np.cov(logits, rowvar=False)
    covariance *= GRID.size / np.trace(covariance)
    covariance += 0.3 * np.exp(-0.5 * ((GRID[:, None] - GRID) / 40) ** 2)
    moved = covariance @ CAMERA
    return np.asarray(moved / np.abs(moved).max(axis=0))


class Network(torch.nn.Module):
    """Logits of three codes, moved along the basis until they render to the codes' cell."""

    def __init__(self, basis: Array) -> None:
        super().__init__()
        sizes = [(6, WIDTH), (WIDTH, WIDTH), (WIDTH, GRID.size)]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(*size) for size in sizes)
        self.basis = torch.tensor(basis.astype(np.float32))
        self.camera = torch.tensor(CAMERA.astype(np.float32))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Encoded values (n, 3) to reflectances (n, band)."""
        light = decode(codes)
        ratios = light / (light.sum(1, keepdim=True) + 1e-3)
        values = torch.cat([codes * 2 - 1, ratios * 3 - 1], 1)
        for layer in self.layers[:2]:
            values = torch.nn.functional.silu(layer(values))
        logits = self.layers[2](values)
        low, high = decode(codes - CELL / 255), decode(codes + CELL / 255)
        for _ in range(2):
            spectra = torch.sigmoid(logits)
            seen = spectra @ self.camera
            goal = torch.maximum(torch.minimum(seen, high), low)
            slope = spectra * (1 - spectra)
            jacobian = torch.einsum("nb,bi,bj->nij", slope, self.camera, self.basis)
            jacobian = jacobian + 1e-7 * torch.eye(3)
            step = torch.linalg.solve(jacobian, (goal - seen)[:, :, None])[:, :, 0] @ self.basis.T
            logits = logits + step * (2 / step.abs().amax(1, keepdim=True).clamp(min=2))
        return torch.sigmoid(logits)


def decode(codes: torch.Tensor) -> torch.Tensor:
    """Linear light of encoded values of sRGB."""
    power = ((codes.clamp(min=0) + 0.055) / 1.055) ** 2.4
    return torch.where(codes <= 0.04045, codes / 12.92, power)


def train(steps: int, seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    """The network's arrays."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    spectra = draw(families(), DRAWN, np.random.default_rng(seed))
    network = Network(basis_of(spectra))
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    truth = torch.tensor(spectra.astype(np.float32))
    codes = np.rint(encode_srgb(spectra @ CAMERA) * 255) / 255
    shown = torch.tensor(codes.astype(np.float32))
    for step in range(steps):
        rows = torch.randint(len(truth), (BATCH,))
        loss = ((network(shown[rows]) - truth[rows]).abs() / truth[rows]).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 0:
            print(f"step {step}: {loss.item():.4f}", flush=True)
    arrays = {"basis": network.basis.numpy()}
    for number, layer in enumerate(network.layers):
        arrays[f"weight_{number}"] = layer.weight.detach().numpy().copy()
        arrays[f"bias_{number}"] = layer.bias.detach().numpy().copy()
    return arrays


def choose(path: Path) -> None:
    """Print the errors on the sets that decide."""
    learned = [s for name, s in families().items() if name != "earthlib"]
    known = np.concatenate([*learned, *(measured(n) for n in REPORT), measured("sfu_1995")])
    for name in CHOOSE:
        spectra = np.unique(np.round(measured(name), 4), axis=0)
        light = spectra @ CAMERA
        kept = (light.min(axis=1) >= 0) & (light.max(axis=1) <= 1) & (spectra.min(axis=1) > 0.005)
        spectra = spectra[kept & ~near(spectra, known, 0.015)]
        codes = np.rint(encode_srgb(spectra @ CAMERA) * 255).astype(np.uint8)
        found = recover_colours(codes, weights=path).values
        error = (np.abs(found - spectra) / spectra).mean()
        print(f"{name}: {len(spectra)} colours, MRAE {error:.4f}", flush=True)


def main() -> None:
    """Train, or print errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, nargs="?", default=SHIPPED)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--choose", action="store_true")
    chosen = parser.parse_args()
    if chosen.choose:
        choose(chosen.path)
        return
    arrays = train(chosen.steps)
    facts = {"collections": ", ".join(SHARES), "steps": str(chosen.steps), "seed": "0"}
    save_file(arrays, chosen.path, metadata=facts)


if __name__ == "__main__":
    main()
