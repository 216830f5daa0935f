"""What a long work has done so far: an append-only file of JSON lines, each sealed by a hash.

States of a journal, and what moves it from one to the next:

    absent --begin--> begun --append--> begun --(the work is moved into place)--> removed

Invariants:

1. The first line holds the facts of the work: whatever its result depends on. A journal is
   continued by work of equal facts alone.
2. A line is written after what it speaks of, whole, at the end. A line is never changed.
3. Each line ends with a hash of itself and of the hash before. A line that was changed, left out
   or put elsewhere is noticed.
4. A last line that a kill or a full disk cut short does not count. It is cut off before the next
   one is written.
5. Lines are added to the file that is there; where it has vanished there is an error, and no new
   file. A work whose folder is gone does not go on for nothing.
6. One process writes a journal: the owner of the output holds its lock (``respectra.locks``).

Lines of versions before there were hashes are taken as they are, up to the first one with a hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from respectra.errors import FormatError, OutputError
from respectra.guards.text import parse_json

__all__ = ["SEAL", "Journal"]

#: Name of the hash in a line.
SEAL = "seal"
_HINT = "what is done is kept; see to the folder and run the same command again"


class Journal:
    """A journal file.

    Args:
        path: the file.
        facts: what the work depends on, as JSON can hold it; None for a journal without a first
            line, whose records say themselves what they depend on.
    """

    def __init__(
        self, path: str | os.PathLike[str], facts: Mapping[str, Any] | None = None
    ) -> None:
        self.path = Path(path)
        self.facts = None if facts is None else json.loads(json.dumps(facts, default=str))
        self.records: list[dict[str, Any]] = []
        """What the lines say, in order, without the first."""
        self._seal = ""
        self._size = 0
        self.begun = False

    @classmethod
    def resume(
        cls, path: str | os.PathLike[str], facts: Mapping[str, Any] | None = None
    ) -> Journal:
        """The journal that is there, if its facts are these; else one that is not begun yet.

        Raises:
            FormatError: a line of it was changed, or it cannot be read.
        """
        journal = cls(path, facts)
        try:
            text = journal.path.read_bytes()
        except FileNotFoundError:
            return journal
        except OSError as error:
            raise FormatError(f"{path} cannot be read: {error.strerror or error}") from error
        records = journal._read(text)
        if journal.facts is None:
            journal.records, journal.begun = records, True
        elif records and records[0] == journal.facts:
            journal.records, journal.begun = records[1:], True
        else:
            return cls(path, facts)
        return journal

    def begin(self) -> None:
        """Write the first line, in place of whatever is there.

        Raises:
            OutputError: the folder is not there, or the disk is full.
        """
        self.records, self._seal, self._size = [], "", 0
        try:
            with self.path.open("wb"):
                pass
        except OSError as error:
            raise self._unwritable(error) from error
        self.begun = True
        if self.facts is not None:
            self._add(self.facts)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line, as JSON can hold it.

        Raises:
            OutputError: the file has vanished, or the disk is full; the line is then not there.
        """
        plain = json.loads(json.dumps(record, default=str))
        self._add(plain)
        self.records.append(plain)

    def _add(self, record: dict[str, Any]) -> None:
        seal = _sealed(self._seal, record)
        line = json.dumps({**record, SEAL: seal}).encode() + b"\n"
        try:
            # Not opened for appending, which would make a file where the folder has vanished.
            with self.path.open("r+b", buffering=0) as file:
                if os.fstat(file.fileno()).st_size != self._size:
                    file.truncate(self._size)
                file.seek(self._size)
                try:
                    _write_all(file.fileno(), line)
                except OSError:
                    with contextlib.suppress(OSError):
                        file.truncate(self._size)
                    raise
        except OSError as error:
            raise self._unwritable(error) from error
        self._size += len(line)
        self._seal = seal

    def _read(self, text: bytes) -> list[dict[str, Any]]:
        """The records of the whole lines; where the next one goes and what it is sealed with."""
        records: list[dict[str, Any]] = []
        lines = text.splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                break  # cut short
            record = _parsed(line)
            if record is None and not self._seal and number < len(lines):
                self._size += len(line)  # cut short in the days before there were hashes
                continue
            seal = None if record is None else record.pop(SEAL, None)
            if record is None or (seal is None and self._seal):
                raise self._changed(number)
            if seal is not None and seal != _sealed(self._seal, record):
                raise self._changed(number)
            self._seal = seal or ""
            self._size += len(line)
            records.append(record)
        return records

    def _changed(self, number: int) -> FormatError:
        return FormatError(
            f"{self.path}: line {number} is not as it was written; delete the file to do again "
            "what it speaks of"
        )

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self.path}: {error.strerror or error}; {_HINT}")


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = parse_json(line, "a line")
    except FormatError:
        return None
    return record if isinstance(record, dict) else None


def _sealed(before: str, record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True)
    return hashlib.blake2b(f"{before}{text}".encode(), digest_size=8).hexdigest()


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
