"""What the service takes and gives, as its OpenAPI document states it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class State(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Problem(_Model):
    """Why a request was refused."""

    detail: str


class UploadOut(_Model):
    """Files that were received."""

    id: str
    name: str
    files: int
    bytes: int


#: How a photograph is read.
Input = Literal["auto", "srgb", "clean", "real-world", "linear", "camera"]
Name = Annotated[str, Field(max_length=100)]
#: Linear R, G, B in shares of full scale, or x, y, width, height of a part of the picture.
White = Annotated[list[float], Field(min_length=3, max_length=4)] | Literal["auto"]


class NewJob(_Model):
    """A picture or a cube to look at, or the demonstration.

    What is not stated of how the picture was taken is taken from its file, or assumed.
    """

    upload: str | None = Field(default=None, description="An upload; none for the demonstration.")
    truth: str | None = Field(default=None, description="An upload of a cube to compare with.")
    method: Name = Field(default="default", description="One of the methods on offer.")
    input: Input = "auto"
    guarantees: list[str] = Field(default_factory=list, max_length=8)
    grey: Literal["refuse", "repeat"] = "refuse"
    alpha: Literal["refuse", "white", "black", "drop"] = "refuse"
    profile: Literal["embedded", "ignore"] = "embedded"
    profile_file: str | None = Field(
        default=None, description="An upload: an ICC profile to use instead."
    )
    tone: Literal["auto", "none", "generic"] = "auto"
    tone_file: str | None = Field(default=None, description="An upload: a tone curve as JSON.")
    demosaic: Literal["edge-aware", "bilinear", "half"] = "edge-aware"
    camera: Name | None = Field(default=None, description="One of the cameras on offer.")
    camera_file: str | None = Field(
        default=None, description="An upload: the response of the camera."
    )
    light: Name | None = Field(
        default=None, description="A CIE illuminant, planck:2856 or daylight:5200, such as D50."
    )
    light_file: str | None = Field(default=None, description="An upload: the light's spectrum.")
    white: White | None = Field(
        default=None,
        description="What a perfect white gives: linear R, G, B in shares of full scale, or x, y, "
        "width, height of a part of the picture, or auto.",
    )
    capture: str | None = Field(default=None, description="An upload: a capture as JSON.")
    references: str | None = Field(
        default=None,
        description="An upload: known spectra, a CSV headed y,x[,height,width],400,410,...",
    )
    quantity: Literal["reflectance", "radiance"] | None = Field(
        default=None, description="What comes out; of a cube, what its values are."
    )
    key: str | None = Field(
        default=None, max_length=300, description="Which cube of a file that holds several."
    )

    @property
    def names_something(self) -> bool:
        """Whether it names what only the worker knows."""
        named = self.camera or self.light or self.guarantees
        return bool(named) or self.method != "default"


class NewCalibration(_Model):
    """A photograph of a colour chart, to calibrate a camera with."""

    upload: str = Field(description="An upload: the photograph.")
    chart: Literal["classic24", "passport"] = "classic24"
    light: Name = Field(default="unknown", description="On the chart; as in a new job, or unknown.")
    light_file: str | None = Field(default=None, description="An upload: the light's spectrum.")
    corners: Annotated[list[tuple[float, float]], Field(min_length=4, max_length=4)] | None = Field(
        default=None,
        description="x, y of the centres of the first patch, the last of the first row, the last, "
        "and the first of the last row; found without.",
    )
    input: Input = "auto"
    demosaic: Literal["edge-aware", "bilinear", "half"] = "edge-aware"


class CalibrationOut(_Model):
    """What a photograph of a chart says of its camera."""

    words: str = Field(description="What was found, for people.")
    way: str = Field(description="That leaving out each patch found best.")
    scores: dict[str, float] = Field(description="Mean relative error of a left-out patch.")
    light: str | None
    left_out: list[int] = Field(description="Patches, from 1, that were clipped or in shadow.")
    residuals: list[float | None]
    corners: list[tuple[float, float]]
    places: list[tuple[float, float]]
    capture: dict[str, Any] = Field(description="The capture, as its file has it.")


class ChartOut(_Model):
    """A colour chart whose reflectances are known."""

    name: str
    rows: int
    columns: int
    patches: list[str] = Field(description="What they are called.")
    wavelengths_nm: list[float]
    spectra: list[list[float]] = Field(description="A row a patch, in reading order.")


class NewFocus(_Model):
    """The pixel that somebody looks at."""

    y: int = Field(ge=0, le=10_000_000)
    x: int = Field(ge=0, le=10_000_000)


class NewExport(_Model):
    """A file to make of a result."""

    format: str = Field(max_length=20, description="One of the formats on offer, such as netcdf.")


class JobOut(_Model):
    """A job and how far it is."""

    id: str
    name: str
    kind: Literal["scene", "demo", "export", "calibration"]
    state: State
    phase: str
    share: float = Field(description="Share of the work that is done, 0 to 1.")
    remaining_s: float | None = Field(description="Estimated time to the end.")
    queue_position: int | None = Field(description="Jobs to be done before it, itself included.")
    viewable: bool = Field(description="Whether a first look is there.")
    scenes: list[str] = Field(description="Scenes that can be read: recovered, truth.")
    method: str
    input: str
    guarantees: list[str]
    upload: str | None
    request: NewJob | None = Field(description="What was asked for, to ask again with changes.")
    error: str | None
    choices: list[str] = Field(description="Names of the cubes, where a file holds several.")


class Choice(_Model):
    """Something to choose, in plain words."""

    name: str
    title: str
    words: str


class Options(_Model):
    """What this server offers."""

    version: str
    methods: list[Choice]
    inputs: list[Choice]
    guarantees: list[Choice]
    formats: list[Choice]
    lights: list[Choice]
    cameras: list[str]
    scene_lights: list[str] = Field(description="Lights that a scene may be under.")
    observers: list[Choice]
    uploads: bool
    upload_bytes: int
    pixels: int


class PlaneOut(_Model):
    """A plane of a scene: a kind of value for every pixel."""

    name: str
    channels: int
    dtype: str


class SceneOut(_Model):
    """What a client needs to evaluate spectra by itself.

    The spectrum of a pixel is its ``rank`` coefficients times ``basis``.
    """

    height: int
    width: int
    tile: int
    levels: list[tuple[int, int]] = Field(description="(height, width) of each level, finest 0.")
    finest: int = Field(description="The finest level that is complete.")
    block: int = Field(description="Side of a block in pixels of level 0.")
    ready: list[tuple[int, int]] = Field(
        description="While finest is not 0: (row, column) of blocks that all levels have."
    )
    rank: int
    wavelengths_nm: list[float]
    basis: list[list[float]]
    deviation_basis: list[list[float]] = Field(
        description="The same for the plane of standard deviations, where there is one."
    )
    band_colours: list[tuple[float, float, float]] = Field(description="Linear sRGB.")
    quantity: str
    scene_light: str
    planes: list[PlaneOut]
    largest_error: float
    peak: float
    exposure: float
    invalid_pixels: int
    differing_pixels: int | None
    largest_difference: int | None
    uncertainty: list[float] | None
    facts: dict[str, str]


class ReferencesOut(_Model):
    """Known spectra that a scene was recovered with."""

    wavelengths_nm: list[float]
    places: list[tuple[int, int, int, int]] = Field(description="(y, x, height, width) in pixels.")
    spectra: list[list[float]]


class RenderingOut(_Model):
    """From a spectrum to linear sRGB."""

    matrix: list[tuple[float, float, float]] = Field(description="One row a band.")


class SpectraOut(_Model):
    """Spectra of pixels."""

    wavelengths_nm: list[float]
    points: list[tuple[int, int]] = Field(description="(y, x) in pixels.")
    values: list[list[float]]


class RegionOut(_Model):
    """Mean and spread of a rectangle."""

    wavelengths_nm: list[float]
    pixels: int
    mean: list[float]
    standard_deviation: list[float]
