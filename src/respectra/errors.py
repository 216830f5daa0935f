"""The exceptions Respectra raises on purpose.

Each message says what was got, what is needed and what to do. On the command line any of them
becomes one line on standard error and a non-zero exit; a traceback is always a defect of ours.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = [
    "ConfigError",
    "DataError",
    "FormatError",
    "MissingExtraError",
    "OutputError",
    "RespectraError",
    "RespectraWarning",
]


_NAME = r"[a-z][a-z0-9+.-]+"  # of a scheme; a drive of Windows is one letter
_URL = re.compile(rf"(?:{_NAME}::)*{_NAME}://", re.IGNORECASE)
#: ``Path`` leaves one slash of two.
_URL_AS_PATH = re.compile(rf"(?:{_NAME}::)*{_NAME}:/[^/]", re.IGNORECASE)
_SCHEME = re.compile(rf"(?<![a-z0-9+.-])({_NAME}):/", re.IGNORECASE)


class RespectraError(Exception):
    """Base of every error that Respectra raises on purpose.

    Example:
        >>> import respectra as rs
        >>> try:
        ...     rs.get_card("no-such-method")
        ... except rs.RespectraError as error:
        ...     type(error).__name__
        'ConfigError'
    """


class DataError(RespectraError, ValueError):
    """The values of a cube, an image or a response cannot be used as they are."""


class FormatError(DataError):
    """A file is not what its name says, is damaged, or lacks something that is needed."""


class SeveralCubesError(FormatError):
    """A file holds several cubes, and nobody said which one is meant.

    Attributes:
        names: of the cubes in the file.
    """

    def __init__(self, message: str, names: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)


class ConfigError(RespectraError, ValueError):
    """An option, a name or a configuration value is not one of those allowed."""


class OutputError(RespectraError, OSError):
    """A result cannot be written where it was asked for."""


class RespectraWarning(UserWarning):
    """Something works, but not as one might think. The command line prints it as one line."""


class MissingExtraError(RespectraError, ImportError):
    """An optional library is needed and not installed."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        self._parts = library, extra, purpose
        super().__init__(
            f"{purpose} needs {library}, which is not installed: pip install 'respectra[{extra}]'"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._parts  # for whoever gets it from another process


@contextlib.contextmanager
def naming(what: str) -> Iterator[None]:
    """Within a loop: an error says which of many it is about, unless it names it already.

    Args:
        what: the name of a scene or a file.
    """
    try:
        yield
    except MissingExtraError:
        raise
    except RespectraError as error:
        if what in str(error):
            raise
        raise type(error)(f"{what}: {error}") from error


@contextlib.contextmanager
def reading(file: object, what: str) -> Iterator[None]:
    """Turn whatever reading a file raises into an error that names it, and what it should hold.

    Raises:
        FormatError: the file is damaged, or something else.
    """
    try:
        yield
    except RespectraError as error:
        raise error if str(file) in str(error) else FormatError(f"{file}: {error}") from error
    except Exception as error:  # whatever a damaged file makes a library raise
        raise FormatError(f"{file} cannot be read as {what}: {said_by(error)}") from None


def said_by(error: BaseException) -> str:
    """What a library says of a failure, in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """An error for a name that does not exist, suggesting those nearest to it."""
    choices = sorted(known)
    lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)
    near = [lower[one] for one in close]
    hint = (
        f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(choices)}"
    )
    return ConfigError(f"unknown {kind} {name!r}; {hint}")


def no_file(path: str | os.PathLike[str], what: str = "file") -> FormatError:
    """An error for a file that is not there, which may be a URL where none is taken."""
    if text := url_in(path):
        return FormatError(f"{text} is a URL, and this is read from this machine; fetch it first")
    return FormatError(f"there is no {what} {path}")


def url_in(path: str | os.PathLike[str]) -> str | None:
    """The URL that a path was meant as, also as ``Path`` writes it; None for a real path."""
    text = os.fspath(path)
    if isinstance(path, str):
        return text if _URL.match(text) else None
    text = text.replace("\\", "/")
    return _SCHEME.sub(_with_slashes, text) if _URL_AS_PATH.match(text) else None


def _with_slashes(scheme: re.Match[str]) -> str:
    return f"{scheme[1]}:///" if scheme[1].lower() in ("file", "local") else f"{scheme[1]}://"
