"""Write the tables of the CIE that the package brings: src/respectra/colour/data/cie.npz.

They are colour-science's, number by number, so that reading a photograph needs no import of that
library: both standard observers, the illuminant of displays, and the names of all others.
"""

from __future__ import annotations

from pathlib import Path

import colour
import numpy as np

TARGET = Path(__file__).parents[1] / "src" / "respectra" / "colour" / "data" / "cie.npz"
OBSERVERS = {
    "cie1931": "CIE 1931 2 Degree Standard Observer",
    "cie1964": "CIE 1964 10 Degree Standard Observer",
}


def main() -> None:
    """Write the file."""
    tables = {}
    for name, title in OBSERVERS.items():
        tables[name] = colour.MSDS_CMFS[title]
    tables["D65"] = colour.SDS_ILLUMINANTS["D65"]
    arrays = {}
    for name, table in tables.items():
        arrays[f"{name}_nm"] = np.array(table.wavelengths, np.float64)
        arrays[name] = np.array(table.values, np.float64)
    names = np.array(list(colour.SDS_ILLUMINANTS))
    np.savez_compressed(TARGET, illuminants=names, **arrays)


if __name__ == "__main__":
    main()
