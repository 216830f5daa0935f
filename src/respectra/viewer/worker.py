"""The worker process: reads tasks from standard input, reports to standard output.

A process of its own keeps the service answering while a method computes, gives the memory of a
job back, can be ended when a job is cancelled, and takes nothing else down when a damaged file
crashes a decoder. Both directions are JSON, one object a line. The end of standard input means
that the service is gone, and the worker ends at once.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from typing import Any, TextIO

from respectra.allocator import trim_malloc
from respectra.errors import RespectraError


class Cancelled(Exception):  # noqa: N818 - not an error
    """The client does not want the result any more."""


def main() -> None:
    """Work until standard input ends."""
    # What libraries print must not end up among the reports.
    reports = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    cancelled = threading.Event()
    looked_at: dict[str, tuple[int, int]] = {}
    listening = (tasks, cancelled, looked_at)
    threading.Thread(target=_listen, args=listening, daemon=True).start()
    from respectra.viewer.options import offer
    from respectra.viewer.runner import Task, run, warm_up  # heavy; the service answers

    _say(reports, {"event": "ready", "offer": offer()})
    warm_up()
    while True:
        message = tasks.get()
        cancelled.clear()
        looked_at.clear()
        job = message["job"]

        def progress(done: int, total: int, what: str, /, job: str = job) -> None:
            if cancelled.is_set():
                raise Cancelled
            share = done / max(1, total)
            _say(reports, {"event": "progress", "job": job, "phase": what, "share": share})

        def focus(job: str = job) -> tuple[int, int] | None:
            return looked_at.get(job)

        try:
            run(Task(**message["task"]), progress, focus)
            _say(reports, {"event": "done", "job": job})
        except Cancelled:
            _say(reports, {"event": "cancelled", "job": job})
        except RespectraError as error:
            failed = {"event": "failed", "job": job, "error": str(error)}
            _say(reports, failed | {"choices": list(getattr(error, "names", ()))})
        except MemoryError:
            text = "there is not enough memory for this job; use a smaller picture"
            _say(reports, {"event": "failed", "job": job, "error": text})
        except Exception:  # whatever a library raises over one file must not end the worker
            traceback.print_exc(file=sys.stderr)
            text = "the job failed for a reason that was not foreseen; the server's log has it"
            _say(reports, {"event": "failed", "job": job, "error": text})
        trim_malloc()


def _listen(
    tasks: queue.SimpleQueue[dict[str, Any]],
    cancelled: threading.Event,
    looked_at: dict[str, tuple[int, int]],
) -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if message["command"] == "cancel":
            cancelled.set()
        elif message["command"] == "focus":
            looked_at[message["job"]] = (message["y"], message["x"])
        else:
            tasks.put(message)
    os._exit(0)


def _say(stream: TextIO, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


if __name__ == "__main__":
    main()
