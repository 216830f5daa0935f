"""The application object, and how commands speak: progress, tables, JSON, errors, exit codes."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from respectra import __version__
from respectra.cli.help import App, Root
from respectra.errors import ConfigError, FormatError, RespectraError, RespectraWarning
from respectra.guards.text import parse_json
from respectra.progress import Progress, tracked

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")

#: What a wrong command line raises: click's class, or that of typer's own copy of click.
_CommandLineError: Any = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)

app = App(
    name="respectra",
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Recover the spectrum behind every pixel of an RGB picture.",
)
#: Results go to standard output, everything else to standard error.
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        out.print(__version__)
        raise typer.Exit


def run(arguments: list[str] | None = None) -> int:
    """Run one command line; gives its exit code.

    0: done. 1: a clear error, printed as one line. 2: the command line itself is wrong.
    130: interrupted.
    """
    try:
        _show_notices()
        with warnings.catch_warnings():
            warnings.simplefilter("always", RespectraWarning)
            warnings.showwarning = _showwarning(warnings.showwarning)
            code = app(args=arguments, standalone_mode=False, prog_name="respectra")
        return code if isinstance(code, int) else 0
    except typer.Abort:
        return 130
    except _CommandLineError as error:
        error.message = error.message.replace("Value error, ", "")  # pydantic's word
        error.show()
        return int(error.exit_code)
    except KeyboardInterrupt:
        fail("interrupted")
        return 130
    except RespectraError as error:
        fail(str(error))
        return 1
    except OSError as error:  # of a place that nobody foresaw: a name too long, a folder in the way
        what = f"{error.filename}: " if error.filename else ""
        fail(f"{what}{error.strerror or error}")
        return 1
    except MemoryError:
        fail("out of memory; work on a smaller crop or set a smaller --max-memory")
        return 1


def fail(message: str) -> None:
    """Print an error as one line on standard error."""
    err.print(f"[bold red]error:[/] {escape(' '.join(message.split()))}")


class Failures:
    """What goes wrong with one of many files: it is said, and the others go on."""

    def __init__(self) -> None:
        self._any = False

    def add(self, message: str) -> None:
        """Print an error that ends with exit code 1, once the others are done."""
        fail(message)
        self._any = True

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """Within this block an error of ours is of one file."""
        try:
            yield
        except RespectraError as error:
            self.add(str(error))

    def end(self) -> None:
        """End the command with exit code 1 if anything failed."""
        if self._any:
            raise typer.Exit(1)


def warn(message: str) -> None:
    """Print a warning as one line on standard error."""
    err.print(f"[yellow]warning:[/] {escape(' '.join(message.split()))}")


def _showwarning(others: Callable[..., None]) -> Callable[..., None]:
    """How warnings show: ours as one line without a place in the code, others as ever."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, RespectraWarning):
            warn(str(message))
        else:
            others(message, category, *place, **more)

    return show


class _Notices(logging.Handler):
    """Shows what the package says of itself while one waits, as lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        echo(record.getMessage())


def _show_notices() -> None:
    logger = logging.getLogger("respectra.notices")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _Notices) for handler in logger.handlers):
        logger.addHandler(_Notices())


def echo(message: str) -> None:
    """Print a line for the person at the terminal, on standard error."""
    err.print(escape(message))


def print_json(value: Any) -> None:
    """Print a result for a machine, on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def make_table(*headings: str, gap: int = 2) -> Table:
    """A table without lines, whose columns do not wrap."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold underline")
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def track_progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield items with a progress bar on a terminal, and a plain line each otherwise."""
    if total == 1:  # which is done when it is done
        yield from items
        return
    with show_progress() as progress:
        yield from tracked(items, progress, what, total)


class PlainLines:
    """A progress as plain lines; it can be sent to another process."""

    def __init__(self, every_s: float = 0.0) -> None:
        self.every_s, self._last = every_s, -math.inf

    def __call__(self, done: int, total: int, what: str, /) -> None:
        """Print a line, unless the last one is too fresh."""
        now = time.monotonic()
        if done == total or now - self._last >= self.every_s:
            self._last = now
            echo(f"{what} {done}/{total}" if total else f"{what} {done}")


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """``NAME=VALUE`` texts of ``--set`` as values; one that is no JSON is taken as text.

    Raises:
        ConfigError: a text without a name or an equals sign.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set takes NAME=VALUE; got {setting!r}")
        try:
            values[name] = parse_json(value, name)
        except FormatError:
            values[name] = value
    return values


@contextlib.contextmanager
def show_progress(*, every_s: float = 0.0, plain: bool = False) -> Iterator[Progress]:
    """Give what shows how far work is: a bar on a terminal, else lines.

    Colours can be forced through a pipe, as notebooks do (``FORCE_COLOR``); bars cannot.

    Args:
        every_s: least time between two lines, s.
        plain: lines on a terminal too.
    """
    if plain or not (err.is_terminal and err.file.isatty()):
        yield PlainLines(every_s)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=err, transient=True) as bars:
        task = bars.add_task("", total=None)

        def show(done: int, total: int, what: str, /) -> None:
            bars.update(task, completed=done, total=total or None, description=what)

        yield show
