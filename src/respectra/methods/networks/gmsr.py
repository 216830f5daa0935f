"""GMSR-Net: selective scans over the picture in four orders, between gates of its gradients."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import GlobalMean, conv2d, count_matches, depthwise, rename

#: Numbers that a scan carries along for each of its channels.
STATES = 16
#: Orders of a scan: along rows, along columns, and both from the end.
ORDERS = 4
#: Pixels that a scan takes one after the other, at least; runs of them are taken side by side.
SHORTEST_RUN = 8
StretchOver = Literal["batch", "each image"]


class GMSRConfig(NetworkConfig):
    """Configuration of GMSR-Net; the defaults are the authors'."""

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(10, 20), min_length=1)
    """Channels of the blocks before the last one, whose channels are the bands."""
    stretch_over: StretchOver = "batch"
    """What the gradients are stretched to their own minimum and maximum over. The authors take the
    whole batch, so that its images influence each other; a single image is not concerned."""


def scan(delta: Tensor, decay: Tensor, entering: Tensor, leaving: Tensor, u: Tensor) -> Tensor:
    """h ← exp(delta decay) h + delta u entering and y = leaving · h, from one pixel to the next.

    The sequence is cut into runs. They are scanned side by side without what comes before them;
    then what each hands on is known, and they are scanned again from there.

    Args:
        delta: steps, (n, orders, channels, pixels).
        decay: negative, (orders, channels, states).
        entering: (n, orders, states, pixels).
        leaving: (n, orders, states, pixels).
        u: what is scanned, (n, orders, channels, pixels).

    Returns:
        y, (n, orders, channels, pixels).
    """
    pixels = u.shape[-1]
    length = min(pixels, max(SHORTEST_RUN, round(pixels**0.5) // 4))
    runs = -(-pixels // length)

    def cut(t: Tensor) -> Tensor:
        """The pixels of each run first: (length, n, orders, channels or states, runs)."""
        padded = F.pad(t, (0, runs * length - pixels))
        return padded.reshape(*t.shape[:-1], runs, length).movedim(-1, 0)

    # Added at the end are steps of zero, which leave the state as it is and take nothing in.
    a = decay.unsqueeze(2)
    steps, taken = cut(delta).unsqueeze(-1), cut(delta * u).unsqueeze(-1)
    inward, outward = (cut(t).mT.unsqueeze(3) for t in (entering, leaving))
    # From here on a state is (n, orders, channels, runs, states).
    state = torch.zeros_like(steps[0]) * a
    if runs > 1:
        last = state
        for step, value, gain in zip(steps.unbind(), taken.unbind(), inward.unbind(), strict=True):
            last = torch.exp(step * a) * last + value * gain
        state = _handed_on(torch.exp(steps.sum(dim=0) * a), last)
    out = []
    for step, value, gain, weight in zip(
        steps.unbind(), taken.unbind(), inward.unbind(), outward.unbind(), strict=True
    ):
        state = torch.exp(step * a) * state + value * gain
        out.append((state * weight).sum(dim=-1))
    return torch.stack(out, dim=-1).flatten(-2)[..., :pixels]


def _handed_on(kept: Tensor, added: Tensor) -> Tensor:
    """State before each run: x ← kept x + added from run to run, in doubling strides.

    Both (n, orders, channels, runs, states) -> the same shape; the first is zero.
    """
    runs, stride = kept.shape[3], 1
    while stride < runs:
        before = F.pad(added[..., :-stride, :], (0, 0, stride, 0))
        earlier = F.pad(kept[..., :-stride, :], (0, 0, stride, 0), value=1.0)
        added = kept * before + added
        kept = kept * earlier
        stride *= 2
    return F.pad(added[..., :-1, :], (0, 0, 1, 0))


class SelectiveScan(nn.Module):
    """Features gated by what scans over the picture, in four orders, have gathered before them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner, self.rank = 2 * width, -(-width // 16)
        self.project_in = nn.Linear(width, 2 * inner, bias=False)
        self.mix = depthwise(inner)
        self.parameters_of = nn.Parameter(torch.empty(ORDERS, self.rank + 2 * STATES, inner))
        self.step_weight = nn.Parameter(torch.empty(ORDERS, inner, self.rank))
        self.step_bias = nn.Parameter(torch.empty(ORDERS, inner))
        self.log_decay = nn.Parameter(torch.arange(1.0, STATES + 1).log().repeat(ORDERS * inner, 1))
        self.direct = nn.Parameter(torch.ones(ORDERS * inner))
        self.norm = nn.LayerNorm(inner)
        self.project_out = nn.Linear(inner, width, bias=False)
        nn.init.uniform_(self.parameters_of, -(inner**-0.5), inner**-0.5)
        nn.init.uniform_(self.step_weight, -(self.rank**-0.5), self.rank**-0.5)
        steps = torch.empty(ORDERS, inner).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        with torch.no_grad():
            self.step_bias.copy_(steps + torch.log(-torch.expm1(-steps)))

    def forward(self, x: Tensor) -> Tensor:
        """(n, y, x, width) -> the same shape."""
        n, height, width, _ = x.shape
        u, gate = self.project_in(x).chunk(2, dim=-1)
        u = F.silu(self.mix(u.permute(0, 3, 1, 2)))
        inner = u.shape[1]
        # (n, 4, inner, pixels): along rows, along columns, and both from the end.
        forward = torch.stack([u.flatten(2), u.transpose(2, 3).flatten(2)], dim=1)
        sequences = torch.cat([forward, forward.flip(-1)], dim=1)
        step, entering, leaving = torch.split(
            self.parameters_of @ sequences, [self.rank, STATES, STATES], dim=2
        )
        delta = F.softplus(self.step_weight @ step + self.step_bias.unsqueeze(-1))
        decay = -torch.exp(self.log_decay).view(ORDERS, inner, STATES)
        y = scan(delta, decay, entering, leaving, sequences)
        y = y + self.direct.view(ORDERS, inner, 1) * sequences
        rows, columns = (y[:, :2] + y[:, 2:].flip(-1)).unbind(1)
        columns = columns.view(n, inner, width, height).transpose(2, 3)
        y = (rows.view(n, inner, height, width) + columns).permute(0, 2, 3, 1)
        return self.project_out(self.norm(y) * F.silu(gate))


def _stretched(x: Tensor, over: StretchOver, eps: float = 0.0) -> Tensor:
    """To [0, 1] by the least and the largest value; zero where all values are one and the same.

    The authors' code divides zero by zero there, and gives spectra that are not numbers.
    """
    axes = tuple(range(x.ndim)) if over == "batch" else tuple(range(1, x.ndim))
    low, high = x.amin(dim=axes, keepdim=True), x.amax(dim=axes, keepdim=True)
    extent = high - low
    return (x - low) / torch.where(extent + eps > 0, extent + eps, 1.0)


def _differences(x: Tensor, dim: int) -> Tensor:
    """To the next row or column; the last one has the last but one of these differences.

    Of two rows or columns there is one difference, of a single one none.
    """
    size = x.shape[dim]
    if size == 1:
        return torch.zeros_like(x)
    steps = x.diff(dim=dim)
    return torch.cat([steps, steps.narrow(dim, max(0, size - 3), 1)], dim=dim)


class SpatialGate(nn.Module):
    """A gate for each pixel, from the gradients around it; one for all widths."""

    def __init__(self, over: StretchOver) -> None:
        super().__init__()
        self.over: StretchOver = over
        self.conv = conv2d(2, 1, 7, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        gradients = torch.cat([_differences(x, 3), _differences(x, 2)], dim=1)
        gradients = _stretched(gradients, self.over)
        pooled = torch.cat([gradients.mean(1, keepdim=True), gradients.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv(pooled))


class SpectralGate(nn.Module):
    """A gate for each channel, from its differences to the next."""

    def __init__(self, width: int, over: StretchOver) -> None:
        super().__init__()
        self.over: StretchOver = over
        self.mean = GlobalMean()
        self.squeeze = nn.Conv2d(width, width, 1, bias=False)
        self.excite = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        if x.shape[1] == 1:
            steps = torch.zeros_like(x)
        else:
            steps = _stretched(x.diff(dim=1), self.over, 1e-8)
            steps = torch.cat([steps, steps[:, -1:]], dim=1)
        pooled = (self.mean(steps), steps.amax(dim=(2, 3), keepdim=True))
        gates = [torch.sigmoid(self.excite(F.relu(self.squeeze(p)))) for p in pooled]
        return x * torch.sigmoid(gates[0] + gates[1])


class Block(nn.Module):
    """A scan, a gate of pixels and a gate of channels side by side, joined and added."""

    def __init__(self, width_in: int, width: int, over: StretchOver) -> None:
        super().__init__()
        self.enter = nn.Conv2d(width_in, width, 1, bias=False)
        self.norm = nn.LayerNorm(width)
        self.scan = SelectiveScan(width)
        self.spectral_gate = SpectralGate(width, over)
        self.join = nn.Conv2d(3 * width, width, 1)
        # Two gains that the authors' blocks hold and never use.
        self.unused_gain = nn.Parameter(torch.ones(width))
        self.unused_gain2 = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, spatial_gate: SpatialGate) -> Tensor:
        """(n, width_in, y, x) -> (n, width, y, x)."""
        x = self.enter(x)
        scanned = self.scan(self.norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        parts = torch.cat([scanned, spatial_gate(x), self.spectral_gate(x)], dim=1)
        return x + F.gelu(self.join(parts))


class GMSR(nn.Module):
    """Gradient-guided Mamba for spectral reconstruction (2024)."""

    def __init__(self, config: GMSRConfig) -> None:
        super().__init__()
        widths = (config.channels_in, *config.widths, config.bands)
        self.blocks = nn.ModuleList(
            Block(before, width, config.stretch_over)
            for before, width in itertools.pairwise(widths)
        )
        self.spatial_gate = SpatialGate(config.stretch_over)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        for block in self.blocks:
            x = block(x, self.spatial_gate)
        return x


_PARTS = (
    (r"^enter\.", "output{}."),
    (r"^norm\.", "VSS{}.ln_1."),
    (r"^scan\.project_in\.", "VSS{}.self_attention.in_proj."),
    (r"^scan\.mix\.", "VSS{}.self_attention.conv2d."),
    (r"^scan\.parameters_of", "VSS{}.self_attention.x_proj_weight"),
    (r"^scan\.step_weight", "VSS{}.self_attention.dt_projs_weight"),
    (r"^scan\.step_bias", "VSS{}.self_attention.dt_projs_bias"),
    (r"^scan\.log_decay", "VSS{}.self_attention.A_logs"),
    (r"^scan\.direct", "VSS{}.self_attention.Ds"),
    (r"^scan\.norm\.", "VSS{}.self_attention.out_norm."),
    (r"^scan\.project_out\.", "VSS{}.self_attention.out_proj."),
    (r"^spectral_gate\.squeeze\.", "spectral_attention{}.fc.0."),
    (r"^spectral_gate\.excite\.", "spectral_attention{}.fc.2."),
    (r"^join\.", "conv{}.0."),
    (r"^unused_gain2", "VSS{}.skip_scale2"),
    (r"^unused_gain", "VSS{}.skip_scale"),
)


def _key(name: str, config: GMSRConfig) -> str:
    if name == "spatial_gate.conv.weight":
        return "spatial_attention.conv1.weight"
    _, number, part = name.split(".", 2)
    return rename(part, _PARTS).format(int(number) + 1)


def _configure(state: State) -> GMSRConfig:
    count = count_matches(state, r"output(\d+)\.weight$")
    widths = [state[f"output{i + 1}.weight"].shape for i in range(count)]
    return GMSRConfig(
        channels_in=widths[0][1], widths=tuple(w[0] for w in widths[:-1]), bands=widths[-1][0]
    )


METHOD = NetworkMethod(
    card=Card(
        name="gmsr",
        title="GMSR-Net",
        summary="Very small network of selective scans (Mamba) over the picture in four orders, "
        "guided by gradients between pixels and between channels. Few parameters, but every scan "
        "passes the whole picture.",
        reference="GMSR: gradient-guided Mamba for spectral reconstruction from RGB images, "
        "arXiv 2405.07777, 2024",
        year=2024,
        decisions=(
            Decision.published(
                "Selective scans with gradient attention along pixels and along channels",
                "paper",
            ),
            Decision.code(
                "Widths 10, 20 and 31 with no resolution lost; no residual around the scan; one "
                "kernel of the pixels' gate for all widths; a second sigmoid on the channels' gate",
                "wxy11-27/GMSR: architecture/GMSR.py",
            ),
            Decision.code(
                "The last row or column takes the last but one of the differences between "
                "rows or columns",
                "wxy11-27/GMSR: architecture/GMSR.py",
            ),
            Decision.code(
                "Gradients are stretched over the whole batch, so that its images "
                "influence each other (option stretch_over; each image in the preset tiny)",
                "wxy11-27/GMSR: architecture/GMSR.py",
            ),
            Decision.reading(
                "A picture of one colour, for which the authors' code gives values that "
                "are not numbers, has gradients of zero; pictures of fewer than three rows or "
                "columns, at which it fails, are taken"
            ),
            Decision.code(
                "The scan is written in PyTorch, in runs side by side, in place of the "
                "kernel for GPUs; the result is the same",
                "state-spaces/mamba: the reference scan",
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Scans carry along what they met anywhere before, and gradients are "
        "stretched by those of the whole image.",
        memory_gb=3.0,
        licence_note="The authors' repository states no licence.",
    ),
    config=GMSRConfig,
    network=GMSR,
    presets={"tiny": {"widths": (6,), "stretch_over": "each image"}},
    official=OfficialLayout(
        configure=_configure,
        key=_key,
        contract={"clean": {}},
        source="github.com/wxy11-27/GMSR",
    ),
    untrained={r"\.unused_gain2?$": "the authors' blocks hold these gains and never use them"},
)
