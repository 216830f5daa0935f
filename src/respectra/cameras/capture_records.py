"""Captures as plain values of JSON: cameras and lights by name where the name says all."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from respectra.cameras.correction import correction_record, read_correction
from respectra.cameras.noise import Noise
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
    SRGB_TO_XYZ,
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
    to_xyz = SRGB_TO_XYZ if space == "srgb" else rgb_space(space).to_xyz_d65
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
    if _is_known(name) and _same(camera, open_camera(name)):
        return name
    return {
        "name": name,
        "source": str(camera.attrs.get("source", "")),
        "wavelengths_nm": np.asarray(camera["wavelength"].values, float).tolist(),
        "values": camera.values.tolist(),
    }


def light_record(light: xr.DataArray) -> str | dict[str, Any]:
    """The name of a known light, else its table."""
    name = str(light.attrs["name"])
    with contextlib.suppress(RespectraError):
        if Path(name).suffix == "" and _same(light, open_light(name)):
            return name
    return {
        "name": name,
        "source": str(light.attrs.get("source", "")),
        "wavelengths_nm": np.asarray(light["wavelength"].values, float).tolist(),
        "power": light.values.tolist(),
    }


def read_camera(record: Any) -> xr.DataArray | None:
    """The camera of a record; a path is no record."""
    if record is None:
        return None
    if isinstance(record, str):
        if not _is_known(record):
            raise unknown_name("camera", record, list_cameras())
        return open_camera(record)
    return make_response(
        record["values"],
        record["wavelengths_nm"],
        name=str(record["name"]),
        source=str(record.get("source", "")),
    )


def read_light(record: Any) -> xr.DataArray | None:
    """The light of a record; a path is no record."""
    if record is None:
        return None
    if isinstance(record, str):
        if Path(record).suffix[1:2].isalpha():
            raise FormatError(f"names the file {record!r} as its light instead of holding it")
        return open_light(record)
    return make_light(
        record["power"],
        record["wavelengths_nm"],
        name=str(record["name"]),
        source=str(record.get("source", "")),
    )


class Record:
    """The facts of a record, each taken once; what is left over is an error."""

    def __init__(self, facts: dict[str, Any], where: str) -> None:
        self._facts, self._where = facts, where

    def take(self, name: str, kind: type | None = None) -> Any:
        """A fact, or None where it is not stated."""
        value = self._facts.pop(name, None)
        if value is None or kind is None:
            return value
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise FormatError(f"its {name!r} is a {type(value).__name__}, not a {kind.__name__}")
        return value

    def arguments(self) -> dict[str, Any]:
        """The arguments of a capture, but for its ``ways``."""
        noise, references, tone = (self.take(n, dict) for n in ("noise", "references", "tone"))
        white = self.take("white")
        return {
            "camera": read_camera(self.take("camera")),
            "light": read_light(self.take("light")),
            "assumed": read_light(self.take("assumed")),
            "white": tuple(white) if isinstance(white, list) else white,
            "black_level": self.take("black_level", float),
            "white_level": self.take("white_level", float),
            "bits": self.take("bits", int),
            "noise": None if noise is None else Noise(**noise),
            "references": None if references is None else References.from_json(references),
            "tone": None if tone is None else Tone(**tone),
            "correction": read_correction(self.take("correction")),
            "rounding": self.take("rounding", str),
            "taken_by": self.take("taken_by", str),
            "way": self.take("way", str),
        }

    def done(self) -> None:
        """Refuse facts that nobody took."""
        if self._facts:
            raise FormatError(f"it states {', '.join(sorted(self._facts))}, which is not known")

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn whatever reading the facts raises into an error that says where they came from."""
        try:
            yield
        except (RespectraError, KeyError, TypeError, ValueError, AttributeError) as error:
            what = str(error) if isinstance(error, RespectraError) else repr(error)
            raise FormatError(f"{self._where} is damaged: {what}") from None


def read_record(record: Any, where: str) -> Record:
    """The facts of a capture, its format and version checked.

    Raises:
        FormatError: it is no capture, or of another version.
    """
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
    return Record(facts, where)


def _same(one: xr.DataArray, other: xr.DataArray) -> bool:
    return one.shape == other.shape and bool(
        np.array_equal(one.values, other.values)
        and np.array_equal(one["wavelength"].values, other["wavelength"].values)
    )
