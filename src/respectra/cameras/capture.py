"""The capture: what is known of how a picture was taken.

Under light L the camera A sees a reflectance as the camera diag(L)·A would. So camera and light
are one *effective response*, scaled so that a perfect white gives the picture's white; reflectance
is recovered through it, and radiance is reflectance times L.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.arrays import with_values
from respectra.cameras.capture_records import (
    FORMAT,
    VERSION,
    camera_record,
    light_record,
    open_camera,
    read_camera,
    read_light,
    read_record,
)
from respectra.cameras.codec import Rounding
from respectra.cameras.images import require_image
from respectra.cameras.pictures.tone import Tone
from respectra.cameras.references import References
from respectra.cameras.responses import CLEAN_RESPONSE, band_weights, resample_response
from respectra.cameras.white import estimate_white
from respectra.colour import (
    decode_srgb,
    list_rgb_spaces,
    normalise_light,
    open_light,
    resample_light,
    space_matrix,
    srgb_matrix,
)
from respectra.cubes import Quantity, check_wavelengths
from respectra.errors import ConfigError, DataError, FormatError, unknown_name
from respectra.files import atomic_path
from respectra.typing import FloatArray

White = tuple[float, float, float]
#: x, y, width, height of a part of the picture, in pixels.
Rectangle = tuple[int, int, int, int]

#: A white that is estimated from the picture.
AUTO = "auto"
#: The camera of developed photographs: linear sRGB as the 2° observer adapted to the light.
PHOTOGRAPH = "srgb"
#: The light that a developed photograph is taken to be under.
PHOTOGRAPH_LIGHT = "D65"
#: Cameras that make codes otherwise than to the nearest.
_ROUNDING: dict[str | None, Rounding] = {CLEAN_RESPONSE: "truncate"}
#: Light that stands for one of which nothing is known, not even the colour of white.
ASSUMED_LIGHT = "E"
#: From this share of full scale on, a white says only that it was at least so bright.
_CLIPPED = 0.995
#: Below this share of full scale, a white says nothing.
_BLACK = 0.01
#: Temperatures of the lights that are compared with a told white, K.
_PLANCK_K = (2000, 2300, 2600, 2856, 3200, 3600, 4000, 4500)
_DAYLIGHT_K = (4500, 5000, 5500, 6000, 6500, 7500, 9000, 12000)


@dataclass(frozen=True)
class Noise:
    """Noise of linear values: their variance is ``gain`` times the value plus ``read`` squared.

    Attributes:
        gain: variance per unit of value, in full scale; one over the electrons at full scale.
        read: standard deviation in the dark, in full scale.

    Example:
        >>> import numpy as np
        >>> Noise(gain=0.01, read=0.002).deviation(np.array([0.0, 0.25])).round(4).tolist()
        [0.002, 0.05]
    """

    gain: float = 0.0
    read: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.gain < 1 and 0 <= self.read < 1):
            raise ConfigError(
                f"noise is stated in full scale, from 0 to 1; got gain {self.gain!r}, "
                f"read {self.read!r}"
            )

    def __bool__(self) -> bool:
        return self.gain > 0 or self.read > 0

    def deviation(self, values: npt.ArrayLike) -> FloatArray:
        """Standard deviation of the noise of linear values, in the shape of them."""
        signal = np.maximum(np.asarray(values, np.float64), 0.0)
        return np.asarray(np.sqrt(self.gain * signal + self.read**2))


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
            R, G, B, or six for them and the roots of RG, GB, RB; columns R, G, B.
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
    correction: tuple[tuple[float, ...], ...] | None = None
    assumed: Any = None
    taken_by: str | None = None
    way: str | None = None
    ways: Mapping[str, Capture] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.camera is not None:
            put(self, "camera", open_camera(self.camera))
        if self.light is not None:
            put(self, "light", open_light(self.light))
        if self.assumed is not None:
            put(self, "assumed", open_light(self.assumed))
        if self.white is not None:
            put(self, "white", _white(self.white))
        if isinstance(self.noise, (int, float)):
            put(self, "noise", Noise(read=float(self.noise)))
        if self.noise is not None and not isinstance(self.noise, Noise):
            raise ConfigError(f"noise is a number or Noise(gain, read); got {self.noise!r}")
        if self.references is not None and not isinstance(self.references, References):
            raise ConfigError(
                f"references are respectra.References; got {type(self.references).__name__}"
            )
        if self.tone is not None and not isinstance(self.tone, Tone):
            raise ConfigError(f"tone is a respectra.cameras.Tone; got {type(self.tone).__name__}")
        if self.correction is not None:
            put(self, "correction", _correction(self.correction))
        if self.rounding is None:
            put(self, "rounding", _ROUNDING.get(self.camera_name, "nearest"))
        if self.rounding not in get_args(Rounding):
            raise ConfigError(f"rounding is nearest or truncate; got {self.rounding!r}")
        _check_levels(self.black_level, self.white_level, self.bits)

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
        return self.camera is not None and self.camera.attrs["name"] in list_rgb_spaces()

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
            changes["white"] = _white_of(values, self.white)
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
        encoded = picture.attrs.get("encoding") == "srgb"
        values = np.asarray(picture.values, np.float32)
        if encoded:
            values = decode_srgb(values)
        space = str(picture.attrs.get("space", PHOTOGRAPH))
        if self.is_photograph and space != self.camera_name:
            values = _to_space(values, space, str(self.camera_name))
            picture = picture.assign_attrs(space=self.camera_name)
            encoded, bits = False, 32
        elif self.has_levels:
            low, high = self.levels(bits)
            values = np.clip((values - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
        computed = encoded or self.has_levels
        curve = "srgb" if encoded else "levels" if self.has_levels else "linear"
        attrs = {**picture.attrs, "encoding": "linear", "bits": 32 if computed else bits}
        attrs |= {"code_bits": bits, "code_curve": curve}
        return with_values(picture, values).assign_attrs(attrs)

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
            matrix = np.asarray(self.correction, np.float32)
            if len(matrix) == 6:
                r, g, b = (rgb[..., k] for k in range(3))
                roots = [np.sqrt(r * g), np.sqrt(g * b), np.sqrt(r * b)]
                rgb = np.concatenate([rgb, np.stack(roots, axis=-1)], axis=-1)
            rgb = np.clip(rgb @ matrix, 0.0, 1.0)
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
        high = top if self.white_level is None else self.white_level
        if not (self.black_level or 0.0) < high <= top:
            raise ConfigError(
                f"black level {self.black_level or 0:g} and white level {high:g} do not fit "
                f"{bits}-bit codes, from 0 to {top:g}"
            )
        return (self.black_level or 0.0) / top, high / top

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
        told = np.log(np.asarray(self.white) / sum(self.white))
        best, least = open_light(ASSUMED_LIGHT), np.inf
        camera = self.sensitivity(wavelengths_nm)
        names = [*(f"planck:{k}" for k in _PLANCK_K), *(f"daylight:{k}" for k in _DAYLIGHT_K)]
        for light in (best, *map(open_light, names)):
            white = resample_light(light, wavelengths_nm) @ camera
            if (white <= 0).any():
                continue
            distance = float(np.abs(np.log(white / white.sum()) - told).sum())
            if distance < least:
                best, least = light, distance
        return best

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
            DataError: camera or light do not cover the bands, or a channel sees nothing of white.
        """
        grid = check_wavelengths(wavelengths_nm)
        power = self.power(grid)
        seen = self._seen(grid, power)
        white = seen.sum(axis=0)
        if not (white > 0).all():
            dark = "RGB"[int(np.argmin(white))]
            raise DataError(
                f"channel {dark} of the camera {self.camera_name!r} sees nothing of a white under "
                f"this light from {grid[0]:g} to {grid[-1]:g} nm; check the units of both"
            )
        response: FloatArray = seen * (self._told_white(white) / white)
        return response if quantity == "reflectance" else response / power[:, None]

    def white_values(self, wavelengths_nm: npt.ArrayLike) -> FloatArray:
        """Linear R, G, B that a perfect white gives: told, or with its brightest channel at 1."""
        grid = check_wavelengths(wavelengths_nm)
        return self._told_white(self._seen(grid, self.power(grid)).sum(axis=0))

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
        record: dict[str, Any] = {"format": FORMAT, "version": VERSION}
        if self.camera is not None:
            record["camera"] = camera_record(self.camera)
        if self.light is not None:
            record["light"] = light_record(self.light)
        if self.assumed is not None:
            record["assumed"] = light_record(self.assumed)
        if self.white is not None:
            record["white"] = AUTO if self.white == AUTO else list(self.white)
        for name in ("black_level", "white_level", "bits"):
            if getattr(self, name) is not None:
                record[name] = getattr(self, name)
        if isinstance(self.noise, Noise):
            record["noise"] = dataclasses.asdict(self.noise)
        if self.tone is not None:
            record["tone"] = dataclasses.asdict(self.tone)
        if self.correction is not None:
            record["correction"] = [list(row) for row in self.correction]
        if self.references is not None:
            record["references"] = self.references.to_json()
        if self.taken_by is not None:
            record["taken_by"] = self.taken_by
        if self.way is not None:
            record["way"] = self.way
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
        facts = read_record(record, where)
        with facts.explained():
            noise = facts.take("noise", dict)
            references = facts.take("references", dict)
            tone = facts.take("tone", dict)
            correction = facts.take("correction", list)
            ways = facts.take("ways", dict)
            white = facts.take("white")
            capture = cls(
                camera=read_camera(facts.take("camera")),
                light=read_light(facts.take("light")),
                assumed=read_light(facts.take("assumed")),
                white=tuple(white) if isinstance(white, list) else white,
                black_level=facts.take("black_level", float),
                white_level=facts.take("white_level", float),
                bits=facts.take("bits", int),
                noise=None if noise is None else Noise(**noise),
                references=None if references is None else References.from_json(references),
                tone=None if tone is None else Tone(**tone),
                correction=correction,
                rounding=facts.take("rounding", str),
                taken_by=facts.take("taken_by", str),
                way=facts.take("way", str),
                ways=None if ways is None else {n: cls.from_json(r) for n, r in ways.items()},
            )
            facts.done()
        return capture

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
        file = Path(path)
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FormatError(f"{file} cannot be read as a capture: {error}") from None
        return cls.from_json(text, where=str(file))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Capture) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_json(), sort_keys=True))

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

    def _seen(self, grid: FloatArray, power: FloatArray) -> FloatArray:
        """The camera times the light, in no particular scale."""
        if self.is_photograph:
            return self._observer(power, grid)
        return self.sensitivity(grid) * power[:, None]

    def _observer(self, power: FloatArray, grid: FloatArray) -> FloatArray:
        """Linear R, G, B of the photograph's colour space, of reflectance under a light."""
        seen = srgb_matrix(power, grid)
        if self.camera_name == PHOTOGRAPH:
            return seen
        return seen @ space_matrix(PHOTOGRAPH, str(self.camera_name)).T

    def sensitivity(self, wavelengths_nm: npt.ArrayLike) -> FloatArray:
        """The camera alone in bands, shape (band, 3), in the true proportions of its channels.

        Raises:
            ConfigError: the camera is not known.
            DataError: it does not cover the bands.
        """
        if self.camera is None:
            raise ConfigError(
                "the capture does not say which camera took the picture; give camera=, a name of "
                "respectra.list_cameras(), a file or a response"
            )
        if self.is_photograph:
            power = resample_light(open_light(PHOTOGRAPH_LIGHT), wavelengths_nm)
            seen = self._observer(power, check_wavelengths(wavelengths_nm))
            return np.asarray(seen / power[:, None], np.float64)
        sampled = resample_response(self.camera, wavelengths_nm)
        return np.asarray(sampled.values * band_weights(wavelengths_nm)[:, None], np.float64)

    def _told_white(self, white: FloatArray) -> FloatArray:
        if self.white is None:
            return np.ones(3) if self.is_photograph else white / white.max()
        if len(self.white) == 4:
            raise ConfigError(
                "the white is a rectangle of the picture, which is not at hand here; call "
                "capture.resolve(image), or state its R, G, B"
            )
        return np.asarray(self.white, np.float64)


def _white(white: Any) -> White | Rectangle | str:
    """The white as told: three values, four numbers of pixels, or auto."""
    if isinstance(white, str) and white == AUTO:
        return AUTO
    try:
        numbers = [float(value) for value in white]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) == 3:
        r, g, b = numbers
        if not all(np.isfinite(value) and value > 0 for value in numbers):
            raise DataError(
                f"a white has three positive values R, G, B; got {r:g}, {g:g}, {b:g}: a black "
                "pixel is no white"
            )
        if max(numbers) > 1:
            raise DataError(
                f"the values of a white are shares of full scale, at most 1; got {max(numbers):g}: "
                "divide codes by 2**bits - 1"
            )
        return r, g, b
    if len(numbers) == 4 and all(value == int(value) for value in numbers):
        x, y, width, height = (int(value) for value in numbers)
        if min(x, y) < 0 or min(width, height) < 1:
            raise DataError(
                f"the rectangle of a white is x, y, width, height in pixels, from 0 and at least "
                f"1 x 1; got {x}, {y}, {width}, {height}"
            )
        return x, y, width, height
    raise DataError(
        f"a white is R, G, B of linear light, or x, y, width, height of a part of the picture; "
        f"got {white!r}"
    )


def _to_space(values: npt.NDArray[np.float32], start: str, end: str) -> npt.NDArray[np.float32]:
    """Linear light from one colour space to another; what that cannot hold is clipped."""
    matrix = space_matrix(start, end).T.astype(np.float32)
    return np.asarray(np.clip(values @ matrix, 0.0, 1.0), np.float32)


def _correction(rows: Any) -> tuple[tuple[float, ...], ...]:
    """Three or six rows of three finite numbers."""
    matrix = np.asarray(rows, np.float64)
    if matrix.shape not in ((3, 3), (6, 3)) or not np.isfinite(matrix).all():
        raise ConfigError(f"a correction has 3 or 6 rows of 3 numbers; got {matrix.shape}")
    return tuple(tuple(float(v) for v in row) for row in matrix)


def _white_of(values: FloatArray, rectangle: Rectangle) -> White:
    x, y, width, height = rectangle
    rows, columns = values.shape[:2]
    if x + width > columns or y + height > rows:
        raise DataError(
            f"the white {x},{y},{width},{height} reaches beyond the picture of {columns} x {rows} "
            "pixels (x, y, width, height)"
        )
    patch = values[y : y + height, x : x + width].reshape(-1, 3)
    clipped = float((patch >= _CLIPPED).any(axis=1).mean())
    if clipped > 0.01:
        raise DataError(
            f"the white {x},{y},{width},{height} is clipped at {clipped:.0%} of its pixels, so "
            "that nobody knows how bright it was; choose a grey or a less exposed one"
        )
    r, g, b = (float(value) for value in patch.mean(axis=0))
    if min(r, g, b) < _BLACK:
        raise DataError(
            f"the white {x},{y},{width},{height} is black (R, G, B {r:.4f}, {g:.4f}, {b:.4f} of "
            "full scale); point at a white or light grey surface"
        )
    return r, g, b


def _check_levels(black: float | None, white: float | None, bits: int | None) -> None:
    if bits is not None and not (isinstance(bits, int) and 1 <= bits <= 32):
        raise ConfigError(f"bits are a whole number from 1 to 32; got {bits!r}")
    for name, level in (("black", black), ("white", white)):
        if level is not None and not (np.isfinite(level) and level >= 0):
            raise ConfigError(f"the {name} level is a code from 0 on; got {level!r}")
    if black is not None and white is not None and not black < white:
        raise ConfigError(f"the black level lies below the white level; got {black:g}, {white:g}")
