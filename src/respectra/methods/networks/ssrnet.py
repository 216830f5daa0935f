"""SSRNet: an unrolled optimisation that is told the camera, with a learned prior at each step."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import GlobalMean, conv2d, rename, smooth_camera


class SSRNetConfig(NetworkConfig):
    """Configuration of SSRNet; the defaults are the authors'."""

    stages: Count = 7
    """Steps of the optimisation, each with weights of its own."""
    width_first: Count = 64
    """Channels of the first step, which sees the picture."""
    width: Count = 32
    """Channels of the others, which see spectra."""


class WeightedChannelAttention(nn.Module):
    """Gates of channels from a learned weighting of all positions, through one hidden unit.

    The softmax over positions is a quotient of two whole-image means. Its scores are taken beside
    their own mean, which leaves it unchanged, and held within 60 of it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean = GlobalMean()
        self.score = nn.Conv2d(width, 1, 1, bias=False)
        self.squeeze = nn.Linear(width, 1, bias=False)
        self.excite = nn.Linear(1, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        score = self.score(x)
        weights = torch.exp((score - self.mean(score)).clamp(-60.0, 60.0))
        means = self.mean(torch.cat([weights, weights * x], dim=1)).flatten(1)
        gate = self.excite(F.leaky_relu(self.squeeze(means[:, 1:] / means[:, :1]), 0.2))
        return x * torch.sigmoid(gate)[:, :, None, None]


class Prior(nn.Module):
    """Two estimates of the spectra from the last one: densely connected convolutions, two gates."""

    def __init__(self, channels_in: int, width: int, bands: int) -> None:
        super().__init__()
        self.conv1 = conv2d(channels_in, width)
        self.conv2 = conv2d(channels_in, width)
        self.attention2 = WeightedChannelAttention(width)
        self.conv3 = conv2d(2 * width, bands)
        self.attention3 = WeightedChannelAttention(bands)
        self.conv4 = conv2d(bands + width, bands)
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            nn.init.xavier_uniform_(conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> the mean of both, (n, bands, y, x)."""
        a = F.leaky_relu(self.conv1(x), 0.2)
        b = self.attention2(F.leaky_relu(self.conv2(x), 0.2))
        second = self.attention3(F.leaky_relu(self.conv3(torch.cat([b, a], dim=1)), 0.2))
        first = self.conv4(torch.cat([second, a], dim=1))
        return (first + second) / 2


class SSRNet(nn.Module):
    """Spectral super-resolution network with a physical model of the camera (Dian et al., 2024).

    Each step takes the spectra x that minimise ‖Rx − rgb‖² + μ‖x − y1‖² + μ‖x − y2‖² for the
    camera R and two learned estimates y1 and y2. That is x = y + Rᵀ(RRᵀ + 2μ)⁻¹(rgb − Ry) with
    their mean y: a 3x3 inverse in place of the authors' 31x31 one, which float32 takes badly.

    (n, channels_in, y, x) -> (n, bands, y, x).
    """

    camera: Tensor

    def __init__(self, config: SSRNetConfig) -> None:
        super().__init__()
        bands, channels = config.bands, config.channels_in
        self.register_buffer("camera", smooth_camera(bands, channels))
        self.penalty = nn.Parameter(torch.full((config.stages,), 1e-5))
        self.priors = nn.ModuleList(
            Prior(bands if i else channels, config.width if i else config.width_first, bands)
            for i in range(config.stages)
        )

    def set_camera(self, camera: Tensor) -> None:
        """Recover spectra behind another camera's pixels from now on.

        Args:
            camera: shape (bands, channels_in); values of a pixel = spectrum @ camera. The authors'
                cameras have a sum of 1 in each channel.
        """
        self.camera.copy_(camera)

    def forward(self, rgb: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        # Nearly singular for cameras whose channels overlap, therefore in double precision.
        camera = self.camera.double()
        products = camera.mT @ camera
        identity = torch.eye(products.shape[0], dtype=products.dtype, device=products.device)
        x = rgb
        for prior, penalty in zip(self.priors, self.penalty, strict=True):
            y = prior(x)
            inverse = _inverse(products + 2 * penalty.double() * identity)
            correct = (camera @ inverse).to(rgb.dtype)
            seen = F.conv2d(y, self.camera.mT[:, :, None, None])
            x = y + F.conv2d(rgb - seen, correct[:, :, None, None])
        return x


def _inverse(matrix: Tensor) -> Tensor:
    """Of a small positive definite matrix, by elimination: it is exported as plain arithmetic."""
    size = matrix.shape[0]
    identity = torch.eye(size, dtype=matrix.dtype, device=matrix.device)
    rows = list(torch.cat([matrix, identity], dim=1).unbind(0))
    for i in range(size):
        rows[i] = rows[i] / rows[i][i]
        rows = [row if j == i else row - row[i] * rows[i] for j, row in enumerate(rows)]
    return torch.stack(rows)[:, size:]


_PARTS = (
    (r"^conv(\d)\.", r"conv\1.0."),
    (r"^attention(\d)\.score\.", r"conv\1.2.conv."),
    (r"^attention(\d)\.squeeze\.", r"conv\1.2.fc.0."),
    (r"^attention(\d)\.excite\.", r"conv\1.2.fc.2."),
)


def _key(name: str, config: SSRNetConfig) -> str:
    if name == "penalty":
        return "mu"
    if name == "camera":
        return name
    _, number, part = name.split(".", 2)
    return f"pro{number if number != '0' else ''}.{rename(part, _PARTS)}"


def _configure(state: State) -> SSRNetConfig:
    first, channels_in = state["pro.conv1.0.weight"].shape[:2]
    later = {key for key in state if re.fullmatch(r"pro\d+\.conv1\.0\.weight", key)}
    return SSRNetConfig(
        channels_in=channels_in,
        bands=state["pro.conv3.0.weight"].shape[0],
        stages=1 + len(later),
        width_first=first,
        width=state[min(later)].shape[0] if later else SSRNetConfig().width,
    )


METHOD = NetworkMethod(
    card=Card(
        name="ssrnet",
        title="SSRNet",
        summary="An optimisation of seven unrolled steps that is told the camera: each step weighs "
        "what the camera saw against two learned estimates. For one camera at a time, and for "
        "others by telling them.",
        reference="Dian et al., Spectral Super-Resolution via Model-Guided Cross-Fusion Network, "
        "IEEE Transactions on Neural Networks and Learning Systems 35(7), 2024",
        year=2024,
        decisions=(
            Decision.published(
                "Steps of a model-guided optimisation between learned priors that are "
                "fused crosswise",
                "paper",
            ),
            Decision.code(
                "Seven steps of width 64 and 32, with gates of channels over weighted "
                "positions and one hidden unit; the penalty is learned, from 1e-5",
                "renweidian/SSRnet-pytorch: SSR/model3.py",
            ),
            Decision.code(
                "The camera is a buffer of the weights that set_camera changes, in place "
                "of the first argument of each call",
                "renweidian/SSRnet-pytorch: SSR/model3.py",
            ),
            Decision.code(
                "The step's 31 x 31 inverse, which float32 takes badly (up to 1.7e-2), is "
                "written with a 3 x 3 one; the same in exact arithmetic",
                "renweidian/SSRnet-pytorch: SSR/model3.py",
            ),
            Decision.reading(
                "The authors trained on CAVE with a camera of their own; imported weights "
                "are given the camera of the track"
            ),
        ),
        tiling=Tiling.STATISTICS,
        tiling_reason="Its only views of the whole image are weighted means of channels, each a "
        "quotient of two means.",
        memory_gb=0.9,
        licence_note="The authors' repository states no licence.",
    ),
    config=SSRNetConfig,
    network=SSRNet,
    presets={"tiny": {"stages": 2, "width_first": 8, "width": 6}},
    halo=lambda config: 3 * config.stages,
    official=OfficialLayout(
        configure=_configure,
        key=_key,
        contract={"clean": {"clip_low": 0.0, "clip_high": 1.0}},
        source="github.com/renweidian/SSRnet-pytorch",
        absent=("camera",),
    ),
)
