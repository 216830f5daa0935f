"""Colour profiles: from a file's codes to linear light in a named colour space.

Profiles of three primaries and three curves (of every camera, phone and display) are computed in
floating point, as the standard defines them (ICC.1:2022, 8.3 and 10). Profiles that are tables (of
scanners and of CMYK) go through LittleCMS in 8 bits. LittleCMS also judges whether a profile is
sound.

The few parts of an ICC profile that are needed are read and written here; what is none of them, or
damaged, is a FormatError.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.cameras.pictures.source import Codes, Said
from respectra.colour import decode_srgb, rgb_space
from respectra.errors import FormatError
from respectra.typing import Float32Array, FloatArray

#: Values in [0, 1] to linear light in [0, 1].
Curve = Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]]

#: White of the profile connection space.
D50: FloatArray = np.array([0.9642, 1.0, 0.8249])
_MOST_TAGS = 200
_PARAMETERS = (1, 3, 4, 5, 7)
Apply = Callable[[Codes], Float32Array]

#: Spaces that a profile may be recognised as.
_KNOWN = ("srgb", "display-p3", "adobe-rgb", "prophoto", "rec2020")
#: Spaces that hold the colours of profiles that are none of the known ones, the smallest first.
_CONTAINERS = ("rec2020", "prophoto", "aces")
#: Primaries are a known space's where no XYZ differs by more than this; so are curves.
_SAME_PRIMARIES, _SAME_CURVE = 3e-3, 2e-3
_CLASSES = {"mntr": "display", "scnr": "scanner", "prtr": "printer", "spac": "colour space"}
_MODES = {"rgb": "RGB ", "grey": "GRAY", "cmyk": "CMYK"}


@dataclass(frozen=True)
class Profile:
    """What to do with the codes of a file.

    Attributes:
        name: of the profile, for the attributes of the image.
        space: colour space of the linear values that come out; ``None`` where the codes are
            those of sRGB, and stay.
        apply: codes (…, 1, 3 or 4) to linear values (…, 3 or 1), in [0, 1].
    """

    name: str
    space: str | None
    apply: Apply | None


SRGB = Profile("sRGB", None, None)


def open_profile(data: bytes, said: Said) -> Profile:
    """A profile for codes of a kind; one that is damaged or for other channels is refused."""
    sound = _sound(data)
    name = _name(sound)
    wanted, found = _MODES.get(said.colours, "RGB "), sound.xcolor_space
    kind = sound.device_class.strip()
    if kind not in _CLASSES:
        raise FormatError(f"its colour profile {name!r} is of class {kind!r}; {_WAY_OUT}")
    if found != wanted and not (wanted == "GRAY" and found == "RGB "):
        raise FormatError(
            f"its colour profile {name!r} is for {found.strip()} and the picture is "
            f"{wanted.strip()}; {_WAY_OUT}"
        )
    if found == "GRAY":
        return _grey_profile(data, name, said)
    tables = read_tags(data)
    if found == "RGB " and {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"} <= set(tables):
        return _matrix_profile(tables, name, said)
    return _table_profile(data, name, said)


def space_profile(name: str, said: Said) -> Profile:
    """The profile of a named space, for files that name one without carrying a profile."""
    space = rgb_space(name)
    apply = _per_channel([space.decode] * (1 if said.colours == "grey" else 3), said)
    return Profile(name, name, apply)


_WAY_OUT = "remove it, or pass it over with profile='ignore' (--profile ignore)"


def _sound(data: bytes) -> Any:
    from PIL import ImageCms

    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data)).profile
    except Exception as error:  # LittleCMS says little, in several classes
        raise FormatError(f"its colour profile is damaged ({error}); {_WAY_OUT}") from None


def _name(sound: Any) -> str:
    text = str(sound.profile_description or "").strip()
    return "".join(c for c in text if c.isprintable())[:60] or "without a name"


def _grey_profile(data: bytes, name: str, said: Said) -> Profile:
    tags = read_tags(data)
    if b"kTRC" not in tags:
        raise FormatError(f"its colour profile {name!r} has no curve for grey; {_WAY_OUT}")
    curve = read_curve(tags[b"kTRC"])
    return Profile(name, "srgb", _per_channel([curve], said))


def _matrix_profile(tags: dict[bytes, bytes], name: str, said: Said) -> Profile:
    to_xyz = np.stack([read_xyz(tags[key]) for key in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
    if np.abs(to_xyz.sum(axis=1) - D50).max() > 0.05:
        raise FormatError(
            f"its colour profile {name!r} is damaged: its primaries do not add up to white; "
            f"{_WAY_OUT}"
        )
    curves = [read_curve(tags[key]) for key in (b"rTRC", b"gTRC", b"bTRC")]
    space = next((s for s in _KNOWN if _differs(to_xyz, s) < _SAME_PRIMARIES), None)
    if space == "srgb" and said.colours == "rgb" and _is_srgb_curve(curves):
        return Profile(name, None, None)
    if said.colours == "grey":
        return Profile(name, "srgb", _per_channel(curves[:1], said))
    light = _per_channel(curves, said)
    if space is not None:
        return Profile(name, space, light)
    for container in _CONTAINERS:
        matrix = np.linalg.solve(rgb_space(container).to_xyz_d50, to_xyz)
        if matrix.min() > -2e-3:
            break
    matrix = matrix.T.astype(np.float32)

    def apply(codes: Codes) -> Float32Array:
        return np.clip(light(codes) @ matrix, 0.0, 1.0)

    return Profile(name, container, apply)


def _differs(to_xyz: FloatArray, space: str) -> float:
    return float(np.abs(to_xyz - rgb_space(space).to_xyz_d50).max())


def _is_srgb_curve(curves: list[Curve]) -> bool:
    steps = np.linspace(0.0, 1.0, 256)
    wanted = decode_srgb(steps)
    return all(float(np.abs(curve(steps) - wanted).max()) < _SAME_CURVE for curve in curves)


def _per_channel(curves: list[Curve], said: Said) -> Apply:
    """Codes through a curve a channel: by table where there are only so many codes."""
    if said.bits > 16:

        def compute(codes: Codes) -> Float32Array:
            values = np.asarray(codes, np.float64)
            parts = [np.asarray(c(values[..., i])) for i, c in enumerate(curves)]
            return np.stack(parts, axis=-1).astype(np.float32)

        return compute
    steps = np.arange(int(said.full) + 1) / said.full
    tables = [np.asarray(curve(steps), np.float64).astype(np.float32) for curve in curves]

    def look_up(codes: Codes) -> Float32Array:
        return np.stack([table[codes[..., i]] for i, table in enumerate(tables)], axis=-1)

    return look_up


def _table_profile(data: bytes, name: str, said: Said) -> Profile:
    """Through LittleCMS, in 8 bits, to ProPhoto; relative to the medium's white."""
    from PIL import Image, ImageCms

    mode = "CMYK" if said.colours == "cmyk" else "RGB"
    if said.colours == "grey":
        raise FormatError(f"its colour profile {name!r} is a table of RGB, not grey; {_WAY_OUT}")
    source = ImageCms.ImageCmsProfile(io.BytesIO(data))
    target = ImageCms.ImageCmsProfile(io.BytesIO(_prophoto()))
    try:
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        transform = ImageCms.buildTransform(source, target, mode, "RGB", intent)
    except ImageCms.PyCMSError as error:
        raise FormatError(f"its colour profile {name!r} is damaged ({error}); {_WAY_OUT}") from None
    light = (np.linspace(0.0, 1.0, 256) ** 1.8).astype(np.float32)

    def apply(codes: Codes) -> Float32Array:
        eight = codes
        if said.bits != 8:
            eight = np.rint(np.clip(codes / said.full, 0.0, 1.0) * 255).astype(np.uint8)
        picture = Image.fromarray(np.ascontiguousarray(eight), mode)
        return np.asarray(light[np.asarray(ImageCms.applyTransform(picture, transform))])

    return Profile(name, "prophoto", apply)


@functools.cache
def _prophoto() -> bytes:
    return write_profile("ProPhoto, gamma 1.8", rgb_space("prophoto").to_xyz_d50, 1.8)


def read_tags(data: bytes) -> dict[bytes, bytes]:
    """Signature -> contents of the parts of a profile."""
    try:
        (count,) = struct.unpack(">I", data[128:132])
        if count > _MOST_TAGS:
            raise FormatError(f"its colour profile is damaged: {count} parts")
        tags = {}
        for index in range(count):
            at = 132 + 12 * index
            name, start, size = struct.unpack(">4sII", data[at : at + 12])
            if start + size > len(data):
                raise FormatError("its colour profile is damaged: a part lies outside it")
            tags[name] = data[start : start + size]
    except struct.error:
        raise FormatError("its colour profile is damaged: it is cut short") from None
    return tags


def read_xyz(tag: bytes) -> FloatArray:
    """X, Y, Z of a part of type XYZ."""
    if tag[:4] != b"XYZ " or len(tag) < 20:
        raise FormatError("its colour profile is damaged: a primary is no XYZ")
    return np.array(struct.unpack(">3i", tag[8:20])) / 65536.0


def read_curve(tag: bytes) -> Curve:
    """A tone curve, of type curve or parametric curve, of finite values."""
    try:
        curve = _sampled(tag) if tag[:4] == b"curv" else _parametric(tag)
        with np.errstate(all="ignore"):
            seen = np.asarray(curve(np.linspace(0.0, 1.0, 1024)))
    except struct.error:
        raise FormatError("its colour profile is damaged: a curve is cut short") from None
    if not np.isfinite(seen).all() or seen[-1] < 0.5:
        raise FormatError("its colour profile is damaged: a curve is not one of a picture")
    return curve


def _sampled(tag: bytes) -> Curve:
    (count,) = struct.unpack(">I", tag[8:12])
    if count == 0:
        return lambda values: np.asarray(values, np.float64)
    if count == 1:
        (gamma,) = struct.unpack(">H", tag[12:14])
        return lambda values: np.power(np.asarray(values, np.float64), gamma / 256.0)
    if len(tag) < 12 + 2 * count:
        raise FormatError("its colour profile is damaged: a curve is cut short")
    table = np.frombuffer(tag, ">u2", count, 12) / 65535.0
    places = np.linspace(0.0, 1.0, count)
    return lambda values: np.interp(values, places, table)


def _parametric(tag: bytes) -> Curve:
    if tag[:4] != b"para":
        raise FormatError("its colour profile is damaged: a curve is of an unknown type")
    (kind,) = struct.unpack(">H", tag[8:10])
    if kind >= len(_PARAMETERS):
        raise FormatError(f"its colour profile is damaged: a curve of type {kind}")
    number = _PARAMETERS[kind]
    stored = [v / 65536.0 for v in struct.unpack(f">{number}i", tag[12 : 12 + 4 * number])]
    g, a, b, c, d, e, f = _seven(kind, stored)

    def curve(values: npt.NDArray[np.floating]) -> FloatArray:
        x = np.asarray(values, np.float64)
        power = np.maximum(a * x + b, 0.0) ** g + e
        return np.clip(np.where(x >= d, power, c * x + f), 0.0, 1.0)

    return curve


def _seven(kind: int, p: list[float]) -> list[float]:
    """g, a, b, c, d, e, f of (a·x + b)^g + e from d on, c·x + f below it."""
    if kind == 0:
        return [p[0], 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    if kind >= 3:
        return [*p, 0.0, 0.0][:7]
    edge, offset = -p[2] / p[1] if p[1] else 0.0, p[3] if kind == 2 else 0.0
    return [*p[:3], 0.0, edge, offset, offset]


def write_profile(name: str, to_xyz_d50: FloatArray, gamma: float) -> bytes:
    """A display profile (version 2): its primaries to XYZ, adapted to D50, and a power law."""
    text = name.encode("ascii") + b"\0"
    parts = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"CC0\0",
        b"wtpt": _xyz(D50),
    }
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    for index, letter in enumerate((b"r", b"g", b"b")):
        parts[letter + b"XYZ"] = _xyz(to_xyz_d50[:, index])
        parts[letter + b"TRC"] = curve
    table, body = b"", b""
    start = 132 + 12 * len(parts)
    for key, part in parts.items():
        table += key + struct.pack(">II", start + len(body), len(part))
        body += part + bytes(-len(part) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"\0" * 4, 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _numbers(D50)
    header += bytes(128 - len(header))
    return header + struct.pack(">I", len(parts)) + table + body


def _numbers(values: FloatArray) -> bytes:
    return struct.pack(">3i", *(round(float(v) * 65536) for v in values))


def _xyz(values: FloatArray) -> bytes:
    return b"XYZ " + bytes(4) + _numbers(values)
