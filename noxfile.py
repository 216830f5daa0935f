"""The suite on other versions of Python, each where the machine has it: ``nox``."""

from __future__ import annotations

import nox

nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "without_extras"]
#: Tests of what reads files that nobody vouches for.
READERS = ("tests/guards", "tests/cubes", "tests/cameras", "tests/colour", "tests/datasets")


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Install as a user would, then run the quick suite."""
    session.install("-c", "constraints.txt", "torch")
    session.install("-c", "constraints.txt", "-e", ".[all,dev]")
    session.run("pytest", "-m", "not slow", *session.posargs)


@nox.session(python=["3.11", "3.12", "3.13"])
def without_extras(session: nox.Session) -> None:
    """The quick suite with the default installation alone; what needs an extra is skipped."""
    session.install("-c", "constraints.txt", "torch")
    session.install("-c", "constraints.txt", "-e", ".")
    session.install("-c", "constraints.txt", "pytest", "pytest-xdist", "hypothesis")
    session.run("pytest", *session.posargs)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """All readers of files with the lowest versions that pyproject.toml allows.

    torch stays at the pinned version: others bring gigabytes along.
    """
    project = nox.project.load_toml("pyproject.toml")["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["heif"], *extras["raw"]]
    session.install("-c", "constraints.txt", "torch")
    session.install("uv")
    ranges = [name for name in wanted if not name.startswith("torch>")]
    session.run("uv", "pip", "install", "--resolution", "lowest-direct", *ranges)
    session.install("--no-deps", "-e", ".")
    session.install("pytest", "hypothesis")
    session.run("pytest", *READERS, *session.posargs)
