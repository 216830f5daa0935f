"""The suite on other versions of Python, each where the machine has it: ``nox``."""

from __future__ import annotations

import nox

nox.options.error_on_missing_interpreters = False


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Install as a user would, then run the quick suite."""
    session.install("-c", "constraints.txt", "torch")
    session.install("-c", "constraints.txt", "-e", ".[all,dev]")
    session.run("pytest", "-m", "not slow", *session.posargs)


@nox.session(python=["3.11", "3.12", "3.13"])
def without_extras(session: nox.Session) -> None:
    """What works with the default installation alone."""
    session.install("-c", "constraints.txt", "torch")
    session.install("-c", "constraints.txt", "-e", ".")
    session.install("-c", "constraints.txt", "pytest", "hypothesis")
    session.run("pytest", "tests/cubes", "tests/cameras", "tests/test_package.py", *session.posargs)
