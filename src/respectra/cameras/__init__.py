"""Cameras: responses, sensors, codecs and the tracks they form; images and their colours."""

from respectra.cameras.capture import Capture
from respectra.cameras.capture_records import list_cameras, open_camera
from respectra.cameras.colour import clean_to_srgb, srgb_to_clean, to_track_values
from respectra.cameras.described import (
    described_capture,
    input_kind_of,
    options_for,
    require_capture,
)
from respectra.cameras.images import (
    CHANNELS,
    INPUT_KINDS,
    PHOTOGRAPH,
    Encoding,
    InputKind,
    Noise,
    input_encoding,
    make_image,
    require_image,
)
from respectra.cameras.pictures import (
    PICTURE_SUFFIXES,
    Picture,
    PictureOptions,
    Tone,
    open_image,
    open_picture,
    save_image,
)
from respectra.cameras.references import References, require_references
from respectra.cameras.response_files import open_response, open_responses, save_response
from respectra.cameras.responses import (
    CLEAN_RESPONSE,
    band_weights,
    built_in_responses,
    get_response,
    list_responses,
    make_response,
    native_response,
    require_response,
    resample_response,
)
from respectra.cameras.simulation import SimulatedFiles, simulate, simulated_files
from respectra.cameras.track import Track
from respectra.cameras.tracks import (
    default_response,
    get_track,
    keeps_exposure,
    list_tracks,
    track_of_file,
    track_of_kind,
    track_options,
    track_summary,
    track_title,
)
from respectra.renaming import lazy_names

__getattr__ = lazy_names(__name__, within=["calibration"])

__all__ = [
    "CHANNELS",
    "CLEAN_RESPONSE",
    "INPUT_KINDS",
    "PHOTOGRAPH",
    "PICTURE_SUFFIXES",
    "Capture",
    "Encoding",
    "InputKind",
    "Noise",
    "Picture",
    "PictureOptions",
    "References",
    "SimulatedFiles",
    "Tone",
    "Track",
    "band_weights",
    "built_in_responses",
    "clean_to_srgb",
    "default_response",
    "described_capture",
    "get_response",
    "get_track",
    "input_encoding",
    "input_kind_of",
    "keeps_exposure",
    "list_cameras",
    "list_responses",
    "list_tracks",
    "make_image",
    "make_response",
    "native_response",
    "open_camera",
    "open_image",
    "open_picture",
    "open_response",
    "open_responses",
    "options_for",
    "require_capture",
    "require_image",
    "require_references",
    "require_response",
    "resample_response",
    "save_image",
    "save_response",
    "simulate",
    "simulated_files",
    "srgb_to_clean",
    "to_track_values",
    "track_of_file",
    "track_of_kind",
    "track_options",
    "track_summary",
    "track_title",
]
