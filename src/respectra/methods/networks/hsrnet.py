"""HSRNet: channels of the picture and their differences, refined in steps like an optimiser's."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout
from respectra.methods.networks.blocks import GlobalMean, conv2d, count_matches, rename


class HSRNetConfig(NetworkConfig):
    """Configuration of HSRNet; the defaults are the authors'."""

    blocks: Count = 9
    """Steps, each with weights of its own."""
    hidden: Count = 128
    """Channels within the learned prior of a step."""


def band_groups(bands: int) -> tuple[int, int, int]:
    """Bands that come from the blue, the green and the red group: 6, 10 and 15 of 31."""
    blue, green = bands * 6 // 31, bands * 10 // 31
    return blue, green, bands - blue - green


class Layer(nn.Module):
    """A convolution whose border repeats the edge, and a leaky ReLU."""

    def __init__(self, ci: int, co: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(ci, co, size, padding=size // 2, padding_mode="replicate")

    def forward(self, x: Tensor) -> Tensor:
        """(n, ci, y, x) -> (n, co, y, x)."""
        return F.leaky_relu(self.conv(x), 0.2)


class ChannelGate(nn.Module):
    """Gates of channels from their means and their largest values; (n, bands, 1, 1)."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.mean = GlobalMean()
        self.squeeze = nn.Conv2d(bands, bands, 1, bias=False)
        self.excite = nn.Conv2d(bands, bands, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, bands, y, x) -> (n, bands, 1, 1)."""
        mean = self.excite(F.relu(self.squeeze(self.mean(x))))
        largest = self.excite(F.relu(self.squeeze(x.amax(dim=(2, 3), keepdim=True))))
        return torch.sigmoid(mean + largest)


class Prior(nn.Module):
    """A residual of two convolutions over the picture, then one over the bands."""

    def __init__(self, bands: int, hidden: int) -> None:
        super().__init__()
        self.widen = Layer(bands, hidden, 3)
        self.narrow = conv2d(hidden, bands)
        self.mix = Layer(bands, bands, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, bands, y, x) -> the same shape."""
        return self.mix(F.leaky_relu(x + self.narrow(self.widen(x)), 0.2))


class Step(nn.Module):
    """One step of the optimisation: a filter, the last estimate and the prior, added up."""

    def __init__(self, bands: int, hidden: int) -> None:
        super().__init__()
        self.filter = Layer(bands, bands, 3)
        self.gate = ChannelGate(bands)
        self.prior = Prior(bands, hidden)
        self.prior_gate = ChannelGate(bands)

    def forward(self, x: Tensor) -> Tensor:
        """(n, bands, y, x) -> the same shape."""
        return self.filter(x) + x * self.gate(x) + self.prior(x) * self.prior_gate(x)


class HSRNet(nn.Module):
    """Spectral super-resolution by an unfolded optimisation (He et al.).

    Bands come in three groups from the picture's channels and the differences between them; a
    group that has no band is left out.
    """

    def __init__(self, config: HSRNetConfig) -> None:
        super().__init__()
        bands = config.bands
        seen = 2 * config.channels_in - 1
        groups = {
            name: nn.Sequential(Layer(seen, count, 3), Layer(count, count, 1))
            for name, count in zip(("blue", "green", "red"), band_groups(bands), strict=True)
            if count
        }
        self.groups = nn.ModuleDict(groups)
        self.steps = nn.Sequential(*(Step(bands, config.hidden) for _ in range(config.blocks)))
        self.last = Layer(2 * bands, bands, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        channels = image.chunk(image.shape[1], dim=1)
        seen = [channels[0]]
        for before, channel in itertools.pairwise(channels):
            seen += [before - channel, channel]
        both = torch.cat(seen, dim=1)
        first = torch.cat([group(both) for group in self.groups.values()], dim=1)
        x = self.steps(first)
        return self.last(torch.cat([first, first + x], dim=1))


_RENAMING = (
    (r"^groups\.blue\.0\.conv\.", "conv_B.1."),
    (r"^groups\.green\.0\.conv\.", "conv_G.1."),
    (r"^groups\.red\.0\.conv\.", "conv_R.1."),
    (r"^groups\.(\w)\w+\.1\.conv\.", r"convinput\1.1."),
    (r"^last\.conv\.", "convf.1."),
    (r"^filter\.conv\.", "conv{}.1."),
    (r"^gate\.squeeze\.", "e{}.fc1."),
    (r"^gate\.excite\.", "e{}.fc2."),
    (r"^prior\.widen\.conv\.", "HSI{}.conv1.1."),
    (r"^prior\.narrow\.", "HSI{}.conv2."),
    (r"^prior\.mix\.conv\.", "HSI{}.conv3.1."),
    (r"^prior_gate\.squeeze\.", "en{}.fc1."),
    (r"^prior_gate\.excite\.", "en{}.fc2."),
)


def _key(name: str, config: HSRNetConfig) -> str:
    number = 0
    if name.startswith("steps."):
        _, index, name = name.split(".", 2)
        number = int(index) + 1
    return rename(name, _RENAMING).format(number)


METHOD = NetworkMethod(
    card=Card(
        name="hsrnet",
        title="HSRNet",
        summary="An optimisation of nine unrolled steps whose every part is learned: a filter, a "
        "gated last estimate and a prior. Small, though without a camera in it despite its title.",
        reference="He et al., Spectral Response Function-Guided Deep Optimization-Driven Network "
        "for Spectral Super-Resolution, IEEE Transactions on Neural Networks and Learning Systems, "
        "2021",
        year=2021,
        decisions=(
            Decision.code(
                "Channels of the picture and their differences in; three groups of 6, 10 "
                "and 15 bands for blue, green and red; nine steps with gates from means and "
                "largest values; a leaky ReLU on the output",
                "JiangHe96/HSRnet: HSRnet.py, class HSI_ReNet_g",
            ),
            Decision.reading(
                "For other numbers of bands the groups keep their shares of 31; for other "
                "numbers of channels, all neighbours' differences"
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="The gates of channels look at the largest values of the whole image beside "
        "means.",
        memory_gb=0.9,
        licence_note="The authors' repository states no licence.",
    ),
    config=HSRNetConfig,
    network=HSRNet,
    presets={"tiny": {"blocks": 2, "hidden": 8}},
    official=OfficialLayout(
        configure=lambda state: HSRNetConfig(
            channels_in=(state["conv_R.1.weight"].shape[1] + 1) // 2,
            bands=state["convf.1.weight"].shape[0],
            blocks=count_matches(state, r"e(\d+)\.fc1\.weight$"),
            hidden=state["HSI1.conv1.1.weight"].shape[0],
        ),
        key=_key,
        contract={"clean": {}},
        source="github.com/JiangHe96/HSRnet",
    ),
)
