"""What the forms of Respectra's own network share: its configuration, and what it can be told."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from respectra.errors import ConfigError
from respectra.methods.network import Count, NetworkConfig

#: Parts of the network that older weights files know under other names.
FORMER_NAMES = {
    "doubt": "uncertainty_head",
    "place": "offset_head",
    "look1": "scene_encoder1",
    "look2": "scene_encoder2",
    "tell": "condition",
    "hidden": "layers",
}
#: Added to ratios before a logarithm is taken.
EPSILON = 0.003
#: Added to a pixel's light over the scene's mean before the logarithm is taken.
LEVEL_EPSILON = 0.03
#: What can be said of a picture: the light is in the response, white is, the camera is unknown.
SAID = ("light", "white", "camera unknown")
#: How far from the middle of a cell its values are moved, in cells: never quite to its bounds.
REACH = 0.49


class RespectraConfig(NetworkConfig):
    """Configuration of :class:`Respectra`."""

    width: Count = 80
    """Channels of the per-pixel layers."""
    layers: Count = 2
    """Hidden layers after the first."""
    rank: Count = 12
    """Basis spectra; only their part that the camera does not see is used."""
    scene: int = Field(default=24, ge=0)
    """Length of the code that describes the scene, its light above all; 0: every pixel alone."""
    windows: tuple[Annotated[int, Field(ge=3)], ...] = ()
    """Odd sides of windows whose means and spreads each pixel is compared with: the surroundings,
    for cameras that have noise."""

    noise: float = Field(default=0.0, ge=0.0)
    """Width of the range in which the noise of a camera's values lies, where it is wider than the
    cells of its codes; 0: there is none."""

    told: int = Field(default=0, ge=0)
    """Length of the code that describes the effective response and what is known of it; 0: a
    camera enters through the exact part and the ratios alone, as in the first version."""
    denoiser: int = Field(default=0, ge=0)
    """Channels of the layers that weigh the means of ``windows``, where noise is told; 0: the
    windows are features instead, as in the first version."""
    denoises: bool = False
    """Noise is told, and the denoiser takes it off; :meth:`Respectra.set_capture` says so."""
    residual: bool = False
    """Hidden layers add to what they were given."""
    uncertainty_width: int = Field(default=0, ge=0)
    """Channels of a layer of the uncertainty's own; 0: it is linear in the last hidden layer."""

    @model_validator(mode="before")
    @classmethod
    def _former(cls, options: Any) -> Any:
        if isinstance(options, dict) and "doubt" in options:  # as older weights files call it
            return {
                **{k: v for k, v in options.items() if k != "doubt"},
                "uncertainty_width": options["doubt"],
            }
        return options

    @field_validator("windows")
    @classmethod
    def _odd(cls, sides: tuple[int, ...]) -> tuple[int, ...]:
        if any(side % 2 == 0 for side in sides):
            raise ValueError(f"windows have odd sides, so that they have a centre; got {sides}")
        return sides

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.denoiser and not (self.windows and self.told and self.scene):
            raise ValueError("a denoiser needs windows, and lengths of told and of scene above 0")
        if self.denoises and not self.denoiser:
            raise ValueError("without a denoiser, no noise can be told")
        return self


def what_is_told(
    config: RespectraConfig,
    *,
    light: str,
    camera_known: bool,
    noise: tuple[float, float],
    exposed_noise: tuple[float, float],
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """What is said of a picture, see ``SAID``, and its levels of noise, for ``set_capture``.

    Returns:
        None where nothing is said, and the configuration has no place for it.

    Raises:
        ConfigError: it has no place for what is said.
    """
    levels = (*noise, *exposed_noise)
    said = (float(light == "told"), float(light == "white"), float(not camera_known))
    if not config.told:
        if any(levels) or any(said):
            raise ConfigError(
                "these weights of respectra are of its first version, which can be told a "
                "camera and a step alone; use those that ship with the package"
            )
        return None
    if any(levels) and not config.denoiser:
        raise ConfigError(
            "noise was told, and these weights are without their denoiser; use the weights "
            "that ship with the package for the real-world track"
        )
    return said, levels


def rename_former_parts(state: dict[str, Any], prefix: str = "") -> None:
    """Give the keys of older weights files their present names, in place."""
    for key in [key for key in state if key.startswith(prefix)]:
        part, dot, rest = key[len(prefix) :].partition(".")
        if part in FORMER_NAMES:
            state[f"{prefix}{FORMER_NAMES[part]}{dot}{rest}"] = state.pop(key)
