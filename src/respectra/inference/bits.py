"""How many bits the codes have that an image's values came from."""

from __future__ import annotations

import xarray as xr

#: What is said of values that are no codes.
EXACT_BITS = 32
#: Codes of more bits than these are as good as exact values.
CODE_BITS = 16
#: Look-up tables that are consistent are so with codes of this many bits.
TABLE_BITS = 8


def bits_of(image: xr.DataArray) -> int:
    """Depth of the codes that an image's values came from."""
    return int(image.attrs.get("bits", EXACT_BITS))
