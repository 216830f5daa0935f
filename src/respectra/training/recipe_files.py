"""Recipe files: finding, reading and writing them, and changing values by dotted names."""

from __future__ import annotations

import functools
import os
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from respectra.config import Config
from respectra.errors import ConfigError, FormatError, unknown_name
from respectra.files import atomic_path
from respectra.guards.text import parse_yaml, read_text
from respectra.training.recipe import AnyRecipe, ClassicalRecipe, Recipe

_FOLDER = Path(__file__).parent / "recipes"
#: A recipe file that differs from another in a few values names that other one here.
_BASE = "extends"


def list_recipes() -> list[str]:
    """Names of the recipes that come with the package: METHOD-TRACK.

    Example:
        >>> "awan-clean" in list_recipes()
        True
    """
    return sorted([*_files(), *_classical()])


def load_recipe(source: str | os.PathLike[str]) -> AnyRecipe:
    """A recipe by name, or from a YAML file of one's own.

    Args:
        source: a name that :func:`list_recipes` gives, or a file. A file may name another recipe
            under ``extends``, and then holds only what differs from it. The name of a classical
            method alone means its recipe for the clean track.

    Raises:
        ConfigError: there is no such recipe, or one of its values is not allowed.
        FormatError: the file cannot be read or is no YAML mapping.

    Example:
        >>> load_recipe("awan-clean").method
        'awan'
    """
    name = os.fspath(source)
    classical = _classical()
    if name in classical or f"{name}-clean" in classical:
        name = name if name in classical else f"{name}-clean"
        method, track = classical[name]
        return ClassicalRecipe(name=name, method=method, track=track)
    path = _files().get(name)
    if path is None:
        path = Path(name)
        if path.suffix not in (".yaml", ".yml"):
            raise unknown_name("recipe", name, list_recipes())
    values = _read(path, ())
    values.setdefault("name", path.stem)
    try:
        return recipe_of(values)
    except ConfigError as error:
        raise ConfigError(f"{path.name}: {error}") from None


def recipe_of(values: Mapping[str, Any]) -> AnyRecipe:
    """The recipe that plain values describe.

    Raises:
        ConfigError: a value is not allowed.

    Example:
        >>> recipe_of({"name": "mine", "method": "wiener"}).track
        'clean'
    """
    from respectra.methods import get_card

    method = values.get("method")
    if isinstance(method, str) and get_card(method).kind == "classical":
        return ClassicalRecipe(**values)
    return Recipe(**values)


def save_recipe(
    recipe: AnyRecipe, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write every value of a recipe as YAML.

    Raises:
        OutputError: the file exists or cannot be written.

    Example:
        >>> save_recipe(load_recipe("awan-clean"), "mine.yaml")
        >>> load_recipe("mine.yaml").method
        'awan'
    """
    with atomic_path(path, overwrite=overwrite) as temporary:
        text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
        temporary.write_text(text, encoding="utf-8")


def change_recipe(recipe: AnyRecipe, settings: Mapping[str, Any]) -> AnyRecipe:
    """A recipe with some values replaced.

    Args:
        recipe: where to start from.
        settings: dotted name -> value; a string is read as YAML, so that ``1e-4``, ``null`` and
            ``[0.9, 0.99]`` mean what they look like. A new ``preset`` drops the ``options`` of the
            old one; a new ``schedule.name`` starts from that schedule's defaults.

    Example:
        >>> change_recipe(load_recipe("hscnn-r-clean"), {"optimizer.lr": "3e-4"}).optimizer.lr
        0.0003

    Raises:
        ConfigError: a name that does not exist, with those nearest to it, or a refused value.
    """
    values = recipe.model_dump()
    names = list(_names(recipe))
    for path, value in settings.items():
        if path not in names and not path.startswith("options."):
            raise unknown_name("recipe value", path, names)
        parsed = parse_yaml(value, path) if isinstance(value, str) else value
        *parents, last = path.split(".")
        place = values
        for part in parents:
            place[part] = dict(place[part] or {})
            place = place[part]
        if path == "preset":
            values["options"] = {}
        elif path == "schedule.name" or path in ("length.epochs", "length.steps"):
            place.clear()
        place[last] = parsed
    return type(recipe)(**values)


def differences(one: AnyRecipe, other: AnyRecipe) -> list[str]:
    """Dotted names of the values in which two recipes differ."""
    left, right = _flat(one.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


#: Names of recipes; one with a slash could lead anywhere.
_NAME = re.compile(r"[^/\\\0]{1,100}")


@functools.cache
def _files() -> Mapping[str, Path]:
    return {path.stem: path for path in sorted(_FOLDER.glob("*.yaml"))}


def _classical() -> dict[str, tuple[str, str]]:
    """Recipe name -> classical method and track."""
    from respectra.cameras import list_tracks
    from respectra.methods import list_methods

    return {
        f"{method}-{track}": (method, track)
        for method in list_methods("classical")
        for track in list_tracks()
    }


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The values of a recipe file, those of the recipe that it extends included."""
    try:
        values = parse_yaml(read_text(path), path)
    except FormatError as error:
        raise FormatError(f"cannot read the recipe {path}: {error}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise FormatError(f"{path} holds no recipe; a recipe is a mapping of names to values")
    if _BASE not in values:
        return values
    base = str(values.pop(_BASE))
    if not _NAME.fullmatch(base):
        raise FormatError(
            f"{path} extends {base!r}; give the name of a recipe, or of a file beside this one "
            "without its folder and suffix"
        )
    parent = _files().get(base, path.with_name(f"{base}.yaml"))
    if parent in (*seen, path):
        raise FormatError(f"{path} extends itself through {base}")
    if not parent.is_file():
        raise unknown_name("recipe", base, _files())
    inherited = _read(parent, (*seen, path))
    inherited.pop("name", None)
    return _merge(inherited, values)


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        old = merged.get(name)
        if isinstance(old, dict) and isinstance(value, dict) and name not in ("schedule", "length"):
            value = _merge(old, value)
        merged[name] = value
    return merged


def _names(config: Config, prefix: str = "") -> Iterator[str]:
    """Dotted names of all values of a recipe, those of absent parts included."""
    for name, info in type(config).model_fields.items():
        yield prefix + name
        value = getattr(config, name)
        if isinstance(value, Config):
            yield from _names(value, f"{prefix}{name}.")
        elif value is None and (part := _config_in(info.annotation)) is not None:
            yield from (f"{prefix}{name}.{inner}" for inner in part.model_fields)


def _config_in(annotation: Any) -> type[Config] | None:
    """The Config class in ``Config | None``."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        for argument in typing.get_args(annotation):
            if isinstance(argument, type) and issubclass(argument, Config):
                return argument
    return None
