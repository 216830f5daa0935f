"""A file is its content."""

import hashlib
import os
import time

import pytest

from respectra.errors import FormatError
from respectra.identity import content_hash


def test_a_file_has_the_hash_of_its_bytes_whatever_its_name_and_time(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"spectrum")
    os.utime(tmp_path / "b", (1, 1))
    expected = hashlib.sha256(b"spectrum").hexdigest()
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b") == expected


def test_equal_size_and_time_do_not_make_files_equal(tmp_path):
    hashes = set()
    for text in ("spectrum", "spectral"):
        time.sleep(0.02)  # beyond the clock's grain
        (tmp_path / "a").write_text(text)
        os.utime(tmp_path / "a", ns=(10**18, 10**18))
        hashes.add(content_hash(tmp_path / "a"))
    assert len(hashes) == 2


def test_a_folder_is_the_names_and_contents_below_it(tmp_path):
    folder = tmp_path / "store"
    (folder / "c" / "0").mkdir(parents=True)
    (folder / "c" / "0" / "0").write_bytes(b"x")
    first = content_hash(folder)
    assert content_hash(folder.rename(tmp_path / "other")) == first
    (tmp_path / "other" / "c" / "0" / "0").rename(tmp_path / "other" / "c" / "0" / "1")
    assert content_hash(tmp_path / "other") != first


def test_what_is_not_there_is_an_error_of_ours(tmp_path):
    with pytest.raises(FormatError, match="there is no file"):
        content_hash(tmp_path / "none")
