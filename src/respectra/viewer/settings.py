"""How a server is set up, and what it takes on, so that no client can exhaust the machine."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from respectra.config import Config


class Limits(Config):
    """Limits of the service; each refusal names the one that was met.

    Example:
        >>> Limits(pixels=1_000_000).queue
        16
    """

    upload_bytes: int = Field(default=2 * 2**30, gt=0)
    """Bytes of all files of one upload."""
    upload_files: int = Field(default=2048, gt=0)
    """Files of one upload: cubes can be folders."""
    pixels: int = Field(default=64_000_000, gt=0)
    """Height times width of a picture or a cube."""
    cube_values: int = Field(default=2_000_000_000, gt=0)
    """Height times width times bands."""
    queue: int = Field(default=16, gt=0)
    """Jobs that wait; more are refused until one starts."""
    kept: int = Field(default=64, gt=0)
    """Results and uploads that are kept; the ones least recently asked for go first."""
    stored_bytes: int = Field(default=20 * 2**30, gt=0)
    """Disk space of all uploads and results; those least recently asked for make room."""
    expire_s: float = Field(default=3600.0, gt=0)
    """Time after which results that nobody asks for are removed."""
    job_s: float = Field(default=900.0, gt=0)
    """Longest time that one job may run."""
    idle_s: float = Field(default=20.0, gt=0)
    """Longest silence of a client in the middle of an upload, and longest time that the head of a
    request may take, or nothing may come at all."""
    connections: int = Field(default=256, gt=0)
    """Requests served at the same time."""
    event_streams: int = Field(default=128, gt=0)
    """Progress streams that are open at the same time."""


class Settings(Config):
    """How a server is set up.

    Example:
        >>> Settings(token="a long secret").uploads
        True
    """

    folder: Path | None = None
    """Where uploads and results are kept; a temporary folder without it."""
    token: str | None = None
    """What clients must show; None trusts everybody who reaches the server."""
    hosts: tuple[str, ...] | None = ("127.0.0.1", "localhost", "::1")
    """Names by which it may be addressed; None for any."""
    origins: tuple[str, ...] = ()
    """Other sites whose pages may use the service."""
    embed: tuple[str, ...] = ()
    """Sites that may show the page in a frame."""
    weights: dict[str, Path] = Field(default_factory=dict)
    """Weights files to offer, by name."""
    uploads: bool = True
    """Whether clients may bring pictures; without, only what the server shows is there."""
    limits: Limits = Limits()
