"""The queue: jobs that wait, the worker that does them, results that expire."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from respectra.allocator import trim_malloc
from respectra.viewer.models import JobOut, NewJob, State
from respectra.viewer.scene import FIRST_LOOK
from respectra.viewer.settings import Limits
from respectra.viewer.store import JobStore, UploadFiles, new_id, without_paths

logger = logging.getLogger("respectra.viewer")

#: How long a cancelled job may take to notice before its worker is ended.
_PATIENCE_S = 6.0
_ENDED = (State.DONE, State.FAILED, State.CANCELLED)


class QueueFull(Exception):  # noqa: N818 - an answer, not a failure
    """As many jobs wait as may."""


@dataclass
class ServiceJob:
    """A job, as the service keeps it."""

    name: str
    kind: Literal["scene", "demo", "export", "calibration"]
    request: NewJob
    task: dict[str, Any]
    upload: UploadFiles | None = None
    beside: tuple[UploadFiles, ...] = ()
    """Further uploads that the job reads: a truth, a response, a light, a table."""
    id: str = field(default_factory=new_id)
    state: State = State.QUEUED
    phase: str = "waiting"
    share: float = 0.0
    started: float | None = None
    viewable: bool = False
    error: str | None = None
    choices: tuple[str, ...] = ()
    forever: bool = False
    touched: float = field(default_factory=time.monotonic)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def uploads(self) -> tuple[UploadFiles, ...]:
        """All that the job reads."""
        return self.beside if self.upload is None else (self.upload, *self.beside)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in _ENDED

    def announce(self) -> None:
        """Wake everybody who follows the job."""
        self.changed.set()
        self.changed = asyncio.Event()


class Jobs:
    """Jobs by identifier, done one after another by one worker process.

    Args:
        store: where results go.
        limits: how many wait, how long they run and are kept.
    """

    def __init__(self, store: JobStore, limits: Limits) -> None:
        self.store, self.limits = store, limits
        self.entries: dict[str, ServiceJob] = {}
        self._wake = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()
        self.offer: dict[str, Any] = {}
        self._tasks: list[asyncio.Task[None]] = []
        for job in store.finished():
            self.add_finished(job, "an earlier result")

    def start(self, *, worker: bool) -> None:
        """Begin to work and to tidy up; called within the event loop."""
        self._tasks.append(asyncio.create_task(self._tidy_forever()))
        if worker:
            self._tasks.append(asyncio.create_task(self._work_forever()))

    async def stop(self) -> None:
        """End the worker and everything that waits."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._end_worker()

    def add_finished(self, job: str, name: str, *, forever: bool = False) -> ServiceJob:
        """Take a result in that is on the disk already; it may be kept without end."""
        entry = ServiceJob(name, "scene", NewJob(), {}, id=job, state=State.DONE, share=1.0)
        entry.phase, entry.viewable, entry.forever = "done", True, forever
        self.entries[job] = entry
        return entry

    def submit(self, entry: ServiceJob) -> ServiceJob:
        """Put a job into the queue.

        Raises:
            QueueFull: too many wait already.
        """
        if len(self._waiting()) >= self.limits.queue:
            raise QueueFull
        self.entries[entry.id] = entry
        self._hold(entry, +1)
        self._wake.set()
        return entry

    async def cancel(self, entry: ServiceJob) -> None:
        """Stop a job, or take it out of the queue."""
        if entry.state is State.QUEUED:
            self._finish(entry, State.CANCELLED)
            self._announce_queue()
        elif entry.state is State.RUNNING:
            entry.phase = "stopping"
            entry.announce()
            await self._send({"command": "cancel"})
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    while not entry.ended:
                        await entry.changed.wait()
            except TimeoutError:
                self._finish(entry, State.CANCELLED)
                await self._end_worker()

    async def focus(self, entry: ServiceJob, y: int, x: int) -> None:
        """Let a running job go on from the pixel that somebody looks at."""
        if entry.state is State.RUNNING:
            await self._send({"command": "focus", "job": entry.id, "y": y, "x": x})

    def has_expired(self, entry: ServiceJob) -> bool:
        """Whether nobody has asked for a result for too long."""
        age = time.monotonic() - entry.touched
        return entry.ended and not entry.forever and age > self.limits.expire_s

    def remove(self, entry: ServiceJob) -> None:
        """Forget a job that has ended and delete its result."""
        self.entries.pop(entry.id, None)
        self.store.remove_job(entry.id)

    def scene_folder(self, entry: ServiceJob) -> Path:
        """Where the scenes of a job are: its result, or the first look of an unfinished one."""
        folder = self.store.job_folder(entry.id)
        if not folder.is_dir() and entry.viewable:
            parts = sorted((self.store.root / "jobs").glob(f".{entry.id}.part*"))
            return parts[0] if parts else folder
        return folder

    def describe(self, entry: ServiceJob) -> JobOut:
        """A job as clients see it."""
        folder = self.scene_folder(entry)
        scenes = ("recovered", "truth")
        remaining = None
        if entry.state is State.RUNNING and entry.started is not None and entry.share > 0.06:
            remaining = (time.monotonic() - entry.started) * (1 / entry.share - 1)
        waiting = self._waiting()
        return JobOut(
            id=entry.id,
            name=entry.name,
            kind=entry.kind,
            state=entry.state,
            phase=entry.phase,
            share=round(entry.share, 4),
            remaining_s=remaining,
            queue_position=waiting.index(entry) + 1 if entry in waiting else None,
            viewable=entry.viewable,
            scenes=[s for s in scenes if (folder / s / "scene.json").is_file()],
            method=entry.request.method,
            input=entry.request.input,
            guarantees=entry.request.guarantees,
            upload=entry.upload.id if entry.upload else None,
            request=entry.request if entry.task and entry.kind in ("scene", "demo") else None,
            error=entry.error,
            choices=list(entry.choices),
        )

    async def _work_forever(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            await self._worker()  # warm before the first job comes
        while True:
            while not (waiting := self._waiting()):
                self._wake.clear()
                await self._wake.wait()
            entry = waiting[0]
            entry.state, entry.phase, entry.started = State.RUNNING, "starting", time.monotonic()
            entry.announce()
            self._announce_queue()
            try:
                async with asyncio.timeout(self.limits.job_s):
                    await self._do(entry)
            except TimeoutError:
                minutes = self.limits.job_s / 60
                self._finish(entry, State.FAILED, f"it took longer than {minutes:g} minutes")
                await self._end_worker()
            except (OSError, ValueError):
                logger.exception("the worker failed")
                self._finish(entry, State.FAILED, "the worker could not be started; try again")
                await self._end_worker()
            if entry.state in (State.FAILED, State.CANCELLED):
                self.store.remove_job(entry.id)

    async def _do(self, entry: ServiceJob) -> None:
        process = await self._worker()
        assert process.stdout is not None
        place = {"output": str(self.store.job_folder(entry.id)), "root": str(self.store.root)}
        task = {**entry.task, **place}
        await self._send({"command": "run", "job": entry.id, "task": task})
        while not entry.ended:
            line = await process.stdout.readline()
            if not line:
                if not entry.ended:
                    text = "the worker ended unexpectedly; the file may be damaged or too large"
                    self._finish(entry, State.FAILED, text)
                self._process = None
                return
            self._hear(entry, json.loads(line))

    def _hear(self, entry: ServiceJob, message: dict[str, Any]) -> None:
        if message.get("job") != entry.id:
            return
        match message["event"]:
            case "progress":
                entry.phase = message["phase"]
                entry.share = max(entry.share, message["share"])
                entry.viewable = entry.viewable or message["phase"] == FIRST_LOOK
                entry.announce()
            case "done":
                entry.viewable = entry.kind in ("scene", "demo")
                self._finish(entry, State.DONE)
            case "cancelled":
                self._finish(entry, State.CANCELLED)
            case "failed":
                entry.choices = tuple(message.get("choices", ()))
                self._finish(entry, State.FAILED, without_paths(message["error"], self.store.root))

    def _finish(self, entry: ServiceJob, state: State, error: str | None = None) -> None:
        if entry.ended:
            return
        entry.state, entry.error = state, error
        entry.phase = state.value
        entry.share = 1.0 if state is State.DONE else entry.share
        entry.viewable = entry.viewable and state is State.DONE
        entry.touched = time.monotonic()
        self._hold(entry, -1)
        entry.announce()

    def _hold(self, entry: ServiceJob, count: int) -> None:
        """Uploads that a job needs are not removed before it has ended."""
        for upload in entry.uploads:
            upload.busy += count
            upload.touched = time.monotonic()

    def _announce_queue(self) -> None:
        for entry in self._waiting():
            entry.announce()

    def _waiting(self) -> list[ServiceJob]:
        """Jobs that nothing has been done for yet, in the order in which they came."""
        return [entry for entry in self.entries.values() if entry.state is State.QUEUED]

    async def _worker(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "respectra.viewer.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=2**20,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                cwd=self.store.root,
            )
            assert self._process.stdout is not None
            self.offer = json.loads(await self._process.stdout.readline())["offer"]
            self.ready.set()
        return self._process

    async def _send(self, message: dict[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()

    async def _end_worker(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _tidy_forever(self) -> None:
        while True:
            await asyncio.sleep(min(30.0, self.limits.expire_s / 2))
            self.tidy()
            trim_malloc()

    def tidy(self) -> None:
        """Remove what has expired, and the oldest of what is too much."""
        oldest = time.monotonic() - self.limits.expire_s
        for kept in self._removable():
            surplus = len(kept) - self.limits.kept
            for number, one in enumerate(sorted(kept, key=_touched)):
                if number < surplus or one.touched < oldest:
                    self._drop(one)
        self.make_room()

    def make_room(self) -> bool:
        """Remove what was least recently asked for until the disk limit is kept.

        Returns:
            whether it is; what still arrives, waits or runs is never removed.
        """
        while self.store.used_bytes() > self.limits.stored_bytes:
            oldest = min(itertools.chain(*self._removable()), key=_touched, default=None)
            if oldest is None:
                return False
            self._drop(oldest)
        return True

    def _removable(self) -> tuple[Sequence[ServiceJob | UploadFiles], ...]:
        """Results that may go, and uploads that no job reads."""
        ended = [entry for entry in self.entries.values() if entry.ended and not entry.forever]
        return ended, [upload for upload in self.store.uploads.values() if not upload.busy]

    def _drop(self, one: ServiceJob | UploadFiles) -> None:
        if isinstance(one, ServiceJob):
            self.remove(one)
        else:
            self.store.remove_upload(one)


def _touched(kept: UploadFiles | ServiceJob) -> float:
    return kept.touched
