"""A process that copies itself for every question: what one copy suffers, no other one notices."""

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from respectra.cameras.pictures import child
from respectra.guards.processes import Forker

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="processes are copied on Linux alone"
)

_SCRIPT = """
import os, runpy, sys, time
reader = runpy.run_path({real!r}, run_name="reader")
SEEN = []

def decode(question):
    SEEN.append(question["task"])
    if question["task"] == "wait":
        with open(question["path"], "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
    if question["task"] == "threads":
        status = open("/proc/self/status").read().split("Threads:")[1].split()[0]
        return {{"threads": int(status)}}, None
    if question["task"] == "kill":
        os.kill(os.getpid(), int(question["path"]))
    return {{"seen": SEEN, "path": question["path"]}}, None

reader["_TASKS"]["heif"] = reader["_TASKS"]["raw"] = decode
reader["main"]()
"""


@pytest.fixture
def forker(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format(real=str(child._SCRIPT)))
    forker = Forker(script)
    yield forker
    forker.close()


def ask(forker, question):
    answer = forker.ask(question)
    return answer.code, answer.said


def question(task, path="x", kind="heif", **more):
    limits = {"patience_s": 60.0, "clock_s": 600.0, "space": 2**33}
    return {"task": task, "path": path, "kind": kind, **limits, **more}


def test_a_copy_knows_of_no_other_question(forker):
    for number in range(3):
        code, said = ask(forker, question(f"look {number}"))
        assert (code, said) == (0, f'{{"seen": ["look {number}"], "path": "x"}}\n'.encode())


def test_a_copy_that_dies_takes_nobody_along(forker):
    ask(forker, question("look"))
    first = forker._process.pid
    for number in (signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT):
        assert ask(forker, question("kill", str(int(number)))) == (-number, b"")
    assert ask(forker, question("look"))[0] == 0
    assert forker._process.pid == first


def test_questions_of_many_threads(forker):
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda n: ask(forker, question("look", str(n))), range(16)))
    assert [code for code, _ in answers] == [0] * 16
    assert all(f'"path": "{n}"'.encode() in said for n, (_, said) in enumerate(answers))


def test_another_is_started_when_it_was_ended_from_outside(forker):
    ask(forker, question("look"))
    process = forker._process
    process.kill()
    process.wait()
    assert ask(forker, question("look"))[0] == 0
    assert forker._process.pid != process.pid


def test_ended_while_it_was_asked(forker, tmp_path):
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(ask(forker, question("wait", str(tmp_path / "pid"))))
    )
    thread.start()
    copy = psutil.Process(waited_for(tmp_path / "pid"))
    os.killpg(forker._process.pid, signal.SIGKILL)
    thread.join(60)
    assert answers == [(None, b"")]
    wait_for_the_end_of(copy)


def test_a_copy_ends_with_whoever_asked(forker, tmp_path):
    """A killed program leaves no decoder behind."""
    code = (
        "import sys; from pathlib import Path\n"
        "from respectra.guards.processes import Forker\n"
        f"Forker(Path({str(forker.script)!r})).ask({question('wait', str(tmp_path / 'pid'))!r})"
    )
    program = psutil.Popen([sys.executable, "-c", code])
    copy = psutil.Process(waited_for(tmp_path / "pid"))
    program.kill()
    program.wait()
    wait_for_the_end_of(copy)


def test_what_a_copy_took(forker):
    answer = forker.ask(question("look"))
    assert 0 <= answer.seconds < 60
    assert 2**20 < answer.peak_bytes < 2**30


def test_time_is_limited(forker):
    with pytest.raises(TimeoutError):
        ask(forker, question("wait", os.devnull, clock_s=0.2))
    assert ask(forker, question("look"))[0] == 0


@pytest.mark.parametrize(("kind", "library"), [("heif", "pi_heif"), ("raw", "rawpy")])
def test_what_is_copied_has_one_thread(forker, kind, library):
    """Of others a copy would have the locks, but not the threads that open them."""
    pytest.importorskip(library)
    assert ask(forker, question("threads", kind=kind)) == (0, b'{"threads": 1}\n')


def waited_for(path):
    """The number that a process writes into a file."""
    while not (path.is_file() and path.read_text()):
        threading.Event().wait(0.01)
    return int(path.read_text())


def wait_for_the_end_of(process):
    """Of one that nobody may have waited for."""
    for _ in range(6000):
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{process} still runs")
