"""Writes are whole or not at all."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest

from respectra import files
from respectra.errors import OutputError
from respectra.files import atomic_path, atomic_paths, recover


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half(path):
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_half(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_overwrite_keeps_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError):
        write_half(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_output_is_refused(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"), atomic_path(target):
        pass


def test_folders_replace_folders(tmp_path):
    target = tmp_path / "store"
    target.mkdir()
    (target / "old").touch()
    with atomic_path(target, overwrite=True) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [p.name for p in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_in_place_of_the_folder_is_a_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="cannot make the folder"),
        atomic_path(tmp_path / "file" / "x"),
    ):
        pass


def folder_of(path, text):
    path.mkdir()
    (path / "data").write_text(text)


def test_the_file_is_moved_and_never_missing(tmp_path, monkeypatch):
    """At the moment of every rename and deletion there is an old or a new folder, whole."""
    target = tmp_path / "store"
    folder_of(target, "old")
    seen = []
    watch(monkeypatch, lambda: seen.append((target / "data").read_text()))
    with atomic_path(target, overwrite=True) as temporary:
        folder_of(temporary, "new")
    assert set(seen) <= {"old", "new"}
    assert "new" in seen
    assert (target / "data").read_text() == "new"
    assert names(tmp_path) == ["store"]


def watch(monkeypatch, look):
    for place, name in ((Path, "rename"), (Path, "replace"), (Path, "unlink"), (shutil, "rmtree")):
        real = getattr(place, name)

        def watched(*args, real=real, **options):
            look()
            result = real(*args, **options)
            look()
            return result

        monkeypatch.setattr(place, name, watched)


class KilledError(BaseException):
    pass


def killed_at(monkeypatch, number):
    """Nothing is renamed or deleted from the number-th time on, as after a kill."""
    count = [0]

    def stop():
        count[0] += 1
        if count[0] >= number:
            raise KilledError

    for place, name in ((Path, "rename"), (Path, "replace"), (Path, "unlink"), (shutil, "rmtree")):
        real = getattr(place, name)

        def stopped(*args, real=real, **options):
            stop()
            return real(*args, **options)

        monkeypatch.setattr(place, name, stopped)


@pytest.mark.parametrize("number", range(1, 12))
def test_without_an_exchange_the_next_one_repairs(tmp_path, monkeypatch, number):
    target = tmp_path / "store"
    folder_of(target, "old")
    with monkeypatch.context() as patch:
        patch.setattr(files, "_system_call", lambda: None)
        killed_at(patch, number)
        with contextlib.suppress(KilledError), atomic_path(target, overwrite=True) as temporary:
            folder_of(temporary, "new")
    recover(target)
    assert (target / "data").read_text() in ("old", "new")
    with atomic_path(target, overwrite=True) as temporary:
        folder_of(temporary, "newer")
    assert (target / "data").read_text() == "newer"
    assert names(tmp_path) == ["store"]


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("number", range(1, 12))
def test_files_that_belong_together_are_replaced_together(tmp_path, monkeypatch, number, old):
    targets = [tmp_path / name for name in ("a.hdr", "a.img")]
    for target in targets if old else ():
        target.write_text("old")
    with monkeypatch.context() as patch:
        killed_at(patch, number)
        with contextlib.suppress(KilledError), atomic_paths(targets, overwrite=old) as parts:
            for part in parts:
                part.write_text("new")
    recover(targets[1])
    there = [target.read_text() for target in targets if target.exists()]
    assert there in (["old"] * 2 if old else [], ["new"] * 2)
    with atomic_paths(targets, overwrite=True) as parts:
        for part in parts:
            part.write_text("newer")
    assert [target.read_text() for target in targets] == ["newer"] * 2
    assert names(tmp_path) == ["a.hdr", "a.img"]


@pytest.mark.posix
@pytest.mark.parametrize(
    "record",
    [
        [["../secret", "a.img"]],
        [["secret", "a.img"]],
        [[".a.part/../../secret", "a.img"]],
        [[".link/secret", "a.img"]],
        [[".a.part", "../a.img"]],
        [[".a.part", "b.img"]],
        [[]],
        {"a": 1},
        None,
    ],
    ids=str,
)
def test_a_record_that_leads_elsewhere_moves_nothing(tmp_path, record):
    folder = tmp_path / "cubes"
    folder.mkdir()
    for place in (tmp_path, folder):
        (place / "secret").write_text("secret")
    (folder / ".link").symlink_to(tmp_path)
    (folder / ".a.part").write_text("mine")
    (folder / ".a.commit").write_text("[" * 3000 if record is None else json.dumps(record))
    recover(folder / "a.img")
    assert names(folder) == [".a.part", ".link", "secret"]
    assert names(tmp_path) == ["cubes", "secret"]


def test_a_name_that_is_too_long_is_an_error_of_ours(tmp_path):
    with atomic_path(tmp_path / ("x" * 251 + ".nc")) as temporary:
        temporary.touch()
    with (
        pytest.raises(OutputError, match="File name too long"),
        atomic_path(tmp_path / ("x" * 300)) as temporary,
    ):
        temporary.touch()
    assert len(names(tmp_path)) == 1


def test_what_another_program_put_there_meanwhile_is_kept(tmp_path):
    target = tmp_path / "a.txt"

    def write():
        with atomic_path(target) as temporary:
            temporary.write_text("mine")
            target.write_text("theirs")

    with pytest.raises(OutputError, match="exists already"):
        write()
    assert target.read_text() == "theirs"


def test_caches_are_shared(tmp_path):
    with (
        atomic_path(tmp_path / "a", overwrite=True, shared=True) as one,
        atomic_path(tmp_path / "a", overwrite=True, shared=True) as other,
    ):
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "a").read_text() == "one"
    old = tmp_path / ".a.01234567-1-0123.part"  # of another machine
    old.touch()
    os.utime(old, (1, 1))
    (tmp_path / f".a.{files._here()}-fffffff-0123.part").touch()  # of no living process
    with atomic_path(tmp_path / "a", overwrite=True, shared=True) as one:
        one.touch()
    assert names(tmp_path) == ["a"]
