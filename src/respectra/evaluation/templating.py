"""Pages and tables in HTML: Jinja templates of this folder, which escape all text."""

from __future__ import annotations

import functools

import jinja2

__all__ = ["open_template"]


@functools.cache
def open_template(name: str) -> jinja2.Template:
    """A file of ``templates``; what it asks for and is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("respectra.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
