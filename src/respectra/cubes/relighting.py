"""Another light on a cube: reflectance times the light is radiance, and back."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import xarray as xr

from respectra.colour import make_light, normalise_light, open_light, resample_light
from respectra.cubes.model import Quantity, is_chunked, require_cube, wavelengths_of
from respectra.errors import ConfigError, DataError, RespectraError
from respectra.guards.text import parse_json, parse_object
from respectra.typing import FloatArray

Light = str | os.PathLike[str] | xr.DataArray


def to_radiance(cube: xr.DataArray, light: Light | None = None) -> xr.DataArray:
    """What a scene of known reflectance sends out under a light.

    Args:
        cube: reflectance.
        light: what ``respectra.colour.open_light`` takes; the one in the cube's attributes by
            default. It is scaled to the luminance of equal energy, so that a perfect white is as
            bright under any light.

    Returns:
        ``quantity`` radiance; the attribute ``light`` says which it is under.

    Raises:
        DataError: the cube holds radiance, or the light does not cover its bands.
        ConfigError: an unknown light, or none where the cube states none.

    Example:
        >>> import respectra as rs
        >>> cube = rs.make_cube([[[0.5, 0.5, 0.5]]], [450, 550, 650], quantity="reflectance")
        >>> rs.to_radiance(cube, "A").attrs["quantity"]
        'radiance'
    """
    return _converted(cube, light, "radiance", "; respectra.relight gives it another light")


def to_reflectance(cube: xr.DataArray, light: Light | None = None) -> xr.DataArray:
    """The reflectance of a scene of known radiance: what :func:`to_radiance` was given.

    Args:
        cube: radiance.
        light: that it is under; the one in its attributes by default.

    Raises:
        DataError: the cube holds reflectance, or the light is dark in a band or does not cover it.
        ConfigError: an unknown light, or none where the cube states none.

    Example:
        >>> import respectra as rs
        >>> scene = rs.make_cube([[[0.5, 0.5, 0.5]]], [450, 550, 650], quantity="reflectance")
        >>> rs.to_reflectance(rs.to_radiance(scene, "A")).values.round(4).tolist()
        [[[0.5, 0.5, 0.5]]]
    """
    return _converted(cube, light, "reflectance")


def relight(cube: xr.DataArray, light: Light, *, present: Light | None = None) -> xr.DataArray:
    """The radiance of a scene under another light.

    Args:
        cube: reflectance, or radiance under a light that is known.
        light: the new light; what ``respectra.colour.open_light`` takes.
        present: the light that a radiance is under; the one in its attributes by default.

    Returns:
        ``quantity`` radiance; under the light that it was under, the very same values.

    Raises:
        DataError: a light that does not cover the bands.
        ConfigError: an unknown light, or a radiance whose light nobody states.

    Example:
        >>> import respectra as rs
        >>> cube = rs.make_cube([[[0.5, 0.5, 0.5]]], [450, 550, 650], quantity="reflectance")
        >>> rs.relight(cube, "A").attrs["light"]
        'A'
    """
    cube = require_cube(cube)
    if cube.attrs.get("quantity") == "reflectance":
        return to_radiance(cube, light)
    new, old = open_light(light), _light_of(cube, present)
    return _scaled(cube, _power(new, cube) / _power(old, cube), "radiance", new)


def _converted(
    cube: xr.DataArray, light: Light | None, quantity: Quantity, hint: str = ""
) -> xr.DataArray:
    cube = require_cube(cube)
    if cube.attrs.get("quantity", "radiance") == quantity:
        raise DataError(f"the cube holds {quantity} already{hint}")
    found = _light_of(cube, light)
    power = _power(found, cube)
    return _scaled(cube, power if quantity == "radiance" else 1.0 / power, quantity, found)


def _power(light: xr.DataArray, cube: xr.DataArray) -> FloatArray:
    grid = wavelengths_of(cube)
    return normalise_light(resample_light(light, grid), grid)


def _scaled(
    cube: xr.DataArray, factors: FloatArray, quantity: str, light: xr.DataArray
) -> xr.DataArray:
    attrs: dict[str, Any] = {**cube.attrs, "quantity": quantity}
    attrs["light"] = str(light.attrs["name"])
    attrs.pop("light_power", None)
    if not _has_name(light):
        attrs["light_power"] = json.dumps(_power(light, cube).tolist())
    if is_chunked(cube):
        scaled = cube.data.astype(np.float32) * factors.astype(np.float32)
        return cube.copy(data=scaled).assign_attrs(attrs)
    values = cube.values if (factors == 1.0).all() else cube.values * factors.astype(np.float32)
    return cube.copy(data=np.array(values, np.float32)).assign_attrs(attrs)


def _has_name(light: xr.DataArray) -> bool:
    """Whether the light's name alone gives it back."""
    name = str(light.attrs["name"])
    if "." in name and not name.startswith("FL"):
        return False
    try:
        known = open_light(name)
    except RespectraError:
        return False
    return known.shape == light.shape and bool(np.array_equal(known.values, light.values))


def _light_of(cube: xr.DataArray, light: Light | None) -> xr.DataArray:
    """A light that a user states, or the one that the cube's attributes do.

    Raises:
        ConfigError: nobody states one, or one that is not known.
        DataError: the attributes state one that cannot be used.
    """
    if light is not None:
        return open_light(light)
    name = cube.attrs.get("light")
    if name is None:
        raise ConfigError(
            "the cube does not say which light it is under; state it, such as light='D65' "
            "(respectra relight --present D65)"
        )
    try:
        recorded = _recorded(cube, str(name))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"the cube's attributes state a light {str(name)!r} that cannot be used: {error}; "
            "state it yourself (respectra relight --present)"
        ) from None
    return open_light(str(name)) if recorded is None else recorded


def _recorded(cube: xr.DataArray, name: str) -> xr.DataArray | None:
    """The light whose values the attributes hold; None where they hold its name alone."""
    if "light_power" in cube.attrs:
        power = parse_json(cube.attrs["light_power"], "the light in the cube's attributes")
        return make_light(power, wavelengths_of(cube), name=name)
    capture = parse_object(cube.attrs.get("capture", "{}"), "the capture in the cube's attributes")
    record = capture.get("light", capture.get("assumed"))
    if isinstance(record, dict) and record.get("name") == name:
        return make_light(record["power"], record["wavelengths_nm"], name=name)
    return None
