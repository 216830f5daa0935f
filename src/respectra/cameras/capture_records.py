"""Captures as plain values of JSON: cameras and lights by name where the name says all."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from respectra.cameras.correction import correction_record, read_correction
from respectra.cameras.images import Noise
from respectra.cameras.pictures.tone import Tone
from respectra.cameras.references import References
from respectra.cameras.response_files import open_response
from respectra.cameras.responses import (
    list_responses,
    make_response,
    native_response,
    require_response,
)
from respectra.cameras.white import AUTO
from respectra.colour import (
    colour_matching,
    list_rgb_spaces,
    make_light,
    open_light,
    rgb_space,
)
from respectra.errors import ConfigError, FormatError, RespectraError, unknown_name
from respectra.guards.text import parse_json

if TYPE_CHECKING:
    from respectra.cameras.capture import Capture

FORMAT = "respectra capture"
#: Of the records; raised when their meaning changes.
VERSION = 1
_FINE_NM = np.arange(380.0, 781.0, 5.0)


def list_cameras() -> list[str]:
    """Names of the cameras that are known.

    Colour spaces (``srgb``, ``display-p3``, …) are the observers of developed photographs.

    Example:
        >>> import respectra as rs
        >>> "ampas-canon-eos-5d-mark-ii" in rs.list_cameras()
        True
    """
    return [*list_rgb_spaces(), *list_responses()]


def open_camera(camera: str | os.PathLike[str] | xr.DataArray) -> xr.DataArray:
    """A camera by name, from a file, or as it is: a response, dims (wavelength, channel).

    Raises:
        ConfigError: an unknown name.
        FormatError: a file that cannot be read as a response.
        DataError: what is no response.

    Example:
        >>> import respectra as rs
        >>> dict(rs.cameras.open_camera(rs.list_cameras()[0]).sizes)["channel"]
        3
    """
    if isinstance(camera, xr.DataArray):
        return require_response(camera)
    if not isinstance(camera, (str, os.PathLike)):
        raise ConfigError(f"a camera is a name, a file or a DataArray; got {type(camera).__name__}")
    text = os.fspath(camera)
    if text in list_rgb_spaces():
        return _photograph(text)
    if text in list_responses():
        return native_response(text)
    if isinstance(camera, os.PathLike) or Path(text).suffix[1:2].isalpha():
        return open_response(text)
    raise unknown_name("camera", text, list_cameras())


def _photograph(space: str) -> xr.DataArray:
    """Linear R, G, B of radiance in a colour space; a capture adapts it to its light."""
    matching = colour_matching("cie1931", _FINE_NM)
    to_xyz = rgb_space(space).to_xyz_d65
    source = "CIE 1931 2° observer adapted to the light"
    source = f"IEC 61966-2-1: linear sRGB, {source}" if space == "srgb" else f"{space}, {source}"
    return make_response(matching @ np.linalg.inv(to_xyz).T, _FINE_NM, name=space, source=source)


def _is_known(name: str) -> bool:
    """Whether a camera has this name; the responses' names are in a library that loads slowly."""
    return name in list_rgb_spaces() or name in list_responses()


def capture_record(capture: Capture) -> dict[str, Any]:
    """What is known of a capture, but for its ``ways`` and its rounding."""
    record: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    if capture.camera is not None:
        record["camera"] = camera_record(capture.camera)
    for name in ("light", "assumed"):
        if getattr(capture, name) is not None:
            record[name] = light_record(getattr(capture, name))
    if capture.white is not None:
        record["white"] = capture.white if capture.white == AUTO else list(capture.white)
    if isinstance(capture.noise, Noise):
        record["noise"] = dataclasses.asdict(capture.noise)
    if capture.tone is not None:
        record["tone"] = dataclasses.asdict(capture.tone)
    if capture.correction is not None:
        record["correction"] = correction_record(capture.correction)
    if capture.references is not None:
        record["references"] = capture.references.to_json()
    for name in ("black_level", "white_level", "bits", "taken_by", "way"):
        if getattr(capture, name) is not None:
            record[name] = getattr(capture, name)
    return record


def camera_record(camera: xr.DataArray) -> str | dict[str, Any]:
    """The name of a known camera, else its table."""
    name = str(camera.attrs["name"])
    known = _is_known(name) and _same(camera, open_camera(name))
    return name if known else _table_record(camera, "values")


def light_record(light: xr.DataArray) -> str | dict[str, Any]:
    """The name of a known light, else its table."""
    name = str(light.attrs["name"])
    with contextlib.suppress(RespectraError):
        if Path(name).suffix == "" and _same(light, open_light(name)):
            return name
    return _table_record(light, "power")


def _table_record(table: xr.DataArray, what: str) -> dict[str, Any]:
    return {
        "name": str(table.attrs["name"]),
        "source": str(table.attrs.get("source", "")),
        "wavelengths_nm": np.asarray(table["wavelength"].values, float).tolist(),
        what: table.values.tolist(),
    }


def _read_table(make: Callable[..., xr.DataArray], record: Any, what: str) -> xr.DataArray:
    name, source = str(record["name"]), str(record.get("source", ""))
    return make(record[what], record["wavelengths_nm"], name=name, source=source)


def _read_camera(record: Any) -> xr.DataArray:
    """The camera of a record; a path is no record."""
    if not isinstance(record, str):
        return _read_table(make_response, record, "values")
    if not _is_known(record):
        raise unknown_name("camera", record, list_cameras())
    return open_camera(record)


def _read_light(record: Any) -> xr.DataArray:
    """The light of a record; a path is no record."""
    if not isinstance(record, str):
        return _read_table(make_light, record, "power")
    if Path(record).suffix[1:2].isalpha():
        raise FormatError(f"names the file {record!r} as its light instead of holding it")
    return open_light(record)


#: Facts of a record: their type in JSON, where it has to be one, and what they become.
_FACTS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "camera": (object, _read_camera),
    "light": (object, _read_light),
    "assumed": (object, _read_light),
    "white": (object, lambda white: tuple(white) if isinstance(white, list) else white),
    "black_level": (float, float),
    "white_level": (float, float),
    "bits": (int, int),
    "noise": (dict, lambda noise: Noise(**noise)),
    "references": (dict, References.from_json),
    "tone": (dict, lambda tone: Tone(**tone)),
    "correction": (object, read_correction),
    "rounding": (str, str),
    "taken_by": (str, str),
    "way": (str, str),
    "ways": (dict, dict),
}


def read_facts(record: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a capture that a record states; ``ways`` as records.

    Raises:
        FormatError: a fact is unknown or of another type.
    """
    facts = {}
    for name, value in record.items():
        if name not in _FACTS:
            raise FormatError(f"it states {name}, which is not known")
        if value is None:
            continue
        kind, read = _FACTS[name]
        fits = isinstance(value, (int, float) if kind is float else kind)
        if kind is not object and (isinstance(value, bool) or not fits):
            raise FormatError(f"its {name!r} is a {type(value).__name__}, not a {kind.__name__}")
        facts[name] = read(value)
    return facts


@contextlib.contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn whatever reading facts raises into an error that says where they came from."""
    try:
        yield
    except (RespectraError, KeyError, TypeError, ValueError, AttributeError) as error:
        what = str(error) if isinstance(error, RespectraError) else repr(error)
        raise FormatError(f"{where} is damaged: {what}") from None


def read_record(record: Any, where: str) -> dict[str, Any]:
    """The facts of a capture; a FormatError where its format or version is another."""
    if isinstance(record, str):
        record = parse_json(record, where)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise FormatError(
            f"{where} is not a capture; one is written by Capture.save (format {FORMAT!r})"
        )
    facts = dict(record)
    del facts["format"]
    version = facts.pop("version", None)
    if version != VERSION:
        raise FormatError(
            f"{where} is a capture of version {version!r}; this Respectra reads version {VERSION}: "
            "install the version that wrote it, or state the capture again"
        )
    return facts


def _same(one: xr.DataArray, other: xr.DataArray) -> bool:
    return one.shape == other.shape and bool(
        np.array_equal(one.values, other.values)
        and np.array_equal(one["wavelength"].values, other["wavelength"].values)
    )
