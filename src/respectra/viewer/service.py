"""The service: its settings, its jobs, and what routes have in common."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Literal

from fastapi import HTTPException
from pydantic import Field

from respectra.config import Config
from respectra.errors import ConfigError, DataError
from respectra.viewer.jobs import Entry, Jobs
from respectra.viewer.limits import Limits
from respectra.viewer.models import NewJob
from respectra.viewer.scene import Scene
from respectra.viewer.store import Store, UploadFiles, is_id


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


class Service:
    """Settings, files and jobs of one server."""

    def __init__(self, settings: Settings) -> None:
        for name, path in settings.weights.items():
            if not path.is_file():
                raise ConfigError(f"there is no weights file {path} for {name!r}")
        self.settings = settings
        self.store = Store(settings.folder)
        self.jobs = Jobs(self.store, settings.limits)
        self.event_streams = 0

    def entry(self, job: str) -> Entry:
        """A job by identifier, or the answer that there is none."""
        import time

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

    def scene(self, job: str, name: str) -> Scene:
        """A scene of a job, or the answer that it is not there (yet)."""
        entry = self.entry(job)
        if name not in ("recovered", "truth") or not entry.viewable:
            raise HTTPException(404, "there is no such scene, or nothing of it to see yet")
        for _ in range(2):  # what just missed a folder on its way to its place looks again
            with contextlib.suppress(OSError, ValueError):
                return Scene(self.jobs.scene_folder(entry) / name)
        raise HTTPException(404, "there is no such scene, or nothing of it yet")

    def new_entry(self, request: NewJob) -> Entry:
        """A job for a request, checked against what is on offer."""
        offered = {choice["name"] for choice in self.jobs.offer.get("methods", [])}
        offered |= set(self.settings.weights)
        if offered and request.method not in offered:
            raise HTTPException(422, "there is no such method; GET /api/options lists them")
        known = {choice["name"] for choice in self.jobs.offer.get("guarantees", [])}
        if not set(request.guarantees) <= known:
            raise HTTPException(422, "there is no such guarantee; GET /api/options lists them")
        upload = self.upload(request.upload) if request.upload else None
        truth = self.upload(request.truth) if request.truth else None
        task: dict[str, Any] = {
            "kind": "scene" if upload else "demo",
            "method": str(self.settings.weights.get(request.method, request.method)),
            "input": request.input,
            "guarantees": request.guarantees,
            "picture": request.model_dump(include={"grey", "alpha", "profile", "tone"}),
            "limits": self.settings.limits.model_dump(mode="json"),
        }
        if upload:
            task["source"] = str(upload.path)
        if truth:
            task["truth"] = str(truth.path)
        name = upload.name if upload else "A still life with known spectra"
        kind: Literal["scene", "demo"] = "scene" if upload else "demo"
        return Entry(name, kind, request, task, upload=upload, truth=truth)

    def new_export(self, entry: Entry, suffix: str) -> Entry:
        """A job that makes a file of a result."""
        if not entry.task:
            raise HTTPException(409, "the picture behind this result is not kept any more")
        if entry.upload is not None and entry.upload.id not in self.store.uploads:
            raise HTTPException(409, "the picture behind this result has expired; upload it again")
        task = {**entry.task, "kind": "export", "suffix": suffix}
        task.pop("truth", None)
        stem = Path(entry.name).stem or "cube"
        return Entry(f"{stem}{suffix}", "export", entry.request, task, upload=entry.upload)


def refuse(error: DataError) -> HTTPException:
    """An error of ours as an answer."""
    return HTTPException(422, str(error))
