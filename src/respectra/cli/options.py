"""How commands state their options, and the groups of options that several commands share.

A group is a dataclass whose fields are options: a command takes it as one parameter, and
:class:`respectra.cli.help.App` puts its options in that place of the command line.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from respectra.cli.help import CUBE_FILES, RUNNING, TOLD
from respectra.errors import ConfigError

if TYPE_CHECKING:
    from respectra.cluster import Cluster
    from respectra.inference.known import KnownFacts

Number = TypeVar("Number", int, float)
Quantity = Literal["reflectance", "radiance"]


def option(
    metavar: str | None,
    text: str,
    panel: str | None = None,
    *,
    names: tuple[str, ...] = (),
    unset: str | bool = True,
    **limits: Any,
) -> Any:
    """An option with a value.

    Args:
        metavar: what stands for the value in the help; None for a choice, which lists its words.
        text: what it means.
        panel: the heading of the help that it stands under, where not the first.
        names: how it is written, where not as the function calls it.
        unset: what holds without it, in words, where the default does not say it.
        limits: ``min`` and ``max``, of a number.
    """
    return typer.Option(
        *names, metavar=metavar, help=text, rich_help_panel=panel, show_default=unset, **limits
    )


def flag(name: str, text: str, panel: str | None = None) -> Any:
    """An option that is given or not."""
    return typer.Option(name, help=text, rich_help_panel=panel)


def output_option(metavar: str, text: str, *, unset: str | bool = True) -> Any:
    """The option that says where results go."""
    return option(metavar, text, names=("--output", "-o"), unset=unset)


def argument(metavar: str | None, text: str, *, unset: str | bool = True) -> Any:
    """A value by its place on the command line."""
    return typer.Argument(metavar=metavar, help=text, show_default=unset)


def split_words(text: str) -> tuple[str, ...]:
    """The words of a text with commas between."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def split_numbers(
    name: str,
    text: str,
    wanted: str,
    kind: Callable[[str], Number],
    *,
    counts: tuple[int, ...] = (),
) -> tuple[Number, ...]:
    """The numbers of a text with commas between.

    Args:
        name: the option whose value it is.
        text: the value.
        wanted: what it takes, in words.
        kind: ``int`` or ``float``.
        counts: how many numbers there may be; any by default.

    Raises:
        ConfigError: something else stands there, or another count of numbers.
    """
    with contextlib.suppress(ValueError):
        numbers = tuple(kind(word) for word in text.split(","))
        if not counts or len(numbers) in counts:
            return numbers
    raise ConfigError(f"{name} takes {wanted}; got {text!r}")


KeyOption = Annotated[
    str | None,
    option("NAME", "Variable, where a file holds several.", CUBE_FILES, unset="the only one"),
]
AxesOption = Annotated[
    str | None,
    option(
        "A,B,C", "The axes of the file's array: band,y,x.", CUBE_FILES, unset="as the file says"
    ),
]


@dataclass(frozen=True)
class CubeOptions:
    """Which array of a file is the cube, and what it holds: as ``open_cube`` takes it."""

    key: KeyOption = None
    axes: AxesOption = None
    quantity: Annotated[
        str | None,
        option(
            "NAME",
            "What the values are: radiance, reflectance.",
            CUBE_FILES,
            unset="as the file says",
        ),
    ] = None

    def opening(self) -> dict[str, Any]:
        """As the functions that open cubes take them."""
        return vars(self)


@dataclass(frozen=True)
class CubeFileOptions(CubeOptions):
    """The same with the bands, for files that do not know them."""

    wavelengths: Annotated[
        str | None,
        option("NM", "Bands in nm: 400:700:10, or a list.", CUBE_FILES, unset="as the file says"),
    ] = None

    def opening(self) -> dict[str, Any]:
        """As :func:`respectra.open_cube` takes them."""
        from respectra.cubes import parse_wavelengths

        grid = None if self.wavelengths is None else parse_wavelengths(self.wavelengths)
        named = {"key": self.key, "axes": self.axes, "quantity": self.quantity}
        return {**named, "wavelengths_nm": grid}


@dataclass(frozen=True)
class WorkerOptions:
    """Who shares the work."""

    workers: Annotated[
        int | None, option("N", "Processes that share the work.", RUNNING, unset="this one", min=1)
    ] = None
    cluster: Annotated[
        str | None,
        option(
            "URL",
            "Scheduler of a dask cluster that shares the work: tcp://HOST:8786.",
            RUNNING,
            unset="none",
        ),
    ] = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Cluster | None]:
        """The workers, with where they can be watched; None where nobody asked for any.

        Raises:
            ConfigError: both options, or no scheduler at this address.
        """
        if self.workers is not None and self.cluster is not None:
            raise ConfigError("--workers and --cluster exclude each other; give one")
        if self.workers is None and self.cluster is None:
            yield None
            return
        from respectra.cli.app import echo
        from respectra.cluster import open_cluster

        with open_cluster(workers=self.workers, address=self.cluster) as cluster:
            if cluster.dashboard:
                echo(f"the workers show what they do at {cluster.dashboard}")
            yield cluster


@dataclass(frozen=True)
class CaptureOptions:
    """How pictures were taken; single facts win over those of a capture file."""

    camera: Annotated[
        str | None,
        option(
            "NAME|FILE",
            "Camera that took the pictures: a name that 'respectra cameras' lists, srgb for "
            "developed photos, or a CSV, NPZ or MATLAB file of its response.",
            TOLD,
            unset="not known",
        ),
    ] = None
    light: Annotated[
        str | None,
        option(
            "NAME|FILE",
            "Light on the scene: A, D50, FL2, LED-B3, ..., planck:2856 or "
            "daylight:5200 (kelvin), or a file.",
            TOLD,
            unset="not known",
        ),
    ] = None
    white: Annotated[
        str | None,
        option(
            "X,Y,W,H|R,G,B|auto",
            "What a perfect white gives: a rectangle of the (first) picture, linear R,G,B in "
            "shares of full scale, or auto: estimated from the (first) picture.",
            TOLD,
            unset="not known",
        ),
    ] = None
    capture: Annotated[
        Path | None,
        option("JSON", "A capture, as Capture.save or calibrate writes it.", TOLD, unset="none"),
    ] = None

    def known(self) -> KnownFacts:
        """What these options say.

        Raises:
            ConfigError: options that exclude each other, or a white that is none.
            RespectraError: a file or a name that is not known.
        """
        from respectra.inference.known import KnownFacts, stated_capture

        white: Any = self.white
        if white not in (None, "auto"):
            wanted = "R,G,B in shares of full scale, or x,y,width,height of a rectangle in pixels"
            white = split_numbers("--white", white, wanted, float, counts=(3, 4))
        facts = {"camera": self.camera, "light": self.light, "white": white}
        return KnownFacts(stated_capture(self.capture, **facts))


@dataclass(frozen=True)
class ResultOptions(CaptureOptions):
    """The same with what comes out."""

    quantity: Annotated[
        Quantity | None,
        option(
            None,
            "What comes out.",
            TOLD,
            unset="reflectance of photos and where the light is known",
        ),
    ] = None

    def known(self) -> KnownFacts:
        """What these options say; see :meth:`CaptureOptions.known`."""
        return dataclasses.replace(super().known(), quantity=self.quantity)


@dataclass(frozen=True)
class SceneOptions(ResultOptions):
    """The same with known spectra of what the pictures show."""

    references: Annotated[
        Path | None,
        option(
            "CSV",
            "Known spectra of the (first) picture: y,x[,height,width],400,410,...,700 (nm).",
            TOLD,
            unset="none",
        ),
    ] = None
    references_from: Annotated[
        Path | None,
        option(
            "CUBE",
            "A cube of the same place, whose spectra serve as references.",
            TOLD,
            unset="none",
        ),
    ] = None
    materials: Annotated[
        Path | None,
        option(
            "CSV",
            "Spectra of what is in the scene, as a prior: name,400,410,...,700 (nm).",
            TOLD,
            unset="none",
        ),
    ] = None
    key: KeyOption = None
    axes: AxesOption = None
    references_quantity: Annotated[
        Quantity | None,
        option(
            None, "What the values of --references-from are.", CUBE_FILES, unset="as the file says"
        ),
    ] = None

    def known(self) -> KnownFacts:
        """What these options say; see :meth:`CaptureOptions.known`."""
        from respectra.cameras import References
        from respectra.datasets.scenes import Opening

        given = (self.references, self.references_from, self.materials)
        if sum(one is not None for one in given) > 1:
            raise ConfigError(
                "--references, --references-from and --materials exclude each other; give one"
            )
        table = self.references
        return dataclasses.replace(
            super().known(),
            references=None if table is None else References.from_csv(table),
            references_from=self.references_from,
            materials=self.materials,
            references_opening=Opening(self.key, self.axes, self.references_quantity),
        )
