"""HPRN: residual blocks with relations between channels, and between pixels of one superpixel."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.errors import DataError, MissingExtraError
from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import count_matches, reflecting, rename

#: Side of the grid of means that describes a channel.
GRID = 4
#: Pixels of a window, which attend to each other and to the windows beside it.
WINDOW = 64
Regions = Annotated[int, Field(ge=1, le=99)]


class HPRNConfig(NetworkConfig):
    """Configuration of HPRN; the defaults are the authors'."""

    width: Count = 200
    """Channels of the trunk, at least ``reduction``."""
    blocks: Count = 10
    """Residual blocks, each with a gate from relations between channels."""
    reduction: Count = 16
    """The gates' hidden layer has width // reduction units."""
    regions: tuple[Regions, ...] = Field(default=(8, 12, 16, 20), min_length=1)
    """Superpixels of the picture at each scale of the relations between pixels."""
    labels: Literal["slic", "grid"] = "slic"
    """How a picture that comes without labels is cut into regions: ``slic`` by its colours, as
    the authors do (needs scikit-image, and cannot be exported), ``grid`` into rectangles."""


class ChannelRelation(nn.Module):
    """Gates of channels from what each channel's 4 x 4 means have to do with the others'."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        tokens = GRID * GRID
        self.to_q, self.to_k, self.to_v, self.project = (
            nn.Linear(tokens, tokens, bias=False) for _ in range(4)
        )
        hidden = max(1, width // reduction)
        self.squeeze = nn.Conv2d(width, hidden, 1, bias=False)
        self.act = nn.PReLU()
        self.excite = nn.Conv2d(hidden, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        means = F.adaptive_avg_pool2d(x, GRID).flatten(2)
        q, k, v = self.to_q(means), self.to_k(means), self.to_v(means)
        scores = (q * GRID**-1.0) @ k.mT
        related = self.project(scores.softmax(dim=-1) @ v).mean(dim=2)[:, :, None, None]
        return x * torch.sigmoid(self.excite(self.act(self.squeeze(related))))


class RelationBlock(nn.Module):
    """Four convolutions with residuals of the input at three places."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(reflecting(width, width) for _ in range(4))
        self.acts = nn.ModuleList(nn.PReLU() for _ in range(4))
        self.relation = ChannelRelation(width, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        y = self.acts[0](self.convs[0](x))
        y = self.acts[1](self.convs[1](y)) + x
        y = self.acts[2](self.convs[2](y) + x)
        return self.acts[3](self.relation(self.convs[3](y)) + x)


class RegionRelation(nn.Module):
    """Pixels attend to those that come next to them once sorted by the region they are in."""

    def __init__(self, bands: int, scales: int) -> None:
        super().__init__()
        self.embed = reflecting(bands, bands)
        self.value = reflecting(bands, bands, 1)
        self.join = nn.Conv2d(scales * bands, bands, 1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """(n, bands, y, x) and labels (n, scales, y, x) -> (n, bands, y, x)."""
        embedded, values = self.embed(x).flatten(2).mT, self.value(x).flatten(2).mT
        parts = [
            self._relate(embedded, values, scale.flatten(1)).mT.reshape(x.shape)
            for scale in labels.unbind(1)
        ]
        return self.join(torch.cat(parts, dim=1)) + x

    def _relate(self, embedded: Tensor, values: Tensor, labels: Tensor) -> Tensor:
        """Both (n, pixels, bands), labels (n, pixels) -> (n, pixels, bands)."""
        pixels = labels.shape[1]
        # One key for each pixel: within a region they stay in the order of the picture.
        place = torch.arange(pixels, device=labels.device)
        order = (labels.long() * pixels + place).argsort(dim=1)
        index = order.unsqueeze(-1).expand_as(embedded)
        query = _cut(embedded.gather(1, index))
        value = _neighbours(_cut(values.gather(1, index)))
        length = torch.linalg.vector_norm(query, dim=-1, keepdim=True).clamp_min(5e-5)
        scores = query @ _neighbours(query / length).mT
        out = (scores.softmax(dim=-1) @ value).flatten(1, 2)[:, :pixels]
        return torch.zeros_like(out).scatter(1, index, out)


def _cut(sequence: Tensor) -> Tensor:
    """(n, pixels, c) -> (n, windows, 64, c); the last window is filled with its end once more."""
    missing = -sequence.shape[1] % WINDOW
    if missing:
        sequence = torch.cat([sequence, sequence[:, -missing:]], dim=1)
    return sequence.reshape(sequence.shape[0], -1, WINDOW, sequence.shape[-1])


def _neighbours(windows: Tensor) -> Tensor:
    """Each window with the one before and the one after it, in a circle: (n, windows, 192, c)."""
    return torch.cat([windows, windows.roll(1, dims=1), windows.roll(-1, dims=1)], dim=2)


class HPRN(nn.Module):
    """Holistic prior-embedded relation network (Wu et al., 2023).

    (n, channels_in, y, x), and labels (n, scales, y, x) where they are known -> (n, bands, y, x).
    """

    def __init__(self, config: HPRNConfig) -> None:
        super().__init__()
        width = config.width
        self.regions, self.how = config.regions, config.labels
        self.head = reflecting(config.channels_in, width)
        self.blocks = nn.Sequential(
            *(RelationBlock(width, config.reduction) for _ in range(config.blocks))
        )
        self.tail = reflecting(width, width)
        self.output = reflecting(width, config.bands)
        self.relation = RegionRelation(config.bands, len(config.regions))

    def forward(self, image: Tensor, labels: Tensor | None = None) -> Tensor:
        """Recover the bands; y and x at least 6.

        Args:
            image: (n, channels_in, y, x).
            labels: whole numbers, the region of each pixel at each scale; (n, scales, y, x). Made
                from the image as the configuration says when not given.
        """
        if labels is None:
            labels = self.label(image)
        x = self.head(image)
        return self.relation(self.output(self.tail(self.blocks(x)) + x), labels)

    def label(self, image: Tensor) -> Tensor:
        """Regions of images: (n, channels, y, x) in [0, 1] -> (n, scales, y, x), from 1 on.

        Raises:
            DataError: they shall come from SLIC in an export, which has no such operation.
            MissingExtraError: scikit-image is not installed.
        """
        n, _, height, width = image.shape
        if self.how == "grid" or image.is_meta:
            maps = [grid_labels(count, height, width) for count in self.regions]
            return torch.stack(maps).to(image.device).expand(n, -1, -1, -1)
        if torch.compiler.is_exporting():
            raise DataError(
                "regions of hprn come from SLIC, which cannot be exported; export a network whose "
                "option labels is 'grid'"
            )
        pixels = image.detach().permute(0, 2, 3, 1).cpu().double().numpy()
        return torch.stack([slic_labels(picture, self.regions) for picture in pixels]).to(
            image.device
        )


def grid_labels(count: int, height: int, width: int) -> Tensor:
    """Rectangles, ``count`` of them with as many rows as columns or fewer: (height, width)."""
    rows = max(side for side in range(1, int(count**0.5) + 1) if count % side == 0)
    columns = count // rows
    down = torch.arange(height) * rows // height
    right = torch.arange(width) * columns // width
    return 1 + down[:, None] * columns + right


def slic_labels(picture: np.ndarray, regions: tuple[int, ...]) -> Tensor:
    """Superpixels by colour and place: (y, x, channels) in [0, 1] -> (scales, y, x).

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    try:
        from skimage.segmentation import slic
    except ImportError:
        raise MissingExtraError("scikit-image", "superpixels", "hprn with SLIC labels") from None
    options = {"start_label": 1, "channel_axis": -1, "convert2lab": picture.shape[-1] == 3}
    maps = [slic(picture, n_segments=count, **options) for count in regions]
    return torch.from_numpy(np.stack(maps))


_RENAMING = (
    (r"^(head|tail|output)\.", r"\1_conv2D.conv2d."),
    (r"^blocks\.(\d+)\.convs\.(\d)\.", r"backbone.\1.conv\2.conv2d."),
    (r"^blocks\.(\d+)\.acts\.(\d)\.", r"backbone.\1.act\2."),
    (r"^blocks\.(\d+)\.relation\.to_(\w)\.", r"backbone.\1.tsrm.cross_transformer.\2_proj."),
    (r"^blocks\.(\d+)\.relation\.project\.", r"backbone.\1.tsrm.cross_transformer.out_proj."),
    (r"^blocks\.(\d+)\.relation\.squeeze\.", r"backbone.\1.tsrm.gate.0."),
    (r"^blocks\.(\d+)\.relation\.act\.", r"backbone.\1.tsrm.gate.1."),
    (r"^blocks\.(\d+)\.relation\.excite\.", r"backbone.\1.tsrm.gate.2."),
    (r"^relation\.embed\.", "ssrm.conv_x.conv2d."),
    (r"^relation\.value\.", "ssrm.conv_y.conv2d."),
    (r"^relation\.join\.", "ssrm.conv_out."),
)


def _configure(state: State) -> HPRNConfig:
    width, channels_in = state["head_conv2D.conv2d.weight"].shape[:2]
    bands, joined = state["ssrm.conv_out.weight"].shape[:2]
    hidden = state["backbone.0.tsrm.gate.0.weight"].shape[0]
    published = HPRNConfig()
    scales = joined // bands
    return HPRNConfig(
        channels_in=channels_in,
        bands=bands,
        width=width,
        blocks=count_matches(state, r"backbone\.(\d+)\."),
        reduction=16 if max(1, width // 16) == hidden else width // hidden,
        regions=published.regions
        if scales == len(published.regions)
        else tuple(4 * (i + 2) for i in range(scales)),
    )


METHOD = NetworkMethod(
    card=Card(
        name="hprn",
        title="HPRN",
        summary="Residual blocks of 200 channels whose gates relate all channels to each other, "
        "and at the end attention between pixels of the same superpixel. The largest of the later "
        "peers in arithmetic.",
        reference="Wu et al., HPRN: Holistic Prior-Embedded Relation Network for Spectral "
        "Super-Resolution, IEEE Transactions on Neural Networks and Learning Systems, 2023",
        year=2023,
        decisions=(
            Decision.published(
                "Multi-residual blocks, channel relations by attention, pixel relations "
                "within categories of the picture",
                "paper",
            ),
            Decision.code(
                "10 blocks of 200 channels with 4 x 4 means a channel; windows of 64 "
                "pixels sorted by region attend to themselves and both neighbours; keys have "
                "unit length, queries have not",
                "Deep-imagelab/HPRN: HPRN.py",
            ),
            Decision.reading(
                "Regions are SLIC's of the picture in [0, 1] with scikit-image's own "
                "settings. The demonstration of the authors scales 8-bit values by 255 once "
                "more, so that they wrap around, and shows a patch of 64 x 64 alone"
            ),
            Decision.reading(
                "Pixels of one region stay in the order of the picture. The authors' sort "
                "leaves their order open, which moves answers by about 0.02"
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Regions are those of the whole image, and so are the 4 x 4 means of a "
        "channel.",
        size_minimum=6,
        exports_onnx=True,
        memory_gb=1.8,
        licence_note="The authors' code is under the MIT licence; no weights are published.",
    ),
    config=HPRNConfig,
    network=HPRN,
    presets={"tiny": {"width": 8, "blocks": 1, "reduction": 4, "labels": "grid"}},
    official=OfficialLayout(
        configure=_configure,
        key=lambda name, config: rename(name, _RENAMING),
        contract={"clean": {}},
        source="github.com/Deep-imagelab/HPRN",
    ),
)
