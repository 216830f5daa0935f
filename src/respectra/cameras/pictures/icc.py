"""The few parts of an ICC profile that are read and written here (ICC.1:2022).

What is none of them, or damaged, is a FormatError.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError
from respectra.typing import FloatArray

#: Values in [0, 1] to linear light in [0, 1].
Curve = Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]]

#: White of the profile connection space.
D50: FloatArray = np.array([0.9642, 1.0, 0.8249])
_MOST_TAGS = 200
_PARAMETERS = (1, 3, 4, 5, 7)


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
