"""How long work says how far it is: one way, in every room."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, Protocol, TypeVar

__all__ = ["Progress", "as_progress", "tracked", "unseen"]

T = TypeVar("T")


class Progress(Protocol):
    """What is told of work while it is done: a function of three arguments by position.

    It is called after every piece, and may be called when the work begins. What it raises ends the
    work, which can be taken up later where it says so.

    Example:
        >>> def show(done, total, what):
        ...     print(f"{what} {done}/{total}")
        >>> show(1, 3, "frame")
        frame 1/3
    """

    def __call__(self, done: int, total: int, what: str, /) -> None:
        """``done`` of ``total`` pieces are complete, 0 where the total is not known.

        ``what`` says in a word what they are, such as ``frame``.
        """


def unseen(done: int, total: int, what: str, /) -> None:
    """A progress that shows nothing.

    Example:
        >>> unseen(1, 3, "frame")
    """


def as_progress(given: Progress | Callable[..., Any] | None) -> Progress:
    """A progress from what a caller gave: None, or for one more version a function of two.

    Example:
        >>> as_progress(None)(1, 3, "frame")
        >>> as_progress(lambda done, total, what: print(what, done))(1, 3, "frame")
        frame 1
    """
    if given is None:
        return unseen
    try:
        signature = inspect.signature(given)
    except (TypeError, ValueError):  # a builtin says nothing
        return given
    try:
        signature.bind(0, 0, "")
    except TypeError:
        message = "a progress takes (done, total, what); one of (done, total) is deprecated"
        warnings.warn(message, DeprecationWarning, stacklevel=3)
        return lambda done, total, what, /: given(done, total)  # type: ignore[call-arg]
    return given


def tracked(
    items: Iterable[T], progress: Progress, what: str, total: int | None = None
) -> Iterator[T]:
    """Yield items and tell how many are done.

    Args:
        items: what is worked on.
        progress: is told.
        what: what an item is being, such as ``scoring``.
        total: how many there are, for items without a length.

    Example:
        >>> for _ in tracked("ab", lambda done, total, what: print(what, done, total), "letter"):
        ...     pass
        letter 0 2
        letter 1 2
        letter 2 2
    """
    if total is None:
        total = len(items) if isinstance(items, Sized) else 0
    progress(0, total, what)
    for number, item in enumerate(items, 1):
        yield item
        progress(number, max(number, total), what)
