"""One method asked several times, about the picture flipped and turned.

Each answer is turned back, and their mean is the cube; guarantees are kept by the mean. It takes
as many times longer as there are symmetries: ``horizontal`` (as it is and left to right),
``vertical`` (and upside down), ``flips`` (four: both axes), or ``all`` eight, with transposition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from respectra.datasets.patches import SYMMETRIES, turn, turn_back
from respectra.errors import ConfigError, unknown_name
from respectra.inference.averages import mean_of, moments
from respectra.inference.backends.base import EXACT_BITS, Output
from respectra.inference.tiled import TiledInference
from respectra.inference.tiling import Layout, Pieces, Predictor, Reader
from respectra.methods import Tiling
from respectra.typing import Float32Array


class SelfEnsembledInference:
    """A method's inference, asked about every symmetry of a set of them.

    Raises:
        ConfigError: an unknown set.
    """

    def __init__(self, plain: TiledInference, symmetries: str) -> None:
        self.plain, self.symmetries = plain, check_symmetries(symmetries)

    @property
    def answer_bytes(self) -> int:
        """The mean, and one answer turned back, bytes for each pixel of a piece."""
        return 3 * 4 * self.plain.contract.bands

    def whole_image_reason(self, height: int, width: int) -> str | None:
        """Why a picture of this size has to be in memory as a whole; None where it need not.

        Turned tiles give what the turned picture gives where tiles are exact by their halo alone,
        and where squares that the network takes as one lie alike from either end.
        """
        card = self.plain.backend.card
        multiple = card.size_multiple
        if card.tiling is not Tiling.EXACT:
            return f"turned tiles of {card.name} do not give what the turned picture gives"
        if height % multiple or width % multiple:
            return (
                f"{card.name} takes {multiple} x {multiple} pixels together, and they lie "
                f"otherwise in a turned picture of {height} x {width}"
            )
        return None

    def assemble(self, rgb: Float32Array, bits: int) -> tuple[Float32Array, Layout]:
        """Mean spectra of a picture in memory, and how it was cut."""
        layout = self._layout(rgb)
        return mean_of(self._answers(rgb, layout, bits)), layout

    def moments(self, rgb: Float32Array, bits: int) -> tuple[Float32Array, Float32Array, Layout]:
        """Mean and standard deviation of the answers, and how the picture was cut."""
        layout = self._layout(rgb)
        return *moments(self._answers(rgb, layout, bits)), layout

    def pieces(
        self,
        read: Reader,
        layout: Layout,
        *,
        bits: int = EXACT_BITS,
        output: Output | Predictor | None = None,
        **options: Any,
    ) -> Pieces:
        """As :meth:`TiledInference.pieces`; each tile is turned, halo included."""
        if output is not None:
            raise ConfigError("a self-ensemble answers with spectra alone, not with a basis")
        contract = self.plain.contract
        predict = self.plain.backend.for_tiles(layout, bits, means=self.plain.needs_means(layout))
        symmetries = SYMMETRIES[self.symmetries]

        def answer(pixels: Float32Array) -> Float32Array:
            turned = (np.ascontiguousarray(turn(pixels, symmetry)) for symmetry in symmetries)
            answers = (contract.finish(predict(part)) for part in turned)
            return mean_of(map(turn_back, answers, symmetries))

        return self.plain.pieces(read, layout, bits=bits, output=answer, **options)

    def _layout(self, rgb: Float32Array) -> Layout:
        # The sum, the answer at hand, and its parts.
        return self.plain.layout_in_memory(*rgb.shape[:2], cubes=3)

    def _answers(self, rgb: Float32Array, layout: Layout, bits: int) -> Iterator[Float32Array]:
        for symmetry in SYMMETRIES[self.symmetries]:
            turned = np.ascontiguousarray(turn(rgb, symmetry))
            piece = layout if turned.shape == rgb.shape else self._layout(turned)
            yield turn_back(self.plain.assemble(turned, bits, layout=piece)[0], symmetry)


def check_symmetries(name: str) -> str:
    """The name of a set of symmetries.

    Raises:
        ConfigError: there is no such set.
    """
    if name not in SYMMETRIES:
        raise unknown_name("self-ensemble", name, SYMMETRIES)
    return name
