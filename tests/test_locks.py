"""One writer an output."""

import socket
import subprocess
import sys
import threading

import pytest

from respectra.errors import OutputError
from respectra.files import atomic_path
from respectra.locks import file_lock, lock_path

_HOLD = """
import sys
from respectra.locks import file_lock
with file_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """A process that holds the lock of an output."""
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "cube.nc")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_writer_is_told_who_the_first_is(tmp_path, other):
    target = tmp_path / "cube.nc"
    who = rf"process {other.pid} on {socket.gethostname()}"
    for _ in range(2):
        with pytest.raises(OutputError, match=who), atomic_path(target):
            pass
    other.stdin.close()
    other.wait()
    with atomic_path(target) as temporary:
        temporary.write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["cube.nc"]


def test_the_lock_of_a_killed_process_is_free(tmp_path, other):
    other.kill()
    other.wait()
    assert lock_path(tmp_path / "cube.nc").exists()
    with file_lock(tmp_path / "cube.nc"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == []


def test_threads_exclude_one_another_and_a_thread_may_go_deeper(tmp_path):
    target = tmp_path / "a"
    found = []

    def elsewhere():
        try:
            with file_lock(target, again=True):
                found.append("taken")
        except OutputError as error:
            found.append(str(error))

    with file_lock(target):
        with file_lock(target, again=True):
            pass
        with pytest.raises(OutputError, match="by this process"), file_lock(target):
            pass
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert lock_path(target).exists()
    assert "by this process" in found[0]
    assert not lock_path(target).exists()


def test_a_folder_written_in_place_has_its_lock_inside(tmp_path):
    with file_lock(tmp_path / "report", inside=True):
        assert [p.name for p in (tmp_path / "report").iterdir()] == [".lock"]
    assert [p.name for p in (tmp_path / "report").iterdir()] == []


def test_the_lock_of_a_folder_frees_those_of_killed_processes_within(tmp_path, other):
    with file_lock(tmp_path, inside=True):
        assert lock_path(tmp_path / "cube.nc").exists()  # of a living process
    other.kill()
    other.wait()
    with file_lock(tmp_path, inside=True):
        assert not lock_path(tmp_path / "cube.nc").exists()


def test_a_place_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"), file_lock(tmp_path / "file" / "x"):
        pass
