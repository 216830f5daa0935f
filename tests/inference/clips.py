"""Small clips for tests, written with PyAV."""

from fractions import Fraction
from pathlib import Path

import numpy as np


def write_clip(
    path: Path,
    frames: np.ndarray,
    *,
    codec: str = "ffv1",
    pixels: str = "bgr0",
    rate: int = 25,
    options: dict[str, str] | None = None,
    **tags: object,
) -> Path:
    """Write frames (t, y, x, 3), uint8 sRGB; losslessly unless another codec is asked for."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.time_base = Fraction(1, rate)
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for codes in frames:
            frame = av.VideoFrame.from_ndarray(codes, format="rgb24")
            if "colorspace" in tags:
                frame = frame.reformat(
                    format=pixels,
                    dst_colorspace={1: "ITU709", 5: "ITU601"}[int(tags["colorspace"])],
                    dst_color_range={1: "MPEG", 2: "JPEG"}[int(tags.get("color_range", 1))],
                )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
