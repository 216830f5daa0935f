"""Colour: standard observers, lights, display encodings, and what a spectrum looks like."""

from respectra.colour.light_files import open_light_file
from respectra.colour.lights import (
    blackbody,
    daylight,
    list_illuminants,
    make_light,
    normalise_light,
    open_light,
    require_light,
    resample_light,
)
from respectra.colour.observers import (
    OBSERVERS,
    colour_matching,
    illuminant,
    srgb_matrix,
    xyz_weights,
)
from respectra.colour.transfer import (
    SRGB_TO_XYZ,
    decode_srgb,
    encode_srgb,
    list_rgb_spaces,
    rgb_space,
    space_matrix,
)

__all__ = [
    "OBSERVERS",
    "SRGB_TO_XYZ",
    "blackbody",
    "colour_matching",
    "daylight",
    "decode_srgb",
    "encode_srgb",
    "illuminant",
    "list_illuminants",
    "list_rgb_spaces",
    "make_light",
    "normalise_light",
    "open_light",
    "open_light_file",
    "require_light",
    "resample_light",
    "rgb_space",
    "space_matrix",
    "srgb_matrix",
    "xyz_weights",
]
