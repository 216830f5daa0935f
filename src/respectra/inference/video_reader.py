"""Video clips, read frame by frame in the order in which they are shown.

What a clip says of its colours is followed: matrix, range and rotation are undone, so that frames
are ordinary sRGB pictures. Clips that say nothing of their matrix are taken to be BT.709 from 720
rows up and BT.601 below, as players do. Transfer curves for television and for displays differ
slightly; both are read as sRGB. High dynamic range (PQ, HLG) is refused.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from respectra.errors import DataError, FormatError, MissingExtraError, no_file

#: What to do with a frame that cannot be decoded.
BadFrame = Literal["stop", "skip"]
#: Files with these suffixes are clips.
CLIP_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")
#: What FFmpeg may take a file for. Its lists of files (concat, HLS, DASH, ...) lead to other files.
_CONTAINERS = "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,avi"
#: Clips of at least this many rows are BT.709 where they do not say otherwise.
_HD_ROWS = 720
#: Numbers of ITU-T H.273: matrices that are not known, and transfer curves of high dynamic range.
_UNSPECIFIED_MATRIX = (2, 3)
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True)
class Frame:
    """One picture of a clip."""

    index: int
    """Its number among those that can be decoded, from 0."""
    time_s: float
    """When it is shown, as the clip says it."""
    codes: npt.NDArray[Any]
    """(y, x, 3), R, G, B: uint8, or uint16 where the clip has more than 8 bits."""


class Clip:
    """A video clip on disk.

    Args:
        path: what FFmpeg reads as Matroska, WebM, MP4, QuickTime or AVI.

    Attributes:
        height: rows of every frame, as it is shown.
        width: columns.
        expected: frames that the clip says it has; 0 where it does not say.

    Raises:
        MissingExtraError: PyAV is not installed.
        FormatError: no such file, damaged, or without video.
        DataError: its colours are none that become sRGB: grey, or of high dynamic range.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self._opened() as (_, stream):
            self.expected = int(stream.frames)
        first = next(self.frames(on_bad_frame="skip"), None)
        if first is None:
            raise FormatError(f"{self.path}: no frame of the clip can be decoded; copy it again")
        self.height, self.width = first.codes.shape[:2]

    def frames(
        self,
        *,
        first: int = 0,
        on_bad_frame: BadFrame = "stop",
        skipped: list[float] | None = None,
    ) -> Generator[Frame, None, None]:
        """Frames in the order in which they are shown.

        Args:
            first: number of the first that is wanted. Those before it are decoded, since others
                build upon them, and dropped.
            on_bad_frame: ``stop`` at a frame that cannot be decoded, or ``skip`` it.
            skipped: the times in seconds of skipped frames are appended to this.

        Raises:
            FormatError: a frame cannot be decoded, or frames are missing at the end.
            DataError: the size changes, or a frame is transparent.
        """
        index, size = 0, None
        for time_s, frame in self._decoded():
            if frame is None:
                if on_bad_frame == "stop":
                    raise FormatError(
                        f"{self.path}: the frame at {time_s:.3f} s cannot be decoded; copy the "
                        "clip again, or skip such frames"
                    )
                if skipped is not None:
                    skipped.append(time_s)
                continue
            if index >= first:
                codes = self._to_rgb(frame)
                size = size or codes.shape
                if codes.shape != size:
                    raise DataError(
                        f"{self.path}: the frame at {time_s:.3f} s has {codes.shape[:2]} pixels, "
                        f"those before it {size[:2]}; cut the clip there"
                    )
                yield Frame(index, time_s, codes)
            index += 1

    def _decoded(self) -> Iterator[tuple[float, Any]]:
        """Time and frame, in order; None in place of a frame that cannot be decoded."""
        import av.error

        with self._opened() as (container, stream):
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            packets = count = 0
            time_s = 0.0
            for packet in self._packets(container, stream):
                if packet is None:
                    yield time_s, None
                    return
                packets += bool(packet.size)
                try:
                    frames = packet.decode()
                except av.error.FFmpegError:
                    at = packet.pts if packet.pts is not None else packet.dts
                    yield (time_s if at is None else float(at * packet.time_base)), None
                    continue
                for frame in frames:
                    time_s = count / rate if frame.time is None else float(frame.time)
                    count += 1
                    yield time_s, None if frame.is_corrupt else frame
            if packets < self.expected:  # the file ends before the clip does
                yield time_s + 1 / rate, None

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        """Compressed frames; None at a place from which the file cannot be read on."""
        import av.error

        packets = container.demux(stream)
        while True:
            try:
                yield next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                yield None
                return

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        try:
            import av
            import av.error
        except ImportError:
            raise MissingExtraError("av", "video", "reading video clips") from None
        if not self.path.is_file():
            raise no_file(self.path)
        try:
            # "file:" keeps FFmpeg from seeing a protocol in a name.
            options = {"format_whitelist": _CONTAINERS}
            container = av.open(f"file:{self.path}", container_options=options)
        except (av.error.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FormatError(f"{self.path} is not a video clip, or damaged ({reason})") from None
        with container:
            if not container.streams.video:
                raise FormatError(f"{self.path} holds no video")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise FormatError(f"{self.path}: its video is in a coding that nobody decodes")
            # A decoder would rather make something up than fail; what it makes up has no spectrum.
            stream.codec_context.options = {"err_detect": "explode"}
            yield container, stream

    def _to_rgb(self, frame: Any) -> npt.NDArray[Any]:
        """A decoded frame as R, G, B codes, upright."""
        transfer = _HDR_TRANSFERS.get(int(frame.color_trc))
        if transfer is not None:
            raise DataError(
                f"{self.path} has high dynamic range ({transfer}), which is not sRGB; "
                "convert it to SDR BT.709 first"
            )
        if frame.format.name.startswith(("gray", "mono")):
            raise DataError(f"{self.path} is grey; recovering spectra takes three channels")
        components = frame.format.components
        deep = max(component.bits for component in components) > 8
        matrix = None
        if int(frame.colorspace) in _UNSPECIFIED_MATRIX:
            matrix = "ITU709" if frame.height >= _HD_ROWS else "ITU601"
        clear = any(component.is_alpha for component in components)
        name = {(False, False): "rgb24", (False, True): "rgba"}.get(
            (deep, clear), "rgba64le" if clear else "rgb48le"
        )
        codes = frame.reformat(format=name, src_colorspace=matrix).to_ndarray()
        if clear:
            if (codes[..., 3] != np.iinfo(codes.dtype).max).any():
                raise DataError(
                    f"{self.path} is transparent in places, which has no spectrum; flatten it "
                    "onto a background first"
                )
            codes = codes[..., :3]
        turns = round(float(frame.rotation) / 90) % 4
        return np.ascontiguousarray(np.rot90(codes, turns))
