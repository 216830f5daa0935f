"""What scores depend on besides truth and estimate; part of the protocol."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from respectra.config import Config
from respectra.errors import unknown_name
from respectra.evaluation.metrics import METRICS, OnZero
from respectra.methods import ResponseRecord

#: Metrics of the plain test, in the order of the tables. The weighted and the physical score are
#: tests of their own.
PLAIN_METRICS = (
    "mrae",
    "rmse",
    "psnr",
    "sam",
    "ssim",
    "ergas",
    "relative_error_p95",
    "delta_e_2000",
    "delta_e_2000_p95",
)
#: Other cameras that the test with them has.
MOST_CAMERAS = 20


class ScoringRules(Config):
    """How an estimate is scored."""

    metrics: tuple[str, ...] = PLAIN_METRICS
    floor: float = Field(default=0.0, ge=0)
    """Smallest denominator of a relative error, in the unit of the truth; 0 is official."""
    on_zero: OnZero = "raise"
    """What a zero in the truth does when the floor is 0."""
    clusters: int = Field(default=1000, ge=1)
    cluster_init_size: int | None = Field(default=10_000, ge=1)
    """Pixels among which each start of k-means looks for its first centres; None is official."""
    cameras: tuple[ResponseRecord, ...] = ()
    """Cameras of the test with other cameras, at most twenty; see
    ``respectra.evaluation.auxiliary.choose_cameras``. By default known and derived ones."""

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in METRICS:
                raise unknown_name("metric", name, METRICS)
        return distinct("metrics", ("mrae", *(n for n in names if n != "mrae")))

    @field_validator("cameras")
    @classmethod
    def _distinct_cameras(cls, cameras: tuple[ResponseRecord, ...]) -> tuple[ResponseRecord, ...]:
        names = [camera.name for camera in cameras]
        if len(set(names)) < len(names) or len(names) > MOST_CAMERAS:
            raise ValueError(f"up to {MOST_CAMERAS} cameras of different names are needed")
        return cameras


def distinct(what: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values of an option, each once. Raises ValueError where there is none."""
    if not values:
        raise ValueError(f"at least one of the {what} is needed")
    return tuple(dict.fromkeys(values))
