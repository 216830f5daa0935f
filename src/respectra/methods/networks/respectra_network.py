"""The network of Respectra in PyTorch; see ``respectra`` for its configuration."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.networks.blocks import GlobalMean, smooth_camera
from respectra.methods.networks.respectra_config import (
    EPSILON,
    LEVEL_EPSILON,
    REACH,
    SAID,
    RespectraConfig,
    rename_former_parts,
    what_is_told,
)
from respectra.methods.networks.respectra_parts import CaptureEncoder, Denoiser, means_around

#: How far noise may be taken off, in its standard deviations.
_MOST_NOISE = 1.25
#: Side of the window whose contrast, beyond that of noise, adds to the uncertainty.
_CONTRAST_SIDE = 7


class Respectra(nn.Module):
    """Exact linear part plus a prediction in the camera's null space.

    With the camera A (band, channel), a fixed covariance C of spectra and P = CA(AᵀCA)⁻¹, every
    spectrum with the pixel's values v is P v + (I − P Aᵀ) ŝ for some ŝ. The network gives ŝ as
    coefficients times a learned basis, from ratios of values; so Aᵀs = v whatever it predicts, and
    k times the light gives k times the spectrum. Pixels are treated one by one, beside the mean
    light of the scene and a code of it, which are means over its pixels in any order.

    Codes of a camera stand for cells of values: ``step`` is a cell's width, 0 for values that are
    known exactly. Then v is the pixel's place within its cell, which is predicted as well; it stays
    within, so that the spectrum still renders to the pixel's code. With a width that is that of
    noise instead, the same takes noise off, and ``windows`` show what the surroundings say.

    The camera enters through P, and through the ratios, which are those that the camera of the
    clean track would have in the linear estimate P v. :meth:`set_camera` changes it;
    :meth:`set_capture` says all that is known besides, with ``told`` in the configuration.

    (n, channels_in, y, x) -> (n, bands, y, x).
    """

    camera: Tensor
    standard: Tensor
    covariance: Tensor
    exact: Tensor
    free: Tensor
    spread: Tensor
    noisy_spread: Tensor
    level_power: Tensor
    cell_share: Tensor
    answer_share: Tensor
    contrast_share: Tensor
    step: Tensor
    said: Tensor
    noise_levels: Tensor

    def __init__(self, config: RespectraConfig) -> None:
        super().__init__()
        self.config = config
        bands, width, code = config.bands, config.width, config.scene
        channels, self.windows = config.channels_in, config.windows
        grid = torch.linspace(0, 1, bands)
        # Smooth lobes and a smooth prior: a start that any trained weights replace.
        lobes = smooth_camera(bands, channels)
        distance = grid[:, None] - grid
        self.register_buffer("standard", lobes.clone())
        self.register_buffer("covariance", torch.exp(-((distance / 0.2) ** 2)) + 0.01)
        self.register_buffer("camera", lobes.clone())
        self.register_buffer("exact", torch.zeros(config.channels_in, bands))
        self.register_buffer("free", torch.zeros(bands, bands))
        self.register_buffer("spread", torch.ones(bands))
        self.register_buffer("level_power", torch.tensor(0.0))
        self.register_buffer("cell_share", torch.tensor(0.0))
        self.register_buffer("answer_share", torch.tensor(0.0))
        # Not learned, but set from outside: the width of the cell that a value may lie in.
        self.noise = config.noise
        self.register_buffer("step", torch.tensor(config.noise), persistent=False)
        self.basis_spectra = nn.Parameter(
            torch.cos(torch.pi * torch.arange(config.rank)[:, None] * grid) / bands**0.5
        )
        features = 2 * channels + 2 + (code > 0)
        self.first = nn.Conv2d(features, width, 1)
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(config.layers))
        self.last = nn.Conv2d(width, config.rank, 1)
        self.offset_head = nn.Conv2d(width, channels, 1)
        self.uncertainty_head = nn.Conv2d(config.uncertainty_width or width, bands, 1)
        self.uncertainty_layer: nn.Conv2d | None = None
        if config.uncertainty_width:
            self.uncertainty_layer = nn.Conv2d(width, config.uncertainty_width, 1)
        self.residual, self.told = config.residual, config.told
        self.scene = code
        self.denoises = config.denoises
        if config.told:
            self.register_buffer("said", torch.zeros(len(SAID)))
            self.register_buffer("noise_levels", torch.zeros(4))
            self.capture_encoder = CaptureEncoder(bands, channels, len(SAID), config.told)
            self.conditions = nn.ModuleList(
                nn.Conv2d(config.told + code, width, 1) for _ in range(config.layers + 1)
            )
        self.denoiser: Denoiser | None = None
        if config.denoiser:
            self.mean_light = GlobalMean()
            self.denoiser = Denoiser(channels, self.windows, config.denoiser)
            self.register_buffer("noisy_spread", torch.ones(bands))
            self.register_buffer("contrast_share", torch.tensor(0.0))
        elif self.windows:
            each = 2 * channels + 3
            self.around = nn.Conv2d(each * len(self.windows), width, 1)
        if code:
            self.level = GlobalMean()
            self.mean = GlobalMean()
            self.scene_encoder1 = nn.Conv2d(features, code, 1)
            self.scene_encoder2 = nn.Conv2d(code, code, 1)
            if not config.told:
                self.condition = nn.Conv2d(code, width, 1)
        self.register_load_state_dict_pre_hook(_rename_former_parts)  # type: ignore[no-untyped-call]
        self.set_camera(self.camera)

    def set_camera(self, camera: Tensor) -> None:
        """Recover spectra behind another camera's pixels from now on.

        Args:
            camera: shape (bands, channels_in); values of a pixel = spectrum @ camera.
        """
        a, c = camera.double(), self.covariance.double()
        seen = c @ a
        exact = torch.linalg.pinv(a.T @ seen) @ seen.T
        with torch.no_grad():
            self.camera.copy_(camera)
            self.exact.copy_(exact)
            self.free.copy_(torch.eye(len(a), dtype=torch.double) - a @ exact)

    def get_step(self) -> float:
        """Width of the cells of values; 0: they are exact."""
        return float(self.step)

    def set_step(self, step: float) -> None:
        """Take values from now on as the lower bounds of cells of this width, or as exact: 0.

        It changes nothing where noise hides the cells.
        """
        if not self.noise:
            self.step.fill_(step)

    def set_capture(
        self,
        camera: Tensor | None = None,
        *,
        step: float | None = None,
        light: Literal["told", "white", "unknown"] = "unknown",
        camera_known: bool = True,
        noise: tuple[float, float] = (0.0, 0.0),
        exposed_noise: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Say everything that is known of the pictures that come from now on.

        What is not given is said to be unknown, apart from the camera and the step, which stay.

        Args:
            camera: shape (bands, channels_in), the effective response: the camera's, or the light
                times the camera's, in the scale in which the pixel of a perfect white is what the
                picture has there. The answer is the spectrum that it sees: radiance without a
                light, reflectance with one.
            step: width of the cells of the picture's codes, 1/255 for 8 bits; 0: exact values.
            light: ``told``: it is in the effective response. ``white``: only the pixel of a
                perfect white is known, to which each channel of the response is scaled; the
                answer is reflectance. ``unknown``: the answer is radiance.
            camera_known: the response is that of the camera, and not a stand-in.
            noise: standard deviation of dark values, and variance for each unit of value; in
                the units of values.
            exposed_noise: the same for cameras that expose by the picture: the first in units of
                the mean of the picture's middle channel, the second in variance for each unit of
                value and of that mean. 0.02 and 0.0002 are the real-world track's sensor.

        Raises:
            ConfigError: these weights are of the first version, which knows cameras and steps
                alone; or noise is told and they cannot take it off.
        """
        if camera is not None:
            self.set_camera(camera)
        if step is not None:
            self.set_step(step)
        told = what_is_told(
            self.config,
            light=light,
            camera_known=camera_known,
            noise=noise,
            exposed_noise=exposed_noise,
        )
        if told is None:
            return
        said, levels = told
        with torch.no_grad():
            self.said.copy_(torch.tensor(said))
            self.noise_levels.copy_(torch.tensor(levels))
        self.denoises = any(levels)

    def forward(self, x: Tensor) -> Tensor:
        """Recover the bands of each pixel."""
        return self._spectra(self.coefficients(x))

    def alone(self, x: Tensor) -> Tensor:
        """As ``forward``, every pixel an image of its own; a table of colours can hold this."""
        n, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels, 1, 1)
        return Respectra.forward(self, pixels).view(n, height, width, -1).permute(0, 3, 1, 2)

    def _spectra(self, coefficients: Tensor) -> Tensor:
        return F.conv2d(coefficients, self.basis.T[:, :, None, None])

    @property
    def basis(self) -> Tensor:
        """Basis spectra, (channels_in + rank, bands): the exact part first."""
        return torch.cat([self.exact, self.basis_spectra @ self.free])

    def coefficients(self, x: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, channels_in + rank, y, x)."""
        middle = self.middle(x)
        total, maps, conditions = self.encode(middle)
        return self.project(middle, total, self.hidden(maps, conditions))

    def uncertainty(self, x: Tensor) -> Tensor:
        """Expected absolute error of each value of ``forward``: (n, bands, y, x).

        That of a normal distribution, of whose standard deviation two thirds of the errors stay
        within one, and nineteen of twenty within two. What the layers say is times a power of the
        pixel's light over the scene's. It is joined, as variances are, by a share of the cell of a
        code; where there is no noise, by a share of the answer itself; and where there is some, by
        a share of the light times the contrast around the pixel: mosaics and JPEG blur colours
        where they change.
        """
        middle, variance = self._middle(x)
        total, maps, conditions = self.encode(middle)
        hidden = self.hidden(maps, conditions)
        own = hidden
        if self.uncertainty_layer is not None:
            own = F.relu(self.uncertainty_layer(hidden), inplace=True)
        size = torch.exp(self.uncertainty_head(own).clamp(-8.0, 4.0))
        spread = self.noisy_spread if self.denoises else self.spread
        learned = total * size * spread[:, None, None] / spread.numel()
        if self.training:  # the power and the shares are chosen afterwards
            return learned
        if self.scene:  # the last feature is the logarithm of the light over the scene's
            learned = learned * torch.exp(self.level_power * maps[0][:, -1:])
        more = (self.cell_share * self.step) ** 2
        if variance is None:
            answer = self._spectra(self.project(middle, total, hidden)).clamp_min(0.0)
            more = more + (self.answer_share * answer) ** 2
        else:
            contrast = _contrast(x + 0.5 * self.step, middle, variance)
            more = more + (self.contrast_share * contrast * total / x.shape[1]) ** 2
        return torch.sqrt(learned**2 + more)

    def middle(self, x: Tensor) -> Tensor:
        """The middles of the cells: codes are truncated; noise goes either way, and is taken off
        as far as the surroundings allow."""
        return self._middle(x)[0]

    def _middle(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """As :meth:`middle`, with the variance of the noise where there is some."""
        if self.noise:
            return x, None
        middle = x + 0.5 * self.step
        if not self.denoises:
            return middle, None
        assert self.denoiser is not None
        variance = self._variance(middle)
        quiet = self.denoiser(middle, variance)
        if not self.training:  # in training, gradients reach it wherever it is
            most = _MOST_NOISE * variance.sqrt()
            quiet = middle + (quiet - middle).clamp(-most, most)
        return quiet, variance

    def _variance(self, x: Tensor) -> Tensor:
        """Of the noise of values, as told; of their rounding as well."""
        read, gain, relative, photons = self.noise_levels
        middle = x.shape[1] // 2
        mean = self.mean_light(x[:, middle : middle + 1])
        fixed = read**2 + (relative * mean) ** 2 + self.step**2 / 12
        return fixed + (gain + photons * mean) * x.clamp_min(0.0)

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """All that is not of each pixel alone.

        Returns:
            The sum of each pixel's values, the maps that :meth:`hidden` takes, and what its layers
            add for the whole scene.
        """
        total, features = self._features(x)
        around = [self._surroundings(x, total)] if self.windows and not self.denoiser else []
        return total, [features, *around], self._conditions(features)

    def _conditions(self, features: Tensor) -> list[Tensor]:
        """What is added to every pixel of a scene, before each layer's nonlinearity."""
        codes = [self.scene_code(features)] if self.scene else []
        if not self.told:
            return [self.condition(code) for code in codes]
        capture = self.capture_encoder(self.camera @ self.exact @ self.standard, self.said)
        codes.append(capture.expand(len(features), -1, -1, -1))
        joined = torch.cat(codes, dim=1)
        return [condition(joined) for condition in self.conditions]

    def hidden(self, maps: list[Tensor], conditions: list[Tensor]) -> Tensor:
        """What the last layers see of pixels, each from its own values in the maps."""
        h = self.first(maps[0])
        if len(maps) > 1:
            h = h + self.around(maps[1])
        if conditions:
            h = h + conditions[0]
        h = F.relu(h, inplace=True)
        for i, layer in enumerate(self.layers, start=1):
            more = layer(h)
            if i < len(conditions):
                more = more + conditions[i]
            more = F.relu(more, inplace=True)
            h = h + more if self.residual else more
        return h

    def project(self, middle: Tensor, total: Tensor, hidden: Tensor) -> Tensor:
        """Coefficients of pixels."""
        placed = middle + REACH * self.step * torch.tanh(self.offset_head(hidden))
        return torch.cat([placed, total * self.last(hidden)], dim=1)

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the values, and ratios: of channels, of cells to values, to the scene's light."""
        total, ratios = self._ratios(x)
        light = self.level(total).clamp_min(1e-6) if self.scene else total
        wide = self.step
        if self.denoises:
            read, gain, relative, photons = self.noise_levels
            mean, own = light / x.shape[1], total / x.shape[1]
            fixed = read**2 + (relative * mean) ** 2
            wide = wide + 2.0 * torch.sqrt(fixed + (gain + photons * mean) * own)
        every = [ratios, wide / (x.clamp_min(0.0) + wide).clamp_min(1e-9)]
        if self.scene:
            every.append(torch.log(total / light + LEVEL_EPSILON))
        return total, torch.cat(every, dim=1)

    def _ratios(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the values, and shares of the channels with two of their logarithms.

        Pixels that have no light at all have a sum of 0, and ratios that are finite.
        """
        values = torch.einsum("ncyx,cd->ndyx", x, self.exact @ self.standard).clamp_min(0.0)
        total = values.sum(dim=1, keepdim=True)
        share = values / total.clamp_min(1e-6)
        logs = torch.log(share + EPSILON)
        ends = logs[:, :1] - logs[:, -1:]
        middle = logs.mean(dim=1, keepdim=True) - logs[:, 1:2]
        return total, torch.cat([share * 3.0, ends, middle], dim=1)

    def _surroundings(self, x: Tensor, total: Tensor) -> Tensor:
        """For each window: ratios of the mean, its light beside the pixel's, and the spread."""
        every = []
        for side in self.windows:
            mean, square = means_around(x, side), means_around(x * x, side)
            light, ratios = self._ratios(mean)
            spread = (square - mean * mean).clamp_min(0.0).sqrt() / (light + 1e-6)
            beside = torch.log((light + self.step + 1e-6) / (total + self.step + 1e-6))
            every += [ratios, beside, (spread * 3.0).clamp_max(3.0)]
        return torch.cat(every, dim=1)

    def scene_code(self, features: Tensor) -> Tensor:
        """(n, features, y, x) -> (n, scene, 1, 1)."""
        seen = F.relu(self.scene_encoder1(features), inplace=True)
        return self.mean(F.relu(self.scene_encoder2(seen), inplace=True))


def _contrast(read: Tensor, quiet: Tensor, variance: Tensor) -> Tensor:
    """Spread of the values around each pixel beyond that of their noise, over its own value.

    Args:
        read: the values as they were read, (n, channels, y, x).
        quiet: the same without noise.
        variance: of the noise.

    Returns:
        (n, 1, y, x).
    """
    mean, square = (means_around(values, _CONTRAST_SIDE) for values in (read, read * read))
    signal = (square - mean * mean - variance).clamp_min(0.0)
    own = quiet.clamp_min(0.0).mean(dim=1, keepdim=True)
    return signal.sqrt().mean(dim=1, keepdim=True) / own.clamp_min(1e-6)


def _rename_former_parts(
    module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Accept the keys of older weights files."""
    rename_former_parts(state, prefix)
    if hasattr(module, "noisy_spread") and f"{prefix}spread" in state:
        state.setdefault(f"{prefix}noisy_spread", state[f"{prefix}spread"])
    for chosen in ("level_power", "cell_share", "answer_share", "contrast_share"):
        if hasattr(module, chosen) and f"{prefix}spread" in state:
            state.setdefault(f"{prefix}{chosen}", torch.tensor(0.0))
