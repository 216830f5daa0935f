"""Cameras: responses, sensors, codecs and the tracks they form; images and their colours."""

from respectra.cameras.images import CHANNELS, Encoding, make_image, require_image

__all__ = ["CHANNELS", "Encoding", "make_image", "require_image"]
