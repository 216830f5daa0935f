"""What must hold for every network.

Unless said otherwise a check runs the ``tiny`` preset with every parameter moved off its initial
value, so that a branch that begins with zeros counts.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from respectra.errors import ConfigError
from respectra.methods import (
    Contract,
    Tiling,
    Weights,
    get_network,
    load_weights,
    save_weights,
)
from respectra.testing.base import (
    Battery,
    registered,
    require,
    require_card,
    require_refusal,
    run_checks,
)
from respectra.testing.network_field import FIELD_CHECKS
from respectra.testing.network_parts import (
    Method,
    build,
    count_gmac,
    noise,
    one_thread,
    picture,
    require_same,
    run,
    tiny_config,
)

#: Tiny networks have fewer parameters than this.
TINY = 100_000

NETWORK_CHECKS: Battery[Method] = Battery()
_check = NETWORK_CHECKS.check


def check_network(method: str | Method, *, slow: bool = True) -> dict[str, str]:
    """Run every check that our own networks pass; the results are those of `run_checks`.

    Args:
        method: a name of ``respectra.list_methods()``, or an entry that is not registered yet; for
            the latter the checks that need a registered name do not apply.
        slow: also the export to ONNX and the memory of one frame, some ten seconds.

    Raises:
        ConfigError: there is no network of that name.
        AssertionError: as :func:`run_checks`.

    Example:
        >>> check_network("lwrdanet", slow=False)["evaluation_is_deterministic"]
        'passed'
    """
    entry = get_network(method) if isinstance(method, str) else method
    with one_thread():
        return run_checks(entry.card.name, entry, NETWORK_CHECKS, slow=slow)


# --- the card ---------------------------------------------------------------------------------


@_check
def card_is_complete(method: Method) -> None:
    """Everything that a card says is said."""
    card = method.card
    require_card(card, "network")
    require(card.tiling_reason, "its card has no tiling_reason")
    require(
        (card.native_tile is not None) == (card.tiling is Tiling.NATIVE),
        "native_tile belongs to Tiling.NATIVE, and to it alone",
    )
    require(card.memory_gb, "its card does not claim the peak memory of one frame, memory_gb")
    require(not card.rank or card.team, "its card has ranks and no team")


@_check
def tiling_policy_agrees_with_the_receptive_field(method: Method) -> None:
    """What reaches a bounded neighbourhood is tiled exactly, and nothing else is."""
    radius, tiling = method.halo(method.config()), method.card.tiling
    if tiling in (Tiling.EXACT, Tiling.STATISTICS):
        require(radius is not None, f"its tiling is {tiling.value!r} and its halo unbounded")
    elif tiling in (Tiling.APPROXIMATE, Tiling.WHOLE) and radius is not None:
        require(radius > 64, f"its halo is {radius} pixels: tiles can be exact")


# --- configuration ----------------------------------------------------------------------------


@_check
def every_preset_builds_and_the_published_one_runs(method: Method) -> None:
    """On the meta device: nothing is computed."""
    gmac = count_gmac(method, method.config(), 96, 96)
    require(gmac > 0, "the published configuration does no arithmetic")
    for preset, options in method.presets.items():
        with torch.device("meta"):
            net = method.network(method.config(**options))
        count = sum(parameter.numel() for parameter in net.parameters())
        require(count > 0, f"the preset {preset!r} has no parameters")


@_check
def tiny_is_small(method: Method) -> None:
    """The tiny preset is for tests and small machines."""
    with torch.device("meta"):
        net = method.network(tiny_config(method))
    count = sum(parameter.numel() for parameter in net.parameters())
    require(count < TINY, f"its tiny preset has {count:,} parameters; it needs fewer than {TINY:,}")


@_check
def unknown_options_are_refused_with_those_allowed(method: Method) -> None:
    """A mistyped option is no silent default."""
    require_refusal(
        lambda: method.config(colour="red"),
        ConfigError,
        r"unknown option 'colour'.*allowed:.*bands",
        "an unknown option",
    )


@_check
def wrong_types_and_impossible_values_are_refused(method: Method) -> None:
    """Every option is typed and bounded."""
    for option, value in tiny_config(method):
        wrong: list[object] = [object()]
        if isinstance(value, int) and not isinstance(value, bool):
            wrong += [-1, "many"]
        elif isinstance(value, float):
            wrong += [float("nan"), "much"]
        elif isinstance(value, str):
            wrong += ["no such thing", 7]
        elif isinstance(value, tuple):
            wrong += ["many"] if value == () else [(), "many"]
        for refused in wrong:
            _require_refused(method, option, refused)
    for option in ("bands", "channels_in"):
        _require_refused(method, option, 0)


def _require_refused(method: Method, option: str, value: object) -> None:
    require_refusal(
        lambda: tiny_config(method, **{option: value}),
        ConfigError,
        option,
        f"the option {option} = {value!r}",
    )


# --- forward ----------------------------------------------------------------------------------


@_check
def any_size_from_the_minimum_on(method: Method) -> None:
    """It pads and crops by itself."""
    card, net = method.card, build(method)
    low, odd = card.size_minimum, card.size_multiple + 1
    for sides in ((low, low), (low, low + 20), (17, 23), (odd, 31)):
        height, width = (max(low, side) for side in sides)
        _require_cube(method, run(net, picture(method, height, width)), height, width)


def _require_cube(
    method: Method, out: Tensor, height: int, width: int, bands: int | None = None
) -> None:
    bands = bands or tiny_config(method).bands
    wanted = (1, bands, height, width)
    shape = tuple(out.shape)
    require(shape == wanted, f"an image of {height} x {width} gives {shape}, not {wanted}")
    require(out.isfinite().all(), f"an image of {height} x {width} gives NaN or infinity")


@_check
def any_number_of_bands(method: Method) -> None:
    """One, fewer than published, more."""
    low = method.card.size_minimum
    height, width = max(low, 20), max(low, 24)
    for bands in (1, 7, 40):
        out = run(build(method, bands=bands), picture(method, height, width))
        _require_cube(method, out, height, width, bands)


@_check
def flat_images_give_finite_spectra(method: Method) -> None:
    """Black and white."""
    low = method.card.size_minimum
    x = picture(method, max(low, 16), max(low, 24))
    for level in (0.0, 1.0):
        out = run(build(method), torch.full_like(x, level))
        require(out.isfinite().all(), f"an image of {level:g} alone gives NaN or infinity")


@_check
def the_input_is_left_alone(method: Method) -> None:
    """Nothing is computed in place in the image."""
    x = noise(method, 17, 23)
    before = x.clone()
    run(build(method), x)
    require(torch.equal(x, before), "it changes the image that it is given")


@_check
def evaluation_is_deterministic(method: Method) -> None:
    """The same image gives the same cube."""
    net, x = build(method), noise(method, 24, 32)
    require(torch.equal(run(net, x), run(net, x)), "a second run gives other values")


@_check
def images_of_a_batch_do_not_see_each_other(method: Method) -> None:
    """Two at once give what one by one gives."""
    net, x = build(method), noise(method, 20, 28, n=2)
    x[1] *= 0.3
    alone = torch.cat([run(net, x[:1]), run(net, x[1:])])
    require_same(run(net, x), alone, 1e-5, "two images at once, against one by one")


@_check
def channels_last_gives_the_same(method: Method) -> None:
    """The memory layout in which pictures are reconstructed."""
    net, x = build(method), noise(method, 20, 28)
    wanted = run(net, x)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    got = run(net, x.contiguous(memory_format=torch.channels_last))
    require_same(got, wanted, 1e-4, "channels last, against channels first")


@_check
def float32_agrees_with_float64(method: Method) -> None:
    """No precision is lost by the way."""
    net, x = build(method), noise(method, 20, 28)
    single = run(net, x)
    double = run(net.double(), x.double())
    require(double.dtype == torch.float64, f"in float64 it gives {double.dtype}")
    require_same(single.double(), double, 1e-3, "float32, against float64")


# --- training ---------------------------------------------------------------------------------


@_check
def every_parameter_learns(method: Method) -> None:
    """Parameters without gradient are named in ``untrained``, with the reason."""
    untrained = method.untrained
    keys = [key for key, _ in build(method).named_parameters()]
    excused = {key for key in keys if any(re.search(pattern, key) for pattern in untrained)}
    for pattern, reason in untrained.items():
        require(reason, f"untrained {pattern!r} has no reason")
        matches = any(re.search(pattern, key) for key in keys)
        require(matches, f"untrained {pattern!r} matches no parameter")
    learned: set[str] = set()
    # Several draws: in a tiny network a unit can be saturated by chance, not by design.
    for seed in range(8):
        learned |= _learning(method, seed)
        if learned == set(keys) - excused:
            break
    both = sorted(learned & excused)
    require(not both, f"these learn and do not belong into untrained: {both}")
    dead = sorted(set(keys) - learned - excused)
    require(not dead, f"these receive no gradient: {dead}")


def _learning(method: Method, seed: int) -> set[str]:
    """Names of the parameters that have a gradient on one batch."""
    net = build(method, seed=seed).train()
    out = net(noise(method, 33, 40, n=4, seed=seed))
    out.sub(torch.rand_like(out)).square().mean().backward()
    found = {key: p.grad for key, p in net.named_parameters() if p.grad is not None}
    for key, gradient in found.items():
        require(gradient.isfinite().all(), f"the gradient of {key} is not finite")
    return {key for key, gradient in found.items() if gradient.abs().max() > 0}


@_check
def training_takes_a_step_from_fresh_weights(method: Method) -> None:
    """Fresh weights have gradients, all of them finite."""
    torch.manual_seed(0)
    net = method.network(tiny_config(method)).train()
    out = net(noise(method, 32, 32, n=2))
    out.sub(0.3).abs().mean().backward()
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    moving = any(gradient.abs().max() > 0 for gradient in gradients)
    require(moving, "no parameter has a gradient")
    require(all(g.isfinite().all() for g in gradients), "a gradient is not finite")


# --- weights ----------------------------------------------------------------------------------


@_check
def saved_and_loaded_weights_give_the_same(method: Method) -> None:
    """Bit for bit, through a weights file."""
    name = registered(method)
    net, x = build(method), noise(method, 18, 26)
    tensors = {key: value.numpy() for key, value in net.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_weights(Weights(name, tiny_config(method), Contract(), tensors), file)
        loaded = load_weights(file)
    again = get_network(loaded.method).network(loaded.config).eval()
    again.load_state_dict({k: torch.from_numpy(np.copy(v)) for k, v in loaded.tensors.items()})
    require(torch.equal(run(again, x), run(net, x)), "a saved and loaded network gives others")


NETWORK_CHECKS.extend(FIELD_CHECKS)
