"""Text that a file gives: JSON and YAML of bounded size and depth; all else is a FormatError."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from respectra.errors import FormatError, no_file, said_by
from respectra.guards.limits import require_file

#: No header, journal line or index of ours is larger; more is refused before it is parsed.
MOST_BYTES = 2**28
_MOST_YAML = 2**20
_MOST_NODES = 100_000


def parse_json(text: str | bytes | bytearray, where: object) -> Any:
    """The value of a JSON text.

    Args:
        text: UTF-8 where it is bytes.
        where: what the text is, for the message: ``"the header of cube.tif"``.
    """
    if len(text) > MOST_BYTES:
        raise FormatError(f"{where} is longer than {MOST_BYTES:,} bytes")
    try:
        return json.loads(text)
    except RecursionError:
        raise FormatError(f"{where} is nested too deeply") from None
    except ValueError as error:  # also text that is no UTF-8, and numbers of endless digits
        raise FormatError(f"{where} is not JSON: {str(error)[:200]}") from None


def parse_object(text: str | bytes | bytearray, where: object) -> dict[str, Any]:
    """The names and values of a JSON object; see :func:`parse_json`."""
    value = parse_json(text, where)
    if not isinstance(value, dict):
        raise FormatError(f"{where} is a JSON {type(value).__name__}, expected an object")
    return value


def read_json(path: str | os.PathLike[str]) -> Any:
    """The value in a JSON file."""
    return parse_json(read_bytes(path), path)


def read_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The names and values in a JSON file."""
    return parse_object(read_bytes(path), path)


def read_bytes(path: str | os.PathLike[str], most: int = MOST_BYTES) -> bytes:
    """A whole file of bounded size."""
    require_file(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise no_file(path) from None
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise FormatError(f"{path} cannot be read: {error}") from None
    if len(data) > most:
        raise FormatError(f"{path} is larger than {most:,} bytes")
    return data


def read_text(path: str | os.PathLike[str], most: int = MOST_BYTES) -> str:
    """A whole text file, UTF-8 with or without its mark, else Latin-1."""
    data = read_bytes(path, most)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise FormatError(f"{path} is not text") from None
    if b"\0" in data:
        raise FormatError(f"{path} holds a NUL; it is not text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def parse_yaml(text: str, where: object) -> Any:
    """The value of a YAML text: numbers, text, lists and mappings, nothing that makes objects."""
    import yaml

    if len(text) > _MOST_YAML:
        raise FormatError(f"{where} is longer than {_MOST_YAML:,} characters")
    try:
        value = yaml.safe_load(text)
        if _count(value, _MOST_NODES) < 0:
            raise FormatError(f"{where} expands to more than {_MOST_NODES:,} values")
    except RecursionError:
        raise FormatError(f"{where} is nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{where} is not a YAML file: {said_by(error)}") from None
    return value


def _count(value: Any, budget: int) -> int:
    """What is left of a budget of values; negative when it is used up."""
    budget -= 1
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | set | tuple):
        for item in value:
            if budget < 0:
                break
            budget = _count(item, budget)
    return budget
