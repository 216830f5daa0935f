"""Checkpoint files of other people: read without running anything in them, and unwrapped."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from respectra.errors import FormatError

if TYPE_CHECKING:
    from torch import Tensor

#: Names under which training scripts nest the weights.
_NESTINGS = ("state_dict", "model_state_dict", "model", "net", "network", "params", "weights")
#: Prefixes that wrappers put before every key: DataParallel, torch.compile.
_WRAPPERS = ("module.", "_orig_mod.")


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a checkpoint by name, and what else its file held."""

    tensors: Mapping[str, Tensor]
    beside: frozenset[str] = frozenset()
    """Names of the values beside the weights: ``epoch``, ``optimizer`` and the like."""


def read_checkpoint(file: Path) -> Mapping[str, Any]:
    """The content of a checkpoint; only tensors, numbers, strings and containers are allowed.

    Args:
        file: ``.safetensors``, or a file of PyTorch under any other name.

    Raises:
        FormatError: it is neither, is damaged, or holds objects that only running code of the
            file could restore.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            tensors: Mapping[str, Any] = load_file(file)
            return tensors
        with torch.serialization.safe_globals(_numpy_stand_ins()):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise FormatError(f"{file} is not a safetensors file: {error}") from None
    except pickle.UnpicklingError as error:
        if "Unsupported global" not in str(error):
            raise FormatError(f"{file} is not a PyTorch checkpoint, or is damaged") from None
        raise FormatError(
            f"{file} holds objects other than tensors, which only running code of the file could "
            "restore; that is never done. Save it again as torch.save(model.state_dict(), file)"
        ) from None
    except Exception as error:  # what PyTorch raises on bytes that are no checkpoint has no bounds
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise FormatError(f"{file} is not a PyTorch checkpoint, or is damaged ({reason})") from None
    if not isinstance(content, Mapping):
        raise FormatError(
            f"{file} holds one {type(content).__name__}, not tensors by name; save it again as "
            "torch.save(model.state_dict(), file)"
        )
    return content


def unwrap(content: Mapping[str, Any]) -> Checkpoint:
    """The tensors by name, out of the nesting and without the prefixes of wrappers.

    Raises:
        FormatError: there are no tensors, or values that are none among them.
    """
    import torch

    beside: set[str] = set()
    while not any(isinstance(value, torch.Tensor) for value in content.values()):
        name = next((n for n in _NESTINGS if isinstance(content.get(n), Mapping)), None)
        if name is None:
            raise FormatError(
                "the checkpoint holds no tensors, neither at the top nor under "
                f"{', '.join(_NESTINGS)}; its keys are {some(list(map(str, content)))}"
            )
        beside |= {str(key) for key in content if key != name}
        content = content[name]
    odd = [str(key) for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if odd:
        raise FormatError(f"the checkpoint holds values that are no tensors: {some(odd)}")
    state = {str(key): value for key, value in content.items()}
    while prefix := next((w for w in _WRAPPERS if all(k.startswith(w) for k in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return Checkpoint(state, frozenset(beside))


def some(names: list[str]) -> str:
    """The first three names, and how many more there are."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


class _Dropped:
    """Stands in for whatever NumPy would restore; nothing beside the weights is used."""

    def __init__(self, *_: object) -> None:
        """Keep nothing."""

    def __setstate__(self, state: object) -> None:
        """Keep nothing."""


@functools.cache
def _numpy_stand_ins() -> list[Any]:
    """What takes the place of NumPy's constructors, for PyTorch's list of what a file may call.

    Best scores and learning rates are often stored as NumPy numbers. NumPy's own constructors
    trust what they are given, and nobody needs the numbers.
    """
    names = ["numpy.dtype", "numpy.ndarray"]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        names += [f"{module}.scalar", f"{module}._reconstruct"]
    return [(_Dropped, name) for name in names]
