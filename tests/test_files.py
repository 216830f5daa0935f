"""Writes are whole or not at all."""

import pytest

from respectra.errors import OutputError
from respectra.files import atomic_path


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
