"""Former place of :mod:`respectra.colour.observers`."""

from respectra.colour.lights import list_illuminants
from respectra.colour.observers import OBSERVERS, colour_matching, illuminant

__all__ = ["OBSERVERS", "colour_matching", "illuminant", "list_illuminants"]
