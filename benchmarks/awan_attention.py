"""AWAN's non-local module: the table of attention="table" against the exact evaluation.

Prints, for embeddings of growing size, how far the table is from the exact result in units of the
values' range, and how many times faster it is. The last column is the time of one exact quarter.

    python benchmarks/awan_attention.py [side of the quarter in pixels, 128 by default]
"""

from __future__ import annotations

import sys
import time

import torch

from respectra.methods.networks.awan import _attend, _attend_by_table


def main(side: int) -> None:
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(
        torch.rand(1, 6, 12, 12), (side, side), mode="bicubic", align_corners=True
    )
    pixels = (smooth + 0.05 * torch.rand(1, 6, side, side)).flatten(2).mT.unsqueeze(1)
    key, value = (part.contiguous() for part in pixels.chunk(2, dim=-1))
    print("largest logit   max error / range   speed-up   exact, s")
    for scale in (1.0, 3.0, 10.0, 30.0):
        k = key * scale
        q = (k - k.mean(dim=-1, keepdim=True)) / 3
        start = time.perf_counter()
        exact = _attend(q, k, value)
        middle = time.perf_counter()
        table = _attend_by_table(q, k, value)
        end = time.perf_counter()
        error = float((table - exact).abs().max() / (value.max() - value.min()))
        logit = float((q[0, 0] @ k[0, 0, ::side].T).abs().max())
        ratio = (middle - start) / (end - middle)
        print(f"{logit:13.2f}   {error:17.1e}   {ratio:7.1f}x   {middle - start:8.2f}")


if __name__ == "__main__":
    with torch.inference_mode():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 128)
