"""Validated, immutable configuration: the base of every option set in the package."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from respectra.errors import ConfigError

__all__ = ["Config"]


class Config(BaseModel):
    """Named values that are checked when they are given; an unknown name is an error.

    Raises:
        ConfigError: names every value that is refused, why, and which names are allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_explain(type(self), error)) from None


def _explain(config: type[BaseModel], error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"]) or config.__name__
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(config.model_fields) or "none"
            lines.append(f"unknown option {name!r} (allowed: {allowed})")
        elif problem["type"] == "missing":
            lines.append(f"{name!r} is required")
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{name} = {problem['input']!r}: {reason}")
    return f"{config.__name__}: " + "; ".join(lines)
