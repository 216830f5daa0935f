"""Tiny DNG files, as a camera would write them."""

import numpy as np
import tifffile

#: XYZ to camera of an invented camera, under D65.
MATRIX = (0.7, -0.2, -0.05, -0.4, 1.2, 0.2, -0.08, 0.2, 0.6)
BLACK, WHITE = 512, 4095


def write_dng(path, codes, *, pattern=(0, 1, 1, 2), orientation=1, black=BLACK, **changes):
    """Write a mosaic, codes (y, x); returns the path."""
    tags = {
        271: ("s", 0, "Acme"),
        272: ("s", 0, "Acme One"),
        274: ("H", 1, orientation),
        34855: ("H", 1, 400),
        50706: ("B", 4, (1, 4, 0, 0)),
        50707: ("B", 4, (1, 1, 0, 0)),
        50708: ("s", 0, "Acme One"),
        33421: ("H", 2, (2, 2)),
        33422: ("B", 4, pattern),
        50713: ("H", 2, (2, 2)),
        50714: ("H", 4, (black,) * 4 if isinstance(black, int) else black),
        50717: ("H", 1, WHITE),
        50721: ("2i", 9, _fractions(MATRIX)),
        50778: ("H", 1, 21),
        50728: ("2I", 3, _fractions((0.5, 1, 0.625))),
        51041: ("d", 2, (1e-4, 4e-6)),
    }
    tags.update(changes.get("tags", {}))
    extra = [(number, *value, True) for number, value in tags.items() if value is not None]
    tifffile.imwrite(
        path,
        np.asarray(codes, np.uint16),
        photometric=changes.get("photometric", 32803),
        extratags=extra,
        metadata=None,
    )
    return path


def _fractions(values):
    return [part for value in values for part in (round(value * 10000), 10000)]
