"""Routes: options, uploads, jobs, progress, exports."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse
from sse_starlette import EventSourceResponse

import respectra
from respectra.cubes.formats import FORMATS
from respectra.errors import DataError
from respectra.guards.text import read_object
from respectra.viewer.calibrating import CAPTURE_FILE, FACTS_FILE, chart_table
from respectra.viewer.jobs import QueueFull, ServiceJob
from respectra.viewer.models import (
    CalibrationOut,
    ChartOut,
    Choice,
    JobOut,
    NewCalibration,
    NewExport,
    NewFocus,
    NewJob,
    Options,
    State,
    UploadOut,
)
from respectra.viewer.security import next_chunk
from respectra.viewer.service import Here, Id, Service, problems
from respectra.viewer.store import UploadFiles, safe_path

FileName = Annotated[str, Query(min_length=1, max_length=300)]
_HEARTBEAT_S = 15
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
#: What a request for a job can meet.
_NEW_JOB = (404, 408, 413, 422, 429)


async def _ready(service: Service) -> None:
    """Wait until the worker has said what is on offer, without which no name is known."""
    try:
        await asyncio.wait_for(service.jobs.ready.wait(), 120.0)
    except TimeoutError:
        raise HTTPException(503, "the worker is not ready; try again") from None


router = APIRouter(prefix="/api", responses=problems(400, 401, 403, 503))


@router.get("/options", tags=["options"])
async def options(service: Here) -> Options:
    """What this server offers, in plain words."""
    settings = service.settings
    if settings.uploads:
        await _ready(service)
    offered: dict[str, Any] = dict(service.jobs.offer)
    if not settings.uploads:
        from respectra.viewer.options import views

        empty = ("methods", "inputs", "guarantees", "formats", "cameras", "scene_lights")
        offered = {**{name: [] for name in empty}, **views()}
    methods = [Choice(**choice) for choice in offered.pop("methods")]
    for name in settings.weights:
        methods.append(Choice(name=name, title=name, words="Weights given to this server."))
    return Options(
        version=respectra.__version__,
        methods=methods,
        uploads=settings.uploads,
        upload_bytes=settings.limits.upload_bytes,
        pixels=settings.limits.pixels,
        **offered,
    )


@router.post(
    "/uploads",
    status_code=201,
    openapi_extra=_BODY,
    responses=problems(408, 413, 415, 422, 507),
    tags=["uploads"],
)
async def upload(service: Here, request: Request, name: FileName) -> UploadOut:
    """Send a file as the body. A cube of several files goes on with PUT."""
    _require_bytes(request)
    _require_uploads(service)
    service.jobs.tidy()
    files = service.store.new_upload(name)
    try:
        return await _receive(service, files, request, name)
    except BaseException:
        service.store.remove_upload(files)
        raise


@router.put(
    "/uploads/{upload_id}",
    openapi_extra=_BODY,
    responses=problems(404, 408, 413, 415, 422, 507),
    tags=["uploads"],
)
async def upload_more(service: Here, request: Request, upload_id: Id, name: FileName) -> UploadOut:
    """Add a file to an upload: the data of an ENVI header, the next part of a folder."""
    _require_bytes(request)
    files = service.upload(upload_id)
    if files.busy:
        raise HTTPException(422, "a job uses this upload already")
    return await _receive(service, files, request, name)


@router.post("/jobs", status_code=202, responses=problems(*_NEW_JOB), tags=["jobs"])
async def new_job(service: Here, request: NewJob) -> JobOut:
    """Recover a picture's spectra, or look at a cube; without an upload, a demonstration."""
    _require_uploads(service)
    if request.names_something:
        await _ready(service)
    return _submit(service, service.new_entry(request))


@router.get("/charts/{chart}", tags=["calibrations"])
def chart(chart: Literal["classic24", "passport"]) -> ChartOut:
    """The patches of a colour chart and their reflectances."""
    return ChartOut(**chart_table(chart))


@router.post("/calibrations", status_code=202, responses=problems(*_NEW_JOB), tags=["calibrations"])
async def calibrate(service: Here, request: NewCalibration) -> JobOut:
    """Calibrate a camera with a photograph of a colour chart."""
    _require_uploads(service)
    if request.light != "unknown":
        await _ready(service)
    return _submit(service, service.new_calibration(request))


@router.get("/jobs/{job}/calibration", responses=problems(404), tags=["calibrations"])
def calibration(service: Here, job: Id) -> CalibrationOut:
    """What was found; the capture alone is the job's file."""
    folder = _finished_folder(service, job, "calibration")
    facts = read_object(folder / FACTS_FILE)
    return CalibrationOut(**facts, capture=read_object(folder / CAPTURE_FILE))


@router.get("/jobs/{job}", responses=problems(404), tags=["jobs"])
async def job_status(service: Here, job: Id) -> JobOut:
    """How far a job is."""
    return service.jobs.describe(service.entry(job))


@router.delete("/jobs/{job}", responses=problems(404), tags=["jobs"])
async def delete_job(service: Here, job: Id) -> JobOut:
    """Cancel a job that has not ended; delete the result of one that has."""
    entry = service.entry(job)
    if entry.ended:
        service.jobs.remove(entry)
    else:
        await service.jobs.cancel(entry)
    return service.jobs.describe(entry)


@router.put("/jobs/{job}/focus", status_code=204, responses=problems(404, 422), tags=["jobs"])
async def focus(service: Here, job: Id, request: NewFocus) -> None:
    """Say where somebody looks: what is still to be computed goes on from there."""
    await service.jobs.focus(service.entry(job), request.y, request.x)


@router.get(
    "/jobs/{job}/events",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **problems(404)},
    tags=["jobs"],
)
async def events(service: Here, job: Id) -> EventSourceResponse:
    """Progress as server-sent events, each a job; the stream ends with the job."""
    entry = service.entry(job)
    if service.event_streams >= service.settings.limits.event_streams:
        raise HTTPException(503, "too many clients follow jobs; ask for the job instead")
    # The pings find out whether the client is still there.
    return EventSourceResponse(_follow(service, entry), ping=_HEARTBEAT_S)


@router.post(
    "/jobs/{job}/exports",
    status_code=202,
    responses=problems(*_NEW_JOB, 409),
    tags=["results"],
)
async def export(service: Here, job: Id, request: NewExport) -> JobOut:
    """Compute the whole cube exactly and save it; the file belongs to the new job."""
    entry = service.entry(job)
    if not entry.viewable:
        raise HTTPException(409, "there is no result to export")
    found = next((f for f in FORMATS if f.name == request.format), None)
    if found is None:
        raise HTTPException(422, "there is no such format; GET /api/options lists them")
    return _submit(service, service.new_export(entry, found.suffix))


@router.get(
    "/jobs/{job}/file",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, **problems(404)},
    tags=["results"],
)
def file(service: Here, job: Id) -> FileResponse:
    """The file of an export, or the capture of a calibration."""
    entry = service.entry(job)
    folder = _finished_folder(service, job, "export", "calibration")
    found = folder / CAPTURE_FILE
    if entry.kind == "export":
        found = next(path for path in folder.iterdir() if path.is_file())
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", entry.name.split(".")[0])[:60] or "cube"
    name = stem + "".join(found.suffixes)
    return FileResponse(found, filename=name, media_type="application/octet-stream")


def _finished_folder(service: Service, job: str, *kinds: str) -> Path:
    """Where the files of a job are that has ended well, or the answer that there are none."""
    entry = service.entry(job)
    folder = service.store.job_folder(entry.id)
    if entry.kind not in kinds or entry.state is not State.DONE or not folder.is_dir():
        raise HTTPException(404, "there is no such file (yet)")
    return folder


def _submit(service: Service, entry: ServiceJob) -> JobOut:
    service.jobs.tidy()
    try:
        service.jobs.submit(entry)
    except QueueFull:
        raise HTTPException(
            429, "too many jobs wait already; try again in a while", headers={"Retry-After": "5"}
        ) from None
    return service.jobs.describe(entry)


def _require_uploads(service: Service) -> None:
    if not service.settings.uploads:
        raise HTTPException(403, "this server shows what it was started with, nothing else")


def _require_bytes(request: Request) -> None:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in ("application/octet-stream", "image/png", "image/jpeg", "image/tiff"):
        raise HTTPException(415, "send the file itself, as application/octet-stream")


async def _receive(service: Service, files: UploadFiles, request: Request, name: str) -> UploadOut:
    """Write the body to its place, counting; what is refused leaves nothing."""
    limits = service.settings.limits
    if files.files >= limits.upload_files:
        raise HTTPException(413, f"an upload has at most {limits.upload_files} files")
    try:
        target = files.folder / safe_path(name)
    except DataError as error:
        raise HTTPException(422, str(error)) from None
    stream = aiter(request.stream())
    size = 0
    files.busy += 1
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            while (chunk := await next_chunk(stream, limits.idle_s)) is not None:
                size += len(chunk)
                files.bytes += len(chunk)
                if files.bytes > limits.upload_bytes:
                    limit = limits.upload_bytes // 2**20
                    raise HTTPException(413, f"an upload has at most {limit} MiB")
                if not service.jobs.make_room():
                    raise HTTPException(
                        507, "the server's disk limit is reached; try again in a while"
                    )
                await asyncio.to_thread(out.write, chunk)
        if size == 0:
            raise HTTPException(422, "the file is empty")
    except FileExistsError:
        raise HTTPException(422, "the upload has a file of this name already") from None
    except (NotADirectoryError, IsADirectoryError):
        raise HTTPException(422, "a file and a folder cannot share a name") from None
    except BaseException as error:
        target.unlink(missing_ok=True)
        files.bytes -= size
        if isinstance(error, OSError):
            raise HTTPException(503, "the file could not be stored; try again") from None
        raise
    finally:
        files.busy -= 1
        files.touched = time.monotonic()
    files.files += 1
    return UploadOut(id=files.id, name=files.name, files=files.files, bytes=files.bytes)


async def _follow(service: Service, entry: ServiceJob) -> AsyncIterator[dict[str, str]]:
    service.event_streams += 1
    try:
        while True:
            changed = entry.changed
            yield {"data": service.jobs.describe(entry).model_dump_json()}
            if entry.ended:
                return
            await changed.wait()
    finally:
        service.event_streams -= 1
