"""Networks in PyTorch, whose tiles ONNX Runtime takes over where that is faster or asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from respectra.errors import ConfigError
from respectra.inference.backends.base import CODE_BITS, Backend, Factors, Output, Sums
from respectra.inference.memory import MemoryUse, measure_memory
from respectra.inference.networks import build, probe_image
from respectra.inference.tiling import Layout, Predictor, Tile
from respectra.methods import Weights
from respectra.methods.network import LowRankNetwork, StepAware, UncertainNetwork
from respectra.typing import Float32Array

if TYPE_CHECKING:
    from torch import Tensor, nn

    from respectra.inference.backends.onnx import OnnxBackend

#: From so many pixels on, finding out which engine is fastest is worth its time.
TRIAL_PIXELS = 10**6


class NetworkBackend(Backend):
    """A network, evaluation mode, channels last.

    Args:
        weights: of a network.
        device: ``cpu``, ``cuda``, ...
        engine: ``plain``: the network as it is written. ``torch``: on the CPU, parts of it are
            replaced by faster ones of the same function, which is checked on noise; where they
            differ by more than 1e-5 of its largest value, the plain network runs. ``onnx``: the
            same, and ONNX Runtime for tiles. ``auto``: one of these two, by a trial. ``half``: in
            half precision, where that is accurate enough; see ``networks``.

    Attributes:
        half_deviation: how far half precision is from float32 on noise, over the largest value;
            None in float32.

    Raises:
        ConfigError: half precision is not accurate enough.
        FormatError: the tensors are not those that the configuration needs.
    """

    takes_means = True

    def __init__(self, weights: Weights, *, device: str = "cpu", engine: str = "torch") -> None:
        import torch

        super().__init__(weights, device=device)
        self.engine = engine
        self.onnx: OnnxBackend | None = None
        network = build(weights).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: nn.Module = network
        self.half_deviation: float | None = None
        if engine == "half":
            from respectra.inference.networks import require_accurate

            self.half_deviation = require_accurate(network, weights, device)
        elif engine != "plain" and device == "cpu":
            from respectra.inference.engines.rewriting import TOLERANCE, deviation, rewrite

            faster = rewrite(build(weights))
            if deviation(network, faster, probe_image(weights)) <= TOLERANCE:
                self.network = faster
        if engine == "onnx":
            self._start_onnx()

    @property
    def on_device(self) -> bool:
        """Whether its answers lie on a graphics processor until they are fetched."""
        return self.device.startswith("cuda")

    def __call__(self, pixels: Float32Array) -> Float32Array:
        """(y, x, 3) -> (y, x, band); both ends are views of channels-last tensors."""
        return self.fetch(self.there(pixels))

    def there(self, pixels: Float32Array) -> Tensor:
        """The same, on the device.

        Raises:
            ConfigError: the device has too little memory for as many pixels.
        """
        import torch

        try:
            with torch.inference_mode(), self._precision():
                batch = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
                return self._run(self._there(batch))[0].permute(1, 2, 0).float()
        except torch.OutOfMemoryError:
            height, width = pixels.shape[:2]
            raise ConfigError(
                f"{self.device} has too little memory left for {height} x {width} pixels by "
                f"{self.weights.method}; take smaller tiles (tile={max(64, width // 2)}, --tile), "
                "or the device cpu"
            ) from None

    def fetch(self, spectra: Tensor) -> Float32Array:
        """Spectra of the device in this machine's memory; from a GPU through pinned memory."""
        import torch

        with torch.inference_mode():
            array: Float32Array = self._here(spectra).numpy()
        return array

    def _run(self, batch: Tensor) -> Tensor:
        spectra: Tensor = self.network(batch)
        return spectra

    def _precision(self) -> contextlib.AbstractContextManager[object]:
        from respectra.inference.networks import half_precision, single_precision

        return (half_precision if self.engine == "half" else single_precision)(self.device)

    def _there(self, batch: Tensor) -> Tensor:
        """A batch on the device; through pinned memory to a graphics processor."""
        if not self.device.startswith("cuda"):
            return batch.to(self.device)
        return batch.pin_memory().to(self.device, non_blocking=True)

    def _here(self, spectra: Tensor) -> Tensor:
        if not self.device.startswith("cuda"):
            return spectra.cpu()
        import torch

        pinned = torch.empty(spectra.shape, dtype=spectra.dtype, pin_memory=True)
        pinned.copy_(spectra, non_blocking=True)
        torch.cuda.current_stream(self.device).synchronize()
        return pinned

    def for_tiles(self, layout: Layout, bits: int, *, means: bool) -> Predictor:
        """ONNX Runtime, unless something has to be told to the network that only PyTorch takes."""
        if means or (self.knows_codes and bits <= CODE_BITS):
            return self
        large = layout.height * layout.width >= TRIAL_PIXELS
        if self.engine == "auto" and self.device == "cpu" and self.onnx is None and large:
            from respectra.inference.engines.choice import fastest

            if fastest(self.weights, self) == "onnx":
                self._start_onnx()
        return self.onnx or self

    def memory(self) -> MemoryUse:
        """Measured in a process of its own, once on a machine."""
        return measure_memory(
            self.weights, engine="plain" if self.engine == "half" else self.engine
        )

    @property
    def says_uncertainty(self) -> bool:
        """Whether the network has an output for it."""
        network: object = self.network
        return isinstance(network, UncertainNetwork)

    @property
    def knows_codes(self) -> bool:
        """Whether the network wants to be told how its images are quantised."""
        network: object = self.network
        return isinstance(network, StepAware)

    @contextlib.contextmanager
    def conditioned(self, bits: int) -> Iterator[None]:
        """Within this block the network knows of how many bits its values are."""
        network: object = self.network
        if not isinstance(network, StepAware) or bits > CODE_BITS:
            yield
            return
        before = network.get_step()  # may be set already: first passes run within the last one
        network.set_step(1.0 / (2**bits - 1))
        try:
            yield
        finally:
            network.set_step(before)

    def mean_passes(self) -> list[frozenset[int]]:
        """Read off the network."""
        from respectra.inference.statistics import mean_passes

        return mean_passes(self.weights)

    def sums(self, pixels: Float32Array, tile: Tile, layout: Layout, **options: Any) -> Sums:
        """See ``statistics.sums_of_tile``."""
        from respectra.inference.statistics import sums_of_tile

        return sums_of_tile(self, pixels, tile, layout, **options)

    @contextlib.contextmanager
    def given(self, means: Sequence[Float32Array]) -> Iterator[None]:
        """Within this block the network uses these means in place of those of what it sees."""
        from respectra.inference.statistics import given_means

        with given_means(self.network, means):
            yield

    @contextlib.contextmanager
    def giving(self, output: str) -> Iterator[None]:
        """Within this block the network answers by another of its methods: ``coefficients``, ..."""
        # Set on the object, where calls find it before the class's, with their hooks.
        network: Any = self.network
        network.forward = getattr(network, output)
        try:
            yield
        finally:
            del network.forward

    def factors(self, rank: int | None, tolerance: float) -> Factors:
        """Those of a network of coefficients and basis (``staffs-cvl``, ``respectra``)."""
        network: object = self.network
        if not isinstance(network, LowRankNetwork):
            raise self._without_basis()
        basis = network.basis.detach().float().cpu().numpy()
        clip = (self.contract.clip_low, self.contract.clip_high)
        output: Output = "coefficients"
        return Factors(output, basis, None, clip)

    def _start_onnx(self) -> None:
        from respectra.inference.backends.onnx import OnnxBackend

        self.onnx = OnnxBackend(self.weights, self)
