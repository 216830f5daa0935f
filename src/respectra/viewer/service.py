"""The service: its settings, its jobs, and what routes have in common."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import PurePath
from typing import Annotated, Any, Literal

from fastapi import Depends, HTTPException, Path, Request

from respectra.errors import ConfigError
from respectra.viewer.jobs import Jobs, ServiceJob
from respectra.viewer.models import NewCalibration, NewJob, Problem
from respectra.viewer.scene import StoredScene
from respectra.viewer.settings import Settings
from respectra.viewer.store import JobStore, UploadFiles, is_id

#: How jobs and uploads are named in addresses.
Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
#: Lights by temperature.
_TEMPERATURE = re.compile(r"(planck|daylight):[0-9]{1,6}(\.[0-9]{1,6})?", re.IGNORECASE)


class Service:
    """Settings, files and jobs of one server."""

    def __init__(self, settings: Settings) -> None:
        for name, path in settings.weights.items():
            if not path.is_file():
                raise ConfigError(f"there is no weights file {path} for {name!r}")
        self.settings = settings
        self.store = JobStore(settings.folder)
        self.jobs = Jobs(self.store, settings.limits)
        self.event_streams = 0

    def entry(self, job: str) -> ServiceJob:
        """A job by identifier, or the answer that there is none."""
        entry = self.jobs.entries.get(job) if is_id(job) else None
        if entry is not None and self.jobs.has_expired(entry):
            self.jobs.remove(entry)
            entry = None
        if entry is None:
            raise HTTPException(404, "there is no such job; results expire")
        entry.touched = time.monotonic()
        return entry

    def upload(self, identifier: str) -> UploadFiles:
        """An upload by identifier, or the answer that there is none."""
        upload = self.store.uploads.get(identifier) if is_id(identifier) else None
        if upload is None or not upload.files:
            raise HTTPException(404, "there is no such upload; uploads expire")
        return upload

    def scene(self, job: str, name: str) -> StoredScene:
        """A scene of a job, or the answer that it is not there (yet)."""
        entry = self.entry(job)
        if name not in ("recovered", "truth") or not entry.viewable:
            raise HTTPException(404, "there is no such scene, or nothing of it to see yet")
        for _ in range(2):  # what just missed a folder on its way to its place looks again
            with contextlib.suppress(OSError, ValueError):
                return StoredScene(self.jobs.scene_folder(entry) / name)
        raise HTTPException(404, "there is no such scene, or nothing of it yet")

    def new_entry(self, request: NewJob) -> ServiceJob:
        """A job for a request, checked against what is on offer."""
        offered = {choice["name"] for choice in self.jobs.offer.get("methods", [])}
        offered |= set(self.settings.weights)
        if offered and request.method not in offered:
            raise HTTPException(422, "there is no such method; GET /api/options lists them")
        known = {choice["name"] for choice in self.jobs.offer.get("guarantees", [])}
        if not set(request.guarantees) <= known:
            raise HTTPException(422, "there is no such guarantee; GET /api/options lists them")
        self._check_names(request.camera, request.light)
        upload = self.upload(request.upload) if request.upload else None
        used: list[UploadFiles] = []
        stated: dict[str, Any] = request.model_dump(include={"camera", "light", "white"})
        for name in ("camera_file", "light_file", "capture", "references"):
            stated[name] = self._path(getattr(request, name), used)
        picture = request.model_dump(include={"grey", "alpha", "profile", "tone", "demosaic"})
        for name in ("profile", "tone"):
            picture[name] = self._path(getattr(request, f"{name}_file"), used) or picture[name]
        task: dict[str, Any] = {
            "kind": "scene" if upload else "demo",
            "method": str(self.settings.weights.get(request.method, request.method)),
            "input": request.input,
            "guarantees": request.guarantees,
            "picture": picture,
            "stated": {**stated, "quantity": request.quantity},
            "key": request.key,
            "source": None if upload is None else str(upload.path),
            "truth": self._path(request.truth, used),
            "limits": self.settings.limits.model_dump(mode="json"),
        }
        title = upload.name if upload else "A still life with known spectra"
        kind: Literal["scene", "demo"] = "scene" if upload else "demo"
        return ServiceJob(title, kind, request, task, upload=upload, beside=tuple(used))

    def new_calibration(self, request: NewCalibration) -> ServiceJob:
        """A job that calibrates a camera, checked against what is on offer."""
        if request.light != "unknown":
            self._check_names(None, request.light)
        upload = self.upload(request.upload)
        used: list[UploadFiles] = []
        chart = request.model_dump(include={"chart", "light", "corners"})
        task: dict[str, Any] = {
            "kind": "calibration",
            "source": str(upload.path),
            "input": request.input,
            "picture": {"demosaic": request.demosaic},
            "chart": {**chart, "light_file": self._path(request.light_file, used)},
            "limits": self.settings.limits.model_dump(mode="json"),
        }
        beside = tuple(used)
        return ServiceJob(upload.name, "calibration", NewJob(), task, upload=upload, beside=beside)

    def _path(self, identifier: str | None, used: list[UploadFiles]) -> str | None:
        """Where an upload lies that a job reads beside its picture; it is then among those used."""
        if identifier is None:
            return None
        used.append(self.upload(identifier))
        return str(used[-1].path)

    def _check_names(self, camera: str | None, light: str | None) -> None:
        """Only names pass: a path would be one of this machine."""
        cameras = self.jobs.offer.get("cameras", [])
        lights = {name.lower() for name in self.jobs.offer.get("scene_lights", [])}
        if camera is not None and camera not in cameras:
            raise HTTPException(422, "there is no such camera; GET /api/options lists them")
        if light is None or light.lower() in lights or _TEMPERATURE.fullmatch(light):
            return
        raise HTTPException(
            422,
            "there is no such light; GET /api/options lists them, planck:2856 and daylight:5200 "
            "name others by temperature",
        )

    def new_export(self, entry: ServiceJob, suffix: str) -> ServiceJob:
        """A job that makes a file of a result."""
        if not entry.task:
            raise HTTPException(409, "the picture behind this result is not kept any more")
        if any(upload.id not in self.store.uploads for upload in entry.uploads):
            raise HTTPException(409, "a file behind this result has expired; upload it again")
        task = {**entry.task, "kind": "export", "suffix": suffix, "truth": None}
        stem = PurePath(entry.name).stem or "cube"
        name = f"{stem}{suffix}"
        return ServiceJob(
            name, "export", entry.request, task, upload=entry.upload, beside=entry.beside
        )


async def _service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


#: The service that a request is for.
Here = Annotated[Service, Depends(_service_of)]


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """How a route states that it may answer so."""
    return {code: {"model": Problem} for code in codes}
