"""From the name of a method, or a file of weights, to a reconstructor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from respectra.cameras import Capture
from respectra.cubes import Quantity
from respectra.errors import ConfigError, unknown_name
from respectra.inference.engines import Engine
from respectra.inference.reconstructor import Reconstructor
from respectra.methods import Weights, list_methods, load_weights
from respectra.methods.fitting import fitted_once
from respectra.methods.shipped import open_shipped

#: The weights that ship with the package, one set a track: of the project's own network, and of the
#: classical method that was found best.
DEFAULT, CLASSICAL = "default", "default-classical"


def load(
    source: str | os.PathLike[str] = DEFAULT,
    *,
    track: str = "clean",
    tile: int | Literal["auto"] | None = "auto",
    max_memory: str | int = "auto",
    device: str = "auto",
    engine: Engine = "auto",
    guarantees: Sequence[str] = (),
    self_ensemble: str = "none",
    capture: Capture | None = None,
    quantity: Quantity | None = None,
    force: bool = False,
) -> Reconstructor:
    """Make a reconstructor.

    Args:
        source: a weights file; ``default`` or ``respectra``, the weights of the project's own
            network that ship with the package for the track; ``default-classical``, those of the
            classical method that ship with it; or the name of a classical method, which is
            fitted within seconds on the measured spectra that the installed packages bring, once:
            what was fitted is kept in the cache folder.
        track: track of the images, for everything that is not a file.
        self_ensemble: ``none``, or the symmetries over which the answers are averaged:
            ``horizontal``, ``vertical``, ``flips`` or ``all``; see
            :mod:`respectra.inference.self_ensemble`.
        capture: what is known of how the pictures were taken; see
            :meth:`Reconstructor.with_capture`.
        quantity: ``reflectance`` or ``radiance``.
        tile, max_memory, device, engine, guarantees, force: see :class:`Reconstructor`.

    Raises:
        ConfigError: there are no such weights.
        FormatError: the file is not a weights file.

    Example:
        >>> import respectra as rs
        >>> rec = rs.load()  # the weights that ship
        >>> rec(rs.make_image([[[0.2, 0.3, 0.1]]])).sizes["wavelength"]
        31
        >>> rs.load("wiener").card.name  # a classical method by name
        'wiener'
    """
    return Reconstructor(
        find_weights(source, track=track),
        tile=tile,
        max_memory=max_memory,
        device=device,
        engine=engine,
        guarantees=guarantees,
        self_ensemble=self_ensemble,
        capture=capture,
        quantity=quantity,
        force=force,
    )


def find_weights(source: str | os.PathLike[str], *, track: str = "clean") -> Weights:
    """The weights that :func:`load` would use.

    Example:
        >>> find_weights("default").method
        'respectra'
    """
    name = os.fspath(source)
    if name in (DEFAULT, "respectra"):
        return open_shipped(track)
    if name == CLASSICAL:
        return open_shipped(track, name="classical")
    classical = list_methods("classical")
    if name in classical:
        return fitted_once(name, track=track)
    if Path(name).suffix or os.sep in name or Path(name).exists():
        return load_weights(name)
    if name in list_methods("network"):
        raise ConfigError(
            f"no weights of {name!r} ship with the package; train it, or bring the authors' "
            f"checkpoint in with: respectra import-weights {name} FILE -o {name}.safetensors"
        )
    raise unknown_name(
        "method or weights file", name, [DEFAULT, CLASSICAL, "respectra", *classical]
    )
