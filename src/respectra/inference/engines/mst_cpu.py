"""MST++ rearranged for speed: the same function in fewer passes over memory.

* The attention between channels needs of q and k only their products, and those follow from the
  Gram matrix of the input: kᵀq = Wkᵀ (xᵀx) Wq. Neither q nor k is computed.
* Attention and projection act on every pixel as one matrix, which is multiplied out first.
* A transposed convolution and the 1x1 fusion behind it are one matrix a position, too.
* Maps are carried through a block a few rows at a time, so that the wide maps inside it never
  leave the cache; layer norm, GELU and depthwise convolutions are compiled.

Maps are arrays (y, x, c) with channels padded to a multiple of 32 by zeros.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.inference.engines import elementwise
from respectra.inference.engines.winograd import WinogradConv
from respectra.inference.engines.workers import run_parts
from respectra.methods.networks.blocks import pad_to_multiple
from respectra.methods.networks.mst_plus_plus import (
    Cascade,
    Decoder,
    Encoder,
    FeedForward,
    SpectralAttention,
    SpectralAttentionBlock,
    UShape,
)
from respectra.typing import Float32Array

#: Values of a map that are carried through a block together.
_STRIP = 2**19


def fits(network: nn.Module) -> bool:
    """Whether this is the network that is rearranged here."""
    return isinstance(network, Cascade) and all(
        isinstance(module.block, SpectralAttentionBlock)
        for module in network.modules()
        if isinstance(module, Encoder | Decoder)
    )


def _padded(channels: int) -> int:
    return -(-channels // elementwise.BLOCK) * elementwise.BLOCK


def _pad(weight: Tensor, *sizes: int) -> Tensor:
    """Zeros behind each axis up to these sizes."""
    out = torch.zeros(*sizes)
    out[tuple(slice(0, n) for n in weight.shape)] = weight.detach().float()
    return out


def _matrix(weight: Tensor) -> Tensor:
    """(out, in) or (out, in, 1, 1) -> (padded in, padded out), to be multiplied from the right."""
    flat = weight.detach().flatten(1)
    return _pad(flat.T, _padded(flat.shape[1]), _padded(flat.shape[0])).contiguous()


def _taps(conv: nn.Conv2d) -> Tensor:
    """A depthwise 3x3 kernel as (9, padded channels)."""
    flat = conv.weight.detach().reshape(conv.out_channels, 9)
    return _pad(flat.T, 9, _padded(conv.out_channels)).contiguous()


def _rows(values_a_row: int) -> int:
    """Rows of a map that fit the cache."""
    return max(4, _STRIP // values_a_row)


def _by_rows(height: int, values_a_row: int, part: Callable[[int, int], None]) -> None:
    """Call for strips of rows that fit the cache, on all threads."""
    rows = _rows(values_a_row)

    def share(first: int, last: int) -> None:
        for top in range(first, last, rows):
            part(top, min(top + rows, last))

    run_parts(share, height)


def _depthwise(
    x: Tensor,
    taps: Float32Array,
    bias: Float32Array,
    rows: tuple[int, int, int, int],
    with_gelu: bool,
    out: Tensor,
) -> None:
    """:func:`elementwise.depthwise`; ``rows`` are its top, bottom, first and height."""
    elementwise.depthwise(x.numpy(), taps, bias, *rows, with_gelu, out.numpy())


class _Attention:
    """x + attention(x) into another map."""

    def __init__(self, module: SpectralAttention) -> None:
        self.heads = module.heads
        self.channels = module.to_v.in_features
        self.padded = _padded(self.channels)
        self.q, self.k, self.v = (
            layer.weight.detach().double().T for layer in (module.to_q, module.to_k, module.to_v)
        )
        self.project = module.project.weight.detach().double().T
        self.bias = _pad(module.project.bias, self.padded).numpy()
        self.none = np.zeros_like(self.bias)
        self.rescale = module.rescale.detach().double()
        self.value = _matrix(module.to_v.weight)
        first, _, second = module.position
        assert isinstance(first, nn.Conv2d)
        assert isinstance(second, nn.Conv2d)
        self.first, self.second = _taps(first).numpy(), _taps(second).numpy()

    def __call__(self, x: Tensor, out: Tensor) -> None:
        height, width, padded = x.shape
        matrix = self._matrix(self._gram(x))

        def part(top: int, bottom: int) -> None:
            low, high = max(0, top - 2), min(height, bottom + 2)
            inner_low, inner_high = max(0, top - 1), min(height, bottom + 1)
            value = x[low:high].view(-1, padded) @ self.value
            value = value.view(-1, width, padded)
            inner = torch.empty(inner_high - inner_low, width, padded)
            position = torch.empty(bottom - top, width, padded)
            rows = (inner_low, inner_high, low, height)
            _depthwise(value, self.first, self.none, rows, True, inner)
            rows = (top, bottom, inner_low, height)
            _depthwise(inner, self.second, self.bias, rows, False, position)
            torch.addmm(
                position.view(-1, padded),
                x[top:bottom].view(-1, padded),
                matrix,
                out=out[top:bottom].view(-1, padded),
            )

        _by_rows(height, width * padded, part)

    def _gram(self, x: Tensor) -> Tensor:
        """xᵀx over the pixels, (channels, channels), float64."""
        total = torch.zeros(self.padded, self.padded, dtype=torch.float64)
        lock = threading.Lock()

        def part(top: int, bottom: int) -> None:
            pixels = x[top:bottom].view(-1, self.padded)
            gram = (pixels.T @ pixels).double()
            with lock:
                total.add_(gram)

        # Sums of a few thousand products in float32, of those sums in float64.
        _by_rows(x.shape[0], 4 * x.shape[1] * self.padded, part)
        return total[: self.channels, : self.channels]

    def _matrix(self, gram: Tensor) -> Tensor:
        """Attention and projection as one matrix, the identity of the residual included."""
        size = self.channels // self.heads
        mixing = torch.zeros(self.channels, self.channels, dtype=torch.float64)
        for head in range(self.heads):
            part = slice(head * size, (head + 1) * size)
            q, k = self.q[:, part], self.k[:, part]
            products = k.T @ gram @ q
            k_length = (k * (gram @ k)).sum(0).clamp_min(0).sqrt().clamp_min(1e-12)
            q_length = (q * (gram @ q)).sum(0).clamp_min(0).sqrt().clamp_min(1e-12)
            correlation = products / k_length[:, None] / q_length
            mixing[part, part] = (self.rescale[head] * correlation).softmax(dim=-1).T
        whole = torch.eye(self.channels, dtype=torch.float64) + self.v @ mixing @ self.project
        return _pad(whole, self.padded, self.padded)


class _FeedForward:
    """x + feed_forward(x) into another map."""

    def __init__(self, module: FeedForward) -> None:
        assert module.expand.bias is None
        assert module.mix.bias is None
        self.channels = module.norm.normalized_shape[0]
        self.epsilon = np.float32(module.norm.eps)
        # The norm's scale and shift go into the layer behind it.
        expand = module.expand.weight.detach().flatten(1)
        self.expand = _matrix(expand * module.norm.weight.detach())
        self.shift = _pad(expand @ module.norm.bias.detach(), self.expand.shape[1])
        self.mix = _taps(module.mix).numpy()
        self.none = np.zeros(self.mix.shape[1], np.float32)
        self.reduce = _matrix(module.reduce.weight)

    def __call__(self, x: Tensor, out: Tensor) -> None:
        height, width, padded = x.shape
        wide = self.expand.shape[1]
        rows = _rows(width * wide)

        def share(first: int, last: int) -> None:
            normal = torch.empty((rows + 2) * width, padded)
            hidden = torch.empty((rows + 2) * width, wide)
            mixed = torch.empty(rows, width, wide)
            done = low = max(0, first - 1)  # hidden holds the rows from low to done
            for top in range(first, last, rows):
                bottom = min(top + rows, last)
                high = min(height, bottom + 1)
                # Rows that this strip shares with the one before it are not computed again.
                end, low = (done - low) * width, max(0, top - 1)
                kept = (done - low) * width
                hidden[:kept] = hidden[end - kept : end].clone()
                pixels = x[done:high].view(-1, padded)
                new = slice(kept, kept + len(pixels))
                elementwise.layer_norm(
                    pixels.numpy(), self.channels, self.epsilon, normal[: len(pixels)].numpy()
                )
                torch.addmm(self.shift, normal[: len(pixels)], self.expand, out=hidden[new])
                elementwise.gelu(hidden[new].view(-1).numpy())
                done = high
                seen = hidden[: new.stop].view(-1, width, wide)
                _depthwise(seen, self.mix, self.none, (top, bottom, low, height), True, mixed)
                torch.addmm(
                    x[top:bottom].view(-1, padded),
                    mixed[: bottom - top].view(-1, wide),
                    self.reduce,
                    out=out[top:bottom].view(-1, padded),
                )

        run_parts(share, height)


class _Block:
    def __init__(self, module: SpectralAttentionBlock) -> None:
        self.attention = _Attention(module.attention)
        self.feed_forward = _FeedForward(module.feed_forward)

    def __call__(self, x: Tensor, spare: Tensor) -> None:
        """Change x in place, with other memory of the same shape."""
        self.attention(x, spare)
        self.feed_forward(spare, x)


class _Up:
    """The transposed convolution of a decoder and the fusion behind it."""

    def __init__(self, module: Decoder) -> None:
        channels = module.up.out_channels
        self.padded = _padded(channels)
        fuse = module.fuse.weight.detach().flatten(1).double()
        from_below, from_kept = fuse[:, :channels], fuse[:, channels:]
        kernel = module.up.weight.detach().double()  # (in, out, 2, 2)
        below = torch.einsum("oc,icyx->iyxo", from_below, kernel)
        rows = _padded(kernel.shape[0])
        self.below = _pad(below, rows, 2, 2, self.padded).view(rows, -1)
        self.kept = _matrix(from_kept)
        assert module.up.bias is not None
        self.bias = _pad(from_below @ module.up.bias.detach().double(), self.padded)

    def __call__(self, x: Tensor, kept: Tensor, out: Tensor) -> None:
        height, width, below = x.shape

        def part(top: int, bottom: int) -> None:
            four = x[top:bottom].view(-1, below) @ self.below
            four = four.view(bottom - top, width, 2, 2, self.padded)
            rows = out[2 * top : 2 * bottom]
            torch.addmm(
                self.bias,
                kept[2 * top : 2 * bottom].view(-1, self.padded),
                self.kept,
                out=rows.view(-1, self.padded),
            )
            rows.view(bottom - top, 2, width, 2, self.padded).add_(four.transpose(1, 2))

        _by_rows(height, 4 * width * self.padded, part)


class _Down(nn.Module):
    """The strided convolution of an encoder."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        weight = _pad(
            conv.weight, _padded(conv.out_channels), _padded(conv.in_channels), *conv.kernel_size
        )
        self.weight = weight.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        return _map(F.conv2d(_image(x), self.weight, stride=2, padding=1))


def _image(x: Tensor) -> Tensor:
    """A map (y, x, c) as a channels-last image (1, c, y, x), without a copy."""
    return x.permute(2, 0, 1)[None]


def _map(image: Tensor) -> Tensor:
    """A channels-last image (1, c, y, x) as a map (y, x, c)."""
    return image[0].permute(1, 2, 0).contiguous()


class _Conv:
    """A 3x3 convolution between maps, plus another map."""

    def __init__(self, conv: nn.Conv2d) -> None:
        assert conv.bias is None
        ci, co = _padded(conv.in_channels), _padded(conv.out_channels)
        wide = nn.Conv2d(ci, co, 3, padding=1, bias=False)
        wide.weight.data = _pad(conv.weight, co, ci, 3, 3)
        self.conv = WinogradConv(wide)

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        return _map(self.conv(_image(x), None if add is None else _image(add)))


class _UShape:
    def __init__(self, module: UShape) -> None:
        self.embedding, self.mapping = _Conv(module.embedding), _Conv(module.mapping)
        self.encoders: list[tuple[_Block, _Down]] = []
        for encoder in module.encoders:
            assert isinstance(encoder, Encoder)
            self.encoders.append((_Block(_sab(encoder.block)), _Down(encoder.down)))
        self.bottleneck = _Block(_sab(module.bottleneck))
        self.decoders: list[tuple[_Up, _Block]] = []
        for decoder in module.decoders:
            assert isinstance(decoder, Decoder)
            self.decoders.append((_Up(decoder), _Block(_sab(decoder.block))))

    def __call__(self, image: Tensor) -> Tensor:
        # Two maps a resolution take turns: memory that is new costs time at its first touch.
        x = self.embedding(image)
        levels = []
        for block, down in self.encoders:
            spare = torch.empty_like(x)
            block(x, spare)
            levels.append((x, spare))
            x = down(x)
        self.bottleneck(x, torch.empty_like(x))
        for up, block in self.decoders:
            kept, spare = levels.pop()
            up(x, kept, spare)
            block(spare, kept)
            x = spare
        return self.mapping(x, image)


def _sab(module: nn.Module) -> SpectralAttentionBlock:
    assert isinstance(module, SpectralAttentionBlock)
    return module


class SpectralCascade(nn.Module):
    """The whole network, rearranged; the same function as what it is made from."""

    def __init__(self, network: Cascade) -> None:
        super().__init__()
        self.multiple = network.multiple
        self.bands = network.conv_out.out_channels
        width = _padded(network.conv_in.out_channels)
        conv_in = network.conv_in
        self.first = _pad(conv_in.weight, width, conv_in.in_channels, 3, 3).to(
            memory_format=torch.channels_last
        )
        self.u_shapes = [_UShape(stage) for stage in network.stages if isinstance(stage, UShape)]
        self.last = _Conv(network.conv_out)
        skip = network.skip
        self.skip = _matrix(skip.weight) if isinstance(skip, nn.Conv2d) else None

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        height, width = image.shape[-2:]
        padded = pad_to_multiple(image, self.multiple)
        out = [self._one(one[None]) for one in padded]
        return torch.cat(out)[:, : self.bands, :height, :width]

    def _one(self, image: Tensor) -> Tensor:
        x = _map(
            F.conv2d(image.contiguous(memory_format=torch.channels_last), self.first, padding=1)
        )
        deep = x
        for u_shape in self.u_shapes:
            deep = u_shape(deep)
        skip = x if self.skip is None else x @ self.skip
        return _image(self.last(deep, skip))
