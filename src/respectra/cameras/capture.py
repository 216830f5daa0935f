"""The capture: what is known of how a picture was taken.

Under light L the camera A sees a reflectance as the camera diag(L)·A would. So camera and light
are one *effective response*, scaled so that a perfect white gives the picture's white; reflectance
is recovered through it, and radiance is reflectance times L.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras.capture_records import (
    capture_record,
    explained,
    open_camera,
    read_facts,
    read_record,
)
from respectra.cameras.codec import Rounding
from respectra.cameras.correction import Correction, check_correction, correct
from respectra.cameras.images import (
    PHOTOGRAPH,
    Noise,
    check_levels,
    decoded,
    require_image,
)
from respectra.cameras.pictures.tone import Tone
from respectra.cameras.references import References, require_references
from respectra.cameras.responses import (
    ASSUMED_LIGHT,
    CLEAN_RESPONSE,
    PHOTOGRAPH_LIGHT,
    is_observer,
    nearest_light,
    seen_under,
    sensitivity,
)
from respectra.cameras.white import (
    AUTO,
    Rectangle,
    White,
    check_white,
    estimate_white,
    measure_white,
)
from respectra.colour import (
    normalise_light,
    open_light,
    resample_light,
)
from respectra.cubes import Quantity, check_wavelengths
from respectra.errors import ConfigError, DataError, unknown_name
from respectra.files import atomic_path
from respectra.guards.text import read_text
from respectra.typing import FloatArray

#: Cameras that make codes otherwise than to the nearest.
_ROUNDING: dict[str | None, Rounding] = {CLEAN_RESPONSE: "truncate"}
#: What is made of facts as they are stated.
_READ: dict[str, Callable[[Any], Any]] = {
    "camera": open_camera,
    "light": open_light,
    "assumed": open_light,
    "white": check_white,
    "references": require_references,
    "correction": check_correction,
}
#: Least over largest singular value, below which channels depend on one another.
_DEPENDENT = 1e-6


@dataclass(frozen=True, eq=False)
class Capture:
    """What is known of how a picture was taken. Immutable; what is None is not known.

    Args:
        camera: a response (dims wavelength, channel), the name of one (``respectra.list_cameras``),
            a file of one, or ``srgb``: the observer of developed photographs.
        light: a relative spectral power distribution (dim wavelength), a name, ``planck:2856``,
            ``daylight:5200`` or a file; see :func:`respectra.colour.open_light`.
        white: linear R, G, B in (0, 1] that a perfect white gives, or the rectangle of the picture
            (x, y, width, height) that shows one, or ``auto``: estimated, see
            :func:`respectra.cameras.white.estimate_white`. By default the brightest channel of
            white is at full scale.
        black_level: the code that no light gives; 0 where the picture's values begin at black.
        white_level: the code of full scale; the highest code by default.
        bits: depth of the codes; what the picture says by default.
        noise: of linear values: a standard deviation in full scale, or :class:`Noise`.
        references: pixels or rectangles whose spectra are known.
        tone: the curve that the camera put on its pictures; it is undone first.
        correction: from the camera's linear values to linear R, G, B of ``camera``: three rows for
            R, G, B, or six for them and the roots of RG, GB, RB; columns R, G, B; or a process
            (:class:`respectra.cameras.correction.ProcessCorrection`).
        assumed: a light to assume where ``light`` is not known.
        rounding: how the camera made codes of values; ``nearest`` by default, and ``truncate`` for
            the clean track's camera, as the challenge does.
        taken_by: the model of the camera, as its files name it.
        way: which of ``ways`` this is.
        ways: other captures of the same camera and light, by name: what ``respectra calibrate``
            found besides this one. They are saved with it; see :meth:`using`.

    Example:
        >>> capture = Capture(camera="ampas-nikon-d700", light="A")
        >>> capture.effective_response([400, 500, 600, 700]).shape
        (4, 3)

    Raises:
        ConfigError: unknown names, levels or noise that are none.
        DataError: a camera, a light or a white that cannot be one.
    """

    camera: Any = None
    light: Any = None
    white: White | Rectangle | str | None = None
    black_level: float | None = None
    white_level: float | None = None
    bits: int | None = None
    noise: Noise | float | None = None
    references: References | None = None
    rounding: Rounding | None = None
    tone: Tone | None = None
    correction: Correction | None = None
    assumed: Any = None
    taken_by: str | None = None
    way: str | None = None
    ways: Mapping[str, Capture] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name, read in _READ.items():
            if getattr(self, name) is not None:
                put(self, name, read(getattr(self, name)))
        if isinstance(self.noise, (int, float)):
            put(self, "noise", Noise(read=float(self.noise)))
        if self.noise is not None and not isinstance(self.noise, Noise):
            raise ConfigError(f"noise is a number or Noise(gain, read); got {self.noise!r}")
        if self.tone is not None and not isinstance(self.tone, Tone):
            raise ConfigError(f"tone is a respectra.cameras.Tone; got {type(self.tone).__name__}")
        if self.rounding is None:
            put(self, "rounding", _ROUNDING.get(self.camera_name, "nearest"))
        if self.rounding not in get_args(Rounding):
            raise ConfigError(f"rounding is nearest or truncate; got {self.rounding!r}")
        check_levels(self.black_level, self.white_level, self.bits)

    @classmethod
    def photograph(cls, **known: Any) -> Capture:
        """An ordinary photograph: developed for a display, its white adapted to D65."""
        return cls(**{"camera": PHOTOGRAPH, "light": PHOTOGRAPH_LIGHT, **known})

    def replace(self, **changes: Any) -> Capture:
        """The capture with some facts changed."""
        return dataclasses.replace(self, **changes)

    def using(self, way: str) -> Capture:
        """The same camera by another of the ways that the capture holds.

        Raises:
            ConfigError: it does not hold that way.
        """
        if way == self.way:
            return self
        found = dict(self.ways or {})
        if way not in found:
            held = [name for name in (self.way, *found) if name is not None]
            raise unknown_name("way of the capture", way, held)
        rest = {**({} if self.way is None else {self.way: self.replace(ways=None)}), **found}
        del rest[way]
        return found[way].replace(way=way, ways=rest)

    def known(self) -> dict[str, Any]:
        """What is stated, by the names of the arguments."""
        facts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in facts.items() if value is not None}

    @property
    def is_photograph(self) -> bool:
        """Whether the picture is developed: its camera is the observer of a colour space."""
        return is_observer(self.camera)

    @property
    def camera_name(self) -> str | None:
        """Name of the camera, if it is known."""
        return None if self.camera is None else str(self.camera.attrs["name"])

    @property
    def needs_picture(self) -> bool:
        """Whether something is stated as a place in a picture; :meth:`resolve` looks it up."""
        unmeasured = self.references is not None and not self.references.measured
        return unmeasured or (self.white is not None and len(self.white) == 4)

    def resolve(self, image: xr.DataArray) -> Capture:
        """The capture with the white and the references looked up in a picture that it took.

        Raises:
            DataError: a rectangle or a reference outside the picture, on clipped or black pixels.
        """
        if not self.needs_picture:
            return self
        values = np.asarray(self.linear(image).values, np.float64)
        changes: dict[str, Any] = {}
        if self.white == AUTO:
            changes["white"] = estimate_white(values)
        elif isinstance(self.white, tuple) and len(self.white) == 4:
            changes["white"] = measure_white(values, self.white)
        if self.references is not None and not self.references.measured:
            changes["references"] = self.references.measure(values)
        return self.replace(**changes)

    def linear(self, image: xr.DataArray) -> xr.DataArray:
        """A picture as linear values in [0, 1]: decoded, its black taken off.

        The attributes ``code_bits`` and ``code_curve`` keep how its codes were made; ``bits`` is 32
        where values no longer are codes over the highest one.
        """
        picture = require_image(image)
        if "code_curve" in picture.attrs:  # has been here before
            return picture
        if self.tone is not None or self.correction is not None:
            return self._calibrated(picture)
        bits = int(self.bits or picture.attrs.get("bits", 32))
        space = self.camera_name if self.is_photograph else None
        moved = space not in (None, str(picture.attrs.get("space", PHOTOGRAPH)))
        levels = self.levels(bits) if self.has_levels and not moved else None
        return decoded(picture, bits, space=space, levels=levels)

    def _calibrated(self, picture: xr.DataArray) -> xr.DataArray:
        """As :meth:`linear`, with the tone curve and the camera's own colours undone."""
        if picture.attrs.get("tone", "none") != "none" and self.tone is not None:
            raise ConfigError(
                "a tone curve was undone when the picture was opened, and the capture has its own; "
                "open it with tone='none' (--tone none)"
            )
        values = self.replace(tone=None, correction=None).linear(picture)
        rgb = np.asarray(values.values, np.float32)
        if self.tone is not None:
            rgb = self.tone.undo(rgb)
        if self.correction is not None:
            rgb = correct(rgb, self.correction)
        return values.copy(data=rgb).assign_attrs(bits=32, code_bits=32, code_curve="linear")

    @property
    def has_levels(self) -> bool:
        """Whether codes begin above 0 or end below the highest one."""
        return self.black_level is not None or self.white_level is not None

    def levels(self, bits: int) -> tuple[float, float]:
        """Black and white as shares of the highest code.

        Raises:
            ConfigError: the depth of the codes is not known, or too small for the levels.
        """
        if bits > 16:
            raise ConfigError(
                "black and white levels are codes, and the picture does not say of how many bits; "
                "state bits"
            )
        top = float(2**bits - 1)
        low = self.black_level or 0.0
        high = top if self.white_level is None else self.white_level
        if not low < high <= top:
            raise ConfigError(
                f"black level {low:g} and white level {high:g} do not fit {bits}-bit codes, from 0 "
                f"to {top:g}"
            )
        return low / top, high / top

    def power(self, wavelengths_nm: npt.ArrayLike) -> FloatArray:
        """The light in bands, scaled to the luminance of equal energy; shape (band,).

        Where it is not known, the light that :meth:`assumed_light` gives.

        Raises:
            DataError: the light does not cover the bands.
        """
        light = self.light if self.light is not None else self.assumed_light(wavelengths_nm)
        return normalise_light(resample_light(light, wavelengths_nm), wavelengths_nm)

    def assumed_light(self, wavelengths_nm: npt.ArrayLike) -> xr.DataArray:
        """The light to assume: ``assumed``, or the light whose white is nearest to the told one.

        Black bodies and daylights are compared. Without a white, it is D65 for photographs and
        equal energy for others.
        """
        if self.assumed is not None:
            return open_light(self.assumed)
        if self.is_photograph:
            return open_light(PHOTOGRAPH_LIGHT)
        if self.camera is None or not isinstance(self.white, tuple) or len(self.white) != 3:
            return open_light(ASSUMED_LIGHT)
        return nearest_light(self.camera, self.white, wavelengths_nm)

    def effective_response(
        self, wavelengths_nm: npt.ArrayLike, quantity: Quantity = "reflectance"
    ) -> FloatArray:
        """The camera that sees reflectance (or radiance) as this camera sees it under the light.

        Args:
            wavelengths_nm: shape (band,), nm, ascending.
            quantity: of the spectra that it sees; radiance is that of :meth:`power`.

        Returns:
            float64, shape (band, 3): linear values of a pixel = spectrum @ response; a reflectance
            of ones gives :meth:`white_values`.

        Raises:
            ConfigError: the camera is not known, or the white is still a place in the picture.
            DataError: camera or light do not cover the bands, a channel sees nothing of white, or
                its channels are not three that differ.
        """
        grid = check_wavelengths(wavelengths_nm)
        power = self.power(grid)
        seen = seen_under(self._stated_camera(), power, grid)
        white = seen.sum(axis=0)
        if not (white > 0).all():
            dark = int(np.argmin(white))
            hint = "check the units of both"
            if seen[:, dark].min() < 0:
                where = grid[int(np.argmin(seen[:, dark]))]
                hint = f"it is negative, at {where:g} nm the most: subtract no more than was dark"
            raise DataError(
                f"channel {'RGB'[dark]} of the camera {self.camera_name!r} sees nothing of a white "
                f"under this light from {grid[0]:g} to {grid[-1]:g} nm; {hint}"
            )
        response: FloatArray = seen * (self._told_white(white) / white)
        sizes = np.linalg.svd(seen / white, compute_uv=False)
        if grid.size > 2 and sizes[-1] < _DEPENDENT * sizes[0]:
            raise DataError(
                f"two channels of the camera {self.camera_name!r} are alike under this light, or "
                "one is a mix of the others: they are not three; check its response's columns"
            )
        return response if quantity == "reflectance" else response / power[:, None]

    def white_values(self, wavelengths_nm: npt.ArrayLike) -> FloatArray:
        """Linear R, G, B that a perfect white gives: told, or with its brightest channel at 1."""
        grid = check_wavelengths(wavelengths_nm)
        seen = seen_under(self._stated_camera(), self.power(grid), grid)
        return self._told_white(seen.sum(axis=0))

    def describe(self) -> str:
        """What was assumed, in words; empty where everything is known."""
        parts = []
        if self.light is None:
            parts.append("light not known")
        elif self.is_photograph and self.light.attrs["name"] == PHOTOGRAPH_LIGHT:
            parts.append("scene under D65, to which photographs are developed")
        if self.white is None and not self.is_photograph:
            parts.append("brightest channel of white at full scale")
        if self.white is None and self.is_photograph:
            parts.append("perfect white at display white")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """All of it but ``ways`` as plain values; what is not known is left out."""
        record = capture_record(self)
        if self.rounding != _ROUNDING.get(self.camera_name, "nearest"):
            record["rounding"] = self.rounding
        return record

    @classmethod
    def from_json(cls, record: Any, *, where: str = "the capture") -> Capture:
        """A capture of what :meth:`to_json` gave.

        Args:
            record: an object of JSON, or its text.
            where: what it came from, for messages.

        Raises:
            FormatError: it is no capture, of another version, or damaged.
        """
        stated = read_record(record, where)
        with explained(where):
            facts = read_facts(stated)
            if "ways" in facts:
                facts["ways"] = {n: cls.from_json(r) for n, r in facts["ways"].items()}
            return cls(**facts)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write one JSON file, with the other ways that the capture holds.

        Raises:
            OutputError: the file exists and ``overwrite`` is false, or cannot be written.
        """
        record = self.to_json()
        if self.ways:
            record["ways"] = {name: other.to_json() for name, other in self.ways.items()}
        with atomic_path(path, overwrite=overwrite) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Capture:
        """Read what :meth:`save` wrote.

        Raises:
            FormatError: no such file, not a capture, of another version, or damaged.
        """
        return cls.from_json(read_text(path), where=os.fspath(path))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Capture) and self._record == other._record

    def __hash__(self) -> int:
        light = None if self.light is None else str(self.light.attrs["name"])
        return hash((self.camera_name, light, self.white, self.bits, self.way))

    @functools.cached_property
    def _record(self) -> dict[str, Any]:
        """What :meth:`to_json` gives: captures are compared for each of many pictures."""
        return self.to_json()

    def __repr__(self) -> str:
        known = {"camera": self.camera_name}
        known["light"] = None if self.light is None else str(self.light.attrs["name"])
        facts = [f"{name}={value!r}" for name, value in known.items() if value is not None]
        for name in ("white", "black_level", "white_level", "bits", "noise"):
            if getattr(self, name) is not None:
                facts.append(f"{name}={getattr(self, name)!r}")
        if self.references is not None:
            facts.append(f"references={len(self.references)}")
        return f"Capture({', '.join(facts)})"

    def sensitivity(self, wavelengths_nm: npt.ArrayLike) -> FloatArray:
        """The camera alone in bands, shape (band, 3), in the true proportions of its channels.

        Raises:
            ConfigError: the camera is not known.
            DataError: it does not cover the bands.
        """
        return sensitivity(self._stated_camera(), wavelengths_nm)

    def _stated_camera(self) -> xr.DataArray:
        if self.camera is None:
            raise ConfigError(
                "the capture does not say which camera took the picture; give camera=, a name of "
                "respectra.list_cameras(), a file or a response"
            )
        return self.camera  # type: ignore[no-any-return]

    def _told_white(self, white: FloatArray) -> FloatArray:
        if self.white is None:
            return np.ones(3) if self.is_photograph else white / white.max()
        if len(self.white) == 4:
            raise ConfigError(
                "the white is to be found in the picture, which is not at hand here; call "
                "capture.resolve(image), or state its R, G, B"
            )
        return np.asarray(self.white, np.float64)
